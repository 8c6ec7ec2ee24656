"""What training will see, before it begins: rows with the labels in colour, and totals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from kot_platypus.errors import DataError
from kot_platypus.oddities import find_oddities, list_special_tokens
from kot_platypus.prompts import load_template
from kot_platypus.recipe import TrainSection
from kot_platypus.records import Row
from kot_platypus.train.dates import pin_date
from kot_platypus.train.encoding import Encoder, check_fit, encode_rows, split_rows
from kot_platypus.train.items import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT, LABELS = "dim", "bold green"


@dataclass(frozen=True)
class Totals:
    """The counts of all rows. Tokens are those of the rows that are not dropped."""

    rows: int
    dropped: int
    truncated: int
    tokens: int
    max_tokens: int
    labels: int

    def __str__(self) -> str:
        kept = self.rows - self.dropped
        lines = [
            f"{self.rows} rows: {kept} to train on, {self.dropped} dropped, "
            f"{self.truncated} truncated"
        ]
        if kept:
            lines.append(
                f"{self.tokens} tokens: mean {self.tokens / kept:.1f} a row, "
                f"at most {self.max_tokens}; {self.labels / self.tokens:.1%} labels"
            )
        return "\n".join(lines)


def preview_rows(
    rows: Sequence[Row],
    section: TrainSection,
    tokenizer: PreTrainedTokenizerBase,
    count: int,
    model: Any = None,
    *,
    source: object = "the data",
    numbers: Iterable[int] | None = None,
) -> RenderableType:
    """The first ``count`` rows as the model will see them, and the totals of all.

    ``numbers`` are the rows' own in ``source``, where these are not all.

    Raises KotError when a row does not fit ``model`` (weights or not).
    """
    if not rows:
        raise DataError("no rows to show", expected="at least one", hint="Check the file.")
    template = load_template(section.template, section.enable_thinking)
    pin_date(tokenizer, template, section)
    encoder = Encoder(template, section, tokenizer)
    numbers = list(numbers or range(1, len(rows) + 1))
    names = [f"row {number}" for number in numbers]
    if section.takes_pairs:
        rows, numbers, names = _list_halves(rows, section, source, numbers)
        count *= 2
    encoded = encode_rows(encoder, rows, source=source, numbers=numbers)
    if model is not None:
        check_fit(model, filter(None, encoded))
    parts: list[RenderableType] = []
    for name, row, item in list(zip(names, rows, encoded, strict=True))[:count]:
        parts += [Rule(name), *_show_row(row, item, tokenizer)]
    settings = f"{template.name}, {section.target}, at most {section.cutoff_len} tokens"
    settings += "; a pair is two rows" if section.takes_pairs else ""
    legend = Text.assemble(("prompt", PROMPT), " · ", ("labels", LABELS), f" ({settings})")
    odd = find_oddities(rows, list_special_tokens(tokenizer)).describe()
    said = [Text(odd)] if odd else []
    return Group(*parts, Rule(), legend, Text(str(count_rows(encoded))), *said)


def _list_halves(
    rows: Sequence[Row], section: TrainSection, source: object, numbers: Sequence[int]
) -> tuple[list[Row], list[int], list[str]]:
    """Both rows of each pair as rows of their own, their numbers and names."""
    pairs = zip(*split_rows(rows, section, source=source, numbers=numbers), strict=True)
    halves = [half for pair in pairs for half in pair]
    names = [f"row {n}, {half}" for n in numbers for half in ("chosen", "rejected")]
    return halves, [n for n in numbers for _ in range(2)], names


def count_rows(encoded: Sequence[Encoded | None]) -> Totals:
    """The totals of encoded rows; None is a dropped one."""
    kept = [item for item in encoded if item]
    return Totals(
        rows=len(encoded),
        dropped=len(encoded) - len(kept),
        truncated=sum(item.num_truncated > 0 for item in kept),
        tokens=sum(len(item.ids) for item in kept),
        max_tokens=max((len(item.ids) for item in kept), default=0),
        labels=sum(item.num_labels for item in kept),
    )


def split_runs(item: Encoded) -> Iterator[tuple[bool, list[int]]]:
    """The ids in runs of like kind: (whether labels, ids)."""
    labels = set(item.label_positions)
    for is_label, run in groupby(range(len(item.ids)), key=labels.__contains__):
        yield is_label, [item.ids[i] for i in run]


def _show_row(
    row: Row, item: Encoded | None, tokenizer: PreTrainedTokenizerBase
) -> tuple[Text, Text]:
    if item is None:
        return Text(row.source, style=PROMPT), Text("dropped: nothing is left to learn", "red")
    text = Text()  # never markup: a row may hold [brackets]
    ids: list[int] = []
    done = ""
    for is_label, run in split_runs(item):
        # Always from the start: Llama 2's tokenizer takes a space off whatever it decodes.
        ids += run
        decoded = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        text.append(decoded[len(done) :], style=LABELS if is_label else PROMPT)
        done = decoded
    total, labels = len(item.ids), item.num_labels
    lost = f", {item.num_truncated} truncated" if item.num_truncated else ""
    return text, Text(f"{total} tokens: {total - labels} prompt, {labels} labels{lost}")
