from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl
from kot_platypus.cli import app
from kot_platypus.data.pipeline.checking import check_draft
from kot_platypus.data.pipeline.drafts import Decision, Draft, Origin, Translation, write_drafts
from kot_platypus.data.review.server import _listen, make_app
from kot_platypus.data.review.store import ReviewStore, restore_line_ends
from kot_platypus.errors import DataError, RunError
from kot_platypus.records import Example
from tests.browser import open_page

ATTACK = '<img src=x onerror="alert(1)"><script>alert(2)</script></textarea><b>굵게</b>'


def make_draft(number: int, translated: str = "", **texts: str) -> Draft:
    """A draft in which a number is wrong, unless ``translated`` says otherwise."""
    original = Example(source=f"How old are the {number} trees?", target="7", **texts)
    korean = Example(
        source=translated or f"나무 {number + 1}그루는 몇 살입니까?", target="7", **texts
    )
    by = Translation(service="deepl", parameters={})
    origin = Origin(source="cot.json", id=f"row {number}", sha256="0" * 64)
    return check_draft(Draft(origin=origin, original=original, translated=korean, translation=by))


def write_queue(folder: Path, drafts: list[Draft]) -> Path:
    write_drafts(folder / "review" / "queue.jsonl", drafts)
    return folder


def read_log(folder: Path) -> list[Decision]:
    path = folder / "review" / "decisions.jsonl"
    return read_jsonl(path, Decision) if path.is_file() else []


def list_actions(folder: Path) -> list[str]:
    return [decision.action for decision in read_log(folder)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_queue(tmp_path / "out", [make_draft(number) for number in range(10, 14)])


# --- the store ---------------------------------------------------------------------------------


@pytest.fixture
def store(folder: Path) -> Iterator[ReviewStore]:
    opened = ReviewStore(folder)
    yield opened
    opened.close()


def test_a_decision_is_on_disk_when_the_call_returns(store: ReviewStore, folder: Path):
    assert store.decide(0, "accept", {}, version=0) == "stored"
    (decision,) = read_log(folder)
    assert (decision.key, decision.action) == (store.read(0).draft.key, "accept")


def test_an_edit_keeps_the_changed_texts_and_is_checked(store: ReviewStore, folder: Path):
    assert store.read(0).findings
    store.decide(0, "edit", {"source": "나무 10그루는 몇 살입니까?", "target": "7"}, version=0)
    assert read_log(folder)[0].fields == {"source": "나무 10그루는 몇 살입니까?"}
    assert not [each for each in store.read(0).findings if each.severity == "error"]


def test_an_edit_back_to_the_translation_is_an_acceptance(store: ReviewStore, folder: Path):
    before = store.read(0).texts["source"]
    store.decide(0, "edit", {"source": "다른 글"}, version=0)
    store.decide(0, "edit", {"source": before}, version=1)
    assert list_actions(folder) == ["edit", "accept"]


def test_undo_is_a_line_of_its_own(store: ReviewStore, folder: Path):
    store.decide(0, "drop", {}, version=0)
    assert store.summarise().drop == 1
    store.decide(0, "undo", {}, version=1)
    assert list_actions(folder) == ["drop", "undo"]
    assert store.summarise().decided == 0


def test_who_saw_an_older_decision_is_told(store: ReviewStore, folder: Path):
    store.decide(0, "drop", {}, version=0)
    assert store.decide(0, "accept", {}, version=0) == "conflict"
    assert list_actions(folder) == ["drop"]


def test_decisions_are_found_again(folder: Path):
    first = ReviewStore(folder)
    first.decide(1, "accept", {}, version=0)
    first.close()
    again = ReviewStore(folder)
    assert again.read(1).action == "accept"
    assert again.find(0, 1, only_open=True) == 0
    assert again.find(1, 1, only_open=True) == 2
    again.close()


def test_a_folder_is_held_by_one_process(store: ReviewStore, folder: Path):
    with pytest.raises(RunError, match="one process per review"):
        ReviewStore(folder)


def test_a_bad_line_among_decisions_is_named_and_nothing_is_cut_off(folder: Path):
    path = folder / "review" / "decisions.jsonl"
    path.write_text('{"key": 1}\n{"key": "x"}\n')
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"decisions\.jsonl line 1"):
        ReviewStore(folder)
    assert path.read_bytes() == before


def test_a_folder_without_a_queue_is_one_line_of_error(tmp_path: Path):
    result = CliRunner().invoke(app, ["data", "review", str(tmp_path)])
    assert result.exit_code == 1
    assert "has no review/queue.jsonl" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("text", "edited", "expected"),
    [
        ("a\r\nb\r\n", "a\nb\n", "a\r\nb\r\n"),
        ("a\r\nb", "a\nc\nb", "a\r\nc\r\nb"),
        ("a\nb\r\nc", "a\nb\nd", "a\nb\r\nd"),
        ("", "a\nb", "a\nb"),
    ],
)
def test_line_ends_that_a_browser_changed_come_back(text: str, edited: str, expected: str):
    assert restore_line_ends(text, edited) == expected


# --- the server --------------------------------------------------------------------------------


@contextmanager
def serve_page(folder: Path) -> Iterator[str]:
    """The page at its address, served in a thread."""
    page = make_app(folder)
    listener = _listen(0)
    config = uvicorn.Config(page, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        page.state.store.close()


def request(address: str, method: str, path: str, body: object = None, **headers: str) -> Any:
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, json.dumps(body) if body else None, names)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def test_other_sites_are_refused(folder: Path):
    choice = {"key": make_draft(10).key, "version": 0, "action": "drop"}
    with serve_page(folder) as address:
        origin = address.rstrip("/")
        page = request(address, "GET", "/")[2]
        token = page.partition('name="token" content="')[2].partition('"')[0]
        post = ("POST", "/api/decide", choice)
        assert request(address, *post, Origin=origin)[0] == 403, "no token"
        assert request(address, *post, Origin="http://evil.example", X_Kot_Token=token)[0] == 403
        assert request(address, "GET", "/", Host="evil.example")[0] == 400, "rebound name"
        assert list_actions(folder) == []
        assert request(address, *post, Origin=origin, X_Kot_Token=token)[0] == 200
        assert list_actions(folder) == ["drop"]


def test_the_page_may_load_nothing_from_elsewhere(folder: Path):
    with serve_page(folder) as address:
        policy = request(address, "GET", "/")[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy


def test_a_port_in_use_is_one_line_of_error(folder: Path):
    taken = _listen(0)
    port = str(taken.getsockname()[1])
    result = CliRunner().invoke(app, ["data", "review", str(folder), "--port", port])
    taken.close()
    assert result.exit_code == 1
    assert f"port {port} cannot be had" in result.output


# --- the page ----------------------------------------------------------------------------------


def wait_for_row(page: Any, number: int) -> None:
    page.wait_for_url(lambda url: url.endswith(f"#{number}"))
    page.wait_for_selector("[data-text=source]")


@pytest.mark.slow
def test_a_person_decides_by_keyboard(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        assert "나무 11그루" in page.inner_text("[data-text=source]")
        assert page.inner_text("[data-text=source] mark") == "11"
        page.keyboard.press("a")
        wait_for_row(page, 2)
        assert list_actions(folder) == ["accept"]
        page.keyboard.press("d")
        wait_for_row(page, 3)
        assert list_actions(folder) == ["accept", "drop"]
        page.keyboard.press("e")
        page.fill("textarea[data-field=source]", "나무 12그루는 몇 살입니까?")
        page.keyboard.press("Control+Enter")
        wait_for_row(page, 4)
        assert read_log(folder)[-1].fields == {"source": "나무 12그루는 몇 살입니까?"}
        page.keyboard.press("u")
        wait_for_row(page, 3)
        assert list_actions(folder) == ["accept", "drop", "edit", "undo"]
        assert "2 / 4" in page.inner_text("#counts")


@pytest.mark.slow
def test_an_edit_that_leaves_an_error_stays_until_it_is_waved_through(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.keyboard.press("e")
        page.fill("textarea[data-field=source]", "나무 99그루는 몇 살입니까?")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#notice.warning")
        assert page.url.endswith("#1")
        page.keyboard.press("Enter")
        wait_for_row(page, 2)


@pytest.mark.slow
def test_text_from_data_is_never_html(tmp_path: Path):
    drafts = [
        make_draft(10, f"{ATTACK} 11", rationale=ATTACK, input=ATTACK, task=ATTACK, type=ATTACK)
    ]
    folder = write_queue(tmp_path / "out", drafts)
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        assert page.inner_text("[data-text=source]") == f"{ATTACK} 11"
        assert page.inner_text("[data-text=rationale]") == ATTACK
        page.keyboard.press("e")
        assert page.input_value("textarea[data-field=rationale]") == ATTACK
        page.keyboard.press("Escape")
        assert page.locator("main img, main script, main b >> text=굵게").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(folder: Path, scheme: str):
    with (
        serve_page(folder) as address,
        open_page(address, width=390, height=844, color_scheme=scheme) as page,
    ):
        wait_for_row(page, 1)
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_twenty_five_thousand_rows_are_no_burden(tmp_path: Path):
    folder = write_queue(tmp_path / "out", [make_draft(number) for number in range(25_000)])
    started = time.monotonic()
    with serve_page(folder) as address:
        opened_s = time.monotonic() - started
        with open_page(f"{address}#24999") as page:
            wait_for_row(page, 24_999)
            page.keyboard.press("a")
            wait_for_row(page, 25_000)
        started = time.monotonic()
        for start in range(0, 25_000, 250):
            assert request(address, "GET", f"/api/find?start={start}&step=1&open=1")[0] == 200
        each_s = (time.monotonic() - started) / 100
    print(f"\n25,000 rows: opened in {opened_s:.2f} s, {1000 * each_s:.1f} ms a row")
    assert list_actions(folder) == ["accept"]
