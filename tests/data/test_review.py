from __future__ import annotations

import http.client
import json
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl, write_jsonl
from kot_platypus.cli import app
from kot_platypus.data.pipeline.decisions import Decision
from kot_platypus.data.pipeline.drafts import (
    Draft,
    Origin,
    Translation,
    check_draft,
)
from kot_platypus.data.review.line_ends import restore_line_ends
from kot_platypus.data.review.server import make_app
from kot_platypus.data.review.store import ReviewStore
from kot_platypus.errors import DataError
from kot_platypus.records import Example
from kot_platypus.serving import listen
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
    write_jsonl(folder / "review" / "queue.jsonl", drafts)
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


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_text_of_a_row_that_is_kept_may_be_empty(tmp_path: Path, text: str):
    folder = write_queue(tmp_path, [make_draft(10, input="3"), make_draft(20, " ")])
    with closing(ReviewStore(folder)) as store:
        assert store.decide(0, "edit", {"input": text, "target": "8"}, version=0) == "empty"
        assert store.decide(1, "accept", {}, version=0) == "empty"
        assert list_actions(folder) == []
        assert store.decide(1, "edit", {"source": "나무 20그루"}, version=0) == "stored"
        assert store.decide(0, "drop", {}, version=0) == "stored"


def test_an_edit_of_before_that_emptied_a_text_lets_the_row_wait(tmp_path: Path):
    drafts = [make_draft(10, input="3"), make_draft(20, " "), make_draft(30)]
    folder = write_queue(tmp_path, drafts)
    said = [("edit", {"input": " "}), ("accept", {}), ("accept", {})]
    old = [
        {"key": draft.key, "action": action, "fields": fields, "decided_at": "2026-11-22"}
        for draft, (action, fields) in zip(drafts, said, strict=True)
    ]
    (folder / "review" / "decisions.jsonl").write_text("\n".join(map(json.dumps, old)) + "\n")
    with closing(ReviewStore(folder)) as store:
        assert [store.read(number).action for number in range(3)] == [None, None, "accept"]
        assert store.decide(0, "edit", {"input": "4"}, version=1) == "stored"
        assert (store.find(0, 1, show="open"), store.summarise().edit) == (1, 1)


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
    assert again.find(0, 1, show="open") == 0
    assert again.find(1, 1, show="open") == 2
    again.close()


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


def test_a_reason_and_a_note_are_kept_with_the_decision(store: ReviewStore, folder: Path):
    note = f"{ATTACK}\n둘째 줄"
    store.decide(0, "drop", {}, version=0, reason="meaning", note=note)
    assert (read_log(folder)[0].reason, read_log(folder)[0].note) == ("meaning", note)
    assert (store.read(0).reason, store.read(0).note) == ("meaning", note)


def test_another_reason_is_another_decision_and_the_same_is_none(store: ReviewStore, folder: Path):
    for version, reason in ((0, "meaning"), (1, "meaning"), (1, "unnatural")):
        store.decide(0, "drop", {}, version=version, reason=reason)  # type: ignore[arg-type]
    assert [each.reason for each in read_log(folder)] == ["meaning", "unnatural"]


def test_a_note_on_an_edit_keeps_its_texts(store: ReviewStore, folder: Path):
    store.decide(0, "edit", {"source": "다른 글"}, version=0)
    assert store.decide(0, "edit", {}, version=1, note="늦은 메모") == "stored"
    last = read_log(folder)[-1]
    assert (last.action, last.fields, last.note) == ("edit", {"source": "다른 글"}, "늦은 메모")


def test_a_note_alone_makes_no_edit(store: ReviewStore, folder: Path):
    assert store.decide(0, "edit", {}, version=0, note="메모") == "unchanged"
    assert list_actions(folder) == []


def test_undo_takes_the_reason_back(store: ReviewStore):
    store.decide(0, "drop", {}, version=0, reason="meaning")
    store.decide(0, "undo", {}, version=1, reason="meaning")
    assert store.read(0).reason == ""


def test_decisions_of_before_reasons_are_read(folder: Path):
    old = {"key": make_draft(10).key, "action": "drop", "fields": {}, "decided_at": "2026-11-22"}
    path = folder / "review" / "decisions.jsonl"
    path.write_text(json.dumps(old) + "\n")
    with closing(ReviewStore(folder)) as store:
        assert (store.read(0).action, store.read(0).reason) == ("drop", "")


@pytest.mark.parametrize(
    ("text", "edited", "expected"),
    [
        ("a\r\nb\r\n", "a\nb\n", "a\r\nb\r\n"),
        ("a\r\nb", "a\nc\nb", "a\r\nc\r\nb"),
        ("a\nb\r\nc", "a\nb\nd", "a\nb\r\nd"),
        ("", "a\nb", "a\nb"),
        ("a\r\n", "a", "a"),
        ("a\rb", "a\n\nb", "a\r\rb"),
    ],
)
def test_line_ends_that_a_browser_changed_come_back(text: str, edited: str, expected: str):
    assert restore_line_ends(text, edited) == expected


def flatten(text: str) -> str:
    """A text as a browser's text field has it."""
    return re.sub("\r\n?", "\n", text)


def test_line_ends_that_come_back_change_nothing_else():
    rng = random.Random(3)
    for _ in range(3000):
        text, other = ("".join(rng.choices("ab\r\n", k=rng.randrange(9))) for _ in range(2))
        assert restore_line_ends(text, flatten(text)) == text
        assert flatten(restore_line_ends(text, flatten(other))) == flatten(other)


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "\u202eabc\u202c \u05d0",
        "가\r\n나\r다\n라\u2028마\x85바",
        "</script><script>alert(1)</script>",
        "😀👨‍👩‍👧 𝒙",
        "\ufeff가",
        "가나다 라마바사. " * 2_000,
    ],
    ids=["nul", "right to left", "line ends", "script", "astral", "byte order mark", "long"],
)
def test_awkward_text_is_read_and_edited_as_it_is(tmp_path: Path, text: str):
    draft = make_draft(10, text)
    folder = write_queue(tmp_path / "out", [draft])
    with closing(ReviewStore(folder)) as store:
        assert store.read(0).draft == draft
        assert store.decide(0, "edit", {"source": flatten(text)}, version=0) == "unchanged"
        assert store.decide(0, "edit", {"source": flatten(text) + "!"}, version=0) == "stored"
    assert read_log(folder)[0].fields == {"source": text + "!"}


def test_what_is_sent_twice_is_stored_once(store: ReviewStore, folder: Path):
    """A page that never got its answer sends the same again."""
    for version, action, texts in ((0, "edit", {"source": "다른 글"}), (1, "undo", {})):
        for _ in range(2):
            assert store.decide(0, action, texts, version=version) == "stored"
    assert list_actions(folder) == ["edit", "undo"]


def test_counts_and_search_are_those_of_a_plain_recount(tmp_path: Path):
    rng = random.Random(5)
    drafts = [make_draft(number, "" if number % 3 else "Seven trees.") for number in range(40)]
    folder = write_queue(tmp_path / "out", drafts)
    with closing(ReviewStore(folder)) as store:
        for _ in range(80):
            number, action = rng.randrange(40), rng.choice(("accept", "edit", "drop", "undo"))
            texts = {"source": f"글 {rng.random()}"}
            store.decide(number, action, texts, version=store.read(number).version)
        entries = [store.read(number) for number in range(40)]
        summary = store.summarise()
        for check in ("", *summary.checks, "nothing"):
            fitting = [
                each.number
                for each in entries
                if not each.action
                and check in ("", *(finding.check for finding in each.draft.findings))
            ]
            assert not check or summary.checks.get(check, 0) == len(fitting)
            for start in range(40):
                found = store.find(start, 1, show="open", check=check)
                assert found == min((n for n in fitting if n >= start), default=None)
                found = store.find(start, -1, show="open", check=check)
                assert found == max((n for n in fitting if n <= start), default=None)
        actions = Counter(each.action for each in entries)
        assert all(getattr(summary, name) == actions[name] for name in ("accept", "edit", "drop"))
    with closing(ReviewStore(folder)) as again:
        assert again.summarise() == summary
        assert [again.read(number) for number in range(40)] == entries


@pytest.mark.parametrize(
    ("sought", "number"),
    [
        ("HOW old are the 12", 2),
        (unicodedata.normalize("NFD", "나무 13그루"), 2),
        ("고친 글", 1),
        ('"가"\n나\\', 3),
        ("<B>", 3),
        ("row 11", None),
        ("나무 11그루", 0),
        ("나무 12그루", None),
    ],
)
def test_a_text_is_found_in_the_form_it_has_by_now(tmp_path: Path, sought: str, number: int | None):
    drafts = [*(make_draft(n) for n in (10, 11, 12)), make_draft(13, '"가"\r\n나\\ <b>')]
    folder = write_queue(tmp_path / "out", drafts)
    with closing(ReviewStore(folder)) as store:
        store.decide(1, "edit", {"source": "고친 글"}, version=0)
        assert store.find(0, 1, show="all", text=sought) == number
        assert store.find(3, -1, show="all", text=sought) == number


# --- the server --------------------------------------------------------------------------------


@contextmanager
def serve_page(
    folder: Path, port: int = 0, path: str = "", reviewer: str | None = None
) -> Iterator[str]:
    """The page at its address, served in a thread; with ``path`` as a part of another app."""
    page = make_app(folder, reviewer)
    app = Starlette(routes=[Mount(path, page)]) if path else page
    listener = listen("127.0.0.1", port)
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{path}/{page.state.token}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        page.state.store.close()


def request(address: str, method: str, path: str, body: object = None, **headers: str) -> Any:
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    path = urlsplit(address).path.rstrip("/") + path
    connection.request(method, path, json.dumps(body) if body else None, names)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def test_other_sites_are_refused(folder: Path):
    choice = {"key": make_draft(10).key, "version": 0, "action": "drop"}
    with serve_page(folder) as address:
        origin = address.rstrip("/").rpartition("/")[0]
        post = ("POST", "/api/decide", choice)
        for path in ("/", "/api/summary", "/review.css", "/wrong/", "/wrong/api/find"):
            assert request(f"{origin}/", "GET", path)[0] == 403, "no secret"
        assert request(f"{origin}/", *post, Origin=origin)[0] == 403, "no secret"
        assert request(address, *post, Origin="http://evil.example")[0] == 403
        assert request(address, "GET", "/", Host="evil.example")[0] == 400, "rebound name"
        assert list_actions(folder) == []
        assert request(address, *post, Origin=origin)[0] == 200
        assert list_actions(folder) == ["drop"]


def test_the_page_may_load_nothing_from_elsewhere(folder: Path):
    with serve_page(folder) as address:
        policy = request(address, "GET", "/")[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy


def decide(address: str, **choice: object) -> tuple[int, str]:
    """Status and text of the answer to what the page would send."""
    names = {"Origin": address.rstrip("/").rpartition("/")[0]}
    status, _, text = request(address, "POST", "/api/decide", choice, **names)
    return status, text


def test_half_a_character_is_refused(folder: Path):
    """No file in UTF-8 can hold one."""
    choice = {"key": make_draft(10).key, "version": 0, "action": "edit"}
    with serve_page(folder) as address:
        assert decide(address, **choice, texts={"source": "\ud800"})[0] == 422
        assert decide(address, **choice, texts={"source": ""}) == (422, '{"error":"empty"}')
        assert list_actions(folder) == []


def test_a_full_disk_is_said_and_the_row_stays_open(folder: Path):
    first, second = ({"key": make_draft(n).key, "version": 0} for n in (10, 11))
    with serve_page(folder) as address:
        assert decide(address, **first, action="drop")[0] == 200
        log = (folder / "review" / "decisions.jsonl").read_bytes()
        _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(log) + 20, hard))
        try:
            status, text = decide(address, **second, action="drop")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (status, json.loads(text)["error"]) == (507, "disk")
        assert (folder / "review" / "decisions.jsonl").read_bytes() == log
        assert decide(address, **second, action="accept")[0] == 200
    assert list_actions(folder) == ["drop", "accept"]


@pytest.mark.slow
def test_a_killed_server_loses_nothing_that_it_confirmed(folder: Path):
    command = [sys.executable, "-m", "kot_platypus", "data", "review", str(folder)]
    command += ["--port", "0", "--no-browser"]
    for ended_by, action in ((signal.SIGKILL, "drop"), (signal.SIGINT, "accept")):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            try:
                process.stdout.readline()
                address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", process.stdout.readline())[
                    0
                ]
                version = len(read_log(folder))
                key = make_draft(10).key
                assert decide(address, key=key, version=version, action=action)[0] == 200
                process.send_signal(ended_by)
                output = process.communicate(timeout=30)[0]
            finally:
                process.kill()
    assert list_actions(folder) == ["drop", "accept"]
    assert process.returncode == 0
    assert "1 of 4 rows decided: 1 accepted" in output


def test_answers_are_not_held_back():
    """asyncio sends at once only on sockets that are named TCP: 1 ms an answer instead of 44."""
    with closing(listen("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_port_in_use_is_one_line_of_error(folder: Path):
    taken = listen("127.0.0.1", 0)
    port = str(taken.getsockname()[1])
    result = CliRunner().invoke(app, ["data", "review", str(folder), "--port", port])
    taken.close()
    assert result.exit_code == 1
    assert f"port {port} is not available" in result.output


# --- the page ----------------------------------------------------------------------------------


def measure_luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, 0 to 1 (WCAG 2)."""
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_texts_stand_out_from_what_is_behind_them():
    """WCAG 2 AA, light and dark: 4.5 to 1."""
    pairs = [
        *((ink, back) for ink in ("ink", "soft") for back in ("paper", "card", "info-note")),
        *((ink, "card") for ink in ("blue", "green", "red", "amber")),
        *(("ink", back) for back in ("error", "error-strong", "warning", "warning-strong")),
        *(("ink", "warning-note"), ("red", "error-note"), ("on", "green"), ("green", "paper")),
    ]
    css = (files("kot_platypus.data.review") / "page" / "review.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.S)
    for scheme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#\w+);", scheme))
        for pair in pairs:
            low, high = sorted(measure_luminance(colours[name]) for name in pair)
            assert (high + 0.05) / (low + 0.05) >= 4.5, pair


def edit_source(page: Any, text: str) -> None:
    page.keyboard.press("e")
    page.fill("textarea[data-field=source]", text)
    page.keyboard.press("Control+Enter")


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
        edit_source(page, "나무 12그루는 몇 살입니까?")
        wait_for_row(page, 4)
        assert read_log(folder)[-1].fields == {"source": "나무 12그루는 몇 살입니까?"}
        page.keyboard.press("u")
        wait_for_row(page, 3)
        assert list_actions(folder) == ["accept", "drop", "edit", "undo"]
        assert "2 / 4" in page.inner_text("#counts")


@pytest.mark.slow
def test_a_person_says_why_by_keyboard(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.keyboard.press("m")
        page.keyboard.type("aed 수가 다름")
        page.keyboard.press("Enter")
        page.select_option("#reason", "meaning")
        page.locator("#reason").press("Enter")
        page.keyboard.press("d")
        wait_for_row(page, 2)
        (decision,) = read_log(folder)
        said = (decision.action, decision.reason, decision.note)
        assert said == ("drop", "meaning", "aed 수가 다름")
        assert (page.input_value("#reason"), page.input_value("#note")) == ("", "")
        page.keyboard.press("m")
        page.keyboard.type("아직")
        page.keyboard.press("Enter")
        page.keyboard.press("j")
        wait_for_row(page, 3)
        assert page.input_value("#note") == ""
        page.keyboard.press("k")
        wait_for_row(page, 2)
        page.reload()
        wait_for_row(page, 2)
        assert page.input_value("#note") == "아직"


@pytest.mark.slow
def test_a_person_searches_by_keyboard(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.keyboard.press("/")
        page.keyboard.type("13 trees")
        page.keyboard.press("Enter")
        wait_for_row(page, 4)
        page.keyboard.press("/")
        page.keyboard.type("<b>nowhere</b>")
        page.keyboard.press("Enter")
        page.wait_for_selector("main .empty")


@pytest.mark.slow
def test_an_edit_that_leaves_an_error_stays_until_it_is_waved_through(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        edit_source(page, "나무 99그루는 몇 살입니까?")
        page.wait_for_selector("#notice.warning")
        assert page.url.endswith("#1")
        page.keyboard.press("Enter")
        wait_for_row(page, 2)


@pytest.mark.slow
def test_an_edit_that_empties_a_text_is_refused_and_stays(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        edit_source(page, "")
        page.wait_for_selector("#notice.error")
        assert "번역이 빈 칸이 있습니다" in page.inner_text("#notice")
        assert page.input_value("textarea[data-field=source]") == ""
        assert list_actions(folder) == []


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


def expect_fit(page: Any) -> None:
    """On a phone, a tablet and a screen nothing is wider than its place; all buttons are there."""
    for width in (390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        overflowing = page.locator("html, .text, button, textarea").evaluate_all(
            "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1)"
            ".map((one) => one.outerHTML.slice(0, 80))"
        )
        assert (width, overflowing) == (width, [])
        for button in page.locator("footer button:visible").all():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_a_tablet_and_a_screen(tmp_path: Path, scheme: str):
    long = "https://example.com/" + "가나다라" * 5_000
    folder = write_queue(tmp_path / "out", [make_draft(10, long, rationale=long)])
    with serve_page(folder) as address, open_page(address, color_scheme=scheme) as page:
        wait_for_row(page, 1)
        expect_fit(page)
        page.keyboard.press("e")
        page.wait_for_selector("textarea:focus")
        expect_fit(page)


@pytest.mark.slow
def test_what_is_typed_before_the_row_is_there_decides_nothing(folder: Path):
    """The next row is late: what is typed for its edit must not be taken for keys."""
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.route("**/api/*", lambda route: (time.sleep(0.2), route.continue_()))
        for key in "aadejd":
            page.keyboard.press(key)
        page.wait_for_selector("textarea:focus")
        assert page.url.endswith("#2")
        assert list_actions(folder) == ["accept"]


@pytest.mark.slow
def test_keys_are_known_by_their_place_on_a_korean_keyboard(folder: Path):
    press = "(key) => document.body.dispatchEvent(new KeyboardEvent('keydown', key))"
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.evaluate(press, {"key": "ㅁ", "code": "KeyA", "bubbles": True})
        wait_for_row(page, 2)
        assert list_actions(folder) == ["accept"]


@pytest.mark.slow
def test_another_tab_overwrites_nothing_unseen(folder: Path):
    with serve_page(folder) as address, open_page(address) as page:
        other = page.context.new_page()
        other.goto(address)
        for tab in (page, other):
            wait_for_row(tab, 1)
        edit_source(page, "나무 10그루는 몇 살입니까?")
        wait_for_row(page, 2)
        other.keyboard.press("d")
        other.wait_for_selector("#notice.error")
        assert other.inner_text("[data-text=source]") == "나무 10그루는 몇 살입니까?"
        assert list_actions(folder) == ["edit"]


@pytest.mark.slow
def test_the_page_waits_for_a_server_that_is_gone(folder: Path):
    port = 0
    with ExitStack() as stack:
        for start in (True, False):
            with serve_page(folder, port) as address:
                if start:
                    page = stack.enter_context(open_page(address))
                    wait_for_row(page, 1)
                    port = urlsplit(address).port
                else:
                    page.goto(f"{address}#1")
                    wait_for_row(page, 1)
                    page.keyboard.press("e")
                    page.keyboard.press("Control+Enter")
                    wait_for_row(page, 2)
                    assert list_actions(folder) == ["edit"]
            if start:
                edit_source(page, "나무 10그루는 몇 살입니까?")
                page.wait_for_selector("#notice.error")
                assert page.input_value("textarea[data-field=source]").startswith("나무 10")
                assert list_actions(folder) == []


@pytest.mark.slow
def test_an_edit_keeps_line_ends_and_characters_that_html_has_not(tmp_path: Path):
    text = "\u202e가\u202c\r\n나\x00 😀 11\r다\u2028"
    folder = write_queue(tmp_path / "out", [make_draft(10, text)])
    with serve_page(folder) as address, open_page(address) as page:
        wait_for_row(page, 1)
        assert page.text_content("[data-text=source]") == text
        assert "11" in page.locator("[data-text=source] mark").all_text_contents()
        page.keyboard.press("e")
        page.wait_for_selector("textarea:focus")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#notice.info")
        assert list_actions(folder) == []
        edit_source(page, flatten(text) + "라")
        page.wait_for_selector("#state.edit")
        assert read_log(folder)[0].fields == {"source": text + "라"}


@pytest.mark.slow
def test_the_page_runs_below_a_path_of_another_app(folder: Path):
    with serve_page(folder, path="/some/review") as address, open_page(address) as page:
        wait_for_row(page, 1)
        page.keyboard.press("a")
        wait_for_row(page, 2)
        assert list_actions(folder) == ["accept"]


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
            assert request(address, "GET", f"/api/find?start={start}&step=1&show=open")[0] == 200
        each_s = (time.monotonic() - started) / 100
    print(f"\n25,000 rows: opened in {opened_s:.2f} s, {1000 * each_s:.1f} ms a row")
    assert list_actions(folder) == ["accept"]
