"""The check of translations one already has: English and Korean side by side in one file."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, read_json, write_json, write_jsonl, write_text
from kot_platypus.checks import CHECK_NAMES, FIELDS, check_row, check_translation
from kot_platypus.columns import split_columns
from kot_platypus.data.executors import Executor
from kot_platypus.data.pipeline.sources import refuse_unreadable
from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.judge import JUDGE, Judge
from kot_platypus.errors import DataError, UsageError
from kot_platypus.formats import iter_values
from kot_platypus.progress import Advance, show_progress
from kot_platypus.records import Example, Finding, FoundInPair, PairExample, Record
from kot_platypus.row_formats import ENGLISH, OWN_COLUMNS, parse_row
from kot_platypus.row_texts import list_texts
from kot_platypus.stages import ACCOUNT, open_stage
from kot_platypus.tables import is_missing

REPORT, FINDINGS, EXAMPLES = "report.json", "findings.jsonl", "examples.jsonl"
NUM_EXAMPLES = 5
"""Of each check's errors, and of its warnings, so many rows are kept to be shown."""
SIDES = ("english", "korean")
_KNOWN = (
    SIDES,
    ("en", "ko"),
    ("original", "translated"),
    ("source", "translation"),
    ("원문", "번역문"),
    ("원문", "번역"),
    ("영어", "한국어"),
)
"""The names of both columns, where none are given."""
_CHUNK_ROWS = 128
_FIRST_ROWS = 1000
"""A file of which so many rows are no pairs, and none is one, is not read to its end."""
_HANGUL = re.compile("[ㄱ-ㆎ가-힣]")
_EXAMPLE = "--columns english=en_text,korean=ko_text"
Columns = Mapping[str, str]
"""``english`` and ``korean``, or of rows in fields ``english.target``, ...: the file's column."""


class Pair(Record):
    """One row of the file. A text that stands alone has the field ""."""

    row: int
    """Its place among all, from 0."""
    place: str
    """Where it lies in the file, as ``line 3``."""
    english: dict[str, str]
    korean: dict[str, str]


def parse_pair_columns(text: str) -> dict[str, str]:
    """``english=en,korean=ko`` by name.

    Raises UsageError unless both sides have the same parts, and each its own column.
    """
    columns = split_columns(text, _EXAMPLE.removeprefix("--columns ")) if text else {}
    parts = [{n.removeprefix(side) for n in columns if n.startswith(side)} for side in SIDES]
    allowed = ({""}, {f".{field}" for field in FIELDS})
    known = {f"{side}{part}" for side in SIDES for part in parts[0]}
    is_whole = parts[0] == parts[1] and any(parts[0] <= each for each in allowed)
    is_whole = is_whole and all(columns.values()) and len({*columns.values()}) == len(columns)
    if columns and not (is_whole and known == set(columns)):
        raise UsageError(
            f"--columns {text}",
            expected="english= and korean=, or english.FIELD= and korean.FIELD= of the fields "
            + ", ".join(FIELDS)
            + ", each another column",
            hint=f"E.g. {_EXAMPLE}",
        )
    return columns


def check_pairs(
    file: Path,
    out: Path,
    executor: Executor,
    columns: Columns | None = None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Check every translation in ``file``. Returns the report, which lies in ``out/report.json``.

    Also writes ``findings.jsonl`` (FoundInPair) and ``examples.jsonl`` (PairExample). Lines
    that cannot be read, and rows without the two columns, are left out and counted. ``judge`` is
    shown the pairs without an error. Raises DataError where no row is a pair, or so many are none
    that ``kot data build`` would refuse them too.
    """
    _refuse_unreadable(file, columns or {})
    config = {"checks": CHECK_NAMES, "columns": columns or {}}
    if judge:
        config["judge"] = judge.config
    inputs = {"data": hash_file(file)}
    with open_stage(out, "check pairs", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return dict(read_json(out / REPORT))
        if judge:
            write_text(out / ACCOUNT, f"{judge.account}\n")
        tally = _Tally()
        with show_progress("Checking", None, "pairs") as advance:
            pairs = tally.count_rows(_iter_pairs(file, columns or {}, tally.unreadable), advance)
            found = executor.map(_check_chunk, iter_chunks(pairs, _CHUNK_ROWS))
            if judge:
                found = (_judge_chunk(chunk, judge) for chunk in found)
            write_jsonl(out / FINDINGS, tally.count_found(chain.from_iterable(found)))
        tally.refuse_swapped(file)
        write_jsonl(out / EXAMPLES, tally.list_examples())
        stage.facts = tally.report(file.name) | ({"judged": dict(judge.counts)} if judge else {})
        write_json(out / REPORT, stage.facts)
        return stage.facts


_Checked = list[tuple[Pair, list[Finding]]]
"""Pairs, and what was found in each."""


def _check_chunk(pairs: list[Pair]) -> _Checked:
    return [(pair, _check(pair)) for pair in pairs]


def _judge_chunk(checked: _Checked, judge: Judge) -> _Checked:
    """The same, with what a judge finds in those that have no error."""
    passed = [not any(each.severity == "error" for each in found) for _, found in checked]
    shown = [pair for (pair, _), is_passed in zip(checked, passed, strict=True) if is_passed]
    said = iter(judge.find([(pair.english, pair.korean) for pair in shown]))
    return [
        (pair, [*found, *(next(said) if is_passed else ())])
        for (pair, found), is_passed in zip(checked, passed, strict=True)
    ]


def _check(pair: Pair) -> list[Finding]:
    if pair.english.keys() <= set(FIELDS):
        nothing = dict.fromkeys(FIELDS, "")
        return check_row(Example(**nothing | pair.english), Example(**nothing | pair.korean))
    return [
        finding.model_copy(update={"field": field})
        for field, english in pair.english.items()
        for finding in check_translation(english, pair.korean.get(field, ""))
    ]


class _Tally:
    """Counts of rows, and for each kind of finding a few rows drawn from all that have it."""

    def __init__(self) -> None:
        self._rows = self._blank = self._swapped = 0
        self.unreadable: list[DataError] = []
        self._failing: Counter[str] = Counter()
        self._by_check: dict[str, Counter[str]] = {}
        self._seen: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[PairExample]] = {}
        self._rng = random.Random(0)

    def count_rows(self, pairs: Iterable[Pair], advance: Advance) -> Iterator[Pair]:
        """Pass on the rows that have English to compare with."""
        for pair in pairs:
            self._rows += 1
            advance()
            if any(text.strip() for text in pair.english.values()):
                self._swapped += _is_swapped(pair)
                yield pair
            else:
                self._blank += 1

    def refuse_swapped(self, file: Path) -> None:
        """Raise DataError where most of the English is Korean, and the Korean none."""
        compared = self._rows - self._blank
        if self._swapped * 2 > compared:
            raise DataError(
                f"{file}: {self._swapped:,} of {compared:,} pairs have Korean as their English, "
                "and no Korean as their Korean",
                expected="English and its translation",
                hint=f"Say which column is which: {_EXAMPLE}",
            )

    def count_found(self, found: Iterable[tuple[Pair, list[Finding]]]) -> Iterator[FoundInPair]:
        """Pass on the findings."""
        for pair, findings in found:
            if not findings:
                continue
            severities = {finding.severity for finding in findings}
            self._failing["error" if "error" in severities else "warning"] += 1
            for check in dict.fromkeys(finding.check for finding in findings):
                of_check = [each for each in findings if each.check == check]
                worst = min(of_check, key=lambda each: each.severity)  # an error, if there is one
                self._by_check.setdefault(check, Counter())[worst.severity] += 1
                self._keep(pair, worst)
            for finding in findings:
                yield FoundInPair(row=pair.row, place=pair.place, finding=finding)

    def _keep(self, pair: Pair, finding: Finding) -> None:
        """Each row of a kind is among its examples with the same chance (Vitter's algorithm R)."""
        key = (finding.check, finding.severity)
        kept = self._examples.setdefault(key, [])
        self._seen[key] += 1
        place = self._rng.randrange(self._seen[key])
        if place >= NUM_EXAMPLES and len(kept) >= NUM_EXAMPLES:
            return
        example = PairExample(
            row=pair.row,
            place=pair.place,
            finding=finding,
            english=_pick(pair.english, finding),
            korean=_pick(pair.korean, finding),
        )
        if len(kept) < NUM_EXAMPLES:
            kept.append(example)
        else:
            kept[place] = example

    def list_examples(self) -> list[PairExample]:
        """Those kept, in the order of the checks and of the rows."""
        order = {name: number for number, name in enumerate((*CHECK_NAMES, JUDGE))}
        kept = chain.from_iterable(self._examples.values())
        return sorted(
            kept, key=lambda each: (order[each.finding.check], each.finding.severity, each.row)
        )

    def report(self, name: str) -> dict[str, Any]:
        """How many rows there are, and in how many each check found an error or only a warning."""
        return {
            "file": name,
            "rows": self._rows,
            "rows_with_errors": self._failing["error"],
            "rows_with_warnings": self._failing["warning"],
            "rows_without_english": self._blank,
            "unreadable": [error.found for error in self.unreadable],
            "findings": {
                check: {"errors": found["error"], "warnings": found["warning"]}
                for check, found in sorted(
                    self._by_check.items(), key=lambda each: (-each[1]["error"], each[0])
                )
            },
        }


def _is_swapped(pair: Pair) -> bool:
    english, korean = (" ".join(each.values()) for each in (pair.english, pair.korean))
    return _HANGUL.search(english) is not None and _HANGUL.search(korean) is None


def _pick(texts: Mapping[str, str], finding: Finding) -> str:
    """The text that a finding is about: a field's, or where it is about the row all of them."""
    if finding.field in texts:
        return texts[finding.field]
    return "\n\n".join(text for text in texts.values() if text)


def describe_pairs(report: Mapping[str, Any]) -> str:
    """The report in one line, e.g. ``40 pairs: 22 with errors, 1 with warnings alone``."""
    blank, unreadable = report["rows_without_english"], len(report["unreadable"])
    unread = f", {blank:,} without English, which were not checked" if blank else ""
    unread += f"; left out as no pairs: {unreadable:,}" if unreadable else ""
    return (
        f"{report['rows']:,} {'pair' if report['rows'] == 1 else 'pairs'}: "
        f"{report['rows_with_errors']:,} with errors, "
        f"{report['rows_with_warnings']:,} with warnings alone{unread}"
    )


# --- rows --------------------------------------------------------------------------------------


def _refuse_unreadable(file: Path, columns: Columns) -> None:
    """Raise DataError before anything is checked, or paid for."""
    unreadable: list[DataError] = []
    with show_progress("Reading pairs", None, "pairs") as advance:
        num_read = 0
        for _ in _iter_pairs(file, columns, unreadable):
            num_read += 1
            advance()
    refuse_unreadable(str(file), [error.found for error in unreadable], num_read)


def _iter_pairs(file: Path, columns: Columns, unreadable: list[DataError]) -> Iterator[Pair]:
    num_read = 0
    found = iter_values(file, lambda _, error: unreadable.append(error))
    for number, (place, values) in enumerate(found):
        try:
            english, korean = _read_pair(values, columns, f"{file} {place}")
        except DataError as error:
            unreadable.append(error)
            if not num_read and len(unreadable) >= _FIRST_ROWS:
                break
            continue
        num_read += 1
        yield Pair(row=number, place=place, english=english, korean=korean)
    if not num_read and unreadable:
        raise unreadable[0]
    if not num_read:
        raise DataError(f"{file} holds no rows", expected="pairs", hint="Check the path.")


_Texts = dict[str, str]


def _read_pair(values: object, columns: Columns, where: str) -> tuple[_Texts, _Texts]:
    if not isinstance(values, Mapping):
        raise DataError(
            f"{where} is {type(values).__name__}", expected="an object", hint="Fix that line."
        )
    return (
        _read_named(values, columns, where)
        or _read_built(values, where)
        or _read_known(values, where)
    )


def _read_named(
    values: Mapping[str, Any], columns: Columns, where: str
) -> tuple[_Texts, _Texts] | None:
    """Both sides by the columns that were named."""
    if set(columns) == set(SIDES):
        return _read_sides(values, columns["english"], columns["korean"], where)
    sides = []
    for side in SIDES if columns else ():
        names = {n.partition(".")[2]: c for n, c in columns.items() if n.startswith(side)}
        sides.append({field: _read(values, column, where) for field, column in names.items()})
    return (sides[0], sides[1]) if sides else None


def _read_built(values: Mapping[str, Any], where: str) -> tuple[_Texts, _Texts] | None:
    """Both sides of a row of ``kot data build``; one that was Korean has no English."""
    if not values.keys() >= set(OWN_COLUMNS):
        return None
    korean = list_texts(parse_row(values, where))
    english = {name: values[name + ENGLISH] for name in values if name + ENGLISH in values}
    return list_texts(parse_row({**values, **english}, where)) if english else {}, korean


def _read_known(values: Mapping[str, Any], where: str) -> tuple[_Texts, _Texts]:
    """Both sides by names that such columns often have; ``translation: {en, ko}`` is one."""
    nested = values.get("translation")
    for each in (nested if isinstance(nested, Mapping) else {}, values):
        names = {str(name).strip().lower(): name for name in each} | {name: name for name in each}
        for english, korean in _KNOWN:
            if english in names and korean in names:
                return _read_sides(each, names[english], names[korean], where)
    listed = ", ".join(map(str, values))[:200] or "(none)"
    raise DataError(
        f"{where} has the columns {listed}",
        expected="; ".join(" and ".join(names) for names in _KNOWN),
        hint=f"Say which is which: {_EXAMPLE}",
    )


def _read_sides(
    values: Mapping[str, Any], english: str, korean: str, where: str
) -> tuple[_Texts, _Texts]:
    """Two texts, or two objects with the fields of a row."""
    one, other = values.get(english), values.get(korean)
    if not isinstance(one, Mapping) and not isinstance(other, Mapping):
        return {"": _read(values, english, where)}, {"": _read(values, korean, where)}
    sides = []
    for name, each in ((english, one), (korean, other)):
        fields = [field for field in FIELDS if isinstance(each, Mapping) and field in each]
        if not fields:
            raise DataError(
                f"{where}: {name} is {type(each).__name__} without a field that is read",
                expected=f"objects with {', '.join(FIELDS)} on both sides, or a text on both",
                hint="Name the columns of text with --columns.",
            )
        assert isinstance(each, Mapping)
        sides.append({field: _read(each, field, where) for field in fields})
    return sides[0], sides[1]


def _read(values: Mapping[str, Any], column: str, where: str) -> str:
    """A column's text; nothing is an empty one."""
    if column not in values:
        raise DataError(
            f"{where} has no column {column!r}",
            expected=f"one of {', '.join(map(str, values))[:200]}",
            hint="Check --columns.",
        )
    value = values[column]
    if not isinstance(value, str | int | float) and not is_missing(value):
        raise DataError(
            f"{where}: {column} is {type(value).__name__}",
            expected="a text",
            hint="Name another column with --columns.",
        )
    return "" if is_missing(value) else str(value)
