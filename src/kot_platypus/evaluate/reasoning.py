"""The reasoning evaluation: the same questions with a chain of thought and without, side by side.

With: the model writes a rationale and then an answer line, whose answer is compared with the right
one. Several samples vote. Where there are choices, they are also scored after the rationale.
Without: the model's reply begins with the answer line. There the choices are scored, and open
answers generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kot_platypus.answers import AnswerPattern
from kot_platypus.artifacts import (
    describe_machine,
    hash_value,
    write_json,
    write_jsonl,
    write_text,
)
from kot_platypus.errors import UsageError
from kot_platypus.evaluate.changes import write_changes
from kot_platypus.evaluate.choices import notice_scores, score_runs
from kot_platypus.evaluate.encoding import Encoding
from kot_platypus.evaluate.gains import summarise_outcomes
from kot_platypus.evaluate.generation import generate_texts
from kot_platypus.evaluate.keys import FORMAT, make_choices_key
from kot_platypus.evaluate.model_under_test import ModelUnderTest, TransformersModel
from kot_platypus.evaluate.prompting import (
    Question,
    Way,
    build_prompt,
    complete_output,
    hash_questions,
    leave_out,
    split_rationale,
)
from kot_platypus.evaluate.replies import (
    elect_answer,
    elect_meaning,
    is_right,
    means_right,
    read_reply,
)
from kot_platypus.evaluate.store import ScoreStore
from kot_platypus.evaluate.texts import GREEDY, Prompt, Sampling, Settings, render_text
from kot_platypus.processes import is_main_process, share_all
from kot_platypus.progress import print_notice
from kot_platypus.prompts import Template
from kot_platypus.records import Example, Judgement, Outcome, Reply, Request, ScoringQuestion
from kot_platypus.results.schema import dump_part
from kot_platypus.stages import open_stage
from kot_platypus.thoughts import find_opening


@dataclass(frozen=True)
class Reasoning:
    """How a model is to reason."""

    template: Template
    max_new_tokens: int = 256
    num_samples: int = 1
    """Replies to each question; more than one vote."""
    sampling: Sampling = GREEDY
    seed: int = 42
    """Of the samples and of the bootstrap."""
    shots: tuple[Example, ...] = ()
    """Worked examples before each question."""
    pattern: AnswerPattern | None = None
    """Reads the answers in place of the template's answer line, and no line ends a reply."""

    @property
    def settings(self) -> Settings:
        """How the replies are generated."""
        return Settings(
            max_new_tokens=self.max_new_tokens,
            stop_line=None if self.pattern else self.template.answer_prefix,
            seed=self.seed,
            **self.sampling.model_dump(),
        )


def evaluate_reasoning(
    out: Path,
    model: ModelUnderTest,
    questions: Sequence[Question],
    how: Reasoning,
    *,
    about_data: dict[str, Any] | None = None,
) -> None:
    """Answer ``questions`` with reasoning and without; write what came of it into ``out``.

    ``answers.jsonl`` (a line a reply), ``samples.jsonl`` (a line a question), ``changes.md`` (the
    questions that reasoning repaired and broke) and ``results.json``. A finished ``out`` is left
    alone, an interrupted one resumes: texts and scores are kept as they come. Under torchrun every
    process calls this and does its share; the main one writes.

    Args:
        out: The stage's folder.
        model: The model.
        questions: What it is asked.
        how: Template, samples, length.
        about_data: What results say of the questions beside their hash. A suite's ``fingerprint``
            decides what is asked, so another one is another run.

    Raises:
        UsageError: the template marks no answer line, or several greedy samples are asked for.
        KotError: anything wrong with the model, the server or the folder.
    """
    check_reasoning(how)
    share_all(None)  # several processes meet before each takes its GPU
    config, inputs = identify_replies(model, questions, how)
    about_data = about_data or {}
    if "fingerprint" in about_data:
        inputs["suite"] = about_data["fingerprint"]
    about = {**model.about, "questions": inputs["questions"], **about_data}
    with open_stage(out, "reasoning", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        examined = _examine(model, questions, how)
        if not is_main_process():
            return
        replies, outcomes, noticed = examined
        write_jsonl(out / "answers.jsonl", replies)
        write_jsonl(out / "samples.jsonl", outcomes)
        write_text(out / "changes.md", write_changes(outcomes, replies))
        facts = {"name": model.name, **about, **config, "versions": describe_machine()}
        scores = summarise_outcomes(outcomes, replies, seed=how.seed)
        results = {task: dump_part(score) for task, score in scores.items()}
        write_json(out / "results.json", {**facts, **noticed, "results": results})


def identify_replies(
    model: ModelUnderTest, questions: Sequence[Question], how: Reasoning
) -> tuple[dict[str, Any], dict[str, str]]:
    """What decides the replies, as a stage's config and inputs.

    Says of questions that are worked examples too that they are asked without themselves.
    """
    config = {
        **how.settings.model_dump(),
        "samples": how.num_samples,
        "template": how.template.model_dump(),
        "num_fewshot": len(how.shots),
        "format": FORMAT,
        **{name: value for name, value in model.about.items() if name != "model"},
    }
    if how.pattern:
        config["pattern"] = asdict(how.pattern)
    if shown := sum(len(leave_out(each, how.shots)) < len(how.shots) for each in questions):
        config["left_out_of_own_shots"] = shown  # texts from before they were are no match
        print_notice(
            f"{shown:,} of {len(questions):,} questions are among the worked examples too: they "
            "are asked without themselves"
        )
    shots = hash_value([shot.model_dump() for shot in how.shots])
    return config, {
        "model": model.identity,
        "questions": hash_questions(questions),
        "shots": shots,
    }


def check_reasoning(how: Reasoning) -> None:
    """Raise UsageError for impossible settings, before a model is loaded."""
    if not how.template.answer_prefix:
        raise UsageError(
            f"the template {how.template.name!r} marks no answer line",
            expected="one that does, so that an answer can be read",
            hint="Choose another, e.g. --template kot",
        )
    if how.num_samples > 1 and how.sampling.temperature <= 0:
        raise UsageError(
            f"{how.num_samples} samples at temperature 0 are all the same",
            expected="a temperature above 0",
            hint="E.g. --temperature 0.7",
        )


def _examine(
    model: ModelUnderTest, questions: Sequence[Question], how: Reasoning
) -> tuple[list[Reply], list[Outcome], dict[str, Any]]:
    """All replies, question by question, what they came to, and what to say of the scores."""
    replies = draw_replies(model, questions, how)
    direct: dict[int, Judgement] = {}
    noticed: dict[str, Any] = {}
    if isinstance(model, TransformersModel):
        direct, replies, noticed = _score_choices(model, questions, how, replies)
    rest = [place for place in range(len(questions)) if place not in direct]
    direct |= _answer_at_once(model, questions, how, rest)
    outcomes = [
        _conclude(question, mine, direct[place])
        for place, (question, mine) in enumerate(zip(questions, replies, strict=True))
    ]
    return [reply for mine in replies for reply in mine], outcomes, noticed


# --- asking ------------------------------------------------------------------------------------


def draw_replies(
    model: ModelUnderTest,
    questions: Sequence[Question],
    how: Reasoning,
    *,
    title: str = "Reasoning",
) -> list[list[Reply]]:
    """``how.num_samples`` replies to each question, read. Under torchrun all processes call it."""
    samples = range(how.num_samples)
    drawn = build_prompts(questions, how)
    texts = iter(generate_texts(model, drawn, how.settings, title=title))
    read = partial(read_reply, template=how.template, pattern=how.pattern)
    return [[read(each, k, next(texts)) for k in samples] for each in questions]


def build_prompts(questions: Sequence[Question], how: Reasoning) -> list[Prompt]:
    """``how.num_samples`` prompts for each question, question by question."""
    prompts = (build_prompt(question, how.template, how.shots) for question in questions)
    samples = range(how.num_samples)
    return [prompt.model_copy(update={"sample": k}) for prompt in prompts for k in samples]


def _answer_at_once(
    model: ModelUnderTest, questions: Sequence[Question], how: Reasoning, places: Sequence[int]
) -> dict[int, Judgement]:
    """Greedy answers without a rationale, read as those with one are."""
    way: Way = "prefilled"
    stop_line: str | None = ""
    if how.template.chat and not model.prefills_chats:
        way, stop_line = "instructed", how.settings.stop_line
    prompts = [build_prompt(questions[place], how.template, how.shots, way) for place in places]
    settings = how.settings.model_copy(update={"temperature": 0.0, "stop_line": stop_line})
    texts = generate_texts(model, prompts, settings, title="Answering at once")
    verdicts = {}
    for place, text in zip(places, texts, strict=True):
        whole = text.model_copy(update={"text": complete_output(text.text, how.template, way)})
        reply = read_reply(questions[place], 0, whole, how.template, how.pattern, or_line=True)
        verdicts[place] = _judge_replies(questions[place], [reply])
    return verdicts


# --- scoring -----------------------------------------------------------------------------------


def _score_choices(
    model: TransformersModel,
    questions: Sequence[Question],
    how: Reasoning,
    replies: Sequence[list[Reply]],
) -> tuple[dict[int, Judgement], list[list[Reply]], dict[str, Any]]:
    """Score choices at once (by question's place) and after each rationale, and look for ties."""
    encoding = Encoding(
        tokenisation="joint",
        special_tokens=False if how.template.chat else "opening",  # a template writes its own
        empty_context="bos",
    )
    tokenizer = model.tokenizer if how.template.chat else None
    posed: dict[int, list[ScoringQuestion]] = {}  # without a rationale, then after each
    for place, (question, mine) in enumerate(zip(questions, replies, strict=True)):
        if question.choices:
            reasoned, at_once = (
                render_text(build_prompt(question, how.template, how.shots, way), tokenizer)
                for way in ("reason", "prefilled")
            )
            end = how.template.answer_prefix
            contexts = [at_once + end[len(end.rstrip()) :]]
            opening = find_opening(reasoned)  # which the reply holds too
            for reply in mine:
                rationale = split_rationale(reply.output, how.template, how.pattern)
                contexts.append(reasoned.removesuffix(opening) + rationale + end)
            posed[place] = [_pose(question, encoding, context) for context in contexts]
    runs = {
        ("at once", 0): [first for first, *_ in posed.values()],
        ("after a rationale", 0): [each for _, *later in posed.values() for each in later],
    }
    store = ScoreStore(model.key)
    score_runs(runs, encoding, model, store)
    direct, scored = {}, list(replies)
    for place, each in posed.items():
        first, *later = (store.known[question.key].logprobs for question in each)
        direct[place] = _judge_scores(questions[place], [first], 0)
        scored[place] = [
            reply.model_copy(update={"logprobs": logprobs})
            for reply, logprobs in zip(replies[place], later, strict=True)
        ]
    return direct, scored, notice_scores(runs, store) if is_main_process() else {}


def _pose(question: Question, encoding: Encoding, context: str) -> ScoringQuestion:
    """The choices as continuations of ``context``."""
    texts = question.marks if question.labels_asked else question.choices
    return ScoringQuestion(
        task=question.task,
        num_fewshot=0,
        doc_id=question.doc_id,
        gold=question.gold or 0,
        requests=tuple(
            Request(doc_id=question.doc_id, choice=i, context=context, continuation=text)
            for i, text in enumerate(texts)
        ),
        choice_chars=tuple(map(len, texts)),
        shot_starts=(),
        key=make_choices_key(encoding, context, texts),
    )


# --- judging -----------------------------------------------------------------------------------


def _conclude(question: Question, replies: Sequence[Reply], direct: Judgement) -> Outcome:
    """The majority's answer, and the likeliest choice over all rationales."""
    num_tokens = sum(reply.num_tokens for reply in replies)
    logprobs = [reply.logprobs for reply in replies if reply.logprobs is not None]
    return Outcome(
        task=question.task,
        doc_id=question.doc_id,
        source=question.text,
        target=question.target,
        gold=question.gold,
        cot=_judge_replies(question, replies),
        cot_scored=_judge_scores(question, logprobs, num_tokens) if logprobs else None,
        direct=direct,
    )


def _judge_replies(question: Question, replies: Sequence[Reply]) -> Judgement:
    """What most of the replies state, word for word and, in another election, in what they mean."""
    literal, meant = elect_answer(question, replies), elect_meaning(question, replies)
    answer, choice = (literal.answer, literal.choice) if literal else (None, None)
    return Judgement(
        answer=answer,
        choice=choice,
        correct=literal is not None and is_right(question, literal),
        num_tokens=sum(reply.num_tokens for reply in replies),
        equivalent=meant is not None and means_right(question, meant),
        num_truncated=sum(reply.truncated for reply in replies),
    )


def _judge_scores(
    question: Question, logprobs: Sequence[Sequence[float]], num_tokens: int
) -> Judgement:
    """The choice with the highest probability among the choices, on average over the rationales."""
    values = np.array(logprobs)
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    choice = int(shares.mean(axis=0).argmax())  # the first of equals
    return Judgement(
        answer=question.choices[choice],
        choice=choice,
        correct=choice == question.gold,
        num_tokens=num_tokens,
    )
