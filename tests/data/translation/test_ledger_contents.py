from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.data.translation.ledger import Attempt, open_ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models: one with two translations and a cut answer, one with a translation."""
    with open_ledger(tmp_path / "ledger", "me") as ledger:

        def send(model: str, price: float | None = None):
            return ledger.begin(
                "openai", num_texts=1, characters=5, counter=None, model=model, price=price
            )

        for key, korean in (("a", "고양이"), ("b", "다음은 번역입니다")):
            ledger.finish(send("qwen"), [(key, key * 5, korean)], paid=5, tokens=(11, 7))
        cut = Attempt(key="c", source="ccccc", flaw="cut", answer="고", characters=5)
        ledger.finish(send("qwen"), paid=5, attempts=[cut], tokens=(11, 2))
        ledger.finish(send("gemma", 0.01), [("d", "ddddd", "개")], paid=5)
        ledger.write_off(send("gemma", 0.01), paid=5, reason="the connection broke")
        ledger.write_off(send("gemma", 0.01), paid=0, reason="error 503")
    return tmp_path / "ledger"


def type_ledger(folder: Path, *options: str, width: int = 200) -> str:
    arguments = ["data", "ledger", "--ledger", str(folder), *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": str(width)})
    return f"{result.exit_code}\n{result.output}"


def test_each_model_has_its_bill(folder: Path):
    lines = [line.split() for line in type_ledger(folder).splitlines()[2:]]
    assert lines == [
        ["openai", "qwen", "3", "2", "1", "cut", "0", "0", "15", "?", "33,", "16"],
        ["openai", "gemma", "3", "1", "0", "1", "1", "10", "0.10", "?"],
    ]


def test_in_80_columns_the_bill_is_whole(tmp_path: Path):
    with open_ledger(tmp_path / "ledger") as ledger:
        request = ledger.begin(
            "openai",
            num_texts=1,
            characters=123_456_789,
            counter=None,
            model="Qwen3-30B-A3B-Instruct-2507",
            price=1e-5,
        )
        flaws = [
            Attempt(key=f, source=f, flaw=f, answer="", characters=1) for f in ("cut", "empty")
        ]
        ledger.finish(request, paid=123_456_789, attempts=flaws, tokens=(98_765_432, 9_876))
    wide = type_ledger(tmp_path / "ledger").split()
    narrow = type_ledger(tmp_path / "ledger", width=80)
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert sorted("".join(narrow.split())) == sorted("".join(wide)), "no character is lost"


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ((), "abcd"),
        (("--model", "gemma"), "d"),
        (("--model", "openai"), "abcd"),
        (("--outcome", "cut"), "c"),
        (("--outcome", "translation"), "abd"),
        (("--matching", "다음은"), "b"),
        (("--model", "gemma", "--matching", "aaa"), ""),
    ],
)
def test_what_is_chosen_is_exported(folder: Path, tmp_path: Path, options, keys):
    file = tmp_path / "out.jsonl"
    assert f"{len(keys):,} entries are in" in type_ledger(folder, *options, "--export", str(file))
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(entry["key"] for entry in entries) == list(keys)
    assert all(entry["source"] == entry["key"] * 5 for entry in entries)


def test_what_is_purged_is_asked_for_again_and_stays_in_the_bill(folder: Path):
    assert "1 entries are gone" in type_ledger(folder, "--matching", "다음은", "--purge", "--yes")
    assert "1 entries are gone" in type_ledger(folder, "--outcome", "cut", "--purge", "--yes")
    with open_ledger(folder, "me") as ledger:
        assert ledger.find("abcd").keys() == {"a", "d"}
        assert ledger.list_tried("abcd") == set()
        assert ledger.bill().total == 25


def test_a_purge_is_confirmed_and_never_of_everything(folder: Path):
    assert "Aborted" in type_ledger(folder, "--model", "qwen", "--purge")
    assert type_ledger(folder, "--purge", "--yes").startswith("2\n")
    with open_ledger(folder) as ledger:
        assert len(ledger.find("abcd")) == 3


def test_the_ledger_can_be_looked_at_during_a_build(folder: Path):
    with open_ledger(folder):
        assert type_ledger(folder, "--outcome", "cut").startswith("0\ncut          qwen  ccccc")


def test_answers_are_printed_without_what_a_terminal_would_obey(folder: Path):
    with open_ledger(folder) as ledger:
        request = ledger.begin("openai", num_texts=1, characters=1, counter=None)
        ledger.finish(request, [("e", "e", "\x1b[2J개")], paid=1)
    assert "\x1b" not in type_ledger(folder, "--matching", "개")


def test_a_folder_without_a_ledger_is_named_and_left_empty(tmp_path: Path):
    assert "holds no ledger" in type_ledger(tmp_path)
    assert list(tmp_path.iterdir()) == []
