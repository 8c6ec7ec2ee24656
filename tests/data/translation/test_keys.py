"""A key comes from the environment and is found nowhere else."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest

from kot_platypus.data.translation.ledger import Ledger
from kot_platypus.data.translation.openai import OpenAICompatible
from kot_platypus.data.translation.services import Translator
from kot_platypus.data.translation.translate import translate_texts
from kot_platypus.errors import KotError, ServiceError
from tests.data.deepl_server import KEY, Fault
from tests.data.openai_server import Reply, serve_openai
from tests.data.translation.conftest import make_deepl

OTHER_KEY = "sk-planted-0penai-key-7e57"


def show_error(translator: Translator, ledger: Ledger) -> str:
    """All that Python can tell of the error that a translation ends in, values included."""
    with pytest.raises(KotError) as raised:
        translate_texts(["a cat"], translator, ledger)
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    return "".join(shown.format()) + repr(raised.value)


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("deepl", "openai", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


DEEPL_FAULTS = {
    "quota": [Fault(status=456, bills=False)],
    "silence": [Fault(answers=False, bills=False)] * 3,
    "500": [Fault(status=500, bills=False)] * 3,
    "no answer at all": [Fault(drop_texts=1)] * 3,
}


@pytest.mark.parametrize("faults", DEEPL_FAULTS.values(), ids=DEEPL_FAULTS)
def test_key_of_deepl_is_in_no_error_and_no_log(server, service, ledger, all_logs, faults):
    service.faults.extend(faults)
    assert KEY not in show_error(make_deepl(server[0]), ledger)
    assert all_logs.records
    assert KEY not in all_logs.text


def test_wrong_key_that_deepl_echoes_is_not_shown(server, ledger, monkeypatch):
    monkeypatch.setenv("DEEPL_AUTH_KEY", OTHER_KEY)
    shown = show_error(make_deepl(server[0]), ledger)
    assert "[key]" in shown
    assert OTHER_KEY not in shown


OPENAI_REPLIES = {
    "refused": [Reply(status=401)],
    "silence": [Reply(drops=True)] * 3,
    "500": [Reply(status=500)] * 3,
}


@pytest.mark.parametrize("replies", OPENAI_REPLIES.values(), ids=OPENAI_REPLIES)
def test_key_of_openai_is_in_no_error_and_no_log(ledger, monkeypatch, all_logs, replies):
    monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEY)
    with serve_openai() as (url, service):
        service.replies.extend(replies)
        shown = show_error(OpenAICompatible("m", base_url=url, pause_s=0.01), ledger)
    assert OTHER_KEY not in shown
    assert all_logs.records
    assert OTHER_KEY not in all_logs.text


def test_key_is_in_no_file(deepl, ledger, tmp_path: Path):
    translate_texts(["a cat"], deepl, ledger)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_key_is_in_no_repr_and_no_parameter(deepl, ledger):
    translate_texts(["a cat"], deepl, ledger)
    assert KEY not in f"{deepl!r} {deepl.parameters} {vars(deepl)}"


@pytest.mark.parametrize("value", ["", "  "])
def test_missing_key_is_an_error_that_names_the_variable(server, ledger, monkeypatch, value):
    monkeypatch.setenv("DEEPL_AUTH_KEY", value)
    with pytest.raises(ServiceError, match="DEEPL_AUTH_KEY is not set"):
        translate_texts(["a cat"], make_deepl(server[0]), ledger)


@pytest.mark.parametrize("value", ["abc\ndef", "abc def", "열쇠"])
def test_key_that_no_header_can_hold_is_refused_without_quoting_it(
    server, ledger, monkeypatch, value
):
    monkeypatch.setenv("DEEPL_AUTH_KEY", value)
    shown = show_error(make_deepl(server[0]), ledger)
    assert "DEEPL_AUTH_KEY holds characters" in shown
    assert value not in shown


def test_openai_itself_needs_a_key(ledger):
    with pytest.raises(ServiceError, match="OPENAI_API_KEY is not set"):
        translate_texts(["a cat"], OpenAICompatible("m"), ledger)
