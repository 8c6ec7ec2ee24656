"""Questions in the terminal, answered by a merged model, token by token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TextStreamer

from kot_platypus.artifacts import read_json
from kot_platypus.errors import UsageError
from kot_platypus.models import ADAPTER_INFO, load_model, load_tokenizer
from kot_platypus.prompts import Template, find_stop_tokens, render_chat
from kot_platypus.records import Message


def chat_with(model_folder: Path, ask: str | None = None, max_new_tokens: int = 256) -> None:
    """Answer ``ask``, or questions from standard input until it ends or is empty.

    Each question stands alone, in the template the model was trained with.
    """
    template = Template.model_validate(read_json(model_folder / ADAPTER_INFO)["template"])
    tokenizer = load_tokenizer(model_folder)
    model = load_model(model_folder)
    if ask is not None and not ask.strip():
        raise UsageError("--ask is empty", expected="a question", hint="Or leave out --ask.")
    if ask is not None:
        _answer(model, tokenizer, template, ask, max_new_tokens)
        return
    if sys.stdin.isatty():
        print("질문을 입력하세요. 빈 줄이면 끝납니다. (Ask in Korean; an empty line ends.)")
    while question := _read_question():
        _answer(model, tokenizer, template, question, max_new_tokens)


def _read_question() -> str:
    try:
        return input("질문: " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _answer(
    model: Any, tokenizer: Any, template: Template, question: str, max_new_tokens: int
) -> None:
    text = template.render_prompt(question)
    if template.chat:
        text = render_chat(tokenizer, [Message(role="user", content=text)], ask=True)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=not template.chat)
    inputs = inputs.to(model.device)
    stop = {"eos_token_id": find_stop_tokens(tokenizer)} if template.chat else {}
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    with torch.inference_mode():
        model.generate(
            **inputs, **stop, max_new_tokens=max_new_tokens, do_sample=False, streamer=streamer
        )
