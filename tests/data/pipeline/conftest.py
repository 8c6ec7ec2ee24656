from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.data.dataset_recipe import DatasetRecipe
from kot_platypus.data.executors import InProcess
from kot_platypus.data.pipeline.dataset import build_dataset
from kot_platypus.data.pipeline.translating import Account
from tests.data.deepl_server import KEY, DeepLService, serve_deepl
from tests.data.pipeline.apples import make_rows, translate, write_keyed

BENCHMARK = "오늘은 하늘이 유난히 맑아서 아이들과 함께 강가로 나들이를 갔습니다"


@pytest.fixture(autouse=True)
def _planted_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPL_AUTH_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[tuple[str, DeepLService]]:
    with serve_deepl(translation=translate) as running:
        yield running


class Builder:
    """Builds data sets in a test's folder, all from one ledger."""

    def __init__(self, folder: Path, url: str, service: DeepLService) -> None:
        self.folder, self.url, self.service = folder, url, service
        self.out = folder / "out"

    def make_recipe(self, rows: list[dict[str, Any]] | None = None, **fields: Any) -> DatasetRecipe:
        source = self.folder / "cot.json"
        if rows is not None or not source.exists():
            write_keyed(source, make_rows(30) if rows is None else rows)
        options = {"server_url": self.url, "settle_s": 0.05, "pause_s": 0.01}
        values = {
            "kind": "dataset",
            "name": "apples",
            "description": "Apples",
            "license": "cc-by-nc-4.0",
            "sources": [{"file": str(source), "unescape_newlines": True}],
            "translate": {
                "service": "deepl",
                "options": options,
                "retry": {"formality": "prefer_less"},
            },
            **fields,
        }
        return DatasetRecipe.model_validate(values)

    def account(self, budget_chars: int | None = None) -> Account:
        return Account(self.folder / "ledger", "test", budget_chars)

    def build(self, recipe: DatasetRecipe, budget_chars: int | None = None) -> dict[str, int]:
        return build_dataset(
            self.out,
            recipe,
            self.account(budget_chars),
            InProcess(),
            lambda: {"picnics": [BENCHMARK]},
        )


@pytest.fixture
def builder(tmp_path: Path, server: tuple[str, DeepLService]) -> Builder:
    return Builder(tmp_path, *server)
