"""Texts from an OpenAI-compatible server: a small one of our own that can fail, and a real one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kot_platypus.answers import read_answer
from kot_platypus.api_clients import OPENAI_KEY
from kot_platypus.artifacts import read_jsonl, write_jsonl
from kot_platypus.cli import app
from kot_platypus.errors import ServiceError, UsageError
from kot_platypus.evaluate import server as server_module
from kot_platypus.evaluate.decoding import TextGenerator
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.reasoning import Reasoning, evaluate_reasoning
from kot_platypus.evaluate.server import OpenAIModel
from kot_platypus.evaluate.suites import read_suite
from kot_platypus.evaluate.texts import Prompt, Settings
from kot_platypus.formats import write_values
from kot_platypus.prompts import load_template
from kot_platypus.records import Example, Message, Outcome, Reply
from kot_platypus.results.comparison import compare_evaluations
from tests.killing import kill_when

SETTINGS = Settings(max_new_tokens=30, stop_line="정답: ")
Canned = tuple[int, dict[str, Any] | bytes | None]
"""A status and a body; None breaks the connection."""


def say(text: str, num_tokens: int = 5) -> Canned:
    choice = {"index": 0, "text": text, "message": {"role": "assistant", "content": text}}
    return 200, {"choices": [choice], "usage": {"completion_tokens": num_tokens}}


@dataclass
class Server:
    """What a server was asked, and what it says."""

    answer: Callable[[dict[str, Any], int], Canned]
    """Of a request and how often the same was asked before."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _at_once: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def handle(self, request: dict[str, Any], authorization: str) -> Canned:
        with self._lock:
            before = self.asked.count(request)
            self.asked.append(request)
            self.headers.append(authorization)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self.answer(request, before)
        finally:
            with self._lock:
                self._at_once -= 1


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine that answers every plain prompt with ``<its last line>!``."""
    state = Server(lambda request, _: say(f"풀이\n정답: {request['prompt'][-1]}\n더"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            request = {**json.loads(self.rfile.read(length)), "path": self.path}
            status, body = state.handle(request, self.headers["authorization"])
            if body is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{web.server_port}/v1"
    yield state
    web.shutdown()
    web.server_close()
    thread.join()


def generate(server: Server, prompts: list[Prompt], settings: Settings = SETTINGS, **options: Any):
    engine = OpenAIModel("m", server.url, **options)
    found = dict(engine.generate(prompts, settings))
    return [found[place] for place in range(len(prompts))]


PROMPTS = [Prompt(text=f"질문 {i}") for i in range(9)]


def test_each_text_goes_to_its_prompt_and_ends_with_its_answer_line(server):
    texts = generate(server, PROMPTS)
    assert [text.text for text in texts] == [f"풀이\n정답: {i}\n" for i in range(9)]
    assert {text.num_tokens for text in texts} == {5}
    assert {request["path"] for request in server.asked} == {"/v1/completions"}
    assert len(server.asked) == 9


def test_requests_under_way_are_bounded(server):
    def answer_slowly(_: dict[str, Any], __: int) -> Canned:
        time.sleep(0.05)
        return say("정답: 1\n")

    server.answer = answer_slowly
    generate(server, PROMPTS, max_requests=3)
    assert server.most_at_once == 3


def test_what_is_no_refusal_is_tried_again(server):
    failures: dict[str, Canned] = {
        "질문 1": (429, {"error": {"message": "slow down"}}),
        "질문 2": (503, {"error": {"message": "starting"}}),
        "질문 3": (200, None),
    }

    def answer(request: dict[str, Any], before: int) -> Canned:
        failure = failures.get(request["prompt"])
        return failure if failure and before == 0 else say("정답: 1\n")

    server.answer = answer
    assert [text.text for text in generate(server, PROMPTS)] == ["정답: 1\n"] * 9
    counts = Counter(request["prompt"] for request in server.asked)
    assert {prompt: n for prompt, n in counts.items() if n > 1} == dict.fromkeys(failures, 2)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ((400, {"error": {"message": "no model sk-secret"}}), r"refused \(.*no model \[key\]"),
        ((200, b"<html>sk-secret"), "cannot be read"),
        ((200, {"choices": []}), "cannot be read"),
        ((200, {"choices": [{"text": "x"}]}), "cannot be read"),
    ],
)
def test_refusal_ends_the_work_and_keeps_what_came(server, monkeypatch, reply, found):
    monkeypatch.setenv(OPENAI_KEY, "sk-secret")
    server.answer = lambda request, _: reply if request["prompt"][-1] == "4" else say("정답: 1\n")
    engine, kept = OpenAIModel("m", server.url, max_requests=1), []
    with pytest.raises(ServiceError, match=found) as raised:
        kept.extend(engine.generate(PROMPTS, SETTINGS))  # what came before an error stays
    assert "sk-secret" not in str(raised.value)
    assert [place for place, _ in kept] == [0, 1, 2, 3]
    assert len(server.asked) == 5  # the rest is not even asked
    assert set(server.headers) == {"Bearer sk-secret"}


def test_what_is_under_way_at_a_refusal_is_waited_for(server):
    def answer(request: dict[str, Any], _: int) -> Canned:
        if request["prompt"][-1] == "4":
            return 400, {"error": {"message": "no"}}
        time.sleep(0.2)
        return say("정답: 1\n")

    server.answer = answer
    engine, kept = OpenAIModel("m", server.url, max_requests=5), []
    with pytest.raises(ServiceError, match="refused"):
        kept.extend(engine.generate(PROMPTS, SETTINGS))
    assert {place for place, _ in kept} >= {0, 1, 2, 3}


def test_address_that_nobody_answers_is_named(monkeypatch):
    monkeypatch.setattr(server_module, "_RETRIES", 0)
    engine = OpenAIModel("m", "http://127.0.0.1:9/v1")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9/v1 does not answer"):
        list(engine.generate(PROMPTS[:1], SETTINGS))


def test_address_with_a_password_is_refused():
    with pytest.raises(UsageError, match="user name or password") as raised:
        OpenAIModel("m", "http://me:secret@localhost/v1")
    assert "secret@" not in str(raised.value)


def test_samples_have_seeds_of_their_own(server):
    settings = SETTINGS.model_copy(update={"temperature": 0.7})
    prompts = [Prompt(text=text, sample=k) for text in ("가", "나") for k in range(3)]
    generate(server, prompts, settings)
    generate(server, prompts[::-1], settings)
    seeds = Counter((request["prompt"], request["seed"]) for request in server.asked)
    assert len(seeds) == 6
    assert set(seeds.values()) == {2}
    assert {request["temperature"] for request in server.asked} == {0.7}


def test_messages_go_to_the_chat(server):
    server.answer = lambda *_: say("정답: 1\n")
    turns = (Message(role="user", content="3+4는?"),)
    generate(server, [Prompt(text="", messages=turns)])
    (request,) = server.asked
    assert request["path"] == "/v1/chat/completions"
    assert request["messages"] == [{"role": "user", "content": "3+4는?"}]


# --- the stage ---------------------------------------------------------------------------------

QUESTIONS = [
    *(Question("sum", i, f"{i}+4는?", f"{i + 4}개") for i in range(4)),
    Question(
        "copa", 0, "알맞은 것은? (가) 비 (나) 눈", "눈", ("비", "눈"), 1, needs_instruction=True
    ),
]


@pytest.mark.parametrize("template", ["kot", "chat"])
def test_served_model_is_examined_both_ways(server, template, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))

    def answer(request: dict[str, Any], _: int) -> Canned:
        if "messages" in request:
            at_once = "풀이 없이" in request["messages"][-1]["content"]
            return say("정답: 5개" if at_once else "생각\n정답: 눈")
        return say(" 5개") if request["prompt"].endswith("정답:") else say("생각\n정답: 눈")

    server.answer = answer
    how = Reasoning(load_template(template), max_new_tokens=30)
    evaluate_reasoning(tmp_path / "out", OpenAIModel("m", server.url), QUESTIONS, how)
    outcomes = read_jsonl(tmp_path / "out" / "samples.jsonl", Outcome)
    assert [row.cot.correct for row in outcomes] == [False, False, False, False, True]
    assert [row.direct.correct for row in outcomes] == [False, True, False, False, False]
    assert outcomes[-1].direct.choice is None  # "5개" is no choice, and none is guessed
    assert {row.cot_scored for row in outcomes} == {None}
    assert len(server.asked) == 10


def test_suite_is_asked_with_its_system_message_and_read_by_its_pattern(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    listed = "\n".join(f"{label}: {label * 2}" for label in "ABCDEFGHIJ")
    row = {"Class": "형태론", "Question": f"무엇?\n{listed}\n", "Answer": "H"}
    other = {**row, "Class": "Phonetics/Phonology", "Answer": "B"}
    write_values(tmp_path / "rows.jsonl", [row, other])
    server.answer = lambda *_: say("정답: 을 찾자.\n정답: A가 아니다.\n따라서 정답은 H입니다.")
    command = ["reason", "--suite", "kobalt", "--data", str(tmp_path / "rows.jsonl")]
    command += ["--backend", "openai", "--base-url", server.url, "--model", "m"]
    command += ["--template", "chat", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    roles = [message["role"] for message in server.asked[0]["messages"]]
    assert (roles, server.asked[0]["max_tokens"]) == (["system", "user"], 2048)
    outcome, _ = read_jsonl(tmp_path / "out" / "samples.jsonl", Outcome)
    assert (outcome.task, outcome.cot.correct, outcome.cot.choice) == ("kobalt/형태론", True, 7)
    assert outcome.direct.correct, "the same words, and no rationale"
    scores = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    assert list(scores) == ["kobalt", "kobalt/형태론", "kobalt/Phonetics/Phonology"]
    assert scores["kobalt"]["cot"]["accuracy"]["value"] == 0.5
    (pair,) = [r for r in compare_evaluations(*[tmp_path / "out"] * 2).rows if r.way == "cot"]
    assert (pair.task, pair.n) == ("kobalt", 2)


def test_another_suite_is_another_run(server, tmp_path, monkeypatch):
    """What a suite says of itself is no difference; what decides a reply's reading is."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    write_values(tmp_path / "rows.jsonl", [{"question": "3+4는?", "answer": 7}])
    server.answer = lambda *_: say("$\\boxed{7}$")
    mine = tmp_path / "mine.yaml"
    mine.write_text(read_suite("hrm8k"), encoding="utf-8")
    command = ["reason", "--suite", str(mine), "--data", str(tmp_path / "rows.jsonl")]
    command += ["--backend", "openai", "--base-url", server.url, "--model", "m", "--tasks", "KSM"]
    command += ["--template", "chat", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, command).exit_code == 0
    mine.write_text(mine.read_text().replace("8,011", "Some"), encoding="utf-8")
    assert CliRunner().invoke(app, command).exit_code == 0
    mine.write_text(mine.read_text().replace("pattern: boxed\n", ""), encoding="utf-8")
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1
    assert "holds another run" in refused.stderr


@pytest.mark.slow
def test_killed_command_asks_nothing_twice(server, tmp_path):
    """kill -9 in the middle: what was answered is not asked again."""
    problems = tmp_path / "problems.jsonl"
    write_jsonl(problems, [Example(source=f"{i}+4는?", target=f"{i + 4}개") for i in range(12)])
    half_way = threading.Event()

    def answer_half(request: dict[str, Any], _: int) -> Canned:
        if len(server.asked) > 7:
            half_way.set()
            time.sleep(1.0)  # never arrives: the process is killed
        return say(f"생각\n정답: {len(request['prompt'])}개\n")

    server.answer = answer_half
    command = [sys.executable, "-m", "kot_platypus", "reason", "--model", "m"]
    command += ["--backend", "openai", "--base-url", server.url, "--template", "kot"]
    command += ["--num-concurrent", "1", "--problems", str(problems)]
    command += ["--out", str(tmp_path / "out")]
    environment = {**os.environ, "KOT_CACHE": str(tmp_path / "cache")}
    kill_when(half_way.is_set, command, env=environment)
    answered = [request["prompt"] for request in server.asked[:7]]
    server.asked.clear()
    server.answer = lambda request, _: say(f"생각\n정답: {len(request['prompt'])}개\n")
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = [request["prompt"] for request in server.asked]
    assert len(asked) == 24 - 7  # 12 with reasoning and 12 at once
    assert not set(asked) & set(answered)
    assert len(read_jsonl(tmp_path / "out" / "answers.jsonl", Reply)) == 12


# --- a real server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_server(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """``transformers serve`` with a tiny model: its address, and what it calls the model."""
    model = str(shared / "models" / "tiny-llama-ko")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path_factory.mktemp("hub")),
    }
    log = (tmp_path_factory.mktemp("log") / "log").open("w+")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            process.kill()


def wait_for(url: str, process: Any, log: Any) -> None:
    for _ in range(180):
        if process.poll() is not None:
            log.seek(0)
            pytest.fail(log.read())
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{url} does not answer")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_server_writes_what_the_engine_here_writes(real_server, load_tiny):
    url, model = real_server
    prompts = [Prompt(text=f"질문: {i}+4는?\n답변:\n") for i in range(6)]
    settings = Settings(max_new_tokens=24, stop_line="문장: ")
    served = dict(OpenAIModel(model, url, max_requests=3).generate(prompts, settings))
    here = dict(TextGenerator(*load_tiny("tiny-llama-ko")).generate(prompts, settings))
    assert {i: text.text for i, text in served.items()} == {i: t.text for i, t in here.items()}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_server_is_examined_and_not_asked_again(real_server, tmp_path, monkeypatch):
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    url, model = real_server
    how = Reasoning(load_template("kot"), max_new_tokens=16)
    evaluate_reasoning(tmp_path / "a", OpenAIModel(model, url), QUESTIONS, how)
    monkeypatch.setattr(OpenAIModel, "generate", pytest.fail)
    evaluate_reasoning(tmp_path / "b", OpenAIModel(model, url), QUESTIONS, how)
    for name in ("answers.jsonl", "samples.jsonl", "results.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_options_of_a_local_model_are_refused_for_a_server(tmp_path):
    command = [
        "reason",
        "--model",
        "m",
        "--backend",
        "openai",
        "--base-url",
        "http://127.0.0.1:1/v1",
    ]
    command += ["--template", "kot", "--out", str(tmp_path / "out"), "--adapter", str(tmp_path)]
    command += ["--dtype", "float32", "--device", "cpu", "--trust-remote-code"]
    result = CliRunner().invoke(app, command)
    names = "--adapter, --dtype, --device, --trust-remote-code"
    assert result.exit_code == 2
    assert f"--backend openai with {names};" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


# --- models that think -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_that_a_server_parts_from_the_reply_are_kept(server, name):
    message = {"role": "assistant", "content": "\n\n정답: 7개", name: "\n정답: 6?\n아니다.\n"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    server.answer = lambda *_: (200, {"choices": [choice], "usage": {"completion_tokens": 9}})
    asked = Prompt(text="", messages=(Message(role="user", content="3+4는?"),))
    (text,) = generate(server, [asked])
    assert text.text == "<think>\n정답: 6?\n아니다.\n</think>\n\n\n\n정답: 7개"
    assert read_answer(text.text, "정답: ").strict == "7개"


def test_reply_that_the_server_cut_is_truncated(server):
    def cut(request: dict[str, Any], _: int) -> Canned:
        status, body = say("풀이 중" if request["prompt"] == "가" else "정답: 7\n더")
        assert isinstance(body, dict)
        body["choices"][0]["finish_reason"] = "length"
        return status, body

    server.answer = cut
    texts = generate(server, [Prompt(text="가"), Prompt(text="나")])
    assert [text.truncated for text in texts] == [True, False]


def test_server_is_told_how_to_sample_and_whether_to_think(server):
    sampling = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1}
    server.answer = lambda *_: say("정답: 7\n")
    messages = (Message(role="user", content="3+4는?"),)
    asked = Prompt(text="", messages=messages, enable_thinking=False)
    generate(server, [asked], SETTINGS.model_copy(update=sampling))
    (request,) = server.asked
    assert {name: request[name] for name in sampling} == sampling
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    generate(server, [Prompt(text="가")])
    plain = server.asked[-1].keys() - {"path"}
    assert plain == {"model", "prompt", "max_tokens", "temperature"}
