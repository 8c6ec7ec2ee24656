"""Requests on their way: batches sent, answers stored, and what a lost answer cost.

A request is written into the ledger, sent, and its answer stored, in that order. When the answer
never comes, because of a time-out, a dropped connection or a kill -9, the service's own counter
tells whether it was paid for, once the service can no longer be at work on it. If it was, it is
counted as lost and the user is told; in both cases the texts are sent again, within the budget.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from kot_platypus.data.translation.ledger import Ledger, SentRequest
from kot_platypus.data.translation.protection import count_characters
from kot_platypus.data.translation.services import (
    Answer,
    AnswerLostError,
    Limits,
    TextRefusedError,
    Translator,
    count_bytes,
)
from kot_platypus.errors import BudgetError, KotError, ServiceError
from kot_platypus.progress import Advance, console, show_status

_MAX_LOST = 3
"""After so many lost answers to one request, the service is given up."""
_MAX_REFUSED = 3
"""A service that refuses so many texts and takes none is given up."""
_POLL_S = 2.0


@dataclass
class _Batch:
    """Texts that go in one request."""

    keys: list[str]
    texts: list[str]
    num_lost: int = 0

    @property
    def characters(self) -> int:
        return sum(map(count_characters, self.texts))


def _make_batches(texts: dict[str, str], limits: Limits) -> deque[_Batch]:
    """The texts in their order, in as few requests as the limits allow."""
    batches: deque[_Batch] = deque()
    room = 0
    for key, text in texts.items():
        size = count_bytes(text)
        if not batches or len(batches[-1].texts) == limits.max_texts or size > room:
            batches.append(_Batch([], []))
            room = limits.max_bytes
        batches[-1].keys.append(key)
        batches[-1].texts.append(text)
        room -= size
    return batches


class Courier:
    """Sends batches, as many at once as the service allows, and stores what comes back.

    The ledger is touched by one thread only; the others do nothing but wait for answers.
    """

    def __init__(
        self,
        translator: Translator,
        ledger: Ledger,
        budget_chars: int | None,
        copies: Counter[str],
        advance: Advance,
    ) -> None:
        self._translator = translator
        self._ledger = ledger
        self._budget_chars = budget_chars
        self._copies = copies
        self._advance = advance
        self._counter: int | None = None
        self._num_answered = self._num_refused = 0
        self._under_way: dict[Future[Answer], tuple[_Batch, SentRequest]] = {}
        self._stop: KotError | None = None

    def deliver(self, texts: dict[str, str]) -> None:
        """Have all ``texts`` translated. What goes wrong is raised once every answer is stored."""
        waiting = _make_batches(texts, self._translator.limits)
        self._counter = self._translator.usage()
        with ThreadPoolExecutor(self._translator.limits.max_requests) as pool:
            try:
                while self._under_way or (waiting and not self._stop):
                    self._send(waiting, pool)
                    self._collect(waiting)
            finally:
                # After Ctrl-C too: what is under way is as good as paid for.
                while self._under_way:
                    self._collect(waiting)
        if self._stop:
            raise self._stop

    def _send(self, waiting: deque[_Batch], pool: ThreadPoolExecutor) -> None:
        max_requests = self._translator.limits.max_requests
        while waiting and not self._stop and len(self._under_way) < max_requests:
            batch = waiting[0]
            self._stop = self._check_budget(batch)
            if self._stop:
                return
            waiting.popleft()
            request = self._ledger.begin(
                self._translator.id,
                num_texts=len(batch.texts),
                characters=batch.characters,
                counter=self._counter,
            )
            self._under_way[pool.submit(self._translator.translate, batch.texts)] = batch, request

    def _check_budget(self, batch: _Batch) -> BudgetError | None:
        if self._budget_chars is None:
            return None
        paid = self._ledger.bill().total
        if paid + batch.characters <= self._budget_chars:
            return None
        return BudgetError(
            f"the next request has {batch.characters:,} characters and {paid:,} are paid",
            expected=f"no more than the budget of {self._budget_chars:,}",
            hint="All translations so far are kept. Allow more, and the same command goes on.",
        )

    def _collect(self, waiting: deque[_Batch]) -> None:
        """Wait for the next answers and store them."""
        for future in wait(self._under_way, return_when=FIRST_COMPLETED).done:
            batch, request = self._under_way.pop(future)
            # Looked at, not raised: a future and the frame it is raised in would hold each other.
            error = future.exception()
            if error is None:
                answer = future.result()
                if len(answer.texts) == len(batch.texts):
                    self._store(batch, request, answer)
                    continue
                error = AnswerLostError(f"{len(answer.texts)} texts for {len(batch.texts)}")
            if isinstance(error, AnswerLostError):
                self._try_again(batch, request, waiting, str(error))
            elif isinstance(error, KotError):
                self._ledger.write_off(request, paid=0)
                self._take_refusal(batch, error)
            else:
                raise error

    def _store(self, batch: _Batch, request: SentRequest, answer: Answer) -> None:
        # Half an emoji, where an answer was cut off, can be neither stored nor trained on.
        texts = [text.encode(errors="replace").decode() for text in answer.texts]
        self._ledger.finish(request, batch.keys, texts, paid=answer.characters)
        self._num_answered += 1
        if self._counter is not None:
            self._counter += answer.characters
        self._advance(sum(self._copies[key] for key in batch.keys))

    def _take_refusal(self, batch: _Batch, error: KotError) -> None:
        """Go on without a text that is refused; stop when the refusal is not for the text."""
        self._num_refused += 1
        is_of_text = isinstance(error, TextRefusedError)
        if is_of_text and (self._num_answered or self._num_refused < _MAX_REFUSED):
            self._advance(sum(self._copies[key] for key in batch.keys))
        else:
            self._stop = error

    def _try_again(
        self, batch: _Batch, request: SentRequest, waiting: deque[_Batch], reason: str
    ) -> None:
        reconcile(request, self._translator, self._ledger, reason)
        self._counter = self._translator.usage()
        batch.num_lost += 1
        waiting.appendleft(batch)
        if batch.num_lost < _MAX_LOST:
            time.sleep(self._translator.limits.pause_s * 2 ** (batch.num_lost - 1))
        else:
            self._stop = ServiceError(
                f"{self._translator.id} did not answer a request {_MAX_LOST} times ({reason})",
                expected="an answer",
                hint="All translations so far are kept. Try again later.",
            )


# --- what became of a lost request -------------------------------------------------------------


def reconcile(request: SentRequest, translator: Translator, ledger: Ledger, reason: str) -> None:
    """Close a request whose answer never came, and tell the user when it was paid for."""
    with show_status(f"Asking {translator.id} whether a lost answer was paid for ({reason})"):
        paid = _find_paid(request, translator)
    ledger.write_off(request, paid=paid)
    if paid:
        console.print(
            f"  {translator.id}: {paid:,} characters were paid for an answer that was lost "
            f"({reason}); they are in the bill, and the texts are sent again.",
            soft_wrap=True,
        )


def _find_paid(request: SentRequest, translator: Translator) -> int:
    """What a lost request cost, by the service's counter, once it can no longer change."""
    # From now on, not from when it was sent: it may have been put off by "too many requests".
    settled_at = time.monotonic() + translator.limits.settle_s
    while True:
        now = translator.usage()
        if now is None or request.counter is None:
            return request.characters  # no counter to ask: the worst is assumed
        growth = now - request.counter
        if growth < 0:  # a new month has begun, or it is another account's counter: the worst again
            return request.characters
        # Entities may be billed as written or as one character, so half is proof enough.
        if growth > request.characters / 2:
            return min(growth, request.characters)
        left_s = settled_at - time.monotonic()
        if left_s <= 0:
            return 0
        time.sleep(min(left_s, _POLL_S))
