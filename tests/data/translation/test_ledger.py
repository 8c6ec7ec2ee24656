from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from kot_platypus.data.translation import ledger as ledger_module
from kot_platypus.data.translation.ledger import FILE, Bill, make_key, open_ledger
from kot_platypus.data.translation.translate import translate_texts
from kot_platypus.errors import RunError
from tests.data.translation.conftest import make_deepl


def send(ledger, *, characters: int = 10, counter: int | None = None):
    return ledger.begin("deepl", num_texts=1, characters=characters, counter=counter)


def test_stored_translation_is_found_by_its_key_and_no_other(ledger):
    ledger.finish(send(ledger), [("a", "a", "가")], paid=10)
    assert ledger.find(["a", "b"]) == {"a": "가"}


def test_more_keys_than_a_query_takes_are_found(ledger):
    keys = [str(i) for i in range(1201)]
    ledger.finish(send(ledger), [(key, key, key) for key in keys], paid=10)
    assert ledger.find(keys) == dict(zip(keys, keys, strict=True))


def test_key_covers_text_service_and_parameters():
    keys = {
        make_key("a", "deepl", {"x": 1}),
        make_key("b", "deepl", {"x": 1}),
        make_key("a", "openai", {"x": 1}),
        make_key("a", "deepl", {"x": 2}),
    }
    assert len(keys) == 4
    assert make_key("a", "s", {"x": 1, "y": 2}) == make_key("a", "s", {"y": 2, "x": 1})


def test_bill_tells_answered_lost_and_in_doubt_apart(ledger):
    ledger.finish(send(ledger), [("a", "a", "가")], paid=9)
    ledger.write_off(send(ledger), paid=7)
    ledger.write_off(send(ledger), paid=0)
    send(ledger, characters=5)
    assert ledger.bill() == Bill(answered=9, lost=7, in_doubt=5)
    assert ledger.bill().total == 21


def test_account_has_a_bill_of_its_own(tmp_path):
    for account in ("one", "two"):
        with open_ledger(tmp_path, account) as ledger:
            ledger.finish(send(ledger), [(account, account, "가")], paid=3)
            assert ledger.bill().total == 3
            assert ledger.find(["one"]) == {"one": "가"}


def test_request_without_an_answer_is_in_doubt_until_it_is_closed(tmp_path):
    with open_ledger(tmp_path, "one") as ledger:
        request = send(ledger, counter=123)
    with open_ledger(tmp_path, "two") as ledger:
        assert ledger.list_in_doubt("deepl") == [request]
        assert ledger.list_in_doubt("openai") == []
        ledger.write_off(request, paid=0)
        assert ledger.list_in_doubt("deepl") == []


def test_second_process_is_refused(tmp_path):
    with open_ledger(tmp_path), pytest.raises(RunError, match="another kot process"):
        open_ledger(tmp_path).__enter__()


def test_every_write_is_flushed_to_disk(ledger):
    (mode,) = ledger._database.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = ledger._database.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)


def test_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / FILE).write_text("this is text, and long enough to be no header" * 9)
    with pytest.raises(RunError, match="expected a ledger of translations"):
        open_ledger(tmp_path).__enter__()


def test_ledger_of_another_format_is_refused(tmp_path):
    with open_ledger(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(RunError, match="has the format 99"):
        open_ledger(tmp_path).__enter__()


@pytest.mark.parametrize("billed", [True, False])
def test_request_of_a_killed_process_is_reconciled_by_the_counter(
    server, service, tmp_path, capsys, billed
):
    with open_ledger(tmp_path) as ledger:  # what a kill -9 leaves behind
        counter = service.counter_before + service.bill
        send(ledger, characters=len("a cat"), counter=counter)
    service.bill += len("a cat") * billed
    with open_ledger(tmp_path) as ledger:
        translate_texts(["a cat"], make_deepl(server[0]), ledger)
        assert ledger.bill() == Bill(answered=5, lost=5 * billed, in_doubt=0)
        assert ledger.bill().total == service.bill
    assert ("5 characters were paid" in capsys.readouterr().err) is billed


def test_counter_that_went_back_proves_nothing_so_the_worst_is_counted(server, service, tmp_path):
    with open_ledger(tmp_path) as ledger:
        send(ledger, characters=40, counter=service.counter_before + 500)
        translate_texts(["a cat"], make_deepl(server[0]), ledger)
        assert ledger.bill() == Bill(answered=5, lost=40, in_doubt=0)


def test_ledger_of_the_first_format_goes_on_and_its_empty_answers_are_none_any_more(tmp_path):
    with open_ledger(tmp_path):
        pass
    path = tmp_path / FILE
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            f"{ledger_module._SCHEMA} PRAGMA user_version = 1;"
            "INSERT INTO requests VALUES (1, 'me', 'openai', 0, NULL, 2, 9, 'done', 9);"
            "INSERT INTO texts VALUES ('a', 1, '가'), ('b', 1, ' ');"
        )
    with open_ledger(tmp_path, "me") as ledger:
        assert ledger.find(["a", "b"]) == {"a": "가"}
        assert ledger.list_tried(["a", "b"]) == {"b"}
        assert ledger.bill() == Bill(answered=9, lost=0, in_doubt=0)
