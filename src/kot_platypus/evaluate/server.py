"""Generation behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, transformers.

The server batches, so requests go out several at a time, one a text. Whatever is not a refusal is
tried again by the official client (429, 5xx, broken connections), with growing pauses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from kot_platypus.errors import ServiceError, UsageError, require_extra
from kot_platypus.evaluate.generation import Generated, Prompt, Settings, cut_answer, make_seed

KEY = "OPENAI_API_KEY"
_RETRIES = 6
_SEEDS = 2**31


class ServerEngine:
    """Generates texts through a server; an ``Engine``.

    Plain prompts go to ``completions``, as they are; messages to ``chat/completions``. The key is
    ``$OPENAI_API_KEY``, read when first needed; most servers of one's own need none.

    Args:
        model: What the server calls the model.
        base_url: E.g. ``http://localhost:8000/v1``.
        max_requests: How many are under way at once.
        timeout_s: How long one may take.

    Raises:
        UsageError: an address with secrets in it.
    """

    def __init__(
        self, model: str, base_url: str, *, max_requests: int = 8, timeout_s: float = 600.0
    ) -> None:
        if "@" in urlsplit(base_url).netloc:
            raise UsageError(
                "the server's address holds a user name or password",
                expected=f"secrets in {KEY} alone",
                hint="Take it out of the address.",
            )
        self.model, self.base_url = model, base_url
        self._max_requests, self._timeout_s = max_requests, timeout_s

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text as they come.

        Raises ServiceError when the server refuses a request or cannot be reached. What came
        before has been yielded; what is under way is waited for, and yielded too.
        """
        todo = iter(enumerate(prompts))
        under_way: dict[Future[Generated], int] = {}
        failure: ServiceError | None = None
        with self._connect() as client, ThreadPoolExecutor(self._max_requests) as pool:
            while True:
                if failure is None:
                    for place, prompt in islice(todo, self._max_requests - len(under_way)):
                        under_way[pool.submit(self._ask, client, prompt, settings)] = place
                if not under_way:
                    break
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    place = under_way.pop(future)
                    try:
                        yield place, future.result()
                    except ServiceError as error:
                        failure = failure or error
        if failure is not None:
            raise failure

    def _ask(self, client: Any, prompt: Prompt, settings: Settings) -> Generated:
        openai = require_extra("openai", "translate", "asking an OpenAI-compatible server")
        options: dict[str, Any] = {
            "model": self.model,
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
        }
        if settings.temperature > 0:  # a server that knows seeds repeats its draws
            options["seed"] = make_seed(prompt, settings) % _SEEDS
        if not settings.stop_line:
            options["stop"] = ["\n"]
        try:
            if prompt.messages:
                # A server's chat cannot be given the beginning of its own reply.
                assert not prompt.text
                messages = [message.model_dump() for message in prompt.messages]
                completion = client.chat.completions.create(messages=messages, **options)
                text = completion.choices[0].message.content
            else:
                completion = client.completions.create(prompt=prompt.text, **options)
                text = completion.choices[0].text
            used = completion.usage.completion_tokens
        except openai.APIStatusError as error:
            failure = _explain(error)
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
            if not settings.stop_line:
                text += "\n"  # what the server stopped at
            return Generated(text=cut_answer(text, settings.stop_line) or text, num_tokens=used)
        # Out here nothing hangs on it: the frames below hold the key.
        raise failure

    def _connect(self) -> Any:
        openai = require_extra("openai", "translate", "asking an OpenAI-compatible server")
        return openai.OpenAI(
            api_key=os.environ.get(KEY, "").strip() or "none",
            base_url=self.base_url,
            max_retries=_RETRIES,
            timeout=self._timeout_s,
        )


def _explain(error: Any) -> ServiceError:
    """A refusal in short, without the key that a server may have echoed."""
    told, key = str(error), os.environ.get(KEY, "").strip()
    if key:
        told = told.replace(key, "[key]")
    return ServiceError(
        f"the server refused ({told[:200]})",
        expected="a request that it accepts",
        hint=f"Check the model's name and {KEY}. All answers so far are kept.",
    )
