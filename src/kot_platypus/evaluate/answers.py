"""The reasoning test: generate an answer to each held-out problem, extract it, compare it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_file, hash_value, read_jsonl, write_jsonl
from kot_platypus.evaluate.gains import summarise_rationales
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
from kot_platypus.results.metrics import measure_accuracy
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
        asked = [pose_row(row, i) for i, row in enumerate(rows)]
        prompts = [build_prompt(question, template, shots, way) for question in asked]
        stop_line = "" if at_once else template.answer_prefix
        settings = Settings(max_new_tokens=section.max_new_tokens, stop_line=stop_line)
        texts = generate_texts(model, prompts, settings, title=f"Answering ({title})")
        answers = [
            judge_output(
                i,
                row,
                complete_output(text.text, template, way),
                template,
                text.num_tokens,
                truncated=text.truncated,
            )
            for i, (row, text) in enumerate(zip(rows, texts, strict=True))
        ]
        write_jsonl(out / "answers.jsonl", answers)
        scores: dict[str, Any] = {"num_fewshot": len(shots), "results": summarise_answers(answers)}
        write_part(out / "results.json", ProblemResults(model=model.identity, **scores))


def judge_output(
    doc_id: int,
    problem: Example,
    output: str,
    template: Template,
    num_tokens: int,
    *,
    truncated: bool = False,
) -> Answer:
    """The Answer record of one output: the stated answer word for word, and what it means."""
    question = pose_row(problem, doc_id)
    text = Generated(text=output, num_tokens=num_tokens, truncated=truncated)
    reply = read_reply(question, 0, text, template)
    return Answer(
        doc_id=doc_id,
        task=problem.task,
        source=question.text,
        target=problem.target,
        output=output,
        answer=reply.answer,
        correct=is_right(question, reply),
        equivalent=means_right(question, reply),
        truncated=truncated,
        num_tokens=num_tokens,
        rationale=reply.rationale,
    )


def summarise_answers(answers: Sequence[Answer]) -> dict[str, ProblemScore]:
    """Accuracy with its Wilson interval, over all answers and for each kind of problem."""
    kinds = {ALL: list(answers)}
    for answer in answers:
        kinds.setdefault(answer.task, []).append(answer)
    return {kind: _summarise(group) for kind, group in kinds.items()}


def _summarise(answers: Sequence[Answer]) -> ProblemScore:
    n, right = len(answers), [True] * len(answers)
    more: dict[str, Any] = {}  # of which results of before say nothing
    if all(answer.equivalent is not None for answer in answers):
        more["equivalent"] = measure_accuracy(right, [bool(each.equivalent) for each in answers])
    if truncated := sum(answer.truncated for answer in answers):
        more["num_truncated"] = truncated
    if rationales := summarise_rationales(answers):
        more["rationales"] = rationales
    return ProblemScore(
        accuracy=measure_accuracy(right, [answer.correct for answer in answers]),
        **more,
        n=n,
        num_parsed=sum(answer.answer is not None for answer in answers),
        mean_tokens=sum(answer.num_tokens for answer in answers) / n,
    )
