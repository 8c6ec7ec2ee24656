"""How far a judge agrees with labelled translations: measure yours before you trust its verdicts.

    python bench/data_judge.py --judge '{service: openai, options: {model: NAME, base_url: URL}}'
    python bench/data_judge.py --judge '{service: local, options: {model: DIR}}' --sample 200
    python bench/data_judge.py --base gemma-3-270m --sample 200

Rows are the two foreign hands' pairs (bench/pairs) and the planted errors with good rows beside
them (tests/checks/planted, held-out part), shuffled; ``--sample`` takes the first so many. Asked
through the ledger in --out: the same command goes on after a stop, and pays for nothing twice.
A ``--base`` model has no chat template and does not end its answers: it is shown four examples
(judge_shots.jinja), and the first line of what it writes is taken, which a build does not do.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from sklearn.metrics import cohen_kappa_score
from tests.checks.planted import KINDS, make_clean, plant

from kot_platypus.checks import check_translation
from kot_platypus.data.dataset_recipe import JudgeSection
from kot_platypus.data.translation.judge import Verdict, open_judge
from kot_platypus.data.translation.local import LocalModel
from kot_platypus.data.translation.services import Answer
from kot_platypus.errors import ServiceError
from kot_platypus.models import resolve_model
from kot_platypus.recipe_files import parse_section

PAIRS = (Path(__file__).parent / "pairs" / "g.jsonl", Path(__file__).parent / "pairs" / "h.jsonl")
GOOD = "good"
BATCH = 8
"""Pairs a call: small, so that a judge that is given up has been given up early."""


class Labelled(NamedTuple):
    """A translation, and the kind of its error or ``good``."""

    source: str
    translation: str
    label: str


def make_base_section(model: str, dtype: str, out: Path) -> JudgeSection:
    """A base model as a judge: a folder of it with worked examples, and answers cut at a line."""
    translate, folder = LocalModel.translate, out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for file in resolve_model(model).iterdir():
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file.resolve())
    shots = Path(__file__).with_name("judge_shots.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(shots, encoding="utf-8")

    def translate_lines(self: LocalModel, batch: Sequence[str]) -> Answer:
        return Answer([text.partition("\n")[0] for text in translate(self, batch).texts], 0)

    LocalModel.translate = translate_lines  # type: ignore[method-assign]
    options = {"model": str(folder), "dtype": dtype, "max_new_tokens": 8}
    return JudgeSection(service="local", options=options)


def load_rows(files: list[Path], planted: int) -> list[Labelled]:
    """The pairs in ``files``, and ``planted`` rows of each kind of error with as many good ones."""
    rows = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            rows.append(Labelled(pair["source"], pair["translation"], pair["label"]))
    for kind in KINDS if planted else ():
        made = plant("heldout", kind, planted)
        rows += [Labelled(row.source, row.translation, f"planted: {kind}") for row in made]
    good = make_clean("heldout", planted * len(KINDS)) if planted else []
    return rows + [Labelled(row.source, row.translation, GOOD) for row in good]


def ask(rows: list[Labelled], section: JudgeSection, out: Path) -> list[Verdict]:
    """The verdicts on all rows. A judge that is given up for want of verdicts is asked on."""
    verdicts: list[Verdict] = []
    rows.sort(key=lambda row: len(row.source) + len(row.translation))  # a batch is padded
    with open_judge(section, out, "bench") as judge:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            try:
                verdicts += judge.rule([({"": row.source}, {"": row.translation}) for row in batch])
            except ServiceError as error:
                if "no usable answer" not in error.found:
                    raise
                verdicts += [Verdict("none", "unreadable")] * len(batch)
            print(f"\r{len(verdicts)} of {len(rows)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return verdicts


def print_kinds(rows: list[Labelled], verdicts: list[Verdict]) -> None:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, verdict in zip(rows, verdicts, strict=True):
        counts[row.label][verdict.ruling] += 1
    print("| label | rows | judged wrong | judged right | no verdict |\n|---|---|---|---|---|")
    for label in sorted(counts, key=lambda each: (each == GOOD, each)):
        found = counts[label]
        cells = (found.total(), found["wrong"], found["right"], found["none"])
        print(f"| {label} | " + " | ".join(map(str, cells)) + " |")


def print_agreement(rows: list[Labelled], verdicts: list[Verdict], of: str) -> None:
    """Shares found and flagged, and Cohen's kappa: 0 is what chance agrees, 1 is all."""
    ruled = [(row.label != GOOD, v.ruling) for row, v in zip(rows, verdicts, strict=True)]
    bad = [ruling for is_bad, ruling in ruled if is_bad]
    good = [ruling for is_bad, ruling in ruled if not is_bad]
    clear = [(is_bad, ruling == "wrong") for is_bad, ruling in ruled if ruling != "none"]
    sides = list(zip(*clear, strict=True))
    told = bool(sides) and len({*sides[0], *sides[1]}) > 1
    kappa = f"{cohen_kappa_score(*sides):.2f}" if told else "not defined"
    print(
        f"\n{of}: {bad.count('wrong')} of {len(bad)} wrong ones found, {good.count('wrong')} of "
        f"{len(good)} good ones flagged; Cohen's kappa {kappa} on the {len(clear)} of {len(ruled)} "
        "with a verdict."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    judges = parser.add_mutually_exclusive_group(required=True)
    judges.add_argument("--judge", metavar="YAML", help="as in a recipe")
    judges.add_argument("--base", metavar="MODEL", help="a base model, with worked examples")
    parser.add_argument("--dtype", default="bfloat16", help="of --base")
    parser.add_argument("--pairs", type=Path, nargs="*", default=list(PAIRS))
    parser.add_argument("--planted", type=int, default=40, help="of each kind; 0: none")
    parser.add_argument("--sample", type=int, help="only so many rows, drawn with seed 0")
    parser.add_argument("--out", type=Path, default=Path("judged"), help="the ledger's folder")
    options = parser.parse_args()
    rows = load_rows(options.pairs, options.planted)
    random.Random(0).shuffle(rows)
    rows = rows[: options.sample]
    if options.base:
        section = make_base_section(options.base, options.dtype, options.out)
    else:
        section = parse_section(JudgeSection, options.judge, "--judge", "{service: openai, ...}")
    verdicts = ask(rows, section, options.out)
    print_kinds(rows, verdicts)
    print_agreement(rows, verdicts, "All rows")
    passed = [
        (row, verdict)
        for row, verdict in zip(rows, verdicts, strict=True)
        if all(each.severity != "error" for each in check_translation(row.source, row.translation))
    ]
    kept = ([row for row, _ in passed], [verdict for _, verdict in passed])
    print_agreement(*kept, "Of those that pass the checks, which are all that a build shows it")


if __name__ == "__main__":
    main()
