"""The reasoning test: generate an answer to each held-out problem, extract it, compare it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import (
    JsonlLog,
    Stage,
    hash_file,
    hash_value,
    read_jsonl,
    write_json,
    write_jsonl,
)
from kot_platypus.evaluate.metrics import wilson_interval
from kot_platypus.models import (
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from kot_platypus.progress import Advance, show_progress
from kot_platypus.prompts import Template, find_stop_tokens, render_chat
from kot_platypus.recipe import ModelSection, ReasonSection
from kot_platypus.records import Answer, Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def answer_problems(
    problems: Path,
    base: Path,
    out: Path,
    template: Template,
    section: ReasonSection,
    model_section: ModelSection,
    *,
    adapter: Path | None = None,
    shots: Sequence[Example] = (),
    title: str = "model",
) -> None:
    """Answer every problem greedily; write ``out/answers.jsonl`` and ``out/results.json``.

    ``shots`` are worked examples put before each problem. A finished ``out`` is left alone; an
    interrupted one goes on after its last complete batch.
    """
    fingerprint = fingerprint_model(base, adapter)
    device = resolve_device(model_section.device)
    dtype = resolve_dtype(model_section.dtype, device)
    stage = Stage(
        out,
        "answer",
        config={
            **section.model_dump(include={"max_new_tokens", "batch_size"}),
            "num_fewshot": len(shots),
            "template": template.model_dump(),
            "dtype": dtype,
        },
        inputs={
            "model": fingerprint,
            "problems": hash_file(problems),
            "shots": hash_value([shot.model_dump() for shot in shots]),
        },
    )
    if stage.begin():
        return
    rows = read_jsonl(problems, Example)
    trust = model_section.trust_remote_code
    tokenizer = load_tokenizer(base, trust_remote_code=trust)
    model = load_model(base, dtype=dtype, device=device, adapter=adapter, trust_remote_code=trust)
    prompts = render_prompts(rows, template, shots, tokenizer)
    partial = out / "partial.jsonl"
    most_tokens = len(rows) * section.max_new_tokens
    with show_progress(f"Answering ({title})", most_tokens, "tokens at most") as advance:
        answers = _answer_rows(model, tokenizer, rows, prompts, template, section, partial, advance)
    write_jsonl(out / "answers.jsonl", answers)
    facts = {"model": fingerprint, "num_fewshot": len(shots)}
    write_json(out / "results.json", {**facts, "results": summarise_answers(answers)})
    partial.unlink()
    stage.finish()


def render_prompts(
    rows: Sequence[Example],
    template: Template,
    shots: Sequence[Example] = (),
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[str]:
    """What the model is given for each row: the worked examples, then the row's own prompt.

    The template `chat` needs the tokenizer: the examples are earlier turns of the conversation.
    """
    if template.chat:
        assert tokenizer is not None
        turns = [turn for shot in shots for turn in template.render_turns(shot)]
        asked = [template.render_turns(row)[0] for row in rows]
        return [render_chat(tokenizer, [*turns, question], ask=True) for question in asked]
    prefix = "".join(template.render_shot(shot) + "\n\n" for shot in shots)
    return [prefix + template.render_prompt(row.source) for row in rows]


def _answer_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Example],
    prompts: Sequence[str],
    template: Template,
    section: ReasonSection,
    partial: Path,
    advance: Advance,
) -> list[Answer]:
    """All answers in order; batches that stand whole in ``partial`` are not generated again."""
    with JsonlLog(partial, Answer) as log:
        answers = {answer.doc_id: answer for answer in log.rows}
        advance(len(answers) * section.max_new_tokens)
        for batch in plan_batches(prompts, section.batch_size):
            if answers.keys() >= set(batch):
                continue
            texts = [prompts[i] for i in batch]
            outputs = generate_batch(
                model, tokenizer, texts, template, section.max_new_tokens, advance
            )
            new = {
                i: judge_output(i, rows[i], text, template, num_tokens)
                for i, (text, num_tokens) in zip(batch, outputs, strict=True)
            }
            log.append(list(new.values()))
            answers |= new  # a batch cut short by a kill is done again whole
    return [answers[i] for i in range(len(rows))]


def plan_batches(prompts: Sequence[str], batch_size: int) -> Iterator[list[int]]:
    """Indices batch by batch, prompts of like length together. Depends on nothing else."""
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    template: Template,
    max_new_tokens: int,
    advance: Advance = lambda n=1, note="": None,
) -> list[tuple[str, int]]:
    """Greedy continuations: (text without special tokens, number of generated tokens) each.

    A sequence ends at EOS, after a complete answer line, or after ``max_new_tokens``. ``advance``
    is told of every token, and at an early end of those that were not needed.
    """
    import torch

    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    add_bos = not template.chat  # which writes its own
    inputs = tokenizer(
        list(prompts), return_tensors="pt", padding=True, add_special_tokens=add_bos
    ).to(model.device)
    width = inputs["input_ids"].shape[1]
    stop = {"eos_token_id": find_stop_tokens(tokenizer)} if template.chat else {}

    def is_answered(ids: Any, _scores: Any, **_: Any) -> Any:
        advance(len(ids))
        texts = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
        return torch.tensor([_is_complete(text, template) for text in texts], device=ids.device)

    with torch.inference_mode():
        sequences = model.generate(
            **inputs,
            **stop,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=[is_answered],
        )[:, width:]
    advance(len(sequences) * (max_new_tokens - sequences.shape[1]))
    texts = tokenizer.batch_decode(sequences, skip_special_tokens=True)
    ends = (tokenizer.eos_token_id, tokenizer.pad_token_id)
    lengths = [sum(int(token) not in ends for token in row) for row in sequences]
    return list(zip(texts, lengths, strict=True))


def _is_complete(text: str, template: Template) -> bool:
    """Whether the answer line has been written and closed by a line break."""
    *closed, _open = text.split("\n")
    return template.parse_answer("\n".join(closed)) is not None


def judge_output(
    doc_id: int, problem: Example, output: str, template: Template, num_tokens: int
) -> Answer:
    """The Answer record of one output: exact match of the stated answer, spaces apart."""
    answer = template.parse_answer(output)
    return Answer(
        doc_id=doc_id,
        task=problem.task,
        source=problem.source,
        target=problem.target,
        output=output,
        answer=answer,
        correct=answer is not None and _normalise(answer) == _normalise(problem.target),
        num_tokens=num_tokens,
    )


def _normalise(answer: str) -> str:
    return "".join(answer.split())


def summarise_answers(answers: Sequence[Answer]) -> dict[str, Any]:
    """Accuracy with its Wilson interval, over all answers and for each kind of problem."""
    kinds = {"all": list(answers)}
    for answer in answers:
        kinds.setdefault(answer.task, []).append(answer)
    return {kind: _summarise(group) for kind, group in kinds.items()}


def _summarise(answers: Sequence[Answer]) -> dict[str, Any]:
    correct, n = sum(answer.correct for answer in answers), len(answers)
    return {
        "accuracy": {"value": correct / n, "ci95": list(wilson_interval(correct, n))},
        "n": n,
        "num_parsed": sum(answer.answer is not None for answer in answers),
        "mean_tokens": sum(answer.num_tokens for answer in answers) / n,
    }
