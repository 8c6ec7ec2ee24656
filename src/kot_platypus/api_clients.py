"""Services behind a key: keys from the environment that no message shows, and OpenAI's client."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from kot_platypus.errors import ServiceError, UsageError, require_extra

OPENAI_KEY = "OPENAI_API_KEY"


def read_key(variable: str, service: str) -> str:
    """The key in an environment variable. Raises ServiceError where there is none, or no key."""
    # Never a local variable here: a traceback may show those.
    if not os.environ.get(variable, "").strip():
        raise ServiceError(
            f"{variable} is not set",
            expected=f"the key of {service} in that environment variable",
            hint=f"Run: export {variable}=...",
        )
    # HTTP libraries quote a header that they refuse, and with it the key.
    if not re.fullmatch(r"\s*[!-~]+\s*", os.environ[variable]):
        raise ServiceError(
            f"{variable} holds characters that no key has",
            expected="printable ASCII without spaces",
            hint="Copy the key again.",
        )
    return os.environ[variable].strip()


def read_openai_key() -> str:
    """``$OPENAI_API_KEY``, empty where it is not set: your own server may need none."""
    return read_key(OPENAI_KEY, "OpenAI") if os.environ.get(OPENAI_KEY, "").strip() else ""


def describe_refusal(error: Exception, *secrets: str) -> str:
    """A client's message in short, without the keys that a server may have echoed."""
    text = str(error)
    for secret in filter(None, secrets):
        text = text.replace(secret, "[key]")
    return text[:200]


def check_address(base_url: str) -> None:
    """Raise UsageError for a server's address with secrets in it."""
    if "@" in urlsplit(base_url).netloc:
        raise UsageError(
            "the server's address holds a user name or password",
            expected=f"secrets in {OPENAI_KEY} alone",
            hint="Take it out of the address.",
        )


def import_openai() -> Any:
    """The official client's package. Raises MissingExtraError where it is not installed."""
    return require_extra("openai", "openai", "asking an OpenAI-compatible server")


def open_openai(base_url: str, *, max_retries: int, timeout_s: float) -> Any:
    """The official client of a server that speaks OpenAI's protocol."""
    return import_openai().OpenAI(
        api_key=read_openai_key() or "none",
        base_url=base_url,
        max_retries=max_retries,
        timeout=timeout_s,
    )


def join_parts(content: Any) -> str:
    """The text of a message's content, which some servers send as a list of typed parts.

    Parts that are no text (thoughts, refusals) are left out. Raises ValueError for anything else.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError(f"content of the type {type(content).__name__}")
    texts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        text = part.get("text") if isinstance(part, dict) else part
        if kind in ("text", "output_text") and isinstance(text, str):
            texts.append(text)
    return "".join(texts)
