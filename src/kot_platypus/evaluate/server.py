"""Generation behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, transformers.

The server batches, so requests go out several at a time, one a text. Whatever is not a refusal is
tried again by the official client (429, 5xx, broken connections), with growing pauses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from kot_platypus.api_clients import (
    OPENAI_KEY,
    check_address,
    describe_refusal,
    import_openai,
    join_parts,
    open_openai,
    read_openai_key,
)
from kot_platypus.errors import RefusedError, ServiceError
from kot_platypus.evaluate.keys import make_seed, make_server_key
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.texts import GREEDY, Generated, Prompt, Settings
from kot_platypus.progress import count_work
from kot_platypus.thoughts import cut_answer

_RETRIES = 6
_SEEDS = 2**31


class OpenAIModel(ModelUnderTest):
    """A model behind a server that speaks OpenAI's protocol.

    Plain prompts go to ``completions``, as they are; messages to ``chat/completions``. The key is
    ``$OPENAI_API_KEY``, read when first needed; your own server may need none.

    Args:
        name: What the server calls the model.
        base_url: E.g. ``http://localhost:8000/v1``.
        max_requests: How many are under way at once.
        timeout_s: How long one may take.

    Raises:
        UsageError: an address with secrets in it.
    """

    name = ""
    prefills_chats = False

    def __init__(
        self, name: str, base_url: str, *, max_requests: int = 8, timeout_s: float = 600.0
    ) -> None:
        check_address(base_url)
        self.name, self.base_url = name, base_url
        self._max_requests, self._timeout_s = max_requests, timeout_s

    @property
    def identity(self) -> str:
        """Of address and name. What the server loads under that name is not known here."""
        return make_server_key(self.base_url, self.name)

    @property
    def key(self) -> str:
        """The same."""
        return self.identity

    @property
    def about(self) -> dict[str, Any]:
        """Its name and address."""
        return {
            "model": self.identity,
            "engine": "openai",
            "name": self.name,
            "base_url": self.base_url,
        }

    def generate(
        self, prompts: Iterable[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text as they come. A prompt is taken when it is sent.

        Raises ServiceError when the server refuses a request or cannot be reached. What came
        before has been yielded; what is under way is waited for, and yielded too.
        """
        todo = iter(enumerate(prompts))
        under_way: dict[Future[Generated], int] = {}
        failure: ServiceError | None = None
        with (
            open_openai(self.base_url, max_retries=_RETRIES, timeout_s=self._timeout_s) as client,
            ThreadPoolExecutor(self._max_requests) as pool,
        ):
            while True:
                if failure is None:
                    for place, prompt in islice(todo, self._max_requests - len(under_way)):
                        under_way[pool.submit(self._ask, client, prompt, settings)] = place
                if not under_way:
                    break
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    place = under_way.pop(future)
                    try:
                        text = future.result()
                        num = len(under_way) + 1
                        count_work(text.num_tokens / num, under_way=num)
                        yield place, text
                    except ServiceError as error:
                        failure = failure or error
        if failure is not None:
            raise failure

    def _ask(self, client: Any, prompt: Prompt, settings: Settings) -> Generated:
        openai = import_openai()
        options = {"model": self.name, **_list_options(prompt, settings)}
        try:
            if prompt.messages:
                # A server's chat cannot be given the beginning of its own reply.
                assert not prompt.text
                messages = [message.model_dump() for message in prompt.messages]
                completion = client.chat.completions.create(messages=messages, **options)
                text = _join_thoughts(completion.choices[0].message)
            else:
                completion = client.completions.create(prompt=prompt.text, **options)
                text = completion.choices[0].text
            used = completion.usage.completion_tokens
            is_cut = completion.choices[0].finish_reason == "length"
        except openai.APIStatusError as error:
            failure: ServiceError = _explain(error)
        except openai.APIConnectionError:
            failure = ServiceError(
                f"the server at {self.base_url} does not answer",
                expected="an OpenAI-compatible server",
                hint="Start it, or check --base-url. All answers so far are kept.",
            )
        except (openai.OpenAIError, TypeError, AttributeError, IndexError, ValueError):
            failure = ServiceError(
                f"an answer of the server at {self.base_url} cannot be read",
                expected="choices with a text, and usage",
                hint="Check that it is an OpenAI-compatible server.",
            )
        else:
            text = text or ""
            if settings.stop_line == "":
                text += "\n"  # what the server stopped at
            complete = cut_answer(text, settings.stop_line)
            truncated = is_cut and complete is None
            return Generated(
                text=complete or text,
                num_tokens=used,
                truncated=truncated,
                num_prompt_tokens=getattr(completion.usage, "prompt_tokens", None) or 0,
            )
        # Out here nothing hangs on it: the frames below hold the key.
        raise failure


def _list_options(prompt: Prompt, settings: Settings) -> dict[str, Any]:
    """The request's parameters; ``extra_body`` is what vLLM, SGLang and llama.cpp take beside."""
    options: dict[str, Any] = {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
    }
    if settings.temperature > 0:  # a server that knows seeds repeats its draws
        options["seed"] = make_seed(prompt, settings) % _SEEDS
    if settings.top_p < 1:
        options["top_p"] = settings.top_p
    if settings.stop_line == "":
        options["stop"] = ["\n"]
    names = ("top_k", "min_p", "repetition_penalty")
    extra: dict[str, Any] = {
        name: value for name in names if (value := getattr(settings, name)) != getattr(GREEDY, name)
    }
    if prompt.enable_thinking is not None:
        extra["chat_template_kwargs"] = {"enable_thinking": prompt.enable_thinking}
    return options | ({"extra_body": extra} if extra else {})


def _join_thoughts(message: Any) -> str:
    """A reply in one text. Servers that part the thoughts from it call them by two names."""
    said = join_parts(message.content)
    for name in ("reasoning_content", "reasoning"):
        if thoughts := getattr(message, name, None):
            return f"<think>\n{thoughts.strip()}\n</think>\n\n{said}"
    return said


def _explain(error: Any) -> RefusedError:
    told = describe_refusal(error, read_openai_key())
    return RefusedError(
        f"the server refused ({told})",
        expected="a request that it accepts",
        hint=f"Check the model's name and {OPENAI_KEY}. All answers so far are kept.",
    )
