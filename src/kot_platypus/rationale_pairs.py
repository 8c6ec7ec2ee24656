"""Pairs of what `kot data reason` kept and dropped: a right rationale beside a wrong one.

Both halves are written as rows are, the rationale and then the answer, so that in training they
differ in what they say and not in how the reply was laid out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.artifacts import MANIFEST, hash_file, read_jsonl, read_manifest
from kot_platypus.errors import DataError
from kot_platypus.evaluate.prompting import find_rationale
from kot_platypus.formats import write_values
from kot_platypus.prompts import Template
from kot_platypus.rationales import DROPPED, TRAIN, WRONG, Dropped, Taught
from kot_platypus.records import Example
from kot_platypus.stages import open_stage


class _Reply(NamedTuple):
    """A rationale and the answer that it comes to."""

    rationale: str
    target: str


def write_pairs(
    rationales: Path, out: Path, *, max_per_question: int = 1, unreadable: bool = False
) -> str:
    """Write ``out/train.jsonl``: kept rows of ``rationales``, each with a wrong reply to the same.

    Of a question's kept and wrong replies those that are closest in length are paired, so that the
    length tells little; at most ``max_per_question`` pairs, the same every time. ``unreadable``
    takes replies without an answer line too. Returns what came of it in one line. Raises DataError
    for another folder, and where no question has both.
    """
    template, questions = _read_stage(rationales)
    files = {name: rationales / name for name in (TRAIN, DROPPED)}
    config = {"max_per_question": max_per_question, "unreadable": unreadable}
    inputs = {name: hash_file(file) for name, file in files.items()}
    with open_stage(out, "pairs", config=config, inputs=inputs) as stage:
        if not stage.is_done:
            kept = read_jsonl(files[TRAIN], Taught)
            if any(row.doc_id is None for row in kept):
                raise DataError(
                    f"{files[TRAIN]} was written before rows had a `doc_id`",
                    expected="one that tells which replies were to the same question",
                    hint="Sample again into another folder; the texts are kept.",
                )
            wrong = _read_wrong(files[DROPPED], template, unreadable=unreadable)
            pairs = list(_pair_all(kept, wrong, max_per_question))
            if not pairs:
                raise DataError(
                    f"no question in {rationales} has both a kept and a wrong reply",
                    expected="several replies to a question, of which some are right",
                    hint="Sample more: kot data reason --num-samples 8 --temperature 1",
                )
            write_values(out / TRAIN, pairs)
            stage.facts = _count(pairs, kept, wrong, questions)
    return _describe(read_manifest(out))


def _read_stage(folder: Path) -> tuple[Template, int]:
    """The template of the replies, and how many questions were asked."""
    manifest: dict[str, Any] = read_manifest(folder) if (folder / MANIFEST).is_file() else {}
    if manifest.get("stage") != "rationales" or manifest.get("status") != "done":
        raise DataError(
            f"{folder} holds no finished rationales",
            expected="a folder that kot data reason has written",
            hint="Check the path, or let kot data reason go on.",
        )
    return Template.model_validate(manifest["config"]["template"]), manifest["questions"]


def _read_wrong(file: Path, template: Template, *, unreadable: bool) -> dict[int, list[_Reply]]:
    """The wrong replies to each question, asked without its answer, in the order of samples."""
    wrong: dict[int, list[_Reply]] = {}
    for each in read_jsonl(file, Dropped):
        states = each.answer is not None or unreadable
        if each.reason == WRONG and not each.given_answer and states:
            rationale = find_rationale(each.output, template)
            wrong.setdefault(each.doc_id, []).append(_Reply(rationale, each.answer or ""))
    return wrong


def _pair_all(
    kept: Sequence[Taught], wrong: dict[int, list[_Reply]], max_per_question: int
) -> Iterator[dict[str, Any]]:
    of_question: dict[int, list[Taught]] = {}
    for row in kept:
        of_question.setdefault(row.doc_id or 0, []).append(row)
    for doc_id, rows in of_question.items():
        both = product(rows, dict.fromkeys(wrong.get(doc_id, ())))
        closest = sorted(
            both, key=lambda each: abs(len(each[0].rationale) - len(each[1].rationale))
        )
        for row, reply in islice(filter(_differ, closest), max_per_question):
            yield {**row.model_dump(exclude={"type", "doc_id"}), "rejected": reply._asdict()}


def _differ(pair: tuple[Example, _Reply]) -> bool:
    row, reply = pair
    return (row.rationale.strip(), row.target) != (reply.rationale.strip(), reply.target)


def _count(
    pairs: Sequence[dict[str, Any]],
    kept: Sequence[Taught],
    wrong: dict[int, list[_Reply]],
    questions: int,
) -> dict[str, Any]:
    solved = {row.doc_id for row in kept}
    chars = {
        "chosen": sum(len(pair["rationale"]) for pair in pairs),
        "rejected": sum(len(pair["rejected"]["rationale"]) for pair in pairs),
    }
    return {
        "pairs": len(pairs),
        "questions": questions,
        "paired": len(solved & wrong.keys()),
        "without_kept": questions - len(solved),
        "without_wrong": len(solved - wrong.keys()),
        **{f"mean_chars_{name}": round(total / len(pairs), 1) for name, total in chars.items()},
    }


def _describe(facts: dict[str, Any]) -> str:
    return (
        f"{facts['pairs']:,} pairs of {facts['paired']:,} of {facts['questions']:,} questions "
        f"({facts['without_kept']:,} with no reply kept, {facts['without_wrong']:,} with none "
        f"wrong); a rationale has {facts['mean_chars_chosen']:.0f} characters where chosen, "
        f"{facts['mean_chars_rejected']:.0f} where rejected"
    )
