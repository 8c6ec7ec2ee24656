"""What a translator is: its limits, its price, and how it says what became of a request.

To add one: a class in a file beside this one, and its name in ``Service`` and ``SERVICES``.

A request ends in one of four ways, and money hangs on the difference: an answer; a refusal,
which costs nothing (a ServiceError; of this text alone a TextRefusedError); a failure of the
server, which costs nothing either and is tried again (ServerFailedError, BusyError); or silence
(AnswerLostError), after which only the service's own counter tells whether it was paid for.
An answer may be no translation: then it has a ``Flaw``, and is paid for all the same.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol, get_args

from kot_platypus.errors import RecipeError, ServiceError
from kot_platypus.thoughts import split_thoughts

Flaw = Literal["empty", "cut", "filtered", "refused", "unreadable"]
"""Why an answer is no translation: no text, not all of it, a filter's cut, a refusal. A judge's is
no verdict where it cannot be read as one."""
FLAWS: tuple[Flaw, ...] = get_args(Flaw)


@dataclass(frozen=True)
class Limits:
    """What one request may hold, and how requests are to be made."""

    max_texts: int
    max_bytes: int
    """Of all texts together, as JSON writes them."""
    max_requests: int = 1
    """How many may be under way at once. More than one makes a counter useless."""
    settle_s: float = 0.0
    """How long a request that was given up may still be worked on, and paid for."""
    pause_s: float = 2.0
    """The wait before a lost request is sent again, doubled each time."""


@dataclass(frozen=True)
class Answer:
    """The translations of a batch, in its order, and the characters paid for them."""

    texts: list[str]
    characters: int
    flaws: Mapping[int, Flaw] = field(default_factory=dict)
    """Of the texts that are no translation, by their place."""
    tokens: tuple[int, int] | None = None
    """Read and written, where the service counts them."""


class Translator(Protocol):
    """A service or model that translates protected English texts into Korean."""

    @property
    def id(self) -> str:
        """The service's name: part of the key of every stored translation."""

    @property
    def model(self) -> str:
        """The model's name, for people; empty where the service has but one."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All that decides a translation beside the text: JSON values, no secrets."""

    @property
    def limits(self) -> Limits:
        """What a request may hold."""

    @property
    def price_per_char(self) -> float | None:
        """US dollars for a character; None where it is not known."""

    def notes(self, text: str) -> Mapping[str, Any]:
        """What decides this protected text's translation beside the parameters; {} for most."""

    def translate(self, batch: Sequence[str]) -> Answer:
        """Translate a batch in one request, which is never repeated here once it may be paid for.

        Raises ServiceError when it was refused and costs nothing (TextRefusedError when that is
        for what a batch of one text says), BusyError when it was put off and costs nothing,
        AnswerLostError when that cannot be known.
        """

    def usage(self) -> int | None:
        """The characters that the service has counted so far; None where it counts none."""


Service = Literal["deepl", "openai", "local"]
SERVICES: dict[Service, tuple[str, str]] = {
    "deepl": ("deepl", "DeepL"),
    "openai": ("openai", "OpenAICompatible"),
    "local": ("local", "LocalModel"),
}
"""A recipe's name for a translator -> its module here, loaded when it is used, and its class."""


def find_service(name: Service) -> Callable[..., Translator]:
    """The class of a translator, whose parameters are the options that a recipe may set."""
    module, service = SERVICES[name]
    found: Callable[..., Translator] = getattr(
        import_module(f"kot_platypus.data.translation.{module}"), service
    )
    return found


def open_service(
    name: Service,
    options: Mapping[str, Any],
    where: str,
    told: Mapping[str, Any],
    hidden: Collection[str] = (),
) -> Translator:
    """A service with the ``options`` of a recipe's section ``where``.

    ``told`` is what the recipe says elsewhere, for services that can be told; options that are
    ``hidden`` are none in this section. Raises RecipeError.
    """
    service = find_service(name)
    parameters = inspect.signature(service).parameters
    known = [each for each in parameters if each not in hidden]
    for option in options:
        if option not in known:
            raise RecipeError(
                f"{where} has an unknown option {option!r}",
                expected=f"options of {name}: {', '.join(known)}",
                hint="Fix the recipe.",
            )
    for option in known:
        if parameters[option].default is inspect.Parameter.empty and option not in options:
            raise RecipeError(
                f"{where}.options has no {option!r}",
                expected=f"it for the service {name}",
                hint=f"E.g. --set {where}.options.{option}=...",
            )
    return service(**{each: told[each] for each in told if each in parameters}, **options)


class TextRefusedError(ServiceError):
    """A request that the service will not take: of another text it might."""


class AnswerLostError(Exception):
    """A request whose answer never came: the work may have been done and paid for.

    ``hint`` is what to do when it never comes.
    """

    def __init__(self, reason: str, hint: str = "Try again later.") -> None:
        super().__init__(reason)
        self.hint = hint


class ServerFailedError(AnswerLostError):
    """A request that the server failed to answer: nothing was done, and nothing is billed."""


class BusyError(Exception):
    """A request for which the server has no room now: nothing was done, and nothing is billed."""

    def __init__(self, retry_after_s: float = 0.0) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s
        """How long the server asks to wait; 0 where it does not say."""


def read_output(text: str) -> str:
    """What a language model said, without the thoughts before it; empty while these go on."""
    return (split_thoughts(text)[1] or "").strip()


def count_bytes(text: str) -> int:
    """The bytes of a text in a request, where JSON takes six for what is not ASCII."""
    return len(json.dumps(text)) + len(", ")
