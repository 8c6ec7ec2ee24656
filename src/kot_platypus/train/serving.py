"""A merged model made ready for servers: its training template as a chat template, and checked.

vLLM, SGLang and ``transformers serve`` render messages with ``chat_template.jinja``; Ollama with
the ``Modelfile``. Both must give the very prompt that the model was trained with, or it answers
worse without anybody noticing.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kot_platypus.artifacts import read_json, write_json, write_text
from kot_platypus.errors import ModelError, ServiceError
from kot_platypus.models import load_tokenizer, read_template, read_training_info
from kot_platypus.models.tokens import encode_text, list_opening
from kot_platypus.models.training_info import PROCESSOR_TEMPLATE
from kot_platypus.progress import console
from kot_platypus.prompts import Template, find_stop_tokens, render_chat, render_question
from kot_platypus.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATE, MODELFILE = "chat_template.jinja", "Modelfile"
PROBES = (
    "3 더하기 4는 얼마인가?",
    " 앞뒤에 빈칸이 있는 질문 ",
    "여러 줄의\n\n질문: 답변:\n정답: {source} {{ x }} {% y %} <b>&amp;</b>",
    "\"따옴표\" '작은 것' \\n 🙂",
)
"""Questions whose white space, braces and quotes a careless template would change."""
_TIMEOUT_S = 60.0


def prepare_serving(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Write how to ask the model in ``folder``, and when it is done, as it was trained.

    That is the generation settings' ends, the Modelfile and, unless training was in the tokenizer's
    own, the chat template, which is checked: a tokenizer that cannot be asked through messages is
    told of, and gets none. Does nothing for a model of unknown template.
    """
    template = read_training_info(folder).template
    if template is None:
        return
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    if template.chat:
        if tokenizer.chat_template:
            _prepare_chat(folder, tokenizer, template)
        return
    add_ends(folder, [tokenizer.eos_token_id])
    # The base's of before 2025, which a processor would take instead.
    (folder / PROCESSOR_TEMPLATE).unlink(missing_ok=True)
    write_text(folder / CHAT_TEMPLATE, write_jinja(template, find_start(tokenizer)))
    write_text(folder / MODELFILE, write_modelfile(template.prompt))
    try:
        check_rendering(load_tokenizer(folder, trust_remote_code=trust_remote_code), template)
    except ModelError as error:
        (folder / CHAT_TEMPLATE).unlink()
        console.print(f"  No chat template was written: {error}", soft_wrap=True)


def _prepare_chat(folder: Path, tokenizer: PreTrainedTokenizerBase, template: Template) -> None:
    ends = find_stop_tokens(tokenizer)
    add_ends(folder, ends)
    mark = "kot-prompt"
    question = Message(role="user", content=template.prompt.replace("{source}", mark))
    text = render_chat(tokenizer, (question,), ask=True)
    if text.count(mark) == 1 and '"""' not in text:
        prompt = text.removeprefix(tokenizer.bos_token or "").replace(mark, "{source}")
        stops = [str(tokenizer.convert_ids_to_tokens(end)) for end in ends]
        write_text(folder / MODELFILE, write_modelfile(prompt, stops))


def add_ends(folder: Path, ends: Sequence[int | None]) -> None:
    """Have ``generate`` and servers stop at ``ends`` too, which the base's settings may not know.

    A base's tokenizer often ends a turn with another token than the base ends a text with.
    """
    file = folder / "generation_config.json"
    config = read_json(folder / "config.json")
    kept = ("bos_token_id", "eos_token_id", "pad_token_id")
    stated = {**(config.get("text_config") or {}), **config}
    settings = {key: stated[key] for key in kept if stated.get(key) is not None}
    settings = read_json(file) if file.is_file() else settings
    known = settings.get("eos_token_id", stated.get("eos_token_id"))
    known = known if isinstance(known, list) else [known]
    wanted = [end for end in dict.fromkeys((*ends, *known)) if end is not None]
    if not set(wanted) <= set(known):
        write_json(file, {**settings, "eos_token_id": wanted})


def find_start(tokenizer: PreTrainedTokenizerBase) -> str:
    """What stands before every text that the tokenizer encodes: BOS, or nothing."""
    return "".join(tokenizer.convert_ids_to_tokens(list_opening(tokenizer)))


def write_jinja(template: Template, start: str) -> str:
    """A plain template as a chat template. Earlier turns stand before the last as worked examples.

    A system message is refused: training knew none.
    """
    texts = (start, *template.prompt.split("{source}"))
    start, head, tail = (json.dumps(text, ensure_ascii=False) for text in texts)
    return (
        "{%- for message in messages -%}"
        "{%- if message['role'] == 'user' -%}"
        f"{{{{- {start} if loop.first else '' -}}}}"
        f"{{{{- {head} + message['content'] + {tail} -}}}}"
        "{%- elif message['role'] == 'assistant' -%}"
        "{{- message['content'] + ('' if loop.last else '\\n\\n') -}}"
        "{%- else -%}"
        "{{- raise_exception('this model knows user and assistant only') -}}"
        "{%- endif -%}"
        "{%- endfor -%}"
    )


def write_modelfile(prompt: str, stops: Sequence[str] = ()) -> str:
    """What ``ollama create`` makes a model of. Ollama puts BOS before it and ends at EOS."""
    prompt = prompt.replace("{source}", "{{ .Prompt }}")
    lines = "".join(f"PARAMETER stop {json.dumps(stop)}\n" for stop in stops)
    return f'FROM .\nTEMPLATE """{prompt}"""\nPARAMETER temperature 0\n{lines}'


def check_rendering(tokenizer: PreTrainedTokenizerBase, template: Template) -> None:
    """Raise ModelError unless messages render as training's prompts, in bytes and in tokens."""
    for probe in PROBES:
        text = render_chat(tokenizer, (Message(role="user", content=probe),), ask=True)
        wanted = find_start(tokenizer) + template.render_prompt(probe)
        found, expected = f"the chat template renders {text!r}", f"{wanted!r}, as in training"
        if text == wanted:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if ids == list_ids(tokenizer, template, probe):
                continue
            found = "the chat template's text has other tokens than training's prompt"
            expected = "the same"
        hint = "Ask for plain completions of the prompt instead."
        raise ModelError(found, expected=expected, hint=hint)


def list_ids(tokenizer: PreTrainedTokenizerBase, template: Template, question: str) -> list[int]:
    """The prompt of a question in tokens, as training gives it to the model."""
    text = render_question(template, tokenizer, question)
    return encode_text(tokenizer, text, opens=not template.chat)


# --- a running server --------------------------------------------------------------------------


def check_server(folder: Path, base_url: str, model: str) -> Literal["tokens", "count"]:
    """Compare what a server makes of messages with training's prompt.

    ``tokens``: every token was compared, by vLLM's or llama.cpp's ``/tokenize``. ``count``: the
    server says no more than how many a prompt has (``usage.prompt_tokens``), and that was right.

    Raises ServiceError when they differ or nothing answers, DataError when ``folder`` does not say
    how its model was trained.
    """
    template = read_template(folder)
    tokenizer = load_tokenizer(folder)
    root = base_url.rstrip("/").removesuffix("/v1")
    how: Literal["tokens", "count"] = "tokens"
    for probe in PROBES:
        asked = {"role": "user", "content": probe}
        expected: Any = list_ids(tokenizer, template, probe)
        body: dict[str, Any] = {"model": model, "messages": [asked]}
        found: Any = _ask_tokens(root, body)
        if found is None:
            how, expected = "count", len(expected)
            body |= {"max_tokens": 1, "temperature": 0}
            reply = _post(f"{root}/v1/chat/completions", body) or {}
            found = (reply.get("usage") or {}).get("prompt_tokens")
        if found != expected:
            raise ServiceError(
                f"the server makes {found} of {probe!r}",
                expected=f"{expected}, as in training",
                hint="Serve the merged folder with its own chat template.",
            )
    return how


def _ask_tokens(root: str, body: dict[str, Any]) -> Any:
    """A prompt's tokens as the server makes them of messages; None where it does not tell."""
    rendered = _post(f"{root}/apply-template", body)
    if rendered and isinstance(rendered.get("prompt"), str):  # llama.cpp, in two steps
        body = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
    else:
        body = {**body, "add_generation_prompt": True}
    reply = _post(f"{root}/tokenize", body)
    return None if reply is None else reply.get("tokens")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON answer; None where the server has no such address. Raises ServiceError."""
    content = json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            value: dict[str, Any] = json.load(response)
            return value
    except urllib.error.HTTPError as error:
        if error.code in (404, 405):
            return None
        found = f"{url} answers {error.code}"
    except (OSError, ValueError) as error:
        found = f"{url}: {str(error)[:120]}"
    raise ServiceError(
        found, expected="an OpenAI-compatible server", hint="Start it, or check its address."
    )
