"""Reasoning problems whose rationale and answer are computed, then verified from the text alone.

Held-out problems have settings, names or things, and ranges of numbers or lengths, that no training
problem has, so a right answer is not remembered. A family's ``-reworded`` problems say the same in
other sentences, and are held-out. Stories are data: ``prompts/problems.yaml``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

import yaml

from kot_platypus.errors import DataError, UsageError
from kot_platypus.hangul import read_final
from kot_platypus.recipe import REWORDED
from kot_platypus.records import Example

Split = Literal["train", "heldout"]
Story = dict[str, Any]

WEEKDAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
_EQUATION = re.compile(r"(\d+)([-+×])(\d+)=(\d+)")
_DIVISION = re.compile(r"(\d+)÷7의 나머지는 (\d)")


def make_problems(
    rows: int, seed: int, split: Split, families: tuple[str, ...] | None = None
) -> list[Example]:
    """``rows`` distinct problems, the families in turn; the same for the same seed.

    Raises UsageError for an unknown family, DataError when so many different ones do not exist.
    """
    names = families or tuple(FAMILIES)
    known = list(FAMILIES)
    if split == "heldout":
        known += [name + REWORDED for name in FAMILIES if REWORDED[1:] in _load_stories()[name]]
    for name in names:
        if name not in known:
            raise UsageError(
                f"no family of problems {name!r}" + (" to train on" if split == "train" else ""),
                expected=f"some of {', '.join(known)}",
                hint="Set data.sources and data.heldout_families.",
            )
    rng = random.Random(f"{seed}/{split}")
    problems: dict[str, Example] = {}
    attempts = 0
    while len(problems) < rows:
        name = names[len(problems) % len(names)]
        family, _, wording = name.partition("-")
        story = rng.choice(_load_stories()[family][wording or split])
        made = FAMILIES[family][0](rng, story, split)
        problem = made.model_copy(update={"task": name, "type": "problem"})
        verify_problem(problem)
        problems.setdefault(problem.source, problem)
        attempts += 1
        if attempts > 50 * rows + 1000:
            raise DataError(
                f"only {len(problems)} different problems of {', '.join(names)}",
                expected=f"{rows}",
                hint="Ask for fewer rows or for more families.",
            )
    return list(problems.values())


def is_generated(task: str) -> bool:
    """Whether ``task`` names a family of these problems."""
    return task.removesuffix(REWORDED) in FAMILIES


def verify_problem(problem: Example) -> None:
    """Check a problem from its text alone; raise DataError when anything does not hold.

    Every step of the rationale must be true and follow from the one before it, every number or
    deed of the question must be used in its turn, and the last result must be the target.
    """
    FAMILIES[problem.task.removesuffix(REWORDED)][1](problem)


def holds(problem: Example) -> bool:
    """Whether every step of a generated problem's rationale holds (``verify_problem``)."""
    try:
        verify_problem(problem)
    except (DataError, ValueError, KeyError):  # no int: thousands of digits; no such name
        return False
    return True


@cache
def _load_stories() -> dict[str, dict[str, list[Story]]]:
    text = (files("kot_platypus.prompts") / "problems.yaml").read_text(encoding="utf-8")
    stories: dict[str, dict[str, list[Story]]] = yaml.safe_load(text)
    return stories


# --- making ------------------------------------------------------------------------------------


def _make_change(rng: random.Random, story: Story, split: Split) -> Example:
    start = rng.randint(*((11, 49) if split == "train" else (50, 88)))
    text = [story["open"].format(n=start)]
    steps = _change_by(rng, story, start, rng.choice((3, 4)), text)
    return _as_example(story, text, steps)


def _make_groups(rng: random.Random, story: Story, split: Split) -> Example:
    low, high = (2, 6) if split == "train" else (7, 9)
    size, count = rng.randint(low, high), rng.randint(3, 9)
    text = [story["open"].format(a=size, b=count)]
    steps = _change_by(rng, story, size * count, 2, text)
    return _as_example(story, text, [f"{size}×{count}={size * count}", *steps])


def _change_by(
    rng: random.Random, story: Story, value: int, count: int, text: list[str]
) -> list[str]:
    """Append ``count`` changes to ``text``; return the equations."""
    steps = []
    for _ in range(count):
        change = rng.randint(1, 9)
        grows = value <= change or (value + change <= 99 and rng.random() < 0.5)
        after = value + change if grows else value - change
        text.append(story["plus" if grows else "minus"].format(k=change))
        steps.append(f"{value}{'+' if grows else '-'}{change}={after}")
        value = after
    return steps


def _as_example(story: Story, text: list[str], steps: list[str]) -> Example:
    answer = steps[-1].rpartition("=")[2]
    return Example(
        source=" ".join([*text, story["ask"]]),
        target=f"{answer}{story['unit']}",
        rationale=f"{', '.join(steps)}{story['unit']}.",
    )


def _make_weekday(rng: random.Random, story: Story, split: Split) -> Example:
    low, high = (2, 15) if split == "train" else (16, 29)
    day, changes = rng.randrange(7), [rng.randint(low, high), rng.randint(2, 9)]
    total = sum(changes)
    target = WEEKDAYS[(day + total) % 7]
    return Example(
        source=" ".join(
            [
                story["open"].format(d=WEEKDAYS[day]),
                *(story["plus"].format(k=change) for change in changes),
                story["ask"],
            ]
        ),
        target=target,
        rationale=(
            f"{changes[0]}+{changes[1]}={total}. {total}÷7의 나머지는 {total % 7}. "
            f"{WEEKDAYS[day]}에서 {total % 7}일 뒤는 {target}이다."
        ),
    )


def _make_swap(rng: random.Random, story: Story, split: Split) -> Example:
    names = rng.sample(story["names"], 3)
    held = dict(zip(names, rng.sample(story["things"], 3), strict=True))
    text = [
        story["open"].format(
            **dict(zip("abc", names, strict=True)),
            **dict(zip("xyz", held.values(), strict=True)),
            eul="을" if read_final(held[names[2]][-1]) else "를",
        )
    ]
    states = []
    for _ in range(rng.choice((2, 3))):
        first, second = rng.sample(names, 2)
        held[first], held[second] = held[second], held[first]
        text.append(story["swap"].format(p=first, q=second))
        states.append(", ".join(f"{name} {held[name]}" for name in names))
    who = rng.choice(names)
    return Example(
        source=" ".join([*text, story["ask"].format(who=who)]),
        target=held[who],
        rationale=f"{'. '.join(states)}. {who} {held[who]}.",
    )


def _make_switch(rng: random.Random, story: Story, split: Split) -> Example:
    names = rng.sample(story["names"], rng.choice((4, 5)))
    state = rng.randrange(2)
    text = [story["open"].format(s=story["states"][state])]
    states = []
    for name in names:
        changes = rng.random() < 0.6
        state ^= changes
        text.append(story["does" if changes else "leaves"].format(p=name))
        states.append(f"{name} {story['states'][state]}")
    return Example(
        source=" ".join([*text, story["ask"]]),
        target=story["states"][state],
        rationale=f"{', '.join(states)}.",
    )


def _make_chain(rng: random.Random, story: Story, split: Split) -> Example:
    # Held-out lists are longer, and some ask for more steps than any training problem.
    fewest_hops, num_places = (2, 6) if split == "train" else (3, 7)
    places = rng.sample(story["places"], num_places)
    start, hops = rng.randrange(2), fewest_hops + rng.randrange(3)
    links = [story["link"].format(a=a, b=b) for a, b in pairwise(places)]
    rng.shuffle(links)
    close = story["close"].format(ira="이라" if read_final(links[-1][-1]) else "라")
    target = places[start + hops]
    steps = [story["step"].format(i=i, b=places[start + i]) for i in range(1, hops + 1)]
    ask = story["ask"].format(start=places[start], k=hops)
    return Example(
        source=f"{story['open']} {', '.join(links)}{close} {ask}",
        target=target,
        rationale=f"{', '.join(steps)}.",
    )


# --- verifying ---------------------------------------------------------------------------------


def _verify_arithmetic(problem: Example) -> None:
    equations = _EQUATION.findall(problem.rationale)
    numbers = [int(number) for number in re.findall(r"\d+", problem.source)]
    used: list[int] = []
    previous = None
    for left, sign, right, result in equations:
        a, b = int(left), int(right)
        value = {"+": a + b, "-": a - b, "×": a * b}[sign]
        _demand(value == int(result), problem, f"{left}{sign}{right}={result} is wrong")
        _demand(previous in (None, a), problem, f"{a} does not follow {previous}")
        used += [a, b] if previous is None else [b]
        previous = value
    _demand(used == numbers, problem, f"the question's numbers {numbers} are not those used {used}")
    is_result = re.fullmatch(rf"{previous}\D+", problem.target) is not None
    _demand(is_result, problem, "the target is not the last result")
    _demand(problem.rationale.endswith(f"={problem.target}."), problem, "the rationale ends apart")


def _verify_weekday(problem: Example) -> None:
    days = [day for day in WEEKDAYS if day in problem.source]
    changes = [int(number) for number in re.findall(r"(\d+)일", problem.source)]
    sums = [(int(a), int(b), int(c)) for a, _, b, c in _EQUATION.findall(problem.rationale)]
    division = _DIVISION.search(problem.rationale)
    _demand(len(days) == 1 and division is not None, problem, "no single weekday or no division")
    assert division is not None
    total, rest = int(division[1]), int(division[2])
    _demand(sums == [(*changes, sum(changes))], problem, f"{sums} is not the sum of the days")
    _demand(total == sum(changes) and total % 7 == rest, problem, "the days do not add up")
    day = WEEKDAYS.index(days[0])
    for _ in range(total):  # one day at a time: not the way it was computed
        day = (day + 1) % 7
    _demand(WEEKDAYS[day] == problem.target, problem, f"{WEEKDAYS[day]} is the answer")
    end = f"{days[0]}에서 {rest}일 뒤는 {problem.target}이다."
    _demand(problem.rationale.endswith(end), problem, "the rationale ends apart")


def _verify_swap(problem: Example) -> None:
    opening, *sentences = problem.source.split(". ")
    held = dict(re.findall(r"(\S\S)는 (\S+?)(?=,|[을를] )", opening))
    states = []
    for pair in (re.search(r"(\S+)와 (\S+)가 ", sentence) for sentence in sentences[:-1]):
        _demand(pair is not None, problem, "a sentence is no exchange")
        assert pair is not None
        held |= {pair[1]: held[pair[2]], pair[2]: held[pair[1]]}
        states.append(", ".join(f"{name} {thing}" for name, thing in held.items()))
    who = sentences[-1].partition("가 ")[0]
    _demand(held.get(who) == problem.target, problem, f"{held.get(who)} is the answer")
    steps = ". ".join([*states, f"{who} {problem.target}."])
    _demand(steps == problem.rationale, problem, "the rationale goes elsewhere")


def _verify_switch(problem: Example) -> None:
    opening, *sentences = problem.source.split(". ")
    deeds = [(sentence[:2], "지 않았다" not in sentence) for sentence in sentences[:-1]]
    first = opening.rpartition(" ")[2].removesuffix("이다")
    steps = [step.split(" ") for step in problem.rationale.removesuffix(".").split(", ")]
    _demand([name for name, *_ in steps] == [name for name, _ in deeds], problem, "not their order")
    state, seen = first, {first}
    for (name, changes), (_, *after) in zip(deeds, steps, strict=True):
        _demand(after != [state] if changes else after == [state], problem, f"{name} is wrong")
        state = " ".join(after)
        seen.add(state)
    _demand(len(seen) <= 2, problem, f"{len(seen)} states, not two")
    _demand(state == problem.target, problem, f"{state} is the answer")


def _verify_chain(problem: Example) -> None:
    words = (
        r"(\S+?)(?: 쪽지에는| 다음은|에 들렀으면| 바로 뒤에는|에서 출발하면) "
        r"(\S+?)(?=,|이다\.|이?라고|이?라는)"
    )
    follows = dict(re.findall(words, problem.source))
    question = problem.source.split(". ")[-1]
    place, hops = re.split("부터 |에서 ", question)[0], re.search(r"(\d)번", question)
    _demand(hops is not None, problem, "no number of steps")
    assert hops is not None
    steps = []
    for i in range(1, int(hops[1]) + 1):
        place = follows.get(place, "")
        steps.append(f"{i}번 {place}")
    _demand(place == problem.target, problem, f"{place} is the answer")
    _demand(", ".join(steps) + "." == problem.rationale, problem, "the rationale goes elsewhere")


def _demand(holds: bool, problem: Example, reason: str) -> None:
    if not holds:
        raise DataError(
            f"{problem.source!r}: {reason}",
            expected="a rationale that proves its target",
            hint="This is a bug in the generator; please report it.",
        )


Make = Callable[[random.Random, Story, Split], Example]
Verify = Callable[[Example], None]
FAMILIES: dict[str, tuple[Make, Verify]] = {
    "change": (_make_change, _verify_arithmetic),
    "groups": (_make_groups, _verify_arithmetic),
    "weekday": (_make_weekday, _verify_weekday),
    "swap": (_make_swap, _verify_swap),
    "switch": (_make_switch, _verify_switch),
    "chain": (_make_chain, _verify_chain),
}
