"""What a teacher costs: said before, counted as it is asked, and never beyond the budget.

Each request is in a ledger before it is sent, with the most that it can cost, and again with what
it did cost once it is answered. After a kill, what was under way counts as paid.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import hash_value
from kot_platypus.data.translation.ledger import Bill, Ledger, SentRequest, open_ledger
from kot_platypus.errors import BudgetError, RefusedError, UsageError
from kot_platypus.evaluate.generation import TextStore
from kot_platypus.evaluate.keys import make_text_key
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.prompting import Question
from kot_platypus.evaluate.reasoning import Reasoning, build_prompts
from kot_platypus.evaluate.texts import Generated, Prompt, Settings
from kot_platypus.models import cache_folder
from kot_platypus.progress import print_notice

_NOTICE_AFTER = 32
"""So many replies tell how long the rest will take, and how much it will cost."""
_FRAME_TOKENS = 32
"""The most that a chat template puts around a message."""


@dataclass(frozen=True)
class Prices:
    """US dollars for a million tokens: of prompts, and of replies."""

    read: float
    written: float

    def charge(self, num_read: int, num_written: int) -> int:
        """The price of so many tokens, in millionths of a US dollar, rounded up."""
        return -int(-(num_read * self.read + num_written * self.written) // 1)


def parse_prices(text: str) -> Prices:
    """``0.5,1.5``: a million tokens read, a million written. Raises UsageError."""
    try:
        read, written = map(float, text.split(","))
        if not 0 <= read < float("inf") or not 0 <= written < float("inf"):
            raise ValueError
    except ValueError as error:
        raise UsageError(
            f"--price {text}",
            expected="two numbers: US dollars for a million tokens read, and written",
            hint="E.g. --price 0.15,0.6",
        ) from error
    return Prices(read, written)


@contextmanager
def open_meter(
    model: ModelUnderTest, out: Path, prices: Prices | None, budget: float | None
) -> Iterator[Meter]:
    """Yield ``model``, metered. ``budget``: the most US dollars that may be paid for ``out``.

    The bill of ``out`` lies in the cache. Raises RunError while another process holds it.
    """
    with ExitStack() as stack:
        ledger = None
        if prices is not None:
            folder = cache_folder() / "bills" / hash_value(str(out.absolute()))
            ledger = stack.enter_context(open_ledger(folder))
        yield Meter(model, prices, budget, ledger)


class Meter(ModelUnderTest):
    """A model that says how long it will take and, where there are prices, counts what it costs."""

    name = identity = key = ""

    def __init__(
        self,
        model: ModelUnderTest,
        prices: Prices | None = None,
        budget: float | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._model, self.prices, self._ledger = model, prices, ledger
        self._budget = None if budget is None else int(budget * 1e6)
        self._paid = ledger.bill().total if ledger else 0
        self.name, self.identity, self.key = model.name, model.identity, model.key
        self.prefills_chats = model.prefills_chats

    @property
    def about(self) -> Mapping[str, Any]:
        """The model's."""
        return self._model.about

    @property
    def bill(self) -> Bill | None:
        """What was paid so far, in millionths of a US dollar; None without prices."""
        return self._ledger.bill() if self._ledger else None

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each prompt's place and its text as they come.

        Raises BudgetError before a request that could exceed the budget, once all that is under
        way has been answered.
        """
        started, paid = time.monotonic(), self._paid
        asked = self._ask if self._ledger else self._model.generate
        for number, answer in enumerate(asked(prompts, settings), start=1):
            if number == _NOTICE_AFTER and len(prompts) >= 2 * _NOTICE_AFTER:
                times = len(prompts) / number - 1
                cost = f" and {_show(times * (self._paid - paid))}" if self.prices else ""
                minutes = (time.monotonic() - started) * times / 60
                print_notice(
                    f"After {number} of {len(prompts):,} replies: about {minutes:,.1f} more "
                    f"minutes{cost}"
                )
            yield answer

    def _ask(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        assert self._ledger
        assert self.prices
        left = dict(enumerate(prompts))
        while left:
            places: list[int] = []
            sent: dict[int, SentRequest] = {}
            offered = self._offer(left, settings, places, sent)
            try:
                for i, text in self._model.generate(offered, settings):  # type: ignore[arg-type]
                    prompt, request = left.pop(places[i]), sent.pop(places[i])
                    num_read = text.num_prompt_tokens or _bound_tokens(prompt)
                    cost = self.prices.charge(num_read, text.num_tokens)
                    self._close(request, cost)
                    yield places[i], text
            except RefusedError:
                for request in sent.values():
                    self._ledger.write_off(request, paid=0)
                raise
            if left and not places:
                self._refuse(min(self._bound_cost(each, settings) for each in left.values()))

    def _offer(
        self,
        left: Mapping[int, Prompt],
        settings: Settings,
        places: list[int],
        sent: dict[int, SentRequest],
    ) -> Iterator[Prompt]:
        """The prompts that can be paid for, each written down as it is taken."""
        assert self._ledger
        for place, prompt in list(left.items()):
            cost = self._bound_cost(prompt, settings)
            if self._budget is not None and self._paid + cost > self._budget:
                return
            sent[place] = self._ledger.begin(
                self.identity, num_texts=1, characters=cost, counter=None
            )
            places.append(place)
            self._paid += cost
            yield prompt

    def _close(self, request: SentRequest, cost: int) -> None:
        assert self._ledger
        self._ledger.finish(request, paid=cost)
        self._paid += cost - request.characters

    def _bound_cost(self, prompt: Prompt, settings: Settings) -> int:
        assert self.prices
        return self.prices.charge(_bound_tokens(prompt), settings.max_new_tokens)

    def _refuse(self, cost: int) -> None:
        assert self._budget is not None
        raise BudgetError(
            f"the next request may cost {_show(cost)} and {_show(self._paid)} are paid",
            expected=f"no more than the budget of {_show(self._budget)}",
            hint="All replies so far are kept. Allow more, and the same command goes on.",
        )


def describe_cost(
    model: ModelUnderTest, questions: Sequence[Question], how: Reasoning, *, rationalize: bool
) -> str:
    """What is still to be asked, and what that can cost, in one line. Nothing is sent to find out.

    To ``rationalize`` may ask all of it again. Tokens read are estimated at one a character.
    """
    prompts = {
        make_text_key(prompt, how.settings): prompt for prompt in build_prompts(questions, how)
    }
    stored = prompts.keys() & TextStore(model.key).known.keys()
    missing = [prompt for key, prompt in prompts.items() if key not in stored]
    num_read = sum(len(_join(prompt)) for prompt in missing)
    num_written = len(missing) * how.max_new_tokens
    told = (
        f"To be asked: {len(missing):,} requests ({len(questions):,} questions x "
        f"{how.num_samples}; {len(stored):,} are answered already), about {num_read:,} tokens "
        f"read and at most {num_written:,} written"
    )
    prices = model.prices if isinstance(model, Meter) else None
    if prices:
        told += f", at most about {_show(prices.charge(num_read, num_written))}"
    return f"{told}; what has no sound reply is asked again" if rationalize else told


def describe_bill(bill: Bill) -> str:
    """What was paid, in one line."""
    unsure = bill.lost + bill.in_doubt
    lost = f", of which at most {_show(unsure)} for replies that never came" if unsure else ""
    return f"Paid for in all: {_show(bill.total)}{lost}."


def _show(cost: float) -> str:
    return f"{cost / 1e6:,.4f} US dollars"


def _join(prompt: Prompt) -> str:
    return "".join([*(message.content for message in prompt.messages), prompt.text])


def _bound_tokens(prompt: Prompt) -> int:
    """No tokenizer makes more tokens of a text than it has bytes."""
    return len(_join(prompt).encode()) + _FRAME_TOKENS * (1 + len(prompt.messages))
