"""The declarative object of a data set: where its rows come from and what is done to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from kot_platypus.artifacts import describe_no_file, read_text
from kot_platypus.checks import Severity, SpeechLevel
from kot_platypus.columns import check_columns
from kot_platypus.data.translation.protection import has_words, protect
from kot_platypus.data.translation.services import Service
from kot_platypus.errors import RecipeError
from kot_platypus.recipe import SourceSection
from kot_platypus.recipe_files import RECIPES, Section, list_names, load, read_values
from kot_platypus.records import Sparse
from kot_platypus.yaml_files import parse_yaml

DATASETS = RECIPES / "datasets"
Option = str | int | float | bool | tuple[str, ...] | None


class License(Section):
    """A licence that something or somebody claims for a source."""

    name: str
    """An SPDX or Hub name where there is one, e.g. ``cc-by-4.0``."""
    where: str
    """Who says so: ``the data set's card``, ``the repository's README``."""
    commercial: bool | None = None
    """Whether it allows commercial use; null when it does not say."""


class DatasetSource(Sparse, Section):
    """Where rows come from: a local ``file``, or a data set on the ``hub``."""

    later = ("columns", "config", "split")

    file: str | None = None
    """JSONL, JSON (also one object keyed by row), CSV, TSV or Parquet; a folder or a pattern
    of such files."""
    hub: str | None = None
    hub_file: str | None = None
    """One file of the data set on the Hub, read as a stream; null: the ``split``."""
    revision: str | None = None
    language: Literal["en", "ko"] = "en"
    """``ko``: not translated."""
    task_column: str | None = None
    """A column that stands for ``task``."""
    unescape_newlines: bool = False
    r"""Whether ``\n``, written as two characters, is a line break (TeX's ``\neq`` is none)."""
    licenses: tuple[License, ...] = ()
    columns: dict[str, str | None] = Field(default_factory=dict)
    """The names of its columns where they are others: ``{source: question, target: answer}``."""
    config: str | None = None
    """Of a data set on the Hub that has several."""
    split: str = "train"

    @model_validator(mode="after")
    def _check(self) -> DatasetSource:
        if (self.file is None) == (self.hub is None):
            raise ValueError("either a `file` or a `hub` id")
        if self.hub is None and (self.hub_file or self.revision):
            raise ValueError("`hub_file` and `revision` only with `hub`")
        if (self.hub is None or self.hub_file) and (self.config, self.split) != (None, "train"):
            raise ValueError("`config` and `split` only with `hub`, and without `hub_file`")
        check_columns(self.columns)
        return self

    @property
    def place(self) -> SourceSection:
        """Where its rows are, as for a training."""
        where = {"name": "hub", "config": self.config} if self.hub else {"name": "file"}
        path, split = self.hub or self.file, self.split
        return SourceSection(**where, path=path, split=split, columns=self.columns)

    @property
    def name(self) -> str:
        """What rows of this source are said to come from."""
        return self.hub or (self.file or "").replace("\\", "/").rsplit("/", 1)[-1]


class SampleSection(Section):
    """Which rows are taken of all sources together."""

    rows: int | None = Field(None, ge=1)
    """As many of each task as possible; all rows when null."""


class TranslateSection(Sparse, Section):
    """Who translates, and how the rows that fail a check are tried once more."""

    later = ("glossary", "speech")

    service: Service
    options: dict[str, Option] = Field(default_factory=dict)
    """Of the service, e.g. ``model_type`` (deepl), ``model`` and ``base_url`` (openai)."""
    retry: dict[str, Option] = Field(default_factory=dict)
    """Options that are other in the second try. None: no second try."""
    glossary: dict[str, str] = Field(default_factory=dict)
    """English terms and their Korean, or a file of them: YAML, JSON, or TSV without a header."""
    speech: SpeechLevel | None = None
    """The level to which all sentences must keep: ``formal`` (합니다체) or ``plain`` (해라체)."""

    @field_validator("glossary", mode="before")
    @classmethod
    def _read_glossary(cls, value: Any) -> Any:
        """A file is read at once, so that the recipe in OUT says what was used."""
        return read_glossary(Path(value)) if isinstance(value, str) else value

    @field_validator("glossary")
    @classmethod
    def _check_glossary(cls, value: dict[str, str]) -> dict[str, str]:
        for english, korean in value.items():
            if not has_words(protect(english).xml) or protect(english).pieces:
                raise ValueError(f"terms of words alone, without what is protected: {english!r}")
            if not korean.strip():
                raise ValueError(f"the Korean of {english!r}")
        return value


def read_glossary(path: Path) -> dict[str, str]:
    """The terms in a file: an object of YAML or JSON, or two columns of TSV. Raises RecipeError."""
    try:
        if not path.is_file():
            raise ValueError(describe_no_file(path))
        text = read_text(path, RecipeError)
        found = _parse_tsv(text) if path.suffix == ".tsv" else parse_yaml(text, is_text=True)
        if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
            raise ValueError("no such object")
    except ValueError as error:
        raise RecipeError(
            f"the glossary {path}: {error}",
            expected="an object of English terms and their Korean, each term once, or TSV of both",
            hint="Fix that file.",
        ) from None
    return {str(english).strip(): str(korean).strip() for english, korean in found.items()}


def _parse_tsv(text: str) -> dict[str, str]:
    terms: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            english, *korean = line.split("\t")
            if len(korean) != 1:
                raise ValueError(f"line {number} has {len(korean) + 1} columns")
            if english in terms:
                raise ValueError(f"line {number}: {english!r} stands there twice")
            terms[english] = korean[0]
    return terms


class JudgeSection(Section):
    """A model that is shown the translations which passed the checks, and says which are wrong."""

    service: Literal["openai", "local"]
    options: dict[str, Option] = Field(default_factory=dict)
    """Of the service, e.g. ``model`` and ``base_url``."""
    severity: Severity = "warning"
    """Of a wrong one. ``warning``: in the data set and in the review; ``error``: waits there."""


class DedupeSection(Section):
    """What counts as a duplicate: see docs/data.md."""

    kinds: tuple[Literal["exact", "near", "semantic"], ...] = ("exact", "near")
    near: float = Field(0.7, ge=0.5, le=1)
    """Jaccard similarity of character 4-grams."""
    semantic: float = Field(0.8, ge=0.7, le=1)
    """Cosine of sentence embeddings."""
    encoder: str = "offline"


class DecontaminateSection(Section):
    """The benchmarks whose text no row may hold."""

    against: tuple[str, ...] = ("kobest",)
    """``kobest`` (dev and test), or files."""
    kobest_dir: str | None = None
    """A folder of KoBEST's TSV files; ``mini`` is our own small set; null the Hub's."""


class ReviewSection(Section):
    """What people are shown."""

    sample_passed: int = Field(100, ge=0, le=10_000)
    """How many of the rows that passed all checks are drawn for a spot check."""


class DatasetRecipe(Section):
    """All that decides a data set, but what people decide in review."""

    kind: Literal["dataset"]
    name: str = Field(min_length=1)
    description: str
    notes: str = ""
    """What is known of the original and what is assumed."""
    seed: int = Field(42, ge=0, lt=2**32)
    license: str
    """What the result is published under: a Hub name."""
    columns: Literal["kocot", "alpaca", "chat"] = "kocot"
    """source, rationale, target, task, type; or instruction, input, output, data_source; or
    conversations (``messages``, ``conversations``) in the columns in which they came."""
    sources: tuple[DatasetSource, ...] = Field(min_length=1)
    sample: SampleSection = SampleSection()
    translate: TranslateSection | None = None
    judge: JudgeSection | None = None
    """Off by default: measure a judge before you trust it."""
    review: ReviewSection = ReviewSection()
    dedupe: DedupeSection = DedupeSection()
    decontaminate: DecontaminateSection = DecontaminateSection()

    @model_validator(mode="after")
    def _check(self) -> DatasetRecipe:
        if self.translate is None and any(each.language != "ko" for each in self.sources):
            raise ValueError("a section `translate` for sources that are not Korean")
        if self.judge and self.translate is None:
            raise ValueError("`judge` only with `translate`")
        return self


def list_dataset_recipes() -> list[str]:
    """The names of the shipped recipes of data sets."""
    return list_names(DATASETS)


def is_dataset_recipe(name: str) -> bool:
    """Whether a recipe, shipped or a file, is one of a data set. False when there is none."""
    if name in list_dataset_recipes():
        return True
    if not name.endswith((".yaml", ".yml")):
        return False
    _, values = read_values(DATASETS, name, tuple(DatasetRecipe.model_fields))
    return bool(values.get("kind") == "dataset")


def load_dataset_recipe(name: str, overrides: Iterable[str] = ()) -> DatasetRecipe:
    """Load a shipped recipe by name or any by path. Raises as ``recipe_files.load`` does."""
    return load(DatasetRecipe, DATASETS, name, overrides)
