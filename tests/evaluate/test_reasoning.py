"""The same questions with reasoning and without: judged, counted, resumed, shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import read_json, read_jsonl
from kot_platypus.errors import RunError, UsageError
from kot_platypus.evaluate.changes import write_changes
from kot_platypus.evaluate.decoding import TextGenerator
from kot_platypus.evaluate.gains import summarise_outcomes, summarise_rationales
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.prompting import Question, build_prompt, load_choices
from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.evaluate.reasoning import Reasoning, evaluate_reasoning
from kot_platypus.evaluate.replies import elect_answer, elect_meaning
from kot_platypus.evaluate.texts import Sampling
from kot_platypus.prompts import Template, load_template
from kot_platypus.records import Judgement, Outcome, Rationale, Reply
from kot_platypus.results.schema import Rationales

# What the tiny models write begins with a line "문장: ...", so they always state an "answer".
SENTENCE = Template(
    name="t", description="", prompt="질문: {source}\n답변:\n", answer="문장: {target}"
)
GREEDY = Reasoning(SENTENCE, max_new_tokens=24)
DRAWN = Reasoning(SENTENCE, max_new_tokens=24, num_samples=3, sampling=Sampling(temperature=0.7))
OPEN = [Question("sum", i, f"{i}+4는?", f"{i + 4}개") for i in range(4)]
FILES = ("answers.jsonl", "samples.jsonl", "changes.md", "results.json")


@pytest.fixture
def model(
    request: pytest.FixtureRequest, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TransformersModel:
    """A tiny model whose texts no other test has generated; in float32 unless a test says."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    dtype = getattr(request, "param", "float32")
    return TransformersModel(shared / "models" / "tiny-llama-ko", dtype=dtype, device="cpu")


in_both_dtypes = pytest.mark.parametrize("model", ["float32", "bfloat16"], indirect=True)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    protocol = load_protocol("polyglot")
    return [q for task in ("copa", "boolq") for q in load_choices(protocol, task, "mini", 4)[0]]


def read_all(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


# --- the stage ---------------------------------------------------------------------------------


@pytest.mark.one_in(4)
@in_both_dtypes
@pytest.mark.parametrize("how", [GREEDY, DRAWN], ids=["greedy", "samples"])
def test_killed_run_ends_with_the_same_bytes(how, model, questions, tmp_path, monkeypatch):
    mixed = [*questions, *OPEN]
    evaluate_reasoning(tmp_path / "whole", model, mixed, how)
    written: list[Any] = []
    generate = TextGenerator.generate

    def watch(self, prompts, settings):
        for place, text in generate(self, prompts, settings):
            if len(written) == 5:
                written.append(None)
                raise KeyboardInterrupt
            written.append(prompts[place])
            yield place, text

    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(TextGenerator, "generate", watch)
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        evaluate_reasoning(out, model, mixed, how)
    assert read_json(out / "manifest.json")["status"] == "running"
    evaluate_reasoning(out, model, mixed, how)
    assert read_all(out) == read_all(tmp_path / "whole")
    asked = [prompt for prompt in written if prompt]
    assert len(asked) == len(set(asked)) == 12 * how.num_samples + 4  # and 4 open answers at once


@pytest.mark.one_in(2)
@in_both_dtypes
def test_place_in_the_batch_changes_nothing(model, questions, tmp_path, monkeypatch):
    evaluate_reasoning(tmp_path / "a", model, questions, DRAWN)
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "another"))
    model.max_rows = 2
    del model.__dict__["_generator"]
    evaluate_reasoning(tmp_path / "b", model, questions, DRAWN)
    assert read_all(tmp_path / "b") == read_all(tmp_path / "a")


def test_more_samples_and_questions_keep_those_there_are(model, questions, tmp_path):
    def read(name: str) -> dict[Any, str]:
        rows = read_jsonl(tmp_path / name / "answers.jsonl", Reply)
        return {(row.task, row.doc_id, row.sample): row.output for row in rows}

    evaluate_reasoning(tmp_path / "few", model, questions[:2], DRAWN)
    more = Reasoning(SENTENCE, max_new_tokens=24, num_samples=4, sampling=Sampling(temperature=0.7))
    evaluate_reasoning(tmp_path / "more", model, questions, more)
    assert read("few").items() <= read("more").items()
    assert len(read("more")) == 32


def test_another_seed_draws_other_replies(model, questions, tmp_path):
    other = Reasoning(
        SENTENCE, max_new_tokens=24, num_samples=3, sampling=Sampling(temperature=0.7), seed=1
    )
    for name, how in (("a", DRAWN), ("b", other)):
        evaluate_reasoning(tmp_path / name, model, questions, how)
    a, b = ((tmp_path / name / "answers.jsonl").read_text() for name in "ab")
    assert a != b


def test_finished_folder_is_left_alone_and_other_settings_are_refused(model, tmp_path):
    evaluate_reasoning(tmp_path / "out", model, OPEN, GREEDY)
    before = read_all(tmp_path / "out")
    evaluate_reasoning(tmp_path / "out", model, OPEN, GREEDY)
    assert read_all(tmp_path / "out") == before
    for questions, how in ((OPEN[1:], GREEDY), (OPEN, DRAWN)):
        with pytest.raises(RunError, match="another run"):
            evaluate_reasoning(tmp_path / "out", model, questions, how)


def test_choices_are_scored_after_the_rationale_and_at_once(model, questions, tmp_path):
    """The logged log-probabilities are those of a plain forward pass over the texts."""
    import torch

    evaluate_reasoning(tmp_path / "out", model, questions, GREEDY)
    attempts = read_jsonl(tmp_path / "out" / "answers.jsonl", Reply)
    outcomes = read_jsonl(tmp_path / "out" / "samples.jsonl", Outcome)
    held, tokenizer = model.model, model.tokenizer

    def score(context: str, choice: str) -> float:
        start = len(tokenizer(context)["input_ids"])
        ids = torch.tensor([tokenizer(f"{context} {choice}")["input_ids"]])
        with torch.inference_mode():
            logprobs = held(ids).logits[0, :-1].log_softmax(-1)
        return float(logprobs.gather(1, ids[0, 1:, None])[start - 1 :].sum())

    for question, attempt, outcome in zip(questions, attempts, outcomes, strict=True):
        lines = attempt.output.splitlines(keepends=True)
        place = next((i for i, li in enumerate(lines) if li.startswith("문장: ")), len(lines))
        asked = build_prompt(question, SENTENCE).text
        after = [score(asked + "".join(lines[:place]) + "문장:", c) for c in question.choices]
        assert attempt.logprobs == pytest.approx(after, abs=1e-4)
        at_once = [score(asked + "문장:", choice) for choice in question.choices]
        assert outcome.direct.choice == at_once.index(max(at_once))
        assert outcome.cot_scored.choice == after.index(max(after))
        assert (outcome.direct.num_tokens, outcome.cot.num_tokens) == (0, attempt.num_tokens)


def test_template_without_an_answer_line_is_refused(model, tmp_path):
    with pytest.raises(UsageError, match="marks no answer line"):
        evaluate_reasoning(tmp_path, model, OPEN, Reasoning(load_template("alpaca")))
    with pytest.raises(UsageError, match="all the same"):
        evaluate_reasoning(tmp_path, model, OPEN, Reasoning(SENTENCE, num_samples=2))


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 3])
def test_two_processes_write_the_files_of_one(samples, shared, tmp_path):
    options = [
        *("--model", shared / "models" / "tiny-llama-ko", "--tasks", "copa,wic"),
        *("--kobest-dir", "mini", "--limit", 6, "--num-samples", samples, "--max-new-tokens", 24),
        *("--dtype", "float32", "--device", "cpu"),
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, launcher in (("one", []), ("two", launch)):
        command = [sys.executable, *launcher, "-m", "kot_platypus", "reason", *map(str, options)]
        environment = {**os.environ, "KOT_CACHE": str(tmp_path / f"{name}-cache")}
        command += ["--out", str(tmp_path / name)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert read_all(tmp_path / "two") == read_all(tmp_path / "one")
    files = (tmp_path / "two-cache").rglob("texts/*.jsonl")
    shares = [len(path.read_text().splitlines()) for path in files]
    assert sorted(shares) == [6 * samples, 6 * samples]


# --- votes -------------------------------------------------------------------------------------


def make_attempts(*answers: str | None, choices: tuple[str, ...] = ()) -> list[Reply]:
    return [
        Reply(
            task="t", doc_id=0, sample=k, output="", answer=answer, num_tokens=1,
            choice=choices.index(answer) if answer in choices else None,
        )
        for k, answer in enumerate(answers)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "elected"),
    [
        (("8개", "7개", "7 개"), 1),
        (("8개", "7개"), 0),
        ((None, None, "7개"), 2),
        ((None, "'8개'", "7개", "8개."), 1),
        ((None, None), None),
    ],
)
def test_most_votes_win_and_what_states_nothing_has_none(answers, elected):
    winner = elect_answer(OPEN[0], make_attempts(*answers))
    assert (winner.sample if winner else None) == elected


def test_answer_that_is_no_choice_has_no_vote():
    question = Question("t", 0, "?", "예", ("아니요", "예"), 1)
    attempts = make_attempts("글쎄", "글쎄", "예", choices=question.choices)
    assert elect_answer(question, attempts).answer == "예"


# --- figures -----------------------------------------------------------------------------------


def make_outcome(i: int, gold: int, cot: int | None, direct: int, task: str = "copa") -> Outcome:
    def judge(choice: int | None, num_tokens: int) -> Judgement:
        answer = None if choice is None else "가나"[choice]
        return Judgement(
            answer=answer, choice=choice, correct=choice == gold, num_tokens=num_tokens
        )

    return Outcome(
        task=task, doc_id=i, source=f"{i}?", target="가나"[gold], gold=gold,
        cot=judge(cot, 10 + i), cot_scored=None, direct=judge(direct, 0),
    )  # fmt: skip


def test_figures_by_hand():
    rows = [(0, 0, 0), (1, 1, 0), (1, None, 1), (0, 0, 1), (1, 1, 0)]
    outcomes = [make_outcome(i, *row) for i, row in enumerate(rows)]
    found = summarise_outcomes(outcomes)["copa"]
    assert (found.n, found.repaired, found.broken) == (5, 3, 1)
    assert found.cot.accuracy.value == 0.8
    assert found.direct.accuracy.value == 0.4
    # What is not stated is no class of its own: F1 of 가 is 1, of 나 2 x 2 / (2 + 3).
    assert found.cot.macro_f1.value == pytest.approx((1 + 0.8) / 2)
    assert (found.cot.num_parsed, found.cot.num_tokens) == (4, 60)
    assert found.difference["cot"].accuracy.value == pytest.approx(0.4)
    low, high = found.difference["cot"].accuracy.ci95
    assert -1 <= low <= 0.4 <= high <= 1
    # Direct says 가, 가, 나, 나, 가: F1 of 가 is 2 x 1 / (3 + 2), of 나 2 x 1 / (2 + 3).
    assert found.direct.macro_f1.value == pytest.approx(0.4)
    f1 = found.difference["cot"].macro_f1
    assert f1.value == pytest.approx(0.5)
    assert f1.ci95[0] <= f1.value <= f1.ci95[1]


def test_kinds_of_problems_are_summed_up_and_tasks_are_not():
    choices = [make_outcome(i, 0, 0, 0, task) for i, task in enumerate(("copa", "wic"))]
    assert list(summarise_outcomes(choices)) == ["copa", "wic"]
    problems = [row.model_copy(update={"gold": None}) for row in choices]
    assert list(summarise_outcomes(problems)) == ["all", "copa", "wic"]
    assert summarise_outcomes(problems)["all"].cot.macro_f1 is None


# --- what changed ------------------------------------------------------------------------------


def test_changes_show_repaired_and_broken_questions_and_no_others():
    rows = [(0, 0, 0), (1, 1, 0), (1, None, 1)]
    outcomes = [make_outcome(i, *row) for i, row in enumerate(rows)]
    attempts = [
        Reply(task="copa", doc_id=i, sample=0, output=f"풀이 {i}", answer=None, choice=None,
                num_tokens=1)
        for i in range(3)
    ]  # fmt: skip
    text = write_changes(outcomes, attempts)
    repaired, broken = text.split("## Broken (1)")
    assert "## Repaired (1)" in repaired
    assert "풀이 1" in repaired
    assert "풀이 2" in broken
    assert "nothing stated" in broken
    assert "풀이 0" not in text


def test_changes_fence_whatever_was_written():
    """No text of data or a model ends its block: neither with fences nor with HTML."""
    evil = "```\n<script>alert(1)</script>\n````\n# 제목"
    outcome = make_outcome(0, 1, 1, 0, task="<b>`x").model_copy(
        update={"source": evil, "target": "`` <i>"}
    )
    attempt = Reply(
        task="<b>`x", doc_id=0, sample=0, output=evil, answer="나", choice=1, num_tokens=1
    )
    text = write_changes([outcome], [attempt])
    outside, fence = [], ""
    for line in text.splitlines():
        if not fence and line.startswith("```"):
            fence = line.removesuffix("text")
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert fence == ""
    assert not any("script" in line or "제목" in line for line in outside)
    assert "### b x 0" in outside
    assert "``` `` <i> ```" in text


def test_table_fits_a_terminal(model, questions, tmp_path):
    from rich.console import Console

    from kot_platypus.report.summary import gains_table

    evaluate_reasoning(tmp_path / "out", model, [*questions, *OPEN], DRAWN)
    console = Console(width=80, record=True, file=StringIO())
    console.print(gains_table(tmp_path / "out"))
    text = console.export_text()
    assert "COPA, 4 questions" in text
    assert "…" not in text
    assert json.loads((tmp_path / "out" / "results.json").read_text())["samples"] == 3


# --- several replies ---------------------------------------------------------------------------


def reply_to(doc_id: int, sample: int, text: str) -> Reply:
    return Reply(
        task="", doc_id=doc_id, sample=sample, output=f"{doc_id}{sample}{text}", answer=None,
        choice=None, num_tokens=1, stated=text,
    )  # fmt: skip


def test_replies_that_mean_the_same_vote_together():
    question = Question("", 0, "3+4는?", "7")
    replies = [reply_to(0, k, text) for k, text in enumerate(["8", "7개", "일곱", "8.5"])]
    assert elect_meaning(question, replies).stated == "7개"
    assert elect_answer(question, replies) is None  # no answer line


def test_one_reply_and_any_of_k_by_hand():
    """Right replies: 3 of 4, 0 of 4, 1 of 4; any of 2: 1 - C(1,2)/6, 0, 1 - C(3,2)/6."""
    judged = Judgement(answer=None, choice=None, correct=False, num_tokens=4, equivalent=True)
    outcomes, replies = [], []
    for doc_id, right in enumerate((3, 0, 1)):
        outcomes.append(
            Outcome(
                task="", doc_id=doc_id, source="?", target="7", gold=None, cot=judged,
                cot_scored=None, direct=judged,
            )
        )  # fmt: skip
        replies += [reply_to(doc_id, k, "7" if k < right else "8") for k in range(4)]
    found = summarise_outcomes(outcomes, replies)["all"].samples
    assert found.num_samples == 4
    assert found.equivalent.value == pytest.approx(4 / 12)
    assert found.accuracy.value == 0  # none has an answer line
    assert found.pass_at_equivalent == pytest.approx({1: 4 / 12, 2: (1 + 0 + 0.5) / 3, 4: 2 / 3})
    low, high = found.equivalent.ci95
    assert 0 <= low < 4 / 12 < high <= 0.75


def test_rationales_are_summed_over_the_replies_that_have_one():
    replies = [reply_to(0, k, "7") for k in range(3)]
    found = [Rationale(korean=0.5, loops=True, contradicts=False),
             Rationale(korean=1.0, loops=True, contradicts=True), None]  # fmt: skip
    replies = [
        reply.model_copy(update={"rationale": each})
        for reply, each in zip(replies, found, strict=True)
    ]
    assert summarise_rationales(replies) == Rationales(n=2, korean=0.75, loops=2, contradictions=1)
    assert summarise_rationales(replies[2:]) is None
