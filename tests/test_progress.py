from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kot_platypus import progress
from kot_platypus.evaluate.workload import count_shared, expect_steps, size_texts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test moves on."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_line_counts_what_an_earlier_process_did_but_not_its_time(clock, capsys):
    with progress.show_progress("Training", 30, "steps", done=20) as advance:
        clock[0] = 20.0
        advance(2)
        clock[0] = 40.0
        advance(2, "loss 1.0")
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "Training: 22/30 steps",  # the first piece of work says little
        "Training: 24/30 steps, 60 s left  loss 1.0",
    ]


def test_work_within_a_unit_is_shown_before_the_first_is_done(clock, capsys):
    left = expect_steps(4, 100)
    with progress.show_progress("Writing", 4, "texts", left=left, of="tokens"):
        for second in range(12):
            clock[0] = float(second)
            progress.count_work(1, under_way=4)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.strip() == "Writing: 0/4 texts, 44 tokens, 30 s left"


def test_a_progress_within_another_says_nothing_and_stops_its_clock(clock, capsys):
    with progress.show_progress("Training", 20, "steps") as advance:
        for _ in range(2):
            clock[0] += 5
            advance()
        with progress.show_progress("Answering", 5, "texts") as answer:
            clock[0] += 100
            answer(5)
        clock[0] += 5
        advance()
    line = capsys.readouterr().err.splitlines()[-1].strip()
    assert line == "Training: 3/20 steps, 85 s left"


def test_what_is_shared_with_the_text_before_is_no_work():
    assert count_shared("abcd", "abxd") == 2
    assert count_shared("ab", "abxd") == 2
    assert count_shared([1, 2], [3]) == 0
    texts = [("a", "shots: one"), ("a", "shots: two"), ("b", "shots: two?")]
    assert size_texts(texts, 10**9) == pytest.approx({"a": 10 + 3, "b": 1})
    # Passes with room for as much again as is shared read all of it twice.
    assert size_texts(texts, 1) == pytest.approx({"a": 10 + 6, "b": 2})


# --- right within a factor of two ---------------------------------------------------------------

Moment = tuple[float, int, float, int]
"""Seconds that something took, the units and the work that it finished, the units under way."""


def score(rng: random.Random) -> tuple[int, progress.Left, Iterator[Moment]]:
    """Short questions, then long ones behind shots; the first pass warms up."""

    def ask(shots: int, i: int) -> str:
        return "보기 " * 120 * shots + f"{i}번 질문 " * (8 + 8 * shots)

    tasks = [[(f"{shots}/{i}", ask(shots, i)) for i in range(150)] for shots in (0, 5)]
    sizes = size_texts((text for task in tasks for text in task), 1000)
    size = sum(sizes.values())

    def run() -> Iterator[Moment]:
        for number, task in enumerate(tasks):
            shared = 1800 * number
            per_pass = max(1000, 2 * shared) - shared
            own = len(task[0][1]) - shared
            step = max(1, per_pass // own)
            for start in range(0, len(task), step):
                texts = task[start : start + step]
                seconds = (shared + own * len(texts)) / 250 * rng.uniform(0.7, 1.4)
                seconds += 6 * (start + number == 0)
                yield seconds, len(texts), sum(sizes[key] for key, _ in texts), 0

    return 300, lambda done, work, under_way: size - work, run()


def write(rng: random.Random) -> tuple[int, progress.Left, Iterator[Moment]]:
    """Texts of 8 to 256 tokens, 32 at a time; a prompt is read before each."""
    lengths = [min(256, round(rng.lognormvariate(4.0, 0.7)) + 8) for _ in range(150)]

    def run() -> Iterator[Moment]:
        waiting, rows = lengths.copy(), list[int]()
        while waiting or rows:
            read = 0
            while waiting and len(rows) < 32:
                rows.append(waiting.pop())
                read += 1
            yield 0.15 + 0.005 * len(rows) + 0.15 * read, 0, 1, len(rows)
            rows = [length - 1 for length in rows]
            yield 0.0, rows.count(0), 0, len(rows)
            rows = [length for length in rows if length]

    return len(lengths), expect_steps(len(lengths), 256), run()


def train(rng: random.Random) -> tuple[int, progress.Left, Iterator[Moment]]:
    """Steps of unlike passes, the first of which compiles."""
    steps = [[rng.randrange(60, 500) for _ in range(rng.randrange(1, 6))] for _ in range(60)]
    size = 60 * 3 * 280

    def run() -> Iterator[Moment]:
        for number, step in enumerate(steps):
            for place, tokens in enumerate(step):
                first = number == place == 0
                seconds = tokens / 300 * rng.uniform(0.8, 1.2) + 9 * first
                yield seconds, place == len(step) - 1, tokens, 0

    return 60, lambda done, work, under_way: size - work, run()


RUNS = {"score": score, "write": write, "train": train}


def follow(name: str, seed: int, clock: list[float]) -> list[tuple[float, float, float | None]]:
    """After each moment: when it was, the seconds left as said, and those of the mean so far."""
    total, left, moments = RUNS[name](random.Random(seed))
    clock[0] = 0.0
    seen, units = [], 0
    with progress.show_progress(name, total, "units", left=left) as advance:
        count = progress._shown[-1]
        for seconds, done, work, under_way in moments:
            clock[0] += seconds
            units += done
            advance(done, work=work if not under_way else 0)
            if under_way:
                progress.count_work(work, under_way=under_way)
            mean = clock[0] / units * (total - units) if units else None
            said = count.pace.estimate_s(count.left_work or 0)
            if said is not None:  # of the first piece nobody knows
                seen.append((clock[0], said, mean))
    assert units == total
    return seen


def list_wrong(seen: list[tuple[float, float, float | None]], place: int) -> list[float]:
    """When, after ten seconds and before the last fifth, an estimate was off by more than two."""
    end = seen[-1][0]
    judged = [each for each in seen if 10 <= each[0] <= 0.8 * end]
    assert len(judged) > 10
    return [
        each[0]
        for each in judged
        if each[place] is None or not 0.5 <= each[place] / (end - each[0]) <= 2
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", RUNS)
def test_after_ten_seconds_the_time_left_is_right_within_a_factor_of_two(name, seed, clock):
    assert list_wrong(follow(name, seed, clock), 1) == []


@pytest.mark.parametrize("name", ["score", "write"])
def test_the_mean_of_the_units_done_was_not(name, clock):
    assert len(list_wrong(follow(name, 0, clock), 2)) > 10


def test_what_was_known_already_does_not_make_the_rest_look_quick(clock, capsys):
    with progress.show_progress("Translating", 600, "rows") as advance:
        for row in range(600):
            clock[0] += 0.002 if row < 500 else 0.5
            advance()
            if row == 520:
                break
    said = capsys.readouterr().err.splitlines()[-1]
    assert "41 s left" in said
