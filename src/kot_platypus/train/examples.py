"""The examples of a training: what is learnt of the rows, and what is validated on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kot_platypus.columns import Columns
from kot_platypus.errors import DataError
from kot_platypus.oddities import find_oddities, list_special_tokens
from kot_platypus.processes import share_all
from kot_platypus.progress import print_notice
from kot_platypus.prompts import Template
from kot_platypus.recipe import SourceSection, TrainSection
from kot_platypus.records import Row, find_rejected
from kot_platypus.row_sources import (
    check_validation,
    describe_hub,
    identify_sources,
    list_inputs,
    read_sources,
)
from kot_platypus.train.encoding import Encoder, describe_losses, encode_items, keep_encoded
from kot_platypus.train.items import Encoded, Item
from kot_platypus.train.kept_rows import identify_rows, read_kept, share_encoding
from kot_platypus.train.validation import Split, find_validation, hold_out
from kot_platypus.verdicts import Verdict, read_verdict


class Examples(NamedTuple):
    """What is learnt and what is validated on."""

    train: list[Item]
    validation: list[Item]
    split: Split
    """The rows of both."""
    facts: dict[str, Any]
    """The manifest's counts of what is learnt and of what is not."""
    encoded: dict[str | None, list[Encoded | None]]
    """All rows, dropped ones too, as ``keep_rows`` takes them."""


def read_examples(
    sources: Sequence[SourceSection],
    template: Template,
    section: TrainSection,
    tokenizer: Any,
    data_seed: int,
    checkpoints: Path,
) -> Examples:
    """Read, split and encode; lines say how rows were split, and what is lost. Raises KotError.

    What ``checkpoints`` hold of it is not encoded again.
    """
    loaded = read_sources(sources)
    for line in loaded.describe():
        print_notice(line)
    split = hold_out(loaded.rows, section, data_seed, sources)

    def encode(rows: Mapping[int, Row], source: object, what: str) -> list[Item]:
        named: dict[str, Any] = {"source": source, "numbers": rows}
        encoded = encode_items(encoder, list(rows.values()), **named, encode=encode_half)
        kept = keep_encoded(encoded, section)
        if lost := describe_losses(encoded, what):
            print_notice(lost)
        return kept

    whole: dict[str | None, list[Encoded | None]] = {}
    encoder = Encoder(template, section, tokenizer)
    encode_half = partial(_encode_half, whole, checkpoints)
    validation: list[Item] = []
    if split.validation:
        print_notice(split.note)
    train = encode(split.train, loaded.name, "training rows" if split.validation else "rows")
    if split.validation:
        validation = encode(split.validation, split.name or loaded.name, "validation rows")
    for line in _describe_oddities(list(split.train.values()), section, tokenizer):
        print_notice(line)
    facts = {"num_dropped": len(split.train) - len(train), **loaded.count_parts()}
    return Examples(train, validation, split, facts, whole)


def _encode_half(
    whole: dict[str | None, list[Encoded | None]],
    checkpoints: Path,
    encoder: Encoder,
    rows: Sequence[Row],
    **named: Any,
) -> list[Encoded | None]:
    """Rows encoded, or as they were kept; ``whole`` gets them too."""
    key = identify_rows(encoder, rows)
    found = read_kept(checkpoints, key)
    if not all(share_all(found is not None)):
        found = share_encoding(encoder, rows, **named)
    whole[key] = found or []
    return whole[key]


def _describe_oddities(rows: Sequence[Row], section: TrainSection, tokenizer: Any) -> Iterator[str]:
    """What is learnt and may not be meant, in a line each."""
    rejected = [other for row in rows if (other := find_rejected(row))]
    if rejected and not section.takes_pairs:
        yield (
            f"{len(rejected):,} rows are pairs: what is chosen is learnt, and what is rejected is "
            "not seen (train.objective=dpo)"
        )
    learnt = [*rows, *rejected] if section.takes_pairs else rows
    if odd := find_oddities(learnt, list_special_tokens(tokenizer)).describe():
        yield odd


def identify_inputs(
    sources: Sequence[SourceSection], section: TrainSection
) -> tuple[dict[str, Any], dict[str, str]]:
    """As ``identify_sources``, of what is learnt and what is validated on. Raises DataError."""
    settings, hashes = identify_sources(sources)
    if source := find_validation(section, sources):
        check_validation(section)
        described, files = identify_sources([source])
        settings |= {f"validation_{name}": value for name, value in described.items()}
        hashes |= {name.replace("data", "validation"): value for name, value in files.items()}
    return settings, hashes


def heed_verdicts(sources: Sequence[SourceSection], section: TrainSection) -> Verdict | None:
    """What a check for contamination said of the file to learn from, if it is one.

    Raises DataError for rows of benchmarks in any, those to validate on included.
    """
    allowed = section.allow_contaminated
    verdicts = [_heed_verdicts(source, allow_contaminated=allowed) for source in sources]
    if validation := find_validation(section, sources):
        _heed_verdicts(validation, allow_contaminated=allowed)
    return verdicts[0][0] if len(sources) == 1 and len(verdicts[0]) == 1 else None


def _heed_verdicts(source: SourceSection, *, allow_contaminated: bool) -> list[Verdict | None]:
    if source.name == "hub":
        print_notice(f"{describe_hub(source)} was not checked for contamination")
    return [
        _heed_verdict(file, source.columns, allow_contaminated=allow_contaminated)
        for file in list_inputs(source).values()
    ]


def _heed_verdict(data: Path, columns: Columns, *, allow_contaminated: bool) -> Verdict | None:
    verdict = read_verdict(data, columns)
    if verdict is None:
        print_notice(f"{data} was not checked for contamination: kot data contamination")
    elif not verdict.is_clean and not allow_contaminated:
        raise DataError(
            f"{data} is contaminated: {verdict.describe()}",
            expected="no text of a benchmark",
            hint="Train on the clean.jsonl that kot data contamination wrote, or all the same with "
            "--set train.allow_contaminated=true.",
        )
    return verdict
