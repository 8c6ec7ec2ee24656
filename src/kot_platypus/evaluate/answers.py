"""The reasoning test: generate an answer to each held-out problem, extract it, compare it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, hash_value, read_jsonl, write_jsonl
from kot_platypus.evaluate.gains import measure_stated, summarise_rationales
from kot_platypus.evaluate.generation import generate_texts
from kot_platypus.evaluate.keys import FORMAT
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.prompting import (
    Way,
    build_prompt,
    complete_output,
    pose_row,
)
from kot_platypus.evaluate.replies import is_right, means_right, read_reply
from kot_platypus.evaluate.texts import Generated, Settings
from kot_platypus.prompts import Template
from kot_platypus.recipe import ReasonSection
from kot_platypus.records import Answer, Example
from kot_platypus.results.schema import ALL, ProblemResults, ProblemScore, write_part
from kot_platypus.stages import open_stage


def answer_problems(
    problems: Path,
    model: TransformersModel,
    out: Path,
    template: Template,
    section: ReasonSection,
    *,
    shots: Sequence[Example] = (),
    title: str = "model",
    at_once: bool = False,
) -> None:
    """Answer every problem greedily; write ``out/answers.jsonl`` and ``out/results.json``.

    ``shots`` are worked examples put before each problem. With ``at_once`` the model's reply is
    begun with the answer line, so that it cannot reason. A finished ``out`` is left alone; an
    interrupted one goes on, since texts are kept as they come (``TextStore``).
    """
    config = {
        **section.model_dump(include={"max_new_tokens", "batch_size"}),
        "num_fewshot": len(shots),
        "template": template.model_dump(),
        "dtype": model.resolved_dtype,
        "format": FORMAT,
        **({"at_once": True} if at_once else {}),
    }
    inputs = {
        "model": model.identity,
        "problems": hash_file(problems),
        "shots": hash_value([shot.model_dump() for shot in shots]),
    }
    with open_stage(out, "answer", config=config, inputs=inputs) as stage:
        if stage.is_done:
            return
        rows = read_jsonl(problems, Example)
        way: Way = "prefilled" if at_once else "reason"
        prompts = [build_prompt(pose_row(row, 0), template, shots, way) for row in rows]
        stop_line = "" if at_once else template.answer_prefix
        settings = Settings(max_new_tokens=section.max_new_tokens, stop_line=stop_line)
        texts = generate_texts(model, prompts, settings, title=f"Answering ({title})")
        answers = [
            judge_output(i, row, text, template, way)
            for i, (row, text) in enumerate(zip(rows, texts, strict=True))
        ]
        write_jsonl(out / "answers.jsonl", answers)
        scores: dict[str, Any] = {"num_fewshot": len(shots), "results": summarise_answers(answers)}
        write_part(out / "results.json", ProblemResults(model=model.identity, **scores))


def answer_rows(
    model: Any, tokenizer: Any, template: Template, rows: Sequence[Example], max_new_tokens: int
) -> tuple[int, int]:
    """How many greedy answers of a model in training are right: word for word, and in meaning."""
    from kot_platypus.evaluate.decoding import TextGenerator  # loads torch

    prompts = [build_prompt(pose_row(row, i), template) for i, row in enumerate(rows)]
    settings = Settings(max_new_tokens=max_new_tokens, stop_line=template.answer_prefix)
    right = equivalent = 0
    for place, text in TextGenerator(model, tokenizer).generate(prompts, settings):
        answer = judge_output(place, rows[place], text, template)
        right += answer.correct
        equivalent += bool(answer.equivalent)
    return right, equivalent


def judge_output(
    doc_id: int, problem: Example, text: Generated, template: Template, way: Way = "reason"
) -> Answer:
    """The Answer record of one output: the stated answer word for word, and what it means."""
    question = pose_row(problem, doc_id)
    output = complete_output(text.text, template, way)
    reply = read_reply(question, 0, text.model_copy(update={"text": output}), template)
    return Answer(
        doc_id=doc_id,
        task=problem.task,
        source=question.text,
        target=problem.target,
        output=output,
        answer=reply.answer,
        correct=is_right(question, reply),
        equivalent=means_right(question, reply),
        truncated=text.truncated,
        num_tokens=text.num_tokens,
        rationale=reply.rationale,
    )


def summarise_answers(answers: Sequence[Answer]) -> dict[str, ProblemScore]:
    """Accuracy with its Wilson interval, over all answers and for each kind of problem."""
    kinds = {ALL: list(answers)}
    for answer in answers:
        kinds.setdefault(answer.task, []).append(answer)
    return {kind: _summarise(group) for kind, group in kinds.items()}


def _summarise(answers: Sequence[Answer]) -> ProblemScore:
    rationales = summarise_rationales(answers)
    return ProblemScore(
        **measure_stated(answers),
        n=len(answers),
        num_parsed=sum(answer.answer is not None for answer in answers),
        **({"rationales": rationales} if rationales else {}),
    )
