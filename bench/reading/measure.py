"""How often the reader of final answers errs on replies that people planted.

    python bench/reading/measure.py bench/reading/planted_?.jsonl

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

from kot_platypus.answers import means, name_choices, read_answer, says
from kot_platypus.answers.latex import has_math
from kot_platypus.results.intervals import wilson_interval

PREFIX = "정답: "


def judge(row: dict[str, Any]) -> tuple[bool, bool, str | None]:
    """Whether the reply is right, strictly and equivalently, and what it was read to state."""
    reading = read_answer("<think>" * bool(row.get("opened")) + row["reply"], PREFIX)
    choices, marks = row.get("choices") or (), row.get("labels") or ()
    target = row["target"]
    if choices and target not in choices:  # named by its label
        target = choices[marks.index(target)]
    if choices:
        strict, equal = (
            place == choices.index(target) for place in name_choices(reading, choices, marks)
        )
    else:
        strict, equal = says(reading.strict, target), means(reading.stated, target)
    return strict, equal, reading.stated


def write_share(hits: int, total: int) -> str:
    """A share with its Wilson interval of 95 %: 98.9% (97.4-99.5)."""
    low, high = wilson_interval(hits, total)
    return f"{hits / max(1, total):.1%} ({100 * low:.1f}-{100 * high:.1f})"


def print_rates(name: str, rows: list[dict[str, Any]], told: dict[str, tuple[bool, bool]]) -> None:
    """A line: the shares of right replies read and of wrong ones accepted, in both senses."""
    cells = [name]
    for is_right in (True, False):
        ids = [row["id"] for row in rows if row["right"] is is_right]
        cells += [
            str(len(ids)),
            *(write_share(sum(told[i][s] for i in ids), len(ids)) for s in (0, 1)),
        ]
    print("| " + " | ".join(cells) + " |")


def print_misjudged(row: dict[str, Any], stated: str | None) -> None:
    verdict = "missed" if row["right"] else "ACCEPTED"
    print(f"\n{verdict} {row['id']} ({row['shape']}: {row['why']})")
    print(f"  target {row['target']!r} {row['choices'] or ''} {row['labels'] or ''}")
    print(f"  read {stated!r}")
    print("  " + row["reply"].replace("\n", "\n  "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("planted", type=Path, nargs="+", help="JSON lines")
    parser.add_argument("--groups", action="store_true", help="a line for each kind and shape too")
    parser.add_argument("--quiet", action="store_true", help="no list of the misjudged")
    options = parser.parse_args()
    print("| rows | right | strict read | read | wrong | strict accepted | accepted |")
    print("|---|---|---|---|---|---|---|")
    misjudged, seconds, count = [], 0.0, 0
    for path in options.planted:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        started = time.process_time()
        verdicts = {row["id"]: judge(row) for row in rows}
        seconds, count = seconds + time.process_time() - started, count + len(rows)
        told = {i: (strict, equal) for i, (strict, equal, _) in verdicts.items()}
        print_rates(path.stem, rows, told)
        for field in ("kind", "shape") if options.groups else ():
            groups = defaultdict(list)
            for row in rows:
                groups[row[field]].append(row)
            for name, group in sorted(groups.items()):
                print_rates(f"{field}: {name}", group, told)
        misjudged += [
            (row, verdicts[row["id"]][2]) for row in rows if told[row["id"]][1] != row["right"]
        ]
    extra = "with" if has_math() else "without"
    print(f"\n{seconds / count * 1e6:.0f} µs a reply, {extra} math-verify.")
    if not options.quiet:
        for row, stated in misjudged:
            print_misjudged(row, stated)


if __name__ == "__main__":
    main()
