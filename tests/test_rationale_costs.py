"""What a teacher costs: said before, counted, never beyond the budget, and after kill -9 too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.artifacts import read_jsonl, write_jsonl
from kot_platypus.cli import app
from kot_platypus.errors import BudgetError, RefusedError, UsageError
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.reasoning import Reasoning
from kot_platypus.evaluate.server import OpenAIModel
from kot_platypus.evaluate.texts import Prompt, Sampling, Settings
from kot_platypus.prompts import load_template
from kot_platypus.rationale_costs import (
    Meter,
    Prices,
    describe_bill,
    describe_cost,
    open_meter,
    parse_prices,
)
from kot_platypus.rationales import Taught
from kot_platypus.records import Example
from tests.data.loopback import JsonHandler, serve
from tests.killing import kill_when

HOW = Reasoning(load_template("kot"), 100, 4, Sampling(temperature=0.7))
QUESTIONS = [
    Question("sum", i, f"{i} 더하기 {i}는 모두 몇 개인가?", f"{2 * i}개") for i in range(2)
]
SETTINGS = Settings(max_new_tokens=100, stop_line="정답: ")
PRICES = Prices(1.0, 10.0)
COST = 20 * 1 + 30 * 10
"""Of a reply of ``Solver``, in millionths of a US dollar."""


class Solver:
    """A server that doubles the first number of a question; it counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200


class Handler(JsonHandler):
    def do_POST(self) -> None:  # noqa: N802
        request = json.loads(self.read_body())
        question = request["prompt"].partition("질문: ")[2] or request["prompt"]
        self.service.asked.append(f"{question} {request.get('seed')}")
        number = int(question.split()[0])
        text = f"{number}에 {number}를 더하면 모두 {2 * number}개이다.\n정답: {2 * number}개\n"
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 30}
        self.reply(self.service.status, {"choices": [choice], "usage": usage})


@pytest.fixture
def solver() -> Solver:
    return Solver()


@pytest.fixture
def url(solver: Solver) -> Iterator[str]:
    with serve(Handler, solver) as address:
        yield f"{address}/v1"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))


def ask(out: Path, url: str, numbers: range, budget: float | None = None) -> dict[int, str]:
    """What comes of it until it is done or stops, and a check that no more than that was paid."""
    said = {}
    model = OpenAIModel("m", url, max_requests=4)
    prompts = [Prompt(text=f"질문: {number} 더하기") for number in numbers]
    with open_meter(model, out, PRICES, budget) as meter:
        try:
            for place, text in meter.generate(prompts, SETTINGS):
                said[place] = text.text
        finally:
            assert meter.bill
            assert budget is None or meter.bill.total <= budget * 1e6
    return said


def test_bill_is_what_the_server_counted(tmp_path, solver, url):
    said = ask(tmp_path / "out", url, range(9))
    assert {place: text.split("에")[0] for place, text in said.items()} == {
        i: str(i) for i in range(9)
    }
    with open_meter(OpenAIModel("m", url), tmp_path / "out", PRICES, None) as meter:
        assert meter.bill.answered == meter.bill.total == 9 * COST
        assert describe_bill(meter.bill) == "Paid for in all: 0.0029 US dollars."
    with open_meter(OpenAIModel("m", url), tmp_path / "other", PRICES, None) as meter:
        assert meter.bill.total == 0


def test_budget_is_used_up_and_never_exceeded(tmp_path, solver, url):
    """A request may cost more than it does: those under way are waited for, then others go out."""
    budget = 5.5 * COST / 1e6  # of one reply at most 1,051 millionths are asked for
    with pytest.raises(BudgetError, match=r"no more than the budget of 0\.0018 US dollars"):
        ask(tmp_path / "out", url, range(9), budget)
    assert 1 < len(solver.asked) <= 5
    before = len(solver.asked)
    with pytest.raises(BudgetError):
        ask(tmp_path / "out", url, range(20, 29), budget)
    assert len(solver.asked) == before  # a bill is of all that was ever paid
    assert len(ask(tmp_path / "out", url, range(20, 29), 1.0)) == 9


def test_refusals_cost_nothing_and_what_was_cut_off_counts_as_paid(tmp_path, solver, url):
    solver.status = 401
    with pytest.raises(RefusedError):
        ask(tmp_path / "out", url, range(9))
    solver.status = 200
    model = OpenAIModel("m", url, max_requests=1)
    with open_meter(model, tmp_path / "out", PRICES, None) as meter:
        assert meter.bill.total == 0
        answers = meter.generate([Prompt(text="질문: 1"), Prompt(text="질문: 2")], SETTINGS)
        next(answers)
        next(answers)
        answers.close()
        assert meter.bill.total == 2 * COST
        meter._ledger.begin("m", num_texts=1, characters=1500, counter=None)  # and a kill
        assert "of which at most 0.0015 US dollars for replies that never came" in describe_bill(
            meter.bill
        )


def test_cost_is_said_before_and_stored_replies_are_free(tmp_path, url):
    meter = Meter(OpenAIModel("m", url), Prices(0, 500))
    assert describe_cost(meter, QUESTIONS, HOW, rationalize=True) == (
        "To be asked: 8 requests (2 questions x 4; 0 are answered already), about 216 tokens read "
        "and at most 800 written, at most about 0.4000 US dollars; what has no sound reply is "
        "asked again"
    )


@pytest.mark.parametrize("text", ["1", "a,b", "-1,2", "nan,1", "1,inf", "1,2,3"])
def test_price_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="US dollars for a million tokens"):
        parse_prices(text)
    assert parse_prices("0.15,0.6") == Prices(0.15, 0.6)


def make_command(folder: Path, url: str, out: str, *options: str) -> list[str]:
    return [
        *("data", "reason", str(folder / "rows.jsonl"), "--out", str(folder / out)),
        *("--backend", "openai", "--base-url", url, "--model", "m", "--template", "kot"),
        *("--num-samples", "2", "--max-new-tokens", "100", "--price", "1,10", *options),
    ]


def write_rows(folder: Path, count: int) -> None:
    rows = [Example(source=f"{i} 더하기 {i}는?", target=f"{2 * i}개") for i in range(count)]
    write_jsonl(folder / "rows.jsonl", rows)


def test_command_says_the_price_stops_at_the_budget_and_goes_on(tmp_path, solver, url):
    write_rows(tmp_path, 6)
    told = CliRunner().invoke(app, make_command(tmp_path, url, "out", "--estimate"))
    assert "To be asked: 12 requests (6 questions x 2; 0 are answered already)" in told.output
    assert solver.asked == []
    small = make_command(tmp_path, url, "out", "--budget", "0.003")
    stopped = CliRunner().invoke(app, small)
    assert "no more than the budget of 0.0030 US dollars" in stopped.output
    paid = len(solver.asked)
    assert 0 < paid < 12
    done = CliRunner().invoke(app, make_command(tmp_path, url, "out", "--budget", "0.1"))
    assert done.exit_code == 0, done.output
    assert f"{paid} are answered already" in done.output
    assert "Paid for in all: 0.0038 US dollars." in done.output
    assert max(Counter(solver.asked).values()) == 1
    assert len(read_jsonl(tmp_path / "out" / "train.jsonl", Taught)) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--backend", "openai", "--base-url", "http://x/v1", "--template", "kot", "--budget", "1"),
         "--budget without --price"),
        (("--price", "1,2"), "--price with --backend transformers"),
        (("--price", "1", "--backend", "openai", "--base-url", "http://x/v1", "--template", "kot"),
         "--price 1"),
    ],
)  # fmt: skip
def test_prices_that_mean_nothing_are_refused(tmp_path, options, told):
    write_rows(tmp_path, 1)
    command = ["data", "reason", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "o")]
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.slow
def test_killed_command_loses_only_what_was_under_way(tmp_path, solver, url):
    write_rows(tmp_path, 60)
    kot = [sys.executable, "-m", "kot_platypus"]
    concurrent = ("--num-concurrent", "3")
    environment = {**os.environ, "KOT_CACHE": str(tmp_path / "killed")}
    command = [*kot, *make_command(tmp_path, url, "out", *concurrent)]
    moments = (1, 40, 95)
    for moment in moments:
        kill_when(lambda moment=moment: len(solver.asked) >= moment, command, env=environment)
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    asked = Counter(solver.asked)
    assert len(asked) == 120
    lost = sum(asked.values()) - 120
    assert lost <= 3 * len(moments)  # those under way at each kill
    assert "for replies that never came" in last.stderr or not lost
    whole = CliRunner().invoke(app, make_command(tmp_path, url, "whole", *concurrent))
    assert whole.exit_code == 0, whole.output
    for name in ("train.jsonl", "dropped.jsonl", "README.md"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
