"""Several reviewers of one folder, and the sample of rows that passed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli import app
from kot_platypus.data.pipeline.decisions import (
    SpotCheck,
    compute_alpha,
    gather_votes,
    measure_agreement,
    read_votes,
)
from kot_platypus.data.review.store import ReviewStore, name_reviewer
from kot_platypus.errors import RunError, UsageError
from kot_platypus.stages import lock_folder
from tests.browser import open_page
from tests.data.test_review import (
    ATTACK,
    decide,
    expect_fit,
    list_actions,
    make_draft,
    read_log,
    request,
    serve_page,
    wait_for_row,
    write_queue,
)

RIGHT = "나무 {}그루는 몇 살입니까?"


def write_folder(out: Path, failed: int = 4, passed: int = 3) -> Path:
    """A review of rows 10, 11, ... that failed a check, and of 50, 51, ... that passed."""
    write_queue(out, [make_draft(10 + number) for number in range(failed)])
    drafts = [make_draft(50 + number, RIGHT.format(50 + number)) for number in range(passed)]
    assert not any(draft.errors for draft in drafts)
    write_jsonl(out / "review" / "passed.jsonl", drafts)
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out")


@pytest.fixture
def stores(folder: Path) -> Iterator[tuple[ReviewStore, ReviewStore]]:
    kim, lee = ReviewStore(folder, "kim"), ReviewStore(folder, "lee")
    yield kim, lee
    kim.close()
    lee.close()


Stores = tuple[ReviewStore, ReviewStore]


def say(store: ReviewStore, number: int, action: Any, **fields: str) -> str:
    return store.decide(number, action, fields, version=store.read(number).version)


def judge(folder: Path, number: int) -> Any:
    """What follows from the votes on a row of the queue."""
    return read_votes(folder / "review")[make_draft(10 + number).key].verdict


# --- votes -------------------------------------------------------------------------------------


def test_a_decision_carries_its_reviewer(stores: Stores, folder: Path):
    say(stores[1], 0, "drop")
    (decision,) = read_log(folder)
    assert (decision.reviewer, decision.settles) == ("lee", False)


def test_nobody_sees_another_s_vote_before_their_own(stores: Stores):
    kim, lee = stores
    before = lee.read(0)
    kim.decide(0, "drop", {}, version=0, reason="meaning", note="뜻이 반대")
    assert lee.read(0) == before
    assert lee.find(0, 1, show="open") == 0
    assert lee.summarise().decided == 0
    say(lee, 0, "drop")
    assert set(lee.read(0).votes) == {"kim", "lee"}
    say(lee, 0, "undo")
    assert lee.read(0).votes == {}


def test_what_all_say_is_the_verdict(stores: Stores, folder: Path):
    for store in stores:
        say(store, 0, "drop")
    assert judge(folder, 0).action == "drop"
    assert [store.summarise().disputed for store in stores] == [0, 0]


@pytest.mark.parametrize("second", [("accept", {}), ("edit", {"source": RIGHT.format(12)})])
def test_where_votes_differ_there_is_no_verdict(stores: Stores, folder: Path, second: Any):
    kim, lee = stores
    say(kim, 0, "edit", source=RIGHT.format(10))
    say(lee, 0, second[0], **second[1])
    assert judge(folder, 0) is None
    assert (kim.read(0).is_disputed, kim.summarise().disputed) == (True, 1)
    assert [kim.find(0, 1, show="disputed"), kim.find(1, 1, show="disputed")] == [0, None]


def test_the_same_edit_twice_is_no_dispute(stores: Stores, folder: Path):
    for store in stores:
        say(store, 0, "edit", source=RIGHT.format(10))
    assert judge(folder, 0).fields == {"source": RIGHT.format(10)}


def test_who_sees_the_dispute_settles_it_and_the_votes_stay(stores: Stores, folder: Path):
    kim, lee = stores
    say(kim, 0, "accept")
    say(lee, 0, "drop")
    say(kim, 0, "accept")  # insists
    assert judge(folder, 0).action == "accept"
    assert read_log(folder)[-1].settles
    assert (lee.read(0).action, lee.read(0).is_disputed) == ("accept", False)
    assert list(measure_agreement(read_votes(folder / "review")).reviewers) == ["kim", "lee"]
    say(lee, 0, "undo")  # what was settled; then lee's own vote
    assert judge(folder, 0) is None
    say(lee, 0, "undo")
    assert judge(folder, 0).action == "accept"


def test_a_vote_changed_after_seeing_another_is_not_taken_for_an_unseeing_one(
    stores: Stores, folder: Path
):
    kim, lee = stores
    for action in ("drop", "undo", "accept"):  # alone: kim has seen nothing yet
        say(kim, 0, action)
    for action in ("drop", "undo", "accept"):
        say(lee, 0, action)
    votes = read_votes(folder / "review")
    assert judge(folder, 0).action == "accept", "the last ones decide"
    agreement = measure_agreement(votes)
    assert (agreement.rows, agreement.disputed, agreement.share) == (1, 0, 0)


def test_who_first_votes_after_a_settlement_does_not_count_for_the_agreement(
    stores: Stores, folder: Path
):
    kim, lee = stores
    say(kim, 0, "accept")
    say(lee, 0, "drop")
    say(kim, 0, "drop")  # settles
    park = ReviewStore(folder, "park")
    say(park, 0, "undo")  # the settlement, which park saw with the votes
    say(park, 0, "drop")
    agreement = measure_agreement(read_votes(folder / "review"))
    assert (agreement.reviewers, agreement.share) == ({"kim": 1, "lee": 1, "park": 1}, 0)
    park.close()


def test_a_third_reviewer_votes_unseeing_and_then_settles(stores: Stores, folder: Path):
    kim, lee = stores
    say(kim, 0, "accept")
    say(lee, 0, "drop")
    park = ReviewStore(folder, "park")
    assert park.find(0, 1, show="disputed") == 0
    assert (park.read(0).votes, park.read(0).is_disputed) == ({}, False)
    say(park, 0, "drop")
    assert judge(folder, 0) is None, "two against one is no agreement"
    say(park, 0, "drop")
    assert judge(folder, 0).action == "drop"
    park.close()


def test_a_vote_that_came_meanwhile_is_seen_before_it_is_overruled(stores: Stores, folder: Path):
    kim, lee = stores
    say(kim, 0, "accept")
    seen = kim.read(0).version
    say(lee, 0, "drop")
    assert kim.decide(0, "edit", {"source": "다른 글"}, version=seen) == "conflict"
    assert kim.decide(0, "accept", {}, version=seen) == "stored", "the same again settles nothing"
    assert list_actions(folder) == ["accept", "drop"]


def test_rows_that_nobody_has_seen_are_found(stores: Stores):
    kim, lee = stores
    say(kim, 0, "accept")
    assert (lee.find(0, 1, show="untouched"), lee.find(0, 1, show="open")) == (1, 0)


def test_a_log_of_before_there_were_reviewers_holds_for_all(folder: Path):
    old = {"key": make_draft(10).key, "action": "drop", "fields": {}, "decided_at": "2026-11-22"}
    (folder / "review" / "decisions.jsonl").write_text(json.dumps(old) + "\n")
    store = ReviewStore(folder, "kim")
    assert (store.read(0).action, store.find(0, 1, show="open")) == ("drop", 1)
    say(store, 0, "accept")
    assert judge(folder, 0).action == "accept"
    say(store, 0, "undo")
    assert judge_all(folder) == {}
    store.close()


def judge_all(folder: Path) -> dict[str, str]:
    return {key: votes.verdict.action for key, votes in read_votes(folder / "review").items()}


@pytest.mark.slow
def test_processes_that_decide_at_once_lose_nothing(tmp_path: Path):
    """Each in its own process, on the same rows, as fast as they can."""
    folder, go = write_folder(tmp_path / "out", failed=60), tmp_path / "go"
    code = """
import sys, time
from pathlib import Path
from kot_platypus.data.review.store import ReviewStore
folder, go, who = sys.argv[1:]
store = ReviewStore(Path(folder), who)
print("ready", flush=True)
while not Path(go).exists():
    pass
for number in range(60):
    action = "drop" if number % 2 else "accept"
    assert store.decide(number, action, {}, version=store.read(number).version) == "stored"
until = time.monotonic() + 20
while sum(len(store.read(number).votes) for number in range(60)) < 180:
    assert time.monotonic() < until
print(*(store.read(number).version for number in range(60)))
"""
    command = [sys.executable, "-c", code, str(folder), str(go)]
    names = ("kim", "lee", "park")
    running = [
        subprocess.Popen([*command, who], stdout=subprocess.PIPE, text=True) for who in names
    ]
    assert {process.stdout.readline() for process in running if process.stdout} == {"ready\n"}
    go.touch()
    outputs = [process.communicate(timeout=60)[0] for process in running]
    votes = gather_votes(read_log(folder)).values()
    assert [set(each.by) for each in votes] == [set(names)] * 60
    lines = sorted(max(each.lines.values()) for each in votes)
    assert [sorted(map(int, output.split())) for output in outputs] == [lines] * 3


def test_what_a_killed_server_left_half_written_harms_no_other(stores: Stores, folder: Path):
    kim, lee = stores
    say(kim, 0, "drop")
    with (folder / "review" / "decisions.jsonl").open("ab") as file:
        file.write(b'{"key": "half of a li')
    assert judge(folder, 0).action == "drop", "a build reads on"
    say(lee, 0, "drop")
    say(kim, 1, "accept")
    assert list_actions(folder) == ["drop", "drop", "accept"]


# --- names -------------------------------------------------------------------------------------


def test_a_server_that_keeps_the_folder_to_itself_is_named(folder: Path, monkeypatch: Any):
    monkeypatch.setattr("kot_platypus.data.review.store._WAIT_S", 0.1)
    told = "kot process.*is working in .*review.* End it.* of an earlier version"
    with lock_folder(folder / "review"), pytest.raises(RunError, match=told):
        ReviewStore(folder)


@pytest.mark.parametrize("name", ["kim", "김지우", "j.w-2_a", "7"])
def test_plain_names_are_reviewers(name: str):
    assert name_reviewer(name) == name


@pytest.mark.parametrize("name", ["", " kim", "a/b", "../x", "<b>", "-x", "a\n", "x" * 41])
def test_other_names_are_one_line_of_error(folder: Path, name: str):
    with pytest.raises(UsageError):
        name_reviewer(name)
    result = CliRunner().invoke(app, ["data", "review", str(folder), f"--reviewer={name}"])
    assert result.exit_code == 2
    assert "a name of at most 40 letters" in " ".join(result.output.split())


@pytest.mark.parametrize(("login", "expected"), [("kim", "kim"), ("DOMAIN\\kim", "reviewer")])
def test_without_a_name_it_is_the_login_s(monkeypatch: Any, login: str, expected: str):
    monkeypatch.setattr("getpass.getuser", lambda: login)
    assert name_reviewer() == expected


def test_without_a_login_it_is_the_reviewer(monkeypatch: Any):
    def fail() -> str:
        raise KeyError("no user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert name_reviewer() == "reviewer"


# --- agreement ---------------------------------------------------------------------------------


def test_alpha_is_that_of_krippendorff_s_example():
    """Computing Krippendorff's Alpha-Reliability (2011), C: four coders, twelve units, gaps."""
    coders = ("123321412...", "1233224125.3", ".333234225 1.".replace(" ", ""), "12332441251.")
    units = [[value for value in unit if value != "."] for unit in zip(*coders, strict=True)]
    share, alpha = compute_alpha(units)
    assert alpha == pytest.approx(0.743, abs=5e-4)
    assert share == pytest.approx(0.8, abs=5e-3)


def test_alpha_is_that_of_all_pairs_counted_one_by_one():
    rng = random.Random(4)
    for _ in range(50):
        units = [rng.choices("abc", (6, 2, 1), k=rng.randrange(4)) for _ in range(12)]
        several = [unit for unit in units if len(unit) > 1]
        values = [value for unit in several for value in unit]
        n = len(values)
        if len(set(values)) < 2:
            continue
        observed = sum(
            (a != b) / (len(unit) - 1)
            for unit in several
            for i, a in enumerate(unit)
            for j, b in enumerate(unit)
            if i != j
        )
        by_chance = sum(
            a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j
        )
        expected = 1 - (observed / n) / (by_chance / (n * (n - 1)))
        assert compute_alpha(units) == pytest.approx((1 - observed / n, expected))


@pytest.mark.parametrize(
    ("units", "expected"),
    [([], (None, None)), (["a", "b"], (None, None)), (["aa", "aa"], (1, None)), (["ab"], (0, 0))],
)
def test_alpha_is_undefined_without_pairs_or_without_variety(units: Any, expected: Any):
    assert compute_alpha(units) == expected


def test_agreement_is_printed(stores: Stores, folder: Path):
    def ask() -> str:
        result = CliRunner().invoke(app, ["data", "review", str(folder), "--agreement"])
        assert result.exit_code == 0
        return " ".join(result.output.split())

    kim, lee = stores
    assert ask() == "One reviewer at most: nothing to compare."
    say(kim, 0, "accept")
    say(lee, 1, "drop")
    assert "2 reviewers, 0 rows decided on by two or more: nothing to compare yet." in ask()
    say(lee, 0, "accept")
    assert "100.0% of their decisions agree (Krippendorff's alpha undefined" in ask()
    say(kim, 1, "accept")
    figures = "50.0% of their decisions agree (Krippendorff's alpha 0.000)"
    assert f"2 rows decided on by two or more: {figures}" in ask()
    assert "1 disputed. Rows decided on: kim 2, lee 2." in ask()


# --- the sample of what passed -----------------------------------------------------------------


def test_the_sample_is_apart_from_the_queue(stores: Stores):
    kim, _ = stores
    assert [kim.find(0, 1, show="all"), kim.find(4, 1, show="all")] == [0, None]
    assert [kim.find(0, 1, show="passed"), kim.find(99, -1, show="passed")] == [4, 6]
    assert (kim.read(5).place, kim.read(5).total, kim.summarise().total) == (1, 3, 4)
    say(kim, 4, "drop")
    assert (kim.find(0, 1, show="passed"), kim.find(0, 1, show="passed_open")) == (4, 5)
    summary = kim.summarise()
    assert (summary.decided, summary.passed) == (0, SpotCheck(total=3, drop=1))


def test_a_row_of_the_sample_that_has_a_decision_is_not_in_the_queue_too(folder: Path):
    """A build puts every row with a decision into the queue."""
    drafts = [make_draft(50, RIGHT.format(50)), make_draft(10)]
    write_jsonl(folder / "review" / "queue.jsonl", drafts)
    store = ReviewStore(folder)
    assert (store.summarise().total, store.summarise().passed.total) == (1, 3)
    assert store.read(0).draft == drafts[1]
    store.close()


def test_a_review_of_before_there_was_a_sample_is_read(folder: Path):
    (folder / "review" / "passed.jsonl").unlink()
    store = ReviewStore(folder)
    assert (len(store), store.summarise().passed.total) == (4, 0)
    store.close()


def test_a_spot_check_says_wilson_s_interval():
    said = str(SpotCheck(total=120, accept=95, edit=2, drop=3))
    assert said == (
        "Spot check of 100 of 120 drawn rows that passed: "
        "3 dropped (1.0-8.5%, 95% interval), 2 edited."
    )


# --- the server and the page -------------------------------------------------------------------


def test_no_reply_of_the_server_tells_of_a_vote_too_early(folder: Path):
    key, note = make_draft(10).key, "아무도 보면 안 되는 말"
    with serve_page(folder, reviewer="kim") as kim, serve_page(folder, reviewer="lee") as lee:
        assert decide(kim, key=key, version=0, action="drop", note=note)[0] == 200
        answers = [request(lee, "GET", "/api/summary")[2]]
        for show in ("open", "untouched", "disputed", "passed", "passed_open", "all"):
            answers.append(request(lee, "GET", f"/api/find?show={show}")[2])
        answers.append(decide(lee, key=make_draft(11).key, version=0, action="drop")[1])
        for answer in answers:
            assert note not in answer
            assert "kim" not in answer
        row = json.loads(decide(lee, key=key, version=0, action="accept")[1])["row"]
        assert row["is_disputed"]
        assert [(each["reviewer"], each["note"]) for each in row["votes"]] == [
            ("kim", note),
            ("lee", ""),
        ]


@pytest.mark.parametrize("query", ["show=secret", "start=x", "open=1"])
def test_what_the_page_would_not_ask_is_refused(folder: Path, query: str):
    with serve_page(folder) as address:
        assert request(address, "GET", f"/api/find?{query}")[0] == 400


@pytest.mark.slow
def test_killed_servers_of_two_reviewers_lose_nothing_that_they_confirmed(folder: Path):
    def serve(who: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "kot_platypus", "data", "review", str(folder)]
        command += ["--port", "0", "--no-browser", "--reviewer", who]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        return process, next(line.split()[0] for line in lines if line.startswith("http"))

    confirmed = 0
    for ended_by in (signal.SIGKILL, signal.SIGINT):
        running = [serve(who) for who in ("kim", "lee")]
        with ThreadPoolExecutor() as pool:
            jobs = []
            for number in range(4):
                for _, address in running:
                    choice = {"key": make_draft(10 + number).key, "action": "accept"}
                    version = 0 if ended_by == signal.SIGKILL else 99
                    jobs.append(pool.submit(decide, address, **choice, version=version))
            confirmed += sum(job.result()[0] == 200 for job in jobs)
        for process, _ in running:
            process.send_signal(ended_by)
        outputs = [process.communicate(timeout=30)[0] for process, _ in running]
    assert confirmed == 16, "the second time the same again"
    assert len(read_log(folder)) == 8
    assert (
        "2 reviewers, 4 rows decided on by two or more: 100.0% of their decisions agree"
        in outputs[0]
    )


@pytest.mark.slow
def test_two_reviewers_disagree_and_one_settles_by_keyboard(folder: Path):
    with ExitStack() as stack:
        kim = stack.enter_context(serve_page(folder, reviewer="kim"))
        lee = stack.enter_context(serve_page(folder, reviewer="lee"))
        decide(kim, key=make_draft(10).key, version=0, action="drop", note=ATTACK, reason="meaning")
        page = stack.enter_context(open_page(lee))
        wait_for_row(page, 1)
        assert page.locator("#votes").count() == 0
        page.select_option("#filter-show", "untouched")
        wait_for_row(page, 2)
        page.select_option("#filter-show", "open")
        page.keyboard.press("k")
        wait_for_row(page, 1)
        page.keyboard.press("a")
        wait_for_row(page, 2)
        assert "엇갈림 1" in page.inner_text("#counts")
        page.select_option("#filter-show", "disputed")
        wait_for_row(page, 1)
        assert ATTACK in page.inner_text("#votes")
        assert "뜻이 다름" in page.inner_text("#votes")
        expect_fit(page)
        page.keyboard.press("1")
        page.wait_for_selector("main .empty")
        last = read_log(folder)[-1]
        assert (last.reviewer, last.action, last.settles) == ("lee", "drop", True)
        page.keyboard.press("u")
        page.wait_for_selector("#votes.disputed")
        assert judge(folder, 0) is None


@pytest.mark.slow
def test_a_vote_among_disputed_rows_shows_the_others_and_the_next_settles(folder: Path):
    edit = {"source": RIGHT.format(11)}
    with ExitStack() as stack:
        pages = [stack.enter_context(serve_page(folder, reviewer=who)) for who in "abc"]
        decide(pages[0], key=make_draft(11).key, version=0, action="edit", texts=edit)
        decide(pages[1], key=make_draft(11).key, version=0, action="drop")
        page = stack.enter_context(open_page(pages[2]))
        wait_for_row(page, 1)
        page.select_option("#filter-show", "disputed")
        wait_for_row(page, 2)
        page.keyboard.press("d")
        page.wait_for_selector("#votes.disputed")
        assert RIGHT.format(11) in page.inner_text("#votes")
        page.click("#votes li:nth-child(1) button")
        page.wait_for_selector("main .empty")
    assert judge(folder, 1).fields == edit
    assert [each.settles for each in read_log(folder)] == [False, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sample_is_gone_through_by_keyboard(folder: Path, scheme: str):
    with serve_page(folder) as address, open_page(address, color_scheme=scheme) as page:
        wait_for_row(page, 1)
        page.select_option("#filter-show", "passed")
        wait_for_row(page, 5)
        assert page.inner_text(".head h2") == "1 / 3"
        page.keyboard.press("a")
        wait_for_row(page, 6)
        page.keyboard.press("d")
        wait_for_row(page, 7)
        assert "2개 중 1개 버림: 전체의 9.5–90.5% (95% 신뢰구간)" in page.inner_text("#counts")
        expect_fit(page)
        page.keyboard.press("u")
        wait_for_row(page, 6)
        page.reload()
        wait_for_row(page, 6)
        assert page.input_value("#filter-show") == "passed"
        page.keyboard.press("k")
        wait_for_row(page, 5)
    assert list_actions(folder) == ["accept", "drop", "undo"]
