"""Two evaluations, or two runs, compared on the questions that both answered; a run's models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kot_platypus.errors import DataError, UsageError
from kot_platypus.records import BosReading
from kot_platypus.results.answers import (
    CHOICES,
    LM_EVAL,
    PROBLEMS,
    REASONING,
    Column,
    Evaluated,
    Place,
    load_test,
    load_tests,
)
from kot_platypus.results.metrics import (
    EQUIVALENT,
    METRICS,
    compare_f1,
    compare_paired,
    compare_seeds,
    compute_plain_f1,
    correct_rows,
)
from kot_platypus.results.schema import (
    BASE,
    RESULTS,
    SEED,
    TUNED,
    ChoiceDifference,
    Comparison,
    Difference,
    PairedTask,
    Part,
    Rationales,
    Seeds,
    SeedsDifference,
    Sides,
    write_part,
)

_NAMES = {
    CHOICES: "choices",
    PROBLEMS: "held-out problems",
    REASONING: "answers with reasoning",
    LM_EVAL: "lm-eval's tasks",
}


def compare_models(folder: Path, seed: int) -> None:
    """Compare the tuned model with every other in ``folder``; write ``folder/comparison.json``.

    Problems with all others, in accuracy; KoBEST with those scored on it, in macro F1. ``seed`` is
    that of the tuned model, beside which those of other seeds may stand.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != TUNED)
    others = [name for name in names if not name.startswith(SEED)]
    problems: list[Difference] = []
    kobest: list[ChoiceDifference] = []
    for other in others:
        pair = {"a": TUNED, "b": other}
        for mine, theirs in _load_pair(folder, "problems", **pair):
            sides = (column.correct for test in (mine, theirs) for column in test.columns.values())
            problems.append(Difference(**pair, **dict(compare_paired(*sides))))
        for mine, theirs in _load_pair(folder, "kobest", **pair):
            rows = [
                compare_columns(place, column, theirs.columns[place])
                for place, column in mine.columns.items()
                if place in theirs.columns
            ]
            kobest += [ChoiceDifference(**pair, **dict(row)) for row in correct_rows(rows)]
    found = {"seeds": _compare_seeds(folder, seed, names)} if len(others) < len(names) else {}
    comparison = Comparison(problems=tuple(problems), kobest=tuple(kobest), **found)
    write_part(folder / "comparison.json", comparison)


def _compare_seeds(folder: Path, seed: int, names: Sequence[str]) -> Seeds:
    """The tuned models of all seeds, together against every other model."""
    right = {
        name: [
            hit
            for column in load_test(path, name, "acc").columns.values()
            for hit in column.correct
        ]
        for name in (TUNED, *names)
        if (path := folder / name / "problems" / RESULTS).is_file()
    }
    tuned = {seed: right.pop(TUNED)}
    tuned |= {
        int(name.removeprefix(SEED)): right.pop(name) for name in names if name.startswith(SEED)
    }
    differences = []
    for name, other in right.items():
        difference, p_value = compare_seeds(list(tuned.values()), other)
        facts = {"n": len(other), "difference": difference, "p_value": p_value}
        differences.append(SeedsDifference(b=name, **facts))
    return Seeds(
        accuracy={seed: sum(hits) / len(hits) for seed, hits in tuned.items()},
        mean=compare_seeds(list(tuned.values()))[0],
        differences=tuple(differences),
    )


def _load_pair(folder: Path, test: str, a: str, b: str) -> Iterator[tuple[Evaluated, Evaluated]]:
    """The answers of two of a run's models; nothing where one was not tested."""
    paths = [folder / who / test / RESULTS for who in (a, b)]
    if all(path.is_file() for path in paths):
        yield load_test(paths[0], a, "macro_f1"), load_test(paths[1], b, "macro_f1")


# --- two evaluations, or runs ------------------------------------------------------------------


class Key(Part):
    """A task at a number of shots, of a test, of one of a run's models, answered in a way."""

    task: str
    num_fewshot: int
    test: str = CHOICES
    who: str = ""
    way: str = ""


class ComparedSide(Part):
    """One of the two that were compared."""

    folder: str
    model: str
    bos: BosReading | None = None


class ComparedRow(PairedTask):
    """A minus B on one task of one test."""

    test: str = CHOICES
    who: str = ""
    """Which of a run's models."""
    way: str = ""
    """Of reasoning: direct, cot or cot_scored."""
    protocol: str = ""
    num_fewshot_b: int | None = None
    """B's worked examples, where it had another number, as it may on problems."""
    rationales: tuple[Rationales | None, Rationales | None] = (None, None)


class ComparedPair(Part):
    """What ``kot compare`` found; p-values are corrected for all ``rows``."""

    a: ComparedSide
    b: ComparedSide
    protocol: str
    metric: str
    rows: tuple[ComparedRow, ...]
    only_a: tuple[Key, ...] = ()
    only_b: tuple[Key, ...] = ()
    left_out: tuple[str, ...] = ()
    """What both have and cannot be compared, and why."""


@dataclass
class _Found:
    rows: list[ComparedRow] = field(default_factory=list)
    only_a: list[Key] = field(default_factory=list)
    only_b: list[Key] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def compare_evaluations(a: Path, b: Path, metric: str | None = None) -> ComparedPair:
    """Compare two folders on all that both have: KoBEST, problems, reasoning, lm-eval's tasks.

    Args:
        a: A run's folder, or one of ``kot eval`` or ``kot lm-eval``.
        b: Another one; differences are a minus b. Of a run beside an evaluation it is the trained
            model that is compared.
        metric: One of ``METRICS``, for choices; macro F1 when left out. Everything else is compared
            in accuracy, word for word, or of ``EQUIVALENT`` answers, and then nothing beside it.

    Raises:
        UsageError: no such metric, or nothing that has it.
        DataError: another protocol, other data or other questions, or nothing in common.
    """
    if metric not in (None, EQUIVALENT, *METRICS):
        known = ", ".join([*METRICS, EQUIVALENT])
        raise UsageError(f"no metric {metric!r}", expected=f"one of {known}", hint="Fix --metric.")
    chosen = metric or "macro_f1"
    left, right = load_tests(a, chosen), load_tests(b, chosen)
    kinds = (PROBLEMS, REASONING) if metric == EQUIVALENT else (CHOICES, LM_EVAL)
    if metric and not any(test.kind in kinds and test.columns for test in left + right):
        raise UsageError(
            f"--metric {metric}, and nothing in {a} or {b} that has it",
            expected=f"scores of choices, or for {EQUIVALENT} answers that were stated",
            hint="Leave out --metric.",
        )
    found, refused = _Found(), []
    for mine, theirs in _match_tests(left, right, found):
        try:
            _compare_tests(mine, theirs, found)
        except DataError as error:
            refused.append(error)
    if not found.rows and refused:
        raise refused[0]
    if not found.rows:
        raise _refuse_nothing(a, b, left, right)
    found.left_out += [error.found for error in refused]
    protocols = dict.fromkeys(test.protocol for test in left if test.protocol)
    return ComparedPair(
        a=_describe_side(a, left),
        b=_describe_side(b, right),
        protocol=", ".join(protocols),
        metric=chosen,
        rows=tuple(correct_rows(found.rows)),
        only_a=tuple(found.only_a),
        only_b=tuple(found.only_b),
        left_out=tuple(found.left_out),
    )


def _describe_side(folder: Path, tests: Sequence[Evaluated]) -> ComparedSide:
    first = next((test for test in tests if test.who in ("", TUNED)), tests[0])
    bos = next((test.bos for test in tests if test.bos and test.who in ("", TUNED)), None)
    facts = {"bos": bos} if bos else {}
    return ComparedSide(folder=str(folder), model=first.model, **facts)


def _match_tests(
    left: Sequence[Evaluated], right: Sequence[Evaluated], found: _Found
) -> Iterator[tuple[Evaluated, Evaluated]]:
    """Tests of one kind: of two runs those of the same model of each, else the trained model's."""
    are_runs = [any(test.who for test in side) for side in (left, right)]
    if not all(are_runs):
        left, right = ([test for test in side if test.who in ("", TUNED)] for side in (left, right))
    else:
        for side, other, only in ((left, right, found.only_a), (right, left, found.only_b)):
            others = {(test.kind, test.who) for test in other}
            for test in side:
                only += _list_keys(test) if (test.kind, test.who) not in others else []
    for mine in left:
        for theirs in right:
            if mine.kind != theirs.kind or (all(are_runs) and mine.who != theirs.who):
                continue
            # Runs share their base: that it equals itself is no comparison.
            if all(are_runs) and mine.who == BASE and mine.model == theirs.model:
                found.left_out.append(f"{mine.who}, {_NAMES[mine.kind]}: the same model in A and B")
            else:
                yield mine, theirs


def _compare_tests(mine: Evaluated, theirs: Evaluated, found: _Found) -> None:
    """Add every place that both have to the rows. Raises DataError where it was not the same."""
    may_differ = mine.kind in (PROBLEMS, REASONING)  # in the number of worked examples
    pairs = [
        (p, q)
        for p in mine.columns
        for q in theirs.columns
        if (p.task, p.way) == (q.task, q.way) and (may_differ or p.num_fewshot == q.num_fewshot)
    ]
    rows = []
    for place, other in pairs:
        a, b = mine.columns[place], theirs.columns[other]
        _check_protocol(place.task, a, b)
        _check_data(place.task, a, b)
        if a.metric != b.metric:
            raise DataError(
                f"{place.task}: {a.metric} in {mine.folder} and {b.metric} in {theirs.folder}",
                expected="the same metric in both",
                hint="Score both with the same task files.",
            )
        said = (a.rationales, b.rationales)
        rows.append(
            ComparedRow(
                **dict(compare_columns(place, a, b)),
                test=mine.kind,
                who=mine.who if theirs.who else "",
                way=place.way,
                protocol=a.protocol[0] if a.protocol else "",
                num_fewshot_b=other.num_fewshot if other != place else None,
                **({"rationales": said} if any(said) else {}),
            )
        )
    found.rows += rows
    found.only_a += _list_keys(mine, {place for place, _ in pairs})
    found.only_b += _list_keys(theirs, {place for _, place in pairs})


def _list_keys(test: Evaluated, but: Collection[Place] = ()) -> list[Key]:
    return [
        Key(**place._asdict(), test=test.kind, who=test.who)
        for place in test.columns
        if place not in but
    ]


def compare_columns(place: Place, a: Column, b: Column) -> PairedTask:
    """A minus B on one task. Raises DataError unless both answered the same questions."""
    _check_questions(place, a, b)
    found = compare_paired(a.correct, b.correct)
    difference = found.difference
    values = Sides(a=sum(a.correct) / found.n, b=sum(b.correct) / found.n)
    if a.golds and a.metric.startswith("macro_f1"):
        golds, said_a, said_b = (np.asarray(labels) for labels in (a.golds, a.said, b.said))
        difference = compare_f1(golds, said_a, said_b)
        values = Sides(a=compute_plain_f1(golds, said_a), b=compute_plain_f1(golds, said_b))
    return PairedTask(
        task=place.task,
        num_fewshot=place.num_fewshot,
        metric=a.metric,
        n=found.n,
        values=values,
        difference=difference,
        identical=list(a.said) == list(b.said) and any(each is not None for each in a.said),
        right_alone=found.right_alone,
        p_value=found.p_value,
        effective_shots=None if a.shots is None or b.shots is None else Sides(a=a.shots, b=b.shots),
        p_holm=found.p_value,
    )


# --- refusals ----------------------------------------------------------------------------------


def _check_protocol(task: str, a: Column, b: Column) -> None:
    """Compare what the protocols do to this task; a protocol may have gained others since."""
    sides = [side.protocol for side in (a, b) if side.protocol]
    if len(sides) < 2:
        return
    prints = [fingerprint for _, fingerprint in sides]
    if prints[0] == prints[1] not in ("unknown", ""):
        return
    names = [name for name, _ in sides]
    if names[0] == names[1]:  # its file changed in between: only the fingerprints tell them apart
        names = [f"{names[0]} ({each[:8] or 'not said'})" for each in prints]
    raise DataError(
        f"{task} was scored with the protocol {names[0]} in A and {names[1]} in B",
        expected="one protocol: scores of two are not comparable",
        hint="Score one of them again with the other's --protocol or --suite.",
    )


def _check_data(task: str, a: Column, b: Column) -> None:
    if a.data == b.data != "unknown":
        return
    hashes = [str(side.data)[:8] for side in (a, b)]
    raise DataError(
        f"{task} was scored on different data ({hashes[0]} in A, {hashes[1]} in B)",
        expected="the same documents",
        hint="Score one of them again with the other's --kobest-dir.",
    )


def _check_questions(place: Place, a: Column, b: Column) -> None:
    if list(a.questions) == list(b.questions):
        return
    found = "A and B answered different questions"
    if len(a.questions) != len(b.questions):
        found = f"A answered {len(a.questions):,} questions and B {len(b.questions):,}"
    raise DataError(
        f"{place.task} at {place.num_fewshot} shots: {found}",
        expected="the same questions",
        hint="Score both with the same --limit, protocol and data.",
    )


def _refuse_nothing(
    a: Path, b: Path, left: Sequence[Evaluated], right: Sequence[Evaluated]
) -> DataError:
    kinds = [
        " and ".join(dict.fromkeys(_NAMES[test.kind] for test in side)) for side in (left, right)
    ]
    if {test.kind for test in left} & {test.kind for test in right}:
        return DataError(
            f"{a} and {b} have no task at the same number of shots",
            expected="one that both have",
            hint="Score both with the same --tasks and --num-fewshot.",
        )
    return DataError(
        f"{a} holds {kinds[0]} and {b} {kinds[1]}",
        expected="results of the same test",
        hint="Score both with the same command.",
    )
