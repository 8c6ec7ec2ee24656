"""What came of a teacher's replies: in one line, and as the card of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kot_platypus.benchmarks import KOBEST


def describe_result(facts: Mapping[str, Any]) -> str:
    """What came of it, in one line; where nothing was kept, what to try."""
    told = f"{facts['rows']:,} rows of {facts['questions']:,} questions; " + (
        f"{facts['pass_rate']:.1%} of the replies were right"
    )
    if facts["chance"] is not None:
        told += f" (chance: {facts['chance']:.1%})"
    if facts["rows"] and "proved" in facts:
        told += f"; the steps of {facts['proved']:,} rows hold"
    if facts["rows"]:
        return told
    most = next(iter(facts["dropped"]), "nothing was asked")
    return f"Warning: {told}, and none was kept (mostly: {most}). See dropped.jsonl"


def write_card(facts: Mapping[str, Any]) -> str:
    """What the rows are and what became of the replies, in Markdown."""
    lost = "\n".join(f"| {reason} | {count:,} |" for reason, count in facts["dropped"].items())
    chance = "" if facts["chance"] is None else f" (chance: {facts['chance']:.1%})"
    proved = f" The steps of {facts['proved']:,} rows were proved." if "proved" in facts else ""
    looked = ", ".join(f"{name} ({count:,} items)" for name, count in facts["against"].items())
    return f"""# Rationales of {facts["teacher"]}

{facts["rows"]:,} rows with a rationale that ends in the right answer, of {facts["questions"]:,}
questions{_name_source(facts["source"])}. {facts["solved"]:,} questions were solved at least once;
{facts["pass_rate"]:.1%} of the replies were right{chance}. {facts["given_answer"]:,} rows are by a
teacher that was given the answer.{proved}

{f"No row holds text of {looked}." if looked else "Not compared with any benchmark."}

| not kept | |
|---|---|
{lost}

`train.jsonl`: source, target, rationale, task, pass_rate (the question's difficulty), origin.
`dropped.jsonl`: every other reply and why. The settings stand in `manifest.json`.
"""


def _name_source(source: str) -> str:
    """A source for the card, with the terms of KoBEST's."""
    if source.partition("/")[0] == KOBEST:
        return f" of {source}'s train split (CC BY-SA 4.0)"
    return f" of {source}" if source else ""
