"""DeepL through its official client, which is kept from sending anything twice.

The client resends after a time-out, a dropped connection or a 5xx, each of which may come after the
work was done and billed, and it ignores Retry-After. So its own retries are off; a 429, which
costs nothing, is waited for by urllib3, and whatever is in doubt is the ledger's business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from kot_platypus.api_clients import describe_refusal, read_key
from kot_platypus.artifacts import hash_value
from kot_platypus.checks import SpeechLevel
from kot_platypus.checks.glossary import find_terms
from kot_platypus.data.translation.protection import read_words
from kot_platypus.data.translation.services import (
    Answer,
    AnswerLostError,
    Limits,
)
from kot_platypus.errors import ServiceError, require_extra
from kot_platypus.progress import pause

KEY = "DEEPL_AUTH_KEY"
PRICE_PER_CHAR = 25e-6
"""DeepL API Pro: 25 US dollars for a million characters, beside the monthly fee."""
_INSTRUCTIONS: dict[SpeechLevel, str] = {
    "formal": "End every sentence in the formal style (합니다체): -습니다, -습니까, -십시오.",
    "plain": "End every sentence in the plain written style (해라체): -다, -는가, -라.",
}
_MAX_TEXTS = 50
_MAX_BYTES = 128 * 1024
_ROOM_FOR_PARAMETERS = 4096
_MAX_TOO_MANY_REQUESTS = 8
_MAX_SILENT = 5


class DeepL:
    """English to Korean with DeepL. The key is ``$DEEPL_AUTH_KEY``, read when first needed.

    Args:
        context: What the texts are about, in a few sentences. It costs nothing.
        formality: DeepL has none for Korean (its list of languages says so): it ignores
            ``prefer_more`` and ``prefer_less``, and refuses ``more`` and ``less``. It is still
            sent as it was, since what was paid for is kept under a request's parameters.
        model_type: DeepL's choice when None, or e.g. ``prefer_quality_optimized``.
        speech: Asked for by an instruction, since DeepL's formality is not for Korean.
        glossary: English terms and their Korean, kept in the account as a glossary of DeepL's.
        server_url: DeepL's own when None.
        timeout_s: How long an answer may take.
        settle_s: How much longer DeepL may work on a request that was given up: when its counter
            has not grown by then, the request cost nothing.
        pause_s: The wait before a lost request is sent again, doubled each time.
    """

    id = "deepl"

    def __init__(
        self,
        *,
        context: str = "",
        formality: str = "prefer_more",
        model_type: str | None = None,
        speech: SpeechLevel | None = None,
        glossary: Mapping[str, str] | None = None,
        server_url: str | None = None,
        timeout_s: float = 120.0,
        settle_s: float = 150.0,
        pause_s: float = 2.0,
    ) -> None:
        self.parameters: Mapping[str, Any] = {
            "source_lang": "EN",
            "target_lang": "KO",
            "formality": formality,
            "tag_handling": "xml",
            "tag_handling_version": "v2",  # pinned: a version places tags in its own way
            "non_splitting_tags": ["x"],  # a placeholder is a word, not the end of a sentence
            "split_sentences": "1",
            "preserve_formatting": True,
            **({"context": context} if context else {}),
            **({"model_type": model_type} if model_type else {}),
            **({"custom_instructions": [_INSTRUCTIONS[speech]]} if speech else {}),
        }
        self.model = model_type or ""
        room = _ROOM_FOR_PARAMETERS + 6 * len(context)
        self.limits = Limits(_MAX_TEXTS, _MAX_BYTES - room, settle_s=settle_s, pause_s=pause_s)
        self._glossary = dict(glossary or {})
        self._server_url = server_url
        self._timeout_s = timeout_s

    @property
    def price_per_char(self) -> float:
        """US dollars for a character: nothing with the key of a free account."""
        try:
            return 0.0 if read_key(KEY, "DeepL").endswith(":fx") else PRICE_PER_CHAR
        except ServiceError:
            return PRICE_PER_CHAR

    def notes(self, text: str) -> Mapping[str, Any]:
        """The terms of the glossary that this text holds."""
        terms = find_terms(read_words(text), self._glossary)
        return {"glossary": terms} if terms else {}

    def translate(self, batch: Sequence[str]) -> Answer:
        """Translate a batch in one request. Raises ServiceError or AnswerLostError."""
        glossary = {"glossary": self._glossary_id} if any(map(self.notes, batch)) else {}
        results = self._call("translate_text", list(batch), **self.parameters, **glossary)
        return Answer(
            [result.text for result in results],
            sum(result.billed_characters for result in results),
        )

    def usage(self) -> int:
        """The characters billed in this period. Raises ServiceError when DeepL does not tell."""
        for attempt in range(_MAX_SILENT):  # asking costs nothing
            try:
                count = self._call("get_usage").character.count
                break
            except AnswerLostError as error:
                reason = str(error)
                time.sleep(self.limits.pause_s * 2**attempt)
        else:
            raise ServiceError(
                f"DeepL does not tell its usage ({reason})",
                expected="a connection to DeepL",
                hint="All translations so far are kept. Try again later.",
            )
        if not isinstance(count, int):
            raise ServiceError(
                "DeepL tells no count of characters",
                expected="an account that is billed by characters",
                hint="Use another key.",
            )
        return count

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call the official client, with its errors turned into ours."""
        call = getattr(self._client, method)
        deepl = require_extra("deepl", "translate", "translating with DeepL")
        try:
            return call(*args, **options)
        except deepl.DeepLException as error:
            failure = _explain(error)
        except (TypeError, ValueError, AttributeError):  # the client read what is no answer
            failure = AnswerLostError("the answer cannot be read")
        # Out here nothing hangs on it: the frames below hold the key.
        try:
            raise failure
        finally:
            del failure  # else error and frame hold each other, and the connection stays open

    @cached_property
    def _glossary_id(self) -> str:
        """The glossary in the account, made when it is not there. That is free."""
        name = f"kot {hash_value(self._glossary)[:16]}"
        for each in self._call("list_glossaries"):
            if each.name == name:
                return str(each.glossary_id)
        made = self._call("create_glossary", name, "EN", "KO", self._glossary)
        return str(made.glossary_id)

    @cached_property
    def _client(self) -> Any:
        deepl = require_extra("deepl", "translate", "translating with DeepL")
        adapters = require_extra("requests.adapters", "translate", "translating with DeepL")
        retry = _make_retry()
        deepl.http_client.max_network_retries = 0
        deepl.http_client.min_connection_timeout = self._timeout_s
        client = deepl.DeepLClient(read_key(KEY, "DeepL"), server_url=self._server_url)
        too_many_requests = retry(
            total=None,
            connect=0,
            read=0,
            other=0,
            redirect=0,
            status=_MAX_TOO_MANY_REQUESTS,
            status_forcelist=(429,),
            allowed_methods=None,
            backoff_factor=1,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            # The client has no public way to its session.
            client._client._session.mount(
                scheme, adapters.HTTPAdapter(max_retries=too_many_requests)
            )
        return client


def _make_retry() -> Any:
    """urllib3's rule of when to ask again, which tells of its waits."""
    urllib3 = require_extra("urllib3.util", "translate", "translating with DeepL")

    class ShownRetry(urllib3.Retry):  # type: ignore[misc, name-defined]
        def sleep(self, response: Any = None) -> None:
            told = response and self.get_retry_after(response)
            pause(told or self.get_backoff_time(), "DeepL has too many requests")

    return ShownRetry


def _explain(error: Any) -> Exception:
    """What an error of the client means for the money."""
    deepl = require_extra("deepl", "translate", "translating with DeepL")
    status = error.http_status_code
    if isinstance(error, deepl.ConnectionException):
        timed_out = "timed out" in str(error)
        return AnswerLostError("it took too long" if timed_out else "the connection broke")
    if status is not None and status >= 500:
        return AnswerLostError(f"error {status}")
    told = describe_refusal(error, read_key(KEY, "DeepL"))
    expected, hint = _REFUSALS.get(status, ("a request that DeepL accepts", "See its message."))
    return ServiceError(f"DeepL refused ({status}: {told})", expected=expected, hint=hint)


_KEPT = "All translations so far are kept."
_REFUSALS = {
    403: ("a valid key", f"Set {KEY} to the key of your DeepL API account."),
    413: ("a request below 128 KiB", f"A proxy may allow less. {_KEPT}"),
    429: ("fewer requests at a time", f"{_KEPT} Try again later."),
    456: ("characters left in this period", f"{_KEPT} Raise the limit or wait for the next one."),
}
