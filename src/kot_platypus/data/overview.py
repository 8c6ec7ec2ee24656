"""Everything that a page on a data set shows, as one file: ``overview.json``.

Of rows as they are, from an audit of them; of what ``kot data build`` wrote, from its steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import read_json, read_jsonl, read_manifest, write_json
from kot_platypus.checks import CHECK_NAMES, KOREAN_CHECK_NAMES
from kot_platypus.columns import Columns
from kot_platypus.data.audit import audit_rows
from kot_platypus.data.census import NO_TOKENS, TokenCount, take_census
from kot_platypus.data.dataset_recipe import DatasetRecipe, load_dataset_recipe
from kot_platypus.data.dedupe import list_clusters, read_questions
from kot_platypus.data.executors import Executor
from kot_platypus.data.pipeline.card import STEPS
from kot_platypus.data.pipeline.dataset import RECIPE, remake
from kot_platypus.data.pipeline.drafts import PROTECTION, ROWS, iter_drafts
from kot_platypus.errors import DataError
from kot_platypus.records import FoundInRow

OVERVIEW, PAGE = "overview.json", "page.html"
"""In the folder that is written: what the page shows, and the page."""
_NUM_CLUSTERS, _NUM_TEXTS, _MAX_CHARS = 5, 3, 160


def is_build(folder: Path) -> bool:
    """Whether ``kot data build`` wrote a folder."""
    return (folder / RECIPE).is_file() and (folder / "drawn").is_dir()


def describe_rows(
    data: Path,
    out: Path,
    executor: Executor,
    *,
    name: str,
    columns: Columns | None = None,
    tokens: TokenCount = NO_TOKENS,
) -> dict[str, Any]:
    """Audit and count the rows of a file. Returns what is then in ``out/overview.json``."""
    report = audit_rows(data, out / "audit", columns=columns, executor=executor)
    found = (
        (each.row, each.finding.check, each.finding.severity)
        for each in read_jsonl(out / "audit" / "findings.jsonl", FoundInRow)
    )
    census = take_census(data, out / "census", executor, columns=columns, tokens=tokens)
    overview = {
        "name": name,
        "census": census,
        "steps": [],
        "checks": _count_checks(found, KOREAN_CHECK_NAMES, report["rows"]),
        "clusters": _describe_clusters(data, out / "audit" / "duplicates", columns),
        "are_dropped": False,
    }
    write_json(out / OVERVIEW, overview)
    return overview


def describe_build(out: Path, executor: Executor, tokens: TokenCount = NO_TOKENS) -> dict[str, Any]:
    """Count what ``kot data build`` wrote into ``out``, and how each step left it.

    Returns what is in ``out/overview.json``. Raises DataError where the build is not finished.
    """
    rows = out / "dataset" / "train.jsonl"
    if not rows.is_file() or not rows.stat().st_size:
        raise DataError(
            f"{out} holds no finished data set, or one without rows",
            expected="a build that came to its end with rows",
            hint="Run kot data build again.",
        )
    recipe = load_dataset_recipe(str(out / RECIPE))
    counts = read_manifest(out / "dataset")["counts"]
    census = partial(take_census, rows, out / "census", executor, tokens=tokens)
    overview = {
        "name": recipe.name,
        "census": remake(out / "census", census),
        "steps": [[key, text, counts[key]] for key, text in STEPS.items() if key in counts],
        "checks": _count_draft_checks(out, recipe),
        "clusters": _describe_clusters(out / "reviewed" / ROWS, out / "duplicates", None),
        "are_dropped": True,
    }
    write_json(out / OVERVIEW, overview)
    return overview


def _count_draft_checks(out: Path, recipe: DatasetRecipe) -> dict[str, Any]:
    """The checks after the first translation, and after the second where there was one."""
    is_korean = all(source.language == "ko" for source in recipe.sources)
    names = KOREAN_CHECK_NAMES if is_korean else (PROTECTION, *CHECK_NAMES)
    steps = [step for step in ("checked", "retried") if (out / step / ROWS).is_file()]
    first, *second = (_count_drafts(out / step / ROWS, names) for step in steps)
    for name, found in first["found"].items():  # a check that found nothing more may have no entry
        left = second[0]["found"].get(name, {"errors": 0}) if second else None
        found["after"] = left and left["errors"]
    return {**first, "rows_after": second[0]["rows_with_errors"] if second else None}


def _count_drafts(rows: Path, names: Sequence[str]) -> dict[str, Any]:
    total = 0

    def iter_found() -> Iterable[tuple[int, str, str]]:
        nonlocal total
        for number, draft in enumerate(iter_drafts(rows)):
            total += 1
            yield from ((number, each.check, each.severity) for each in draft.findings)

    counted = _count_checks(iter_found(), names, 0)
    return {**counted, "rows": total}


def _count_checks(
    found: Iterable[tuple[int, str, str]], names: Sequence[str], num_rows: int
) -> dict[str, Any]:
    """In how many rows each check found an error, and in how many nothing worse than a warning."""
    errors: dict[str, set[int]] = {name: set() for name in names}
    warnings: dict[str, set[int]] = {name: set() for name in names}
    for row, check, severity in found:
        (errors if severity == "error" else warnings).setdefault(check, set()).add(row)
    return {
        "rows": num_rows,
        "rows_with_errors": len(set().union(*errors.values())),
        "found": {
            name: {
                "errors": len(errors.get(name, ())),
                "warnings": len(warnings.get(name, set()) - errors.get(name, set())),
            }
            for name in dict.fromkeys((*names, *errors, *warnings))
        },
    }


def _describe_clusters(data: Path, duplicates: Path, columns: Columns | None) -> dict[str, Any]:
    """How many rows hang together, in clusters of which size, and what the largest ask."""
    clusters = list_clusters(duplicates)
    largest = clusters[:_NUM_CLUSTERS]
    wanted = {row for rows in largest for row in rows[:_NUM_TEXTS]}
    texts = read_questions(data, wanted, columns) if wanted else {}
    sizes = Counter(map(len, clusters))
    return {
        "rows": sum(map(len, clusters)),
        "sizes": [[size, count] for size, count in sorted(sizes.items())],
        "thresholds": read_json(duplicates / "report.json")["thresholds"],
        "largest": [
            {"rows": len(rows), "texts": [_cut(texts[row]) for row in rows[:_NUM_TEXTS]]}
            for rows in largest
        ],
    }


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 2] + " …"
