"""What of a run or a data set goes to the Hub, under which names, and what stays here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Literal

from kot_platypus.artifacts import MANIFEST, read_manifest
from kot_platypus.errors import DataError, RunError
from kot_platypus.publication.cards import read_metadata
from kot_platypus.publication.cleaning import clean_text, find_local_paths
from kot_platypus.publication.folders import find_trained, write_card

CARD, RECIPE = "README.md", "recipe.yaml"
_MODEL = (
    "config.json", "generation_config.json", "kot.json", "*.safetensors",
    "*.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "spiece.model", "*processor_config.json", "chat_template.json", "*.jinja", "*.py", "LICENSE*",
    "NOTICE*", "USE_POLICY*",
)  # fmt: skip
_ADAPTER = ("adapter_config.json", "adapter_model*.safetensors", *_MODEL)
_RESULTS = ("results.json", MANIFEST, "samples.jsonl", "answers.jsonl")
_DATASET = (CARD, "train.parquet", "train.jsonl", "train.jsonl.contamination.json", "dropped.jsonl")
_VOCABULARIES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "spiece.model",
    "added_tokens.json",
)  # fmt: skip


class Content(Enum):
    """Who wrote what a file holds, which decides what in it would be private."""

    WRITTEN = "by a program, about this run"
    ROWS = "by people or models, about anything"
    PUBLIC = "by the base model's makers: vocabularies, code, licences"
    WEIGHTS = "tensors, with a header"


@dataclass(frozen=True)
class Upload:
    """One file of a publication."""

    source: Path
    destination: str
    """Its path in the repository."""
    content: Content
    cleaned: bytes | None = None
    """What goes up in place of the file, where it held local paths or there is none."""
    note: str = ""
    """What was done to it."""

    @property
    def size(self) -> int:
        """Bytes that go up."""
        return self.source.stat().st_size if self.cleaned is None else len(self.cleaned)


@dataclass(frozen=True)
class Plan:
    """Everything that would go up, and what of the same folders would not."""

    kind: Literal["model", "dataset"]
    uploads: tuple[Upload, ...]
    left_out: tuple[str, ...]

    @property
    def card(self) -> str:
        """The card's text as it would go up."""
        (upload,) = [each for each in self.uploads if each.destination == CARD]
        return read_upload(upload).decode("utf-8", errors="replace")


def read_upload(upload: Upload) -> bytes:
    """The bytes that would go up."""
    return upload.source.read_bytes() if upload.cleaned is None else upload.cleaned


# --- a model -----------------------------------------------------------------------------------


def plan_model(run: Path) -> Plan:
    """A run's merged model, adapter, card, report, recipe, results and training log.

    The base model's id, as the card has it, takes the place of the folder it lay in here. Raises
    RunError when ``run`` is no run or its model is not made yet.
    """
    for name in (RECIPE, CARD):
        if not (run / name).is_file():
            raise RunError(
                f"{run} has no {name}",
                expected="a finished run",
                hint="Finish it with the kot run that began it, or pass --dataset.",
            )
    merged = run / "merged"
    if not (merged / MANIFEST).is_file() or read_manifest(merged)["status"] != "done":
        raise RunError(
            f"{merged} holds no finished model",
            expected="a finished run",
            hint="Run the same kot run again.",
        )
    adapter = run / "train" / "cot" / "adapter"
    uploads = [
        *_take(merged, "", _MODEL),
        *_take(run, "", (CARD, RECIPE, "report.html")),
        *_take(adapter, "adapter/", _ADAPTER),
        *_take(run / "train" / "cot", "training/", (MANIFEST, "log.jsonl")),
        *_take(run / "evaluate", "results/", ("comparison.json",)),
    ]
    for folder in sorted(run.glob("evaluate/*/*/")):
        name = folder.relative_to(run / "evaluate").as_posix()
        uploads += _take(folder, f"results/{name}/", _RESULTS)
    base = read_metadata((run / CARD).read_text(encoding="utf-8", errors="replace"))
    hub_name = base.get("base_model")
    cleaned = _clean(uploads, hub_name if isinstance(hub_name, str) else None)
    return Plan("model", cleaned, tuple(_list_rest(run, uploads)))


def plan_folder(folder: Path, repo_id: str, base_model: str | None = None) -> Plan:
    """A merged or wholly trained model outside of a run, with a card of what is known of it.

    Raises RunError when ``folder`` holds none.
    """
    trained = find_trained(folder, base_model)
    uploads = _take(trained.folder, "", (CARD, *_MODEL))
    if trained.stage:
        uploads += _take(trained.stage, "training/", (MANIFEST, "log.jsonl"))
    cleaned = _clean(uploads, trained.base_model)
    if not (trained.folder / CARD).is_file():
        text = write_card(trained, repo_id).encode()
        note = "of what is known; or put your own there"
        cleaned += (Upload(trained.folder / CARD, CARD, Content.WRITTEN, text, note),)
    return Plan("model", cleaned, tuple(_list_rest(trained.stage or trained.folder, uploads)))


def _take(folder: Path, prefix: str, patterns: Iterable[str]) -> list[Upload]:
    """The files of a folder that match, each once."""
    files = dict.fromkeys(
        file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()
    )
    return [Upload(file, prefix + file.name, _classify(file)) for file in files]


def _classify(file: Path) -> Content:
    if file.suffix == ".safetensors":
        return Content.WEIGHTS
    is_base = file.suffix in (".py", ".jinja") or file.name in _VOCABULARIES
    if is_base or file.name.startswith(("LICENSE", "NOTICE", "USE_POLICY")):
        return Content.PUBLIC
    is_rows = file.suffix in (".jsonl", ".parquet") and file.name != "log.jsonl"
    return Content.ROWS if is_rows else Content.WRITTEN


def _list_rest(root: Path, uploads: Iterable[Upload]) -> Iterator[str]:
    """What is not taken: whole folders where nothing of them is, else files."""
    taken = {upload.source for upload in uploads}
    kept = {folder for source in taken for folder in source.parents}
    for path in sorted(root.rglob("*")):
        if path.parent not in kept or path in taken:
            continue
        if path.is_file() or path not in kept:
            yield path.relative_to(root).as_posix() + ("/" if path.is_dir() else "")


def _clean(uploads: Iterable[Upload], hub_name: str | None) -> tuple[Upload, ...]:
    """The same with the names of models and files in place of their paths on this machine."""
    uploads = list(uploads)
    written = [each for each in uploads if each.content is Content.WRITTEN]
    paths = find_local_paths((each.source for each in written), hub_name)
    found = {each.source: clean_text(each.source.read_bytes(), paths) for each in written}
    return tuple(
        replace(each, cleaned=new, note="local paths became names")
        if (new := found.get(each.source)) is not None
        else each
        for each in uploads
    )


# --- a data set --------------------------------------------------------------------------------


def plan_dataset(folder: Path) -> Plan:
    """The files of the folder ``dataset`` that ``kot data build`` made, or of the one above it.

    Its manifest stays here: the recipe in it may name a company's own server. Raises DataError
    when there is no finished data set.
    """
    if (folder / "dataset" / MANIFEST).is_file():
        folder = folder / "dataset"
    is_whole = (folder / MANIFEST).is_file() and all(
        (folder / name).is_file() for name in (CARD, "train.parquet")
    )
    if not is_whole or read_manifest(folder)["status"] != "done":
        raise DataError(
            f"{folder} holds no finished data set",
            expected="what kot data build --out wrote, or its folder dataset",
            hint="Check the path, or run kot data build again.",
        )
    uploads = _take(folder, "", _DATASET)
    return Plan("dataset", _clean(uploads, None), tuple(_list_rest(folder, uploads)))
