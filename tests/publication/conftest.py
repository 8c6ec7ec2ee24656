"""A small finished run and a small data set, as the stages leave them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from kot_platypus.publication.privacy import Rule, list_rules
from kot_platypus.report import write_report
from tests.data.loopback import serve
from tests.publication.hub_server import TOKEN, FakeHub, HubHandler
from tests.report.run_builder import manifest, write, write_run

BASE = "/home/somebody/models/llama-2-ko-7b"


@pytest.fixture(autouse=True)
def _away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of this machine that no test's file holds by chance, and no secrets of its own."""
    home = tmp_path / "home" / "minsu-kim"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "minsu-kim")
    monkeypatch.setattr("socket.gethostname", lambda: "kims-tower.lab.internal")


@pytest.fixture
def rules() -> list[Rule]:
    return list_rules("minsu/model", {"MY_API_KEY": "correct horse", "PATH": "/usr/bin/secret"})


def write_model(run: Path) -> None:
    """The merged model and the adapter of a run: real file formats, a few numbers each."""
    merged, adapter = run / "merged", run / "train" / "cot" / "adapter"
    adapter.mkdir(parents=True, exist_ok=True)
    write(merged / "config.json", {"_name_or_path": BASE, "model_type": "llama"})
    write(merged / "tokenizer.json", {"model": {"vocab": {"minsu-kim": 0, "/home/x/y": 1}}})
    write(merged / "kot.json", {"base": "ab" * 32})
    write(adapter / "adapter_config.json", {"base_model_name_or_path": BASE, "r": 4})
    (adapter / "README.md").write_text(f"---\nbase_model: {BASE}\n---\n")
    (merged / "training_args.bin").write_bytes(b"pickle")
    save_file({"w": torch.arange(6.0)}, merged / "model.safetensors", {"format": "pt"})
    save_file({"a": torch.ones(3)}, adapter / "adapter_model.safetensors", {"format": "pt"})


@pytest.fixture(scope="session")
def written_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawing the report takes a second: once for all tests."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "mine")
    write_model(folder)
    recipe = (folder / "recipe.yaml").read_text()
    recipe = recipe.replace("kobest_dir: mini", "kobest_dir: /data/someone/kobest")
    (folder / "recipe.yaml").write_text(recipe)
    write_report(folder)
    return folder


@pytest.fixture
def run(written_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written_run, tmp_path / "runs" / "mine"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "built" / "dataset"
    folder.mkdir(parents=True)
    card = (
        "---\nlanguage:\n- ko\nlicense: cc-by-nc-4.0\nsize_categories:\n- n<1K\nconfigs:\n"
        "- config_name: default\n  data_files: train.parquet\n---\n\n# Rows\n"
    )
    (folder / "README.md").write_text(card)
    rows = [{"source": f"질문 {i}", "origin": {"id": f"row {i}"}} for i in range(3)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dropped.jsonl").write_text("")
    write_rows(folder / "train.parquet", rows)
    recipe = {"translate": {"options": {"base_url": "http://10.0.0.7/v1"}}}
    write(folder / "manifest.json", manifest("publish", 1.0) | {"config": {"recipe": recipe}})
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]], **metadata: str) -> None:
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table.replace_schema_metadata(metadata), path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A running Hub; the client has its token and none of Xet."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    fake = FakeHub()
    with serve(HubHandler, fake) as address:
        fake.address = address
        yield fake
        fake.release.set()
