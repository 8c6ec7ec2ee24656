"""How often the reader of final answers errs on replies that people planted.

    python bench/reading/measure.py bench/reading/planted_a.jsonl

A row: id, kind, target, choices and labels (or null), reply, right (whether a person who reads the
reply finds the target stated), shape, why. A set's author has not seen the reader.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from kot_platypus.answers import has_math, match_answer, read_answer

PREFIX = "정답: "


def judge(row: dict[str, Any]) -> tuple[bool, bool, str | None]:
    """Whether the reply is right, strictly and equivalently, and what it was read to state."""
    reading = read_answer(row["reply"], PREFIX, opened=bool(row.get("opened")))
    choices, marks = row.get("choices") or (), row.get("labels") or ()
    target = row["target"]
    if choices and target not in choices:  # named by its label
        target = choices[marks.index(target)]
    match = match_answer(reading, target, choices, marks)
    return match.strict, match.equivalent, reading.stated


def print_rates(name: str, rows: list[dict[str, Any]], told: dict[str, tuple[bool, bool]]) -> None:
    right = [row["id"] for row in rows if row["right"]]
    wrong = [row["id"] for row in rows if not row["right"]]
    cells = [name, str(len(right))]
    cells += [f"{sum(told[i][sense] for i in right)}" for sense in (0, 1)]
    cells += [str(len(wrong)), *(f"{sum(told[i][sense] for i in wrong)}" for sense in (0, 1))]
    print("| " + " | ".join(cells) + " |")


def print_misjudged(row: dict[str, Any], stated: str | None) -> None:
    verdict = "missed" if row["right"] else "ACCEPTED"
    print(f"\n{verdict} {row['id']} ({row['shape']}: {row['why']})")
    print(f"  target {row['target']!r} {row['choices'] or ''} {row['labels'] or ''}")
    print(f"  read {stated!r}")
    print("  " + row["reply"].replace("\n", "\n  "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("planted", type=Path, help="JSON lines")
    parser.add_argument("--quiet", action="store_true", help="no list of the misjudged")
    options = parser.parse_args()
    lines = options.planted.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    started = time.process_time()
    verdicts = {row["id"]: judge(row) for row in rows}
    seconds = time.process_time() - started
    told = {i: (strict, equal) for i, (strict, equal, _) in verdicts.items()}

    print("| rows | right | strict | equivalent | wrong | strict accepts | equivalent accepts |")
    print("|---|---|---|---|---|---|---|")
    print_rates("all", rows, told)
    for field in ("kind", "shape"):
        groups = defaultdict(list)
        for row in rows:
            groups[row[field]].append(row)
        for name, group in sorted(groups.items()):
            print_rates(f"{field}: {name}", group, told)
    right = [row for row in rows if row["right"]]
    wrong = [row for row in rows if not row["right"]]
    for sense, name in enumerate(("strict", "equivalent")):
        missed = sum(not told[row["id"]][sense] for row in right)
        accepted = sum(told[row["id"]][sense] for row in wrong)
        print(
            f"\n{name}: {1 - missed / max(1, len(right)):.1%} of {len(right)} right replies read, "
            f"{accepted / max(1, len(wrong)):.1%} of {len(wrong)} wrong ones accepted."
        )
    extra = "with" if has_math() else "without"
    print(f"\n{seconds / len(rows) * 1e6:.0f} µs a reply, {extra} math-verify.")
    if not options.quiet:
        for row in rows:
            _, equal, stated = verdicts[row["id"]]
            if equal != row["right"]:
                print_misjudged(row, stated)


if __name__ == "__main__":
    main()
