"""How many planted translation errors the checks find, how many good rows they flag, how fast.

    python bench/data_checks.py
    python bench/data_checks.py --pairs FILE.jsonl    # pairs by others: source, translation, label

The planted set is tests/checks/planted: 2,000 good rows and 250 errors of each of KOpen-platypus's
five kinds, in a development part and a held-out part whose templates are others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.checks.planted import CODE, KINDS, LEFT, MATH, MIXED, NUMBER, Row, make_clean, plant

from kot_platypus.checks import check_row, check_translation
from kot_platypus.checks.answers import list_options
from kot_platypus.data.build import load_korean_cot

MEANT = {
    CODE: {"code_only"},
    MIXED: {"code_mixed"},
    NUMBER: {"numbers"},
    MATH: {"math_symbols"},
    LEFT: {"untranslated", "cut_off"},
}


def find_errors(row: Row) -> tuple[set[str], set[str]]:
    """The names of the checks that report an error, and of those that only warn."""
    findings = check_translation(row.source, row.translation)
    errors = {finding.check for finding in findings if finding.severity == "error"}
    return errors, {finding.check for finding in findings} - errors


def measure_recall(part: str, count: int, show: bool) -> None:
    print("| planted | rows | flagged | recall | by the check meant for it | the least found way |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        rows = plant(part, kind, count)
        flagged = meant = 0
        ways: defaultdict[str, list[bool]] = defaultdict(list)
        for row in rows:
            errors, _ = find_errors(row)
            flagged += bool(errors)
            meant += bool(errors & MEANT[kind])
            ways[row.way].append(bool(errors))
            if show and not errors & MEANT[kind]:
                print(f"-- {row.way} {errors or ''}\n{row.source}\n=> {row.translation}\n")
        worst = min(ways, key=lambda way: sum(ways[way]) / len(ways[way]))
        least = f"{worst} ({sum(ways[worst])} of {len(ways[worst])})"
        print(
            f"| {kind} | {len(rows)} | {flagged} | {flagged / len(rows):.3f} "
            f"| {meant / len(rows):.3f} | {least} |"
        )


def measure_false_alarms(part: str, count: int, show: bool) -> list[Row]:
    rows = make_clean(part, count)
    flagged = warned = 0
    names: Counter[str] = Counter()
    for row in rows:
        errors, warnings = find_errors(row)
        flagged += bool(errors)
        warned += bool(warnings) and not errors
        names.update(errors)
        names.update(f"{name} (warning)" for name in warnings)
        if show and (errors or (show > 1 and warnings)):
            details = [f.detail for f in check_translation(row.source, row.translation)]
            print(f"-- {errors} {warnings} {details}\n{row.source}\n=> {row.translation}\n")
    print(
        f"\nOf {len(rows)} good rows, {flagged} ({flagged / len(rows):.1%}) get an error and "
        f"another {warned} ({warned / len(rows):.1%}) a warning alone: {dict(names.most_common())}."
    )
    return rows


def measure_speed(rows: list[Row]) -> None:
    pairs = [(row.source, row.translation) for row in rows]
    started = time.process_time()
    for source, translation in pairs:
        check_translation(source, translation)
    seconds = time.process_time() - started
    chars = sum(len(source) + len(translation) for source, translation in pairs) / len(pairs)
    print(
        f"{seconds / len(pairs) * 1e6:.0f} µs a row of {chars:.0f} characters (both texts), "
        f"{seconds / len(pairs) * 1e6 / chars * 600:.0f} µs for 600; one core."
    )


def measure_pairs(path: Path, show: int) -> None:
    """Pairs by somebody else: ``label`` is good or a kind of error, a good ``note`` "reference"
    the plain rendering of a source, any other a varied one."""
    kinds: defaultdict[str, list[bool]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        findings = check_translation(pair["source"], pair["translation"])
        is_flagged = any(finding.severity == "error" for finding in findings)
        is_good, note = pair["label"] == "good", pair.get("note", "")
        kind = (
            ("good, plain" if note == "reference" else "good, varied") if is_good else pair["label"]
        )
        kinds[kind].append(is_flagged)
        if show and is_flagged == is_good:
            details = [finding.detail for finding in findings]
            print(f"-- {kind} ({note}) {details}\n{pair['source']}\n=> {pair['translation']}\n")
    print("| kind | rows | flagged | share |\n|---|---|---|---|")
    for kind, flags in sorted(kinds.items()):
        print(f"| {kind} | {len(flags)} | {sum(flags)} | {sum(flags) / len(flags):.3f} |")


def measure_options() -> None:
    """Korean rows that list their choices, with one word of the target's in another word."""
    rows = [row for row in load_korean_cot() if row.target in list_options(row.source)]
    found = flagged = 0
    for row in rows:
        renamed = row.model_copy(update={"source": row.source.replace(row.target, "다른 말")})
        found += any(finding.check == "answer_mismatch" for finding in check_row(row, renamed))
        flagged += bool(check_row(row, row))
    print(f"\nOptions translated apart: {found} of {len(rows)} found; {flagged} flagged before.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=int, default=2000, help="good rows of each part")
    parser.add_argument("--errors", type=int, default=250, help="errors of each kind and part")
    parser.add_argument("--parts", default="development,heldout")
    parser.add_argument(
        "--show", action="count", default=0, help="print what was missed or flagged"
    )
    parser.add_argument("--pairs", type=Path, help="measure these instead of the planted set")
    options = parser.parse_args()
    if options.pairs:
        measure_pairs(options.pairs, options.show)
        return
    for part in options.parts.split(","):
        print(f"\n**{part}**\n")
        measure_recall(part, options.errors, options.show)
        measure_speed(measure_false_alarms(part, options.clean, options.show))
    measure_options()


if __name__ == "__main__":
    main()
