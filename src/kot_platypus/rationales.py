"""Rationales for questions with known answers: sampled from any model, kept where they hold.

A teacher reasons several times over each question. Kept is what ends in the right answer and passes
the checks of Korean rows; how often it did is the question's difficulty. A question that it never
solves may be asked again with its answer as a hint (STaR, Zelikman et al. 2022, arXiv 2203.14465).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from kot_platypus.artifacts import hash_value, write_jsonl, write_text
from kot_platypus.checks import check_korean
from kot_platypus.checks.rationales import measure_korean
from kot_platypus.data.contamination import Benchmarks
from kot_platypus.data.leaks import find_leaked_rows
from kot_platypus.data.problems import holds, is_generated
from kot_platypus.errors import UsageError
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.prompting import Question, find_rationale
from kot_platypus.evaluate.reasoning import Reasoning, draw_replies, identify_replies
from kot_platypus.evaluate.replies import means_right
from kot_platypus.processes import is_main_process, share_all
from kot_platypus.progress import print_notice
from kot_platypus.rationale_card import write_card
from kot_platypus.rationale_costs import describe_cost
from kot_platypus.records import Example, Record, Reply
from kot_platypus.results.guesses import find_chance
from kot_platypus.stages import open_stage

WRONG = "wrong answer"
"""Why a reply was dropped that was done, and did not come to the right answer."""
TRAIN, DROPPED, CARD = "train.jsonl", "dropped.jsonl", "README.md"
Keep = Literal["shortest", "diverse", "all"]
_HINT = (
    "(정답은 '{target}'입니다. 정답을 미리 알았다는 말 없이, 문제에서 출발하여 이 답에 "
    "이르는 풀이를 쓰세요.)"
)
"""Follows the question. (The answer is ...; without saying so, write how to get there.)"""
_TELLS = re.compile(
    r"미리|힌트|(?:주어진|알려진|제시된) (?:정답|답)|정답은 '|정답이 .{1,20}(?:라고|이라고)"
)
"""What gives away that the answer was known."""
_GIVEN = ", given the answer"
_LEAK = "text of a benchmark"


class Taught(Example):
    """A row of a teacher's: KoCoT's columns, and where the rationale is from."""

    pass_rate: float
    """The share of the question's replies that were right, without a hint."""
    origin: str
    """The teacher; ``, given the answer`` where it was."""
    doc_id: int | None = None
    """The question's, as in ``dropped.jsonl``; None in files of before."""


class Dropped(Record):
    """A reply that was not kept, and why."""

    doc_id: int
    sample: int
    given_answer: bool
    reason: str
    output: str
    answer: str | None = None
    """What its answer line states, or which choice it means; None where that cannot be read, and in
    files of before."""


@dataclass(frozen=True)
class Selection:
    """Which replies become rows."""

    keep: Keep = "shortest"
    """Of a question's right replies: the shortest, those that differ most, or all."""
    max_per_question: int = 1
    """For ``diverse`` and ``all``."""
    min_korean: float = 0.5
    """The least share of Korean among a rationale's letters."""
    min_pass_rate: float = 0.0
    max_pass_rate: float = 1.0
    """Questions outside are left out: too hard, or with nothing to learn."""
    rationalize: bool = False
    """Ask again with the answer as a hint where no reply was right."""
    min_chars: int = 10
    """Of a rationale."""
    verify_steps: bool = False
    """Of generated problems: take only rationales whose every step holds."""

    def takes(self, pass_rate: float) -> bool:
        """Whether a question of that difficulty may have rows; another is not asked again."""
        return self.min_pass_rate <= pass_rate <= self.max_pass_rate


@dataclass(frozen=True)
class _Attempt:
    """A reply, the rationale in it, and what is wrong with it; empty where nothing is."""

    reply: Reply
    rationale: str
    is_right: bool
    fault: str
    given_answer: bool


def write_rationales(
    out: Path,
    model: ModelUnderTest,
    questions: Sequence[Question],
    how: Reasoning,
    selection: Selection,
    *,
    benchmarks: Benchmarks | None = None,
    source: str = "",
) -> None:
    """Write ``train.jsonl`` (``Taught``), ``dropped.jsonl`` and a card into ``out``.

    A finished ``out`` is left alone, an interrupted one resumes: texts are kept as they come, and
    nothing is asked twice. Under torchrun every process does its share. Text of ``benchmarks``
    (name to items) is neither asked nor kept. The card says that the questions are of ``source``.

    Raises BudgetError where the model is a ``Meter`` at its end, KotError for anything wrong with
    the model, the server or the folder.
    """
    share_all(None)
    are_generated = bool(questions) and all(is_generated(each.task) for each in questions)
    if selection.verify_steps and not are_generated:
        _refuse_to_verify()
    config, inputs = identify_replies(model, questions, how)
    config["selection"] = asdict(selection)
    against = benchmarks or {}
    inputs |= {f"against {name}": hash_value(list(texts)) for name, texts in against.items()}
    with open_stage(out, "rationales", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        asked, dropped = _leave_out_leaks(questions, against)
        print_notice(describe_cost(model, asked, how, rationalize=selection.rationalize))
        attempts = _attempt(model, asked, how, selection)
        rates = [sum(each.is_right for each in mine) / len(mine) for mine in attempts]
        if selection.rationalize:
            _attempt_again(attempts, rates, model, asked, how, selection)
        if not is_main_process():
            return
        rows: list[Taught] = []
        _mark_leaks(asked, attempts, against)
        for question, rate, mine in zip(asked, rates, attempts, strict=True):
            kept, lost = _select(question, rate, mine, selection)
            rows += (_make_row(question, attempt, rate, model.name) for attempt in kept)
            dropped += lost
        write_jsonl(out / TRAIN, rows)
        write_jsonl(out / DROPPED, dropped)
        stage.facts = {
            "teacher": model.name,
            "source": source,
            "against": {name: len(texts) for name, texts in against.items()},
            "questions": len(questions),
            "chance": _find_chance(asked),
            **_count(rates, rows, dropped),
        }
        if are_generated:
            stage.facts["proved"] = sum(map(holds, rows))
        write_text(out / CARD, write_card(stage.facts))


def _refuse_to_verify() -> NoReturn:
    raise UsageError(
        "verify_steps with questions that are not generated",
        expected="problems that kot generated, whose steps can be proved",
        hint="Leave it out.",
    )


def _count(
    rates: Sequence[float], rows: Sequence[Taught], dropped: Sequence[Dropped]
) -> dict[str, Any]:
    return {
        "solved": sum(rate > 0 for rate in rates),
        "pass_rate": round(sum(rates) / max(len(rates), 1), 4),
        "rows": len(rows),
        "given_answer": sum(row.origin.endswith(_GIVEN) for row in rows),
        "dropped": dict(Counter(each.reason for each in dropped).most_common()),
    }


# --- asking and judging ------------------------------------------------------------------------


def _attempt(
    model: ModelUnderTest,
    questions: Sequence[Question],
    how: Reasoning,
    selection: Selection,
    *,
    given_answer: bool = False,
) -> list[list[_Attempt]]:
    if not questions:
        return []
    title = "Teacher, given the answers" if given_answer else "Teacher"
    replies = draw_replies(model, questions, how, title=title)
    return [
        [_judge(question, reply, how, selection, given_answer=given_answer) for reply in mine]
        for question, mine in zip(questions, replies, strict=True)
    ]


def _attempt_again(
    attempts: list[list[_Attempt]],
    rates: Sequence[float],
    model: ModelUnderTest,
    questions: Sequence[Question],
    how: Reasoning,
    selection: Selection,
) -> None:
    """Add replies to hinted questions where none was sound, if a row could come of them."""
    unsolved = [
        place
        for place, mine in enumerate(attempts)
        if selection.takes(rates[place]) and all(each.fault for each in mine)
    ]
    hinted = [
        replace(questions[place], hint=_HINT.format(target=questions[place].target))
        for place in unsolved
    ]
    again = _attempt(model, hinted, how, selection, given_answer=True)
    for place, mine in zip(unsolved, again, strict=True):
        attempts[place] += mine


def _judge(
    question: Question, reply: Reply, how: Reasoning, selection: Selection, *, given_answer: bool
) -> _Attempt:
    rationale = find_rationale(reply.output, how.template)
    is_right = means_right(question, reply)
    fault = ""
    if not is_right:
        fault = "cut off" if reply.truncated else WRONG
    elif given_answer and _TELLS.search(rationale):
        fault = "tells that the answer was known"
    else:
        fault = _find_fault(rationale, question, selection)
    return _Attempt(reply, rationale, is_right, fault, given_answer)


def _find_fault(rationale: str, question: Question, selection: Selection) -> str:
    if len(rationale) < selection.min_chars:
        return "too short"
    if measure_korean(rationale) < selection.min_korean:
        return "not Korean enough"
    findings = check_korean(Example(source="", rationale=rationale, target=question.target))
    for each in findings:
        if each.severity == "error":
            return f"check: {each.check}"
    facts = {"source": question.source, "target": question.target, "task": question.task}
    if selection.verify_steps and not holds(Example(rationale=rationale, **facts)):
        return "a step does not hold"
    return ""


def _find_chance(questions: Sequence[Question]) -> float | None:
    """How often a guess is right; None where there is no list to guess from."""
    listed = [1 / len(each.choices) for each in questions if each.choices]
    if listed:
        return sum(listed) / len(listed) if len(listed) == len(questions) else None
    chance = find_chance(questions)
    return None if chance is None else round(chance, 4)


# --- benchmarks --------------------------------------------------------------------------------


def _leave_out_leaks(
    questions: Sequence[Question], benchmarks: Benchmarks
) -> tuple[list[Question], list[Dropped]]:
    """The questions without text of a benchmark, and the others as what is not even asked."""
    rows = [Example(source=each.text, target=each.target) for each in questions]
    leaked = find_leaked_rows(rows, benchmarks)
    dropped = [
        Dropped(doc_id=each.doc_id, sample=0, given_answer=False, reason=_LEAK, output="")
        for place, each in enumerate(questions)
        if place in leaked
    ]
    return [each for place, each in enumerate(questions) if place not in leaked], dropped


def _mark_leaks(
    questions: Sequence[Question],
    attempts: Sequence[list[_Attempt]],
    benchmarks: Benchmarks,
) -> None:
    """Give sound attempts with text of a benchmark that fault."""
    sound = [
        (question, mine, i)
        for question, mine in zip(questions, attempts, strict=True)
        for i, attempt in enumerate(mine)
        if not attempt.fault
    ]
    rows = [_make_row(question, mine[i], 0, "") for question, mine, i in sound]
    for place in find_leaked_rows(rows, benchmarks):
        _, mine, i = sound[place]
        mine[i] = replace(mine[i], fault=_LEAK)


# --- choosing ----------------------------------------------------------------------------------


def _select(
    question: Question, rate: float, attempts: Sequence[_Attempt], selection: Selection
) -> tuple[list[_Attempt], list[Dropped]]:
    """A question's attempts that become rows, and the others with their reasons."""
    sound = [each for each in attempts if not each.fault]
    is_asked = selection.takes(rate)
    kept = _choose(sound, selection) if is_asked else []
    passed = "not chosen" if is_asked else "pass rate"
    lost = [
        Dropped(
            doc_id=question.doc_id,
            sample=each.reply.sample,
            given_answer=each.given_answer,
            reason=each.fault or passed,
            output=each.reply.output,
            answer=_state(question, each.reply),
        )
        for each in attempts
        if each not in kept
    ]
    return kept, lost


def _state(question: Question, reply: Reply) -> str | None:
    """What a reply surely answers: its answer line, or the text of the choice that it means."""
    if not question.choices:
        return reply.answer
    place = reply.stated_choice if reply.choice is None else reply.choice
    return None if place is None else question.choices[place]


def _choose(sound: Sequence[_Attempt], selection: Selection) -> list[_Attempt]:
    """The shortest; ``all`` in their order; ``diverse`` always the next that is most unlike."""
    own = {each.rationale: each for each in reversed(sound)}  # the first of equals
    left = sorted(own.values(), key=lambda each: (len(each.rationale), each.reply.sample))
    if selection.keep == "shortest":
        return left[:1]
    if selection.keep == "all":
        return sorted(left[: selection.max_per_question], key=lambda each: each.reply.sample)
    chosen = left[:1]
    while left and len(chosen) < min(selection.max_per_question, len(own)):
        rest = [each for each in left if each not in chosen]
        chosen.append(max(rest, key=lambda each: min(_differ(each, one) for one in chosen)))
    return chosen


def _differ(one: _Attempt, other: _Attempt) -> float:
    """1 - the Jaccard similarity of two rationales' words."""
    a, b = set(one.rationale.split()), set(other.rationale.split())
    return 1 - len(a & b) / len(a | b)


def _make_row(question: Question, attempt: _Attempt, rate: float, teacher: str) -> Taught:
    return Taught(
        source=question.source,
        input=question.context,
        target=question.target,
        rationale=attempt.rationale,
        task=question.task,
        pass_rate=rate,
        origin=teacher + (_GIVEN if attempt.given_answer else ""),
        doc_id=question.doc_id,
    )
