"""Rewards of replies to questions with known answers, as TRL's GRPO and verl call them.

``make_dataset`` writes the rows: the prompt of the training, the answer, and how a reply is to be
read. A reward is 1 or 0 and never guesses. What an evaluation forgives is not forgiven here, since
a model that is trained on a reward finds every gap in it: an answer beside another one, a reply
that was cut off, thoughts that never end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from kot_platypus.answers import are_equal, list_answers, read_answer
from kot_platypus.data.problems import holds, is_generated
from kot_platypus.errors import DataError, ModelError
from kot_platypus.formats import require_problem
from kot_platypus.prompts import Template, find_stop_tokens, has_thoughts, load_template
from kot_platypus.records import Example, Message, Row
from kot_platypus.thoughts import TAG, find_opening, split_thoughts, strip_tags

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_MAX_CHARS = 8_000  # after the thoughts: reading a loop takes time that grows with its square
_MAX_ANSWERS = 8  # stated in one reply
_LOOP = re.compile(r"\d{100}|\s{100}")
Completion = str | Sequence[Mapping[str, Any]]
"""A reply as TRL has it: text, or messages."""


class Reading(TypedDict):
    """How the replies of a model are read."""

    answer_prefix: str
    thinks: bool
    """Whether thoughts between tags stand before the answer."""
    opened: bool
    """Whether the prompt opened them."""
    stop_token_ids: list[int]
    """What ends a reply."""


# --- TRL ---------------------------------------------------------------------------------------


def accuracy_reward(
    completions: Sequence[Completion],
    target: Sequence[str],
    reading: Sequence[Reading] | None = None,
    completion_ids: Sequence[Sequence[int]] | None = None,
    **_columns: Any,
) -> list[float]:
    """1 for a finished reply that states the right answer, in any form, and no other one.

    Args:
        completions: The replies.
        target: The right answers, one a reply.
        reading: As ``make_dataset`` has it; left out, replies are read in the template ``kot``.
        completion_ids: The replies' tokens. With ``reading`` they show which were cut off.
    """
    read = _read_all(completions, reading, completion_ids)
    return [_judge(*each, right) for each, right in zip(read, target, strict=True)]


def steps_reward(
    completions: Sequence[Completion],
    source: Sequence[str],
    target: Sequence[str],
    task: Sequence[str],
    reading: Sequence[Reading] | None = None,
    completion_ids: Sequence[Sequence[int]] | None = None,
    **_columns: Any,
) -> list[float | None]:
    """1 where every step of the rationale holds and the answer is right.

    None, which TRL leaves out, of questions that are not generated: their steps cannot be proved.
    Arguments as in ``accuracy_reward``.
    """
    read = _read_all(completions, reading, completion_ids)
    return [
        _prove(*each, *row) if is_generated(row[2]) else None
        for each, *row in zip(read, source, target, task, strict=True)
    ]


def format_reward(
    completions: Sequence[Completion],
    reading: Sequence[Reading] | None = None,
    completion_ids: Sequence[Sequence[int]] | None = None,
    **_columns: Any,
) -> list[float]:
    """1 for a finished rationale, then one answer line at the end, as in training's rows.

    Where the template thinks, the rationale stands between one pair of tags. Right or wrong does
    not count. Arguments as in ``accuracy_reward``.
    """
    return [_is_formed(*each) for each in _read_all(completions, reading, completion_ids)]


# --- verl --------------------------------------------------------------------------------------


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    steps_weight: float = 0.0,
    format_weight: float = 0.0,
    **_more: Any,
) -> dict[str, float]:
    """The reward of one reply, as verl's ``custom_reward_function`` returns it.

    ``score`` is ``acc`` and the weighted ``steps`` and ``format`` that are asked for. verl gives
    the text alone, so a reply that was cut off behind its answer counts as finished. Steps that
    cannot be proved are 0. Raises DataError where ``extra_info`` is not as ``make_dataset`` has it
    and steps are asked for.
    """
    info = extra_info or {}
    reading = info.get("reading") or _read_as(load_template("kot"))
    text = solution_str
    scores = {"acc": _judge(text, reading, ground_truth)}
    score = scores["acc"]
    if steps_weight:
        if not {"source", "task"} <= info.keys():
            raise DataError(
                f"steps_weight for a row of {data_source} without source and task in extra_info",
                expected="rows as kot_platypus.rewards.make_dataset has them",
                hint="Make them so, or leave steps_weight out.",
            )
        is_known = is_generated(info["task"])
        row = (info["source"], ground_truth, info["task"])
        scores["steps"] = _prove(text, reading, *row) if is_known else 0.0
        score += steps_weight * scores["steps"]
    if format_weight:
        scores["format"] = _is_formed(text, reading)
        score += format_weight * scores["format"]
    return {"score": score, **scores}


# --- reading a reply ---------------------------------------------------------------------------


def _read_all(
    completions: Sequence[Completion],
    readings: Sequence[Reading] | None,
    ids: Sequence[Sequence[int]] | None,
) -> list[tuple[str, Reading]]:
    """Each reply's text, empty where it was cut off, and how to read it."""
    ways = readings or [_read_as(load_template("kot"))] * len(completions)
    read = []
    for place, (completion, way) in enumerate(zip(completions, ways, strict=True)):
        ends = way["stop_token_ids"]
        is_cut = bool(ids is not None and ends and (not ids[place] or ids[place][-1] not in ends))
        read.append(("" if is_cut else _write(completion), way))
    return read


def _write(completion: Completion) -> str:
    """A reply as one text, its thoughts in it."""
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {}
    said = last.get("content")
    text = said if isinstance(said, str) and last.get("role", "assistant") == "assistant" else ""
    thoughts = last.get("reasoning_content")
    return f"<think>\n{thoughts}\n</think>\n{text}" if thoughts else text


def _judge(text: str, reading: Reading, target: str) -> float:
    """1 where all that is stated after the thoughts equals the target, and something is.

    No sentence around an answer is read: one that lists several may end with the right one.
    """
    _, rest = split_thoughts(text, opened=reading["opened"])
    if not rest or not target.strip() or _is_endless(text, rest):
        return 0.0
    prefix = reading["answer_prefix"]
    answers = list_answers(rest, prefix)
    if len(answers) > _MAX_ANSWERS:
        return 0.0
    said = [*dict.fromkeys(answers), read_answer(rest, prefix).stated]
    return float(all(each is not None and are_equal(each, target) for each in said))


def _is_endless(text: str, rest: str) -> bool:
    return len(rest) > _MAX_CHARS or _LOOP.search(text) is not None


def _prove(text: str, reading: Reading, source: str, target: str, task: str) -> float:
    if not _judge(text, reading, target):
        return 0.0
    rationale, _ = _part(text, reading)
    return float(holds(Example(source=source, target=target, rationale=rationale, task=task)))


def _is_formed(text: str, reading: Reading) -> float:
    _, rest = split_thoughts(text, opened=reading["opened"])
    if not rest or _is_endless(text, rest):
        return 0.0
    rationale, answers = _part(text, reading)
    tags = len(TAG.findall(text)) + reading["opened"]
    is_last = len(answers) == 1 and text.rstrip().endswith(answers[0].rstrip())
    said = answers[0].removeprefix(reading["answer_prefix"]).strip() if answers else ""
    is_whole = is_last and bool(said) and bool(rationale)
    return float(is_whole and tags == (2 if reading["thinks"] else 0))


def _part(text: str, reading: Reading) -> tuple[str, list[str]]:
    """The thoughts, or else what stands before the answer, and the lines that state answers."""
    thoughts, rest = split_thoughts(text, opened=reading["opened"])
    lines = (rest or "").splitlines()
    places = [i for i, line in enumerate(lines) if line.startswith(reading["answer_prefix"])]
    before = "\n".join(lines[: places[0] if places else len(lines)])
    return strip_tags(thoughts or before), [lines[i] for i in places]


# --- rows --------------------------------------------------------------------------------------


def make_dataset(rows: Iterable[Row], model: Path | str) -> Dataset:
    """Rows for GRPO with ``model``, a folder of ``kot merge`` or of a full training.

    ``prompt`` is messages that the folder's chat template renders as training's prompt, in bytes
    and in tokens; ``source``, ``target``, ``task`` and ``reading`` are what the rewards of TRL's
    GRPO are given, ``data_source``, ``ability``, ``reward_model`` and ``extra_info`` what verl
    asks for (``to_parquet`` writes its file).

    Raises DataError for a row without an answer or with another prompt than training's, ModelError
    for a folder that does not say how its model is asked.
    """
    from datasets import Dataset

    from kot_platypus.models import load_tokenizer, read_template

    folder = Path(model)
    template, tokenizer = read_template(folder), load_tokenizer(folder)
    if not tokenizer.chat_template:
        raise ModelError(
            f"{folder} has no chat template",
            expected="one, as kot merge writes it",
            hint="Merge the adapter first: kot merge --adapter ADAPTER --out merged",
        )
    reading = _read_as(template, tokenizer, folder)
    values = []
    for number, row in enumerate(rows, start=1):
        example = require_problem(row, f"row {number}")
        prompt = _ask(example, template, tokenizer, f"row {number}")
        facts = {**example.model_dump(include={"source", "task"}), "reading": reading}
        values.append(
            {
                "prompt": prompt,
                **facts,
                "target": example.target,
                "data_source": "kot",
                "ability": "reasoning",
                "reward_model": {"style": "rule", "ground_truth": example.target},
                "extra_info": {"index": number - 1, **facts},
            }
        )
    return Dataset.from_list(values)


def _ask(
    row: Example, template: Template, tokenizer: PreTrainedTokenizerBase, where: str
) -> list[dict[str, str]]:
    """The messages of a row, which are rendered as in training."""
    from kot_platypus.models.tokens import encode_text
    from kot_platypus.prompts import render_chat

    text = template.render_prompt(row.source, row.input)
    asked = f"{row.source}\n\n{row.input}" if row.input else row.source
    message = Message(role="user", content=text if template.chat else asked)
    rendered = render_chat(tokenizer, [message], ask=True, enable_thinking=template.enable_thinking)
    if not template.chat:
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        if ids != encode_text(tokenizer, text):
            raise DataError(
                f"{where}: messages are rendered {rendered!r}",
                expected=f"{text!r}, as in training",
                hint="Leave the row out.",
            )
    return [{"role": "user", "content": message.content}]


def _read_as(
    template: Template,
    tokenizer: PreTrainedTokenizerBase | None = None,
    folder: Path | None = None,
) -> Reading:
    """How replies in ``template`` are read. Raises ModelError where tags would not be seen."""
    from kot_platypus.artifacts import read_json
    from kot_platypus.prompts import render_question

    thinks, opening, ends = bool(template.no_thoughts), "", set[int]()
    if tokenizer is not None and folder is not None:
        opening = find_opening(render_question(template, tokenizer, "?"))
        thinks |= template.chat and has_thoughts(tokenizer, template.enable_thinking)
        ends = {*find_stop_tokens(tokenizer)} if template.chat else {tokenizer.eos_token_id}
        file = folder / "generation_config.json"
        known = read_json(file).get("eos_token_id") if file.is_file() else None
        ends |= {*(known if isinstance(known, list) else [known])}
        added = tokenizer.added_tokens_decoder.values()
        hidden = [t.content for t in added if t.special and TAG.fullmatch(t.content)]
        if hidden and thinks:
            raise ModelError(
                f"{folder} has {hidden[0]} as a special token, which TRL and verl leave out",
                expected="thoughts between tags that are ordinary tokens",
                hint="Set its `special` to false in tokenizer.json.",
            )
    return {
        "answer_prefix": template.answer_prefix,
        "thinks": thinks,
        "opened": bool(opening),
        "stop_token_ids": sorted(end for end in ends if end is not None),
    }
