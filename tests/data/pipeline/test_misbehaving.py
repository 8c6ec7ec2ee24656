"""A build against a server that misbehaves in every way: the right rows and the right bill."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.data.dataset_recipe import DatasetRecipe
from kot_platypus.data.executors import InProcess
from kot_platypus.data.pipeline.dataset import build_dataset
from kot_platypus.data.pipeline.translating import Account
from kot_platypus.errors import ServiceError
from tests.data.deepl_server import count
from tests.data.openai_server import OpenAIService, Reply, serve_openai
from tests.data.pipeline.apples import make_rows, translate, write_keyed
from tests.data.pipeline.test_dataset import decide, list_waiting, read_dataset, read_dropped

ALWAYS = {  # to every request of the row with this name
    "Abe": Reply(content=None),
    "Bea": Reply(text="베아에게", finish_reason="length"),
    "Cal": Reply(content=None, finish_reason="content_filter"),
    "Dot": Reply(content=None, refusal="I can't help with that."),
    "Eli": Reply(status=400),
    "Kit": Reply(text="<think>Okay, the user wants me to translate this"),
    "Fay": Reply(parts=True),
}
SPOILT = {  # with words of the model's own: a translation, and a wrong one
    "Lea": "다음은 번역입니다:\n\n{}",
    "Max": '"{}"',
    "Ned": "{}\n\n참고: 자리표시자는 그대로 두었습니다.",
    "Oda": "```\n{}\n```",
}
ONCE = {
    "Gus": Reply(status=500),
    "Hal": Reply(status=429, retry_after="0.01"),
    "Ida": Reply(drops=True),
    "Jon": Reply(body={"error": {"message": "upstream failed", "code": 502}}),
}
NAMES = (*ALWAYS, *ONCE, *SPOILT)
FAILING = ("Abe", "Bea", "Cal", "Dot", "Eli", "Kit")
DETAILS = {
    "Abe": "the service's answer is empty",
    "Bea": "the service's answer was cut off",
    "Cal": "a filter of the service stopped its answer",
    "Dot": "the service refused this text",
    "Eli": "the service refused this text",
    "Kit": "the service's answer is empty",
}


class Misbehaving:
    """The server's side: what each text gets, and the bill that it would send."""

    def __init__(self) -> None:
        self.always, self.once = dict(ALWAYS), dict(ONCE)
        self.characters = self.dropped = 0
        self.asked: Counter[str] = Counter()

    def choose(self, content: str) -> Reply:
        text = content.rpartition("answer it.\n\n")[2]
        name = next((each for each in NAMES if each in text), "")
        self.asked[name] += 1
        reply = self.once.pop(name, None) or self.always.get(name) or Reply()
        if reply.status == 200 and reply.body is None:
            self.characters += count(text)
            self.dropped += count(text) * reply.drops
        if reply.text is None and reply.content == "":
            korean = SPOILT.get(name, "{}").format(translate(text))
            return Reply(**{**vars(reply), "text": korean})
        return reply


@pytest.fixture
def server():
    with serve_openai() as (url, service):
        behaviour = Misbehaving()
        service.choose = behaviour.choose
        yield url, service, behaviour


@pytest.fixture
def recipe(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetRecipe:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = make_rows(len(NAMES) + 2)
    for row, name in zip(rows, NAMES, strict=False):
        row["source"] = f"{name} {row['source'].partition(' ')[2]}"
    source = write_keyed(tmp_path / "cot.json", rows)
    return make_recipe(source, server[0])


def make_recipe(source: Path, url: str, **options: Any) -> DatasetRecipe:
    options = {"model": "m", "base_url": url, "pause_s": 0.01, "max_requests": 1, **options}
    return DatasetRecipe.model_validate(
        {
            "kind": "dataset",
            "name": "apples",
            "description": "Apples",
            "license": "mit",
            "sources": [{"file": str(source), "unescape_newlines": True}],
            "translate": {"service": "openai", "options": options, "retry": {"prompt": "literal"}},
            "decontaminate": {"against": []},
        }
    )


def build(folder: Path, recipe: DatasetRecipe) -> tuple[dict[str, int], Account]:
    account = Account(folder / "ledger", "test")
    counts = build_dataset(folder / "out", recipe, account, InProcess(), dict)
    return counts, account


def test_every_misbehaviour_ends_in_the_right_rows_and_the_right_bill(server, recipe, tmp_path):
    _, _, behaviour = server
    counts, account = build(tmp_path, recipe)
    assert (counts["written"], counts["waiting"]) == (7, 10)
    found = [row.detail for row in read_dropped(tmp_path / "out")]
    failing = zip(FAILING, found, strict=False)
    assert all(f"source unanswered: {DETAILS[name]}" in detail for name, detail in failing)
    assert all("source added:" in detail for detail in found[len(FAILING) : -1])
    assert "source code_only:" in found[-1]
    bill = account.bill()
    assert bill.total == behaviour.characters
    assert bill.lost == behaviour.dropped > 0
    assert bill.unusable > 0
    assert behaviour.asked["Eli"] == 2, "once in each step"

    behaviour.always = {}  # the server is mended: the same command, the same folder
    before = behaviour.asked.copy()
    counts, account = build(tmp_path, recipe)
    assert (counts["written"], counts["waiting"]) == (13, len(SPOILT))
    assert behaviour.asked - before == Counter(FAILING), "what is wrong is paid for once"
    assert account.bill().total == behaviour.characters
    sources = [row["source"] for row in read_dataset(tmp_path / "out")]
    assert all("에게" in source and "<x" not in source for source in sources)


def test_what_a_person_decided_meanwhile_is_not_asked_for_again(server, recipe, tmp_path):
    _, _, behaviour = server
    build(tmp_path, recipe)
    cut, dropped = (
        draft for draft in list_waiting(tmp_path / "out") if draft.origin.id in ("row 1", "row 2")
    )
    mine = "베아에게 동전 7개가 있습니다. 모두 몇 개입니까?"
    decide(tmp_path / "out", "edit", cut, source=mine)
    decide(tmp_path / "out", "drop", dropped)
    before = behaviour.asked.copy()
    behaviour.always = {}
    counts, _ = build(tmp_path, recipe)
    assert behaviour.asked - before == Counter(("Abe", "Dot", "Eli", "Kit"))
    assert (counts["edited"], counts["dropped"], counts["written"]) == (1, 1, 12)
    assert mine in [row["source"] for row in read_dataset(tmp_path / "out")]
    assert build(tmp_path, recipe)[0] == counts


def test_a_server_that_answers_nothing_stops_the_build_early(server, recipe, tmp_path):
    service: OpenAIService = server[1]
    service.choose = lambda text: Reply(content=None)
    with pytest.raises(ServiceError, match="no usable answer to 8 texts in a row"):
        build(tmp_path, recipe)
    assert len(service.bodies) == 8
