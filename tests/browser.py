"""Debian's chromium, driven by playwright, that may speak to this machine only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest


def find_chromium() -> str:
    """The browser. Without one a test is skipped."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    return path or pytest.skip("no chromium on this machine: apt-get install chromium")


@contextmanager
def open_page(
    address: str, *, width: int = 1200, height: int = 900, **options: Any
) -> Iterator[Any]:
    """A page at an address. At the end: no script failed, and nothing was asked of another host."""
    from playwright.sync_api import sync_playwright

    executable = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        failures: list[str] = []
        hosts: set[str | None] = set()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on(
            "dialog", lambda dialog: (failures.append(f"dialog {dialog.type}"), dialog.accept())
        )
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(address)
        yield page
        browser.close()
    assert failures == []
    assert hosts <= {"127.0.0.1", None}
