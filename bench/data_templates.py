"""Contamination: KoBEST's test items in templates, verbatim and edited: what is found.

    python bench/data_templates.py --kobest-dir DIR

Each test item is put into each template of tests/data/item_templates.py, as a row of its own. It is
found when the item itself is among the row's matches, or one with the same text. With --alone each
row is instead one cell of an item, without the others.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.item_templates import TEMPLATES

from korean_edits import SINGLE_EDITS
from kot_platypus.data.contamination import BenchmarkIndex, Item
from kot_platypus.evaluate.tasks import TASKS, load_task, load_texts

SEED, CHUNK = 7, 1024
EDITED_TEMPLATES = (
    "전제: 질문: 보기: (1) (2)",
    "`lm-eval`, `polyglot`",
    "`ko-harness`",
    "Markdown table",
    "question and gold answer",
)
ALONE = (
    ("boolq", "question"),
    ("copa", "premise"),
    ("copa", "alternative_1"),
    ("hellaswag", "context"),
    ("sentineg", "sentence"),
    ("wic", "context_1"),
)
Row = dict[str, Any]


def find_share(index: BenchmarkIndex, texts: Sequence[tuple[str, str]]) -> str:
    """Of rows, each with the text of its item, how many are found."""
    found = set()
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        for match in index.scan([text for text, _ in chunk]):
            if index.items[match.item].text == chunk[match.text][1]:
                found.add(start + match.text)
    return f"{len(found) / len(texts):.1%} of {len(texts):,}" if texts else "-"


def load_rows(kobest_dir: str) -> dict[str, list[tuple[Row, str]]]:
    """The test documents of each task, and the text that the index knows each by."""
    texts = load_texts(kobest_dir)
    return {
        task: [
            (row, Item("", 0, cells).text)
            for row, cells in zip(
                load_task(task, kobest_dir).test, texts[f"kobest/{task}/test"], strict=True
            )
        ]
        for task in TASKS
    }


def edit_row(row: Row, edit: Callable[[str, random.Random], str], rng: random.Random) -> Row | None:
    """The row with one edit in one of its texts; None where nothing can be edited so."""
    names = [name for name, value in row.items() if isinstance(value, str) and " " in value]
    for name in rng.sample(names, len(names)):
        if (edited := edit(row[name], rng)) != row[name]:
            return {**row, name: edited}
    return None


def measure_alone(index: BenchmarkIndex, rows: dict[str, list[tuple[Row, str]]]) -> None:
    """One cell as the whole row: as it stands, and with one edit."""
    edits = {"none": lambda text, _: text, **SINGLE_EDITS}
    print(f"| cell alone | {' | '.join(f'edit: {name}' for name in edits)} |")
    print(f"|{'---|' * (len(edits) + 1)}")
    for task, column in ALONE:
        shares = []
        for name, edit in edits.items():
            rng = random.Random(SEED)
            texts = [(edit(row[column], rng), row[column], text) for row, text in rows[task]]
            kept = [(new, text) for new, old, text in texts if name == "none" or new != old]
            shares.append(find_share(index, kept))
        print(f"| {task}: {column} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kobest-dir", required=True)
    parser.add_argument("--alone", action="store_true", help="cells without the rest of the item")
    options = parser.parse_args()
    rows = load_rows(options.kobest_dir)
    index = BenchmarkIndex(
        [
            Item(name, number, cells)
            for name, each in load_texts(options.kobest_dir).items()
            for number, cells in enumerate(each)
        ]
    )
    if options.alone:
        measure_alone(index, rows)
        return
    print(f"| template | {' | '.join(TASKS)} |\n|{'---|' * (len(TASKS) + 1)}", flush=True)
    for name, make in TEMPLATES.items():
        shares = [
            find_share(index, [(make(task, row), text) for row, text in rows[task]])
            for task in TASKS
        ]
        print(f"| {name} | {' | '.join(shares)} |", flush=True)
    print(f"\n| one edit | template | {' | '.join(TASKS)} |\n|{'---|' * (len(TASKS) + 2)}")
    for name, edit in SINGLE_EDITS.items():
        rng = random.Random(SEED)
        edited = {
            task: [(new, text) for row, text in rows[task] if (new := edit_row(row, edit, rng))]
            for task in TASKS
        }
        for template in EDITED_TEMPLATES:
            make = TEMPLATES[template]
            shares = [
                find_share(index, [(make(task, row), text) for row, text in edited[task]])
                for task in TASKS
            ]
            print(f"| {name} | {template} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
