"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, OpenAI itself.

One text a request, several at once: the server batches, and one text's failure is not another's.
There is no counter to ask, so an answer that never came is taken as paid for; an error of the
server (5xx) is not billed by anyone. The official client's own retries are off, since it would
resend what may have been paid for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from kot_platypus.api_clients import (
    OPENAI_KEY,
    check_address,
    describe_refusal,
    import_openai,
    join_parts,
    open_openai,
    read_key,
    read_openai_key,
)
from kot_platypus.checks import SpeechLevel
from kot_platypus.data.translation.asking import Asking
from kot_platypus.data.translation.protection import count_characters
from kot_platypus.data.translation.services import (
    Answer,
    AnswerLostError,
    BusyError,
    Flaw,
    Limits,
    ServerFailedError,
    TextRefusedError,
    read_output,
)
from kot_platypus.errors import ServiceError
from kot_platypus.prompts import TranslationPrompt

URL = "https://api.openai.com/v1"
_REFUSED_TEXT = (400, 413, 422)
"""What servers say to a text that is too long for the model, or that a filter does not like."""
_QUOTED_CHARS = 60
_CUT = ("length", "max_tokens", "model_length", "abort", "error")
_FILTERED = ("content_filter", "safety", "prohibited_content", "recitation", "blocklist")
"""How servers begin the reason for which an answer is not whole; any other is its end."""
_NEVER_CONNECTED = ("ConnectError", "ConnectTimeout")
"""Of httpx and its successors, by name: nothing was sent yet."""


class OpenAICompatible:
    """English to Korean with a chat model. The key is ``$OPENAI_API_KEY``, read when first needed.

    Your own server (``base_url``) needs no key.

    Args:
        model: The model's name on the server.
        base_url: Where the server is, e.g. ``http://localhost:8000/v1``.
        prompt: A name from ``prompts/translation.yaml``; ``literal`` is for second tries.
        speech: The speech level that the model is asked for; None: ``formal``.
        glossary: English terms and their Korean, of which a text's own are told with it.
        max_requests: How many are under way at once.
        max_bytes: The longest text that is sent, as JSON.
        max_tokens: The longest answer, where the server's own limit is too low. A whole answer
            is the same under any limit, so it is no part of what decides a translation.
        price_per_char: US dollars for a character of source text, when it is known.
    """

    id = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str = URL,
        prompt: str | TranslationPrompt = "faithful",
        speech: SpeechLevel | None = None,
        glossary: Mapping[str, str] | None = None,
        temperature: float = 0.0,
        max_requests: int = 4,
        max_bytes: int = 32 * 1024,
        timeout_s: float = 300.0,
        pause_s: float = 2.0,
        max_tokens: int | None = None,
        price_per_char: float | None = None,
    ) -> None:
        check_address(base_url)
        self.model = model
        self._asking = Asking(prompt, speech, glossary)
        self.parameters: Mapping[str, Any] = {
            "base_url": base_url,
            "model": model,
            "temperature": temperature,
            **self._asking.parameters,
        }
        self.limits = Limits(1, max_bytes, max_requests=max_requests, pause_s=pause_s)
        self.price_per_char = price_per_char
        self._timeout_s = timeout_s
        self._limit = {} if max_tokens is None else {"max_tokens": max_tokens}

    def notes(self, text: str) -> Mapping[str, Any]:
        """What the model is told of this text alone."""
        return self._asking.notes(text)

    def translate(self, batch: Sequence[str]) -> Answer:
        """Translate one text. Raises ServiceError, BusyError or AnswerLostError."""
        (text,) = batch
        client = self._client
        openai = import_openai()
        completion: Any = None
        try:
            completion = client.chat.completions.create(
                model=self.parameters["model"],
                temperature=self.parameters["temperature"],
                messages=[message.model_dump() for message in self._asking.render(text)],
                **self._limit,
            )
            if not completion.choices and (told := getattr(completion, "error", None)):
                told = describe_refusal(Exception(told), read_openai_key())
                failure: Exception = ServerFailedError(told)
            else:
                return _read_answer(completion, text)
        except openai.APIStatusError as error:
            failure = _explain(error)
        except openai.APIConnectionError as error:
            failure = self._explain_silence(error)
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, IndexError) as error:
            failure = _explain_unreadable(completion, error)
        # Out here nothing hangs on it: the frames below hold the key.
        try:
            raise failure
        finally:
            del failure  # else error and frame hold each other, and the connection stays open

    def usage(self) -> None:
        """There is no counter to ask."""
        return

    def _explain_silence(self, error: Exception) -> Exception:
        if type(error.__cause__).__name__ in _NEVER_CONNECTED:
            return ServiceError(
                f"no server answers at {self.parameters['base_url']}",
                expected="an OpenAI-compatible server",
                hint="Start it, or check its address.",
            )
        timed_out = type(error).__name__ == "APITimeoutError"
        return AnswerLostError("it took too long" if timed_out else "the connection broke")

    @cached_property
    def _client(self) -> Any:
        base_url = self.parameters["base_url"]
        if base_url == URL:
            read_key(OPENAI_KEY, "OpenAI")  # OpenAI itself always wants one
        return open_openai(base_url, max_retries=0, timeout_s=self._timeout_s)


def _read_answer(completion: Any, text: str) -> Answer:
    """The one text of an answer, and whether it is all of a translation."""
    choice = completion.choices[0]
    flaw = _find_flaw(choice)
    used = getattr(completion, "usage", None)
    counts = [getattr(used, name, None) for name in ("prompt_tokens", "completion_tokens")]
    read, written = (each if isinstance(each, int) else None for each in counts)
    return Answer(
        [read_output(join_parts(choice.message.content))],
        count_characters(text),
        flaws={0: flaw} if flaw else {},
        tokens=None if read is None or written is None else (read, written),
    )


def _find_flaw(choice: Any) -> Flaw | None:
    content = choice.message.content
    parts = content if isinstance(content, list) else ()
    has_refused = any(isinstance(part, dict) and part.get("type") == "refusal" for part in parts)
    if getattr(choice.message, "refusal", None) or has_refused:
        return "refused"
    reason = str(choice.finish_reason or "").lower()
    if reason.startswith(_FILTERED):
        return "filtered"
    return "cut" if reason.startswith(_CUT) else None


def _explain_unreadable(completion: Any, error: Exception) -> AnswerLostError:
    """What came in place of an answer: a page, JSON that is broken, or one without choices."""
    came = completion
    if completion is None:
        came = getattr(error, "doc", "")
    elif hasattr(completion, "to_json"):
        came = completion.to_json(indent=None)
    said = " ".join(describe_refusal(Exception(came), read_openai_key()).split())
    quoted = said[:_QUOTED_CHARS] + ("…" if len(said) > _QUOTED_CHARS else "")
    return AnswerLostError(
        f"the answer cannot be read: {quoted!r}",
        hint="Check base_url, which mostly ends in /v1, and the server's log.",
    )


def _read_wait_s(retry_after: str | None) -> float:
    try:
        return float(retry_after or 0)
    except ValueError:  # a date
        return 0.0


def _explain(error: Any) -> Exception:
    """What a refusal means for the money."""
    if error.status_code == 429 and error.code != "insufficient_quota":
        return BusyError(_read_wait_s(error.response.headers.get("retry-after")))
    if error.status_code >= 500:
        return ServerFailedError(f"error {error.status_code}")
    told = describe_refusal(error, read_openai_key())
    is_of_text = error.status_code in _REFUSED_TEXT
    return (TextRefusedError if is_of_text else ServiceError)(
        f"the server refused ({told})",
        expected="a request that it accepts",
        hint=f"Check the model's name, {OPENAI_KEY} and your account. "
        "All translations so far are kept.",
    )
