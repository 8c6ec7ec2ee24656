"""The data stage: a recipe's sources in; training rows, held-out problems and shots out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from kot_platypus.artifacts import hash_file, read_jsonl, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError
from kot_platypus.formats import read_problems, require_problem
from kot_platypus.progress import print_notice
from kot_platypus.recipe import REWORDED, DataSection, SourceSection
from kot_platypus.records import Example, Row, find_question
from kot_platypus.row_sources import list_inputs, read_sources
from kot_platypus.stages import open_stage

KOREAN_COT = Path(str(files("kot_platypus") / "data" / "sets" / "korean_cot"))
TRAIN, HELDOUT, SHOTS = "train.jsonl", "heldout.jsonl", "shots.jsonl"
QUESTIONS = "questions.jsonl"
NUM_SHOTS = 8


def build_data(out: Path, section: DataSection, *, seed: int) -> None:
    """Write a recipe's training rows, held-out problems, and problems to show as worked examples.

    Raises DataError for a missing or malformed source, and when a held-out question stands in
    the training rows.
    """
    inputs = {
        name: hash_file(file)
        for source in (*section.sources, *section.questions)
        for name, file in list_inputs(source).items()
    }
    if section.heldout and Path(section.heldout).is_file():
        inputs["heldout"] = hash_file(Path(section.heldout))
    config = {**section.model_dump(mode="json"), "seed": seed}
    if not section.questions:  # as before there were any
        del config["questions"]
    with open_stage(out, "data", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        by_source = load_sources(section.sources, seed)
        train = mix_rows(by_source, seed)
        heldout, shots = load_heldout(section, train, seed)
        questions = load_questions(section, train, seed)
        leaked = set(map(find_question, [*train, *questions])) & set(map(find_question, heldout))
        if leaked:
            raise DataError(
                f"{len(leaked)} held-out questions stand in the training rows, e.g. "
                f"{min(leaked)[0][:40]!r}",
                expected="none",
                hint="Take them out of one of the two files."
                if section.heldout
                else "Change the seed or the sources.",
            )
        write_jsonl(out / TRAIN, train)
        write_jsonl(out / HELDOUT, heldout)
        write_jsonl(out / SHOTS, shots)
        if questions:
            write_jsonl(out / QUESTIONS, questions)
        counts = Counter(
            source.name
            for source, rows in zip(section.sources, by_source, strict=True)
            for _ in rows
        )
        stage.facts = {
            "counts": {
                "train": len(train),
                "heldout": len(heldout),
                "by_source": dict(counts),
                "by_task": dict(sorted(Counter(example.task for example in train).items())),
            }
        }


def load_questions(section: DataSection, train: Sequence[Row], seed: int) -> list[Example]:
    """The rows of ``questions`` without their rationales, but for those that are trained on.

    Raises DataError for a row without source and target.
    """
    rows = mix_rows(load_sources(section.questions, seed + len(section.sources)), seed)
    known = set(map(find_question, train))
    problems = [require_problem(row, f"data.questions: {row.source[:40]!r}") for row in rows]
    return [
        row.model_copy(update={"rationale": ""})
        for row in problems
        if find_question(row) not in known
    ]


def load_heldout(
    section: DataSection, train: Sequence[Row], seed: int
) -> tuple[list[Example], list[Example]]:
    """The held-out problems, and worked examples for a base model that knows no answer line.

    Beside a file of your own the examples are training rows. Raises DataError for a row without
    source and target.
    """
    families = section.heldout_families
    if section.heldout is None:
        heldout = make_problems(section.heldout_problems, seed, "heldout", families)
        shown = families and tuple(dict.fromkeys(each.removesuffix(REWORDED) for each in families))
        return list(heldout), list(make_problems(NUM_SHOTS, seed, "train", shown))
    examples = [row for row in train if isinstance(row, Example) and row.rationale and row.target]
    return read_problems(Path(section.heldout)), examples[:NUM_SHOTS]


def load_sources(sources: Sequence[SourceSection], seed: int) -> list[Sequence[Row]]:
    """The rows of a recipe's sources, source by source; how many, where some are of your own."""
    loaded = [load_source(source, seed + i) for i, source in enumerate(sources)]
    if len(sources) > 1 and any(source.path for source in sources):
        found = zip(sources, loaded, strict=True)
        listed = ", ".join(f"{len(rows):,} of {each.path or each.name}" for each, rows in found)
        print_notice(f"{sum(map(len, loaded)):,} rows: {listed}")
    return loaded


def mix_rows(by_source: Sequence[Sequence[Row]], seed: int) -> list[Row]:
    """All sources' rows in the order in which they are trained on."""
    rows = [row for each in by_source for row in each]
    random.Random(seed).shuffle(rows)
    return rows


def load_source(source: SourceSection, seed: int) -> Sequence[Row]:
    """The rows of one source: at most ``source.rows``, drawn evenly over its tasks."""
    if source.name == "problems":
        assert source.rows is not None
        return make_problems(source.rows, seed, "train", source.families)
    rows: Sequence[Row]
    if source.name == "korean-cot":
        rows = load_korean_cot()
    else:
        loaded = read_sources([source], seed)
        for line in loaded.describe():
            print_notice(line)
        rows = loaded.rows
    if not rows:
        raise DataError(
            f"the source {source.path or source.name} is empty",
            expected="at least one row",
            hint="Check the path.",
        )
    return draw_evenly(rows, source.rows, seed)


def load_korean_cot() -> list[Example]:
    """The project's own hand-written Korean chain-of-thought rows (CC BY 4.0)."""
    return [row for file in sorted(KOREAN_COT.glob("*.jsonl")) for row in read_jsonl(file, Example)]


def draw_evenly(rows: Sequence[Row], count: int | None, seed: int) -> list[Row]:
    """``count`` rows, as many of each task as possible; all rows when ``count`` is None."""
    if count is None:
        return list(rows)
    if count > len(rows):
        raise DataError(
            f"{count} rows were asked for", expected=f"at most {len(rows)}", hint="Lower `rows`."
        )
    rng = random.Random(seed)
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        tasks.setdefault(row.task, []).append(row)
    for group in tasks.values():
        rng.shuffle(group)
    drawn: list[Row] = []
    while len(drawn) < count:
        drawn += [group.pop() for group in tasks.values() if group]
    return drawn[:count]
