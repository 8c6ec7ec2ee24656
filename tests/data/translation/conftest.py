from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.data.translation.deepl import DeepL
from kot_platypus.data.translation.ledger import Ledger, open_ledger
from tests.data.deepl_server import KEY, DeepLService, serve_deepl


@pytest.fixture(autouse=True)
def _planted_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPL_AUTH_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger") as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[tuple[str, DeepLService]]:
    with serve_deepl() as running:
        yield running


@pytest.fixture
def service(server: tuple[str, DeepLService]) -> DeepLService:
    return server[1]


@pytest.fixture
def deepl(server: tuple[str, DeepLService]) -> DeepL:
    """DeepL's client at the test's server. It settles early, so that no test waits."""
    return make_deepl(server[0])


def make_deepl(url: str, **settings: Any) -> DeepL:
    return DeepL(server_url=url, **{"settle_s": 0.05, "pause_s": 0.01, **settings})
