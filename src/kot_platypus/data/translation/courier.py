"""Requests on their way: batches sent, answers stored, and what a lost answer cost.

A request is written into the ledger, sent, and its answer stored, in that order. When the answer
never comes, because of a time-out, a dropped connection or a kill -9, the service's own counter
tells whether it was paid for, once the service can no longer be at work on it. If it was, it is
counted as lost and the user is told; in both cases the texts are sent again, within the budget.

An answer that is no translation is stored as an attempt, and its text is left for another run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from kot_platypus.data.translation.ledger import Attempt, Ledger, SentRequest, Stored
from kot_platypus.data.translation.protection import count_characters, is_empty
from kot_platypus.data.translation.refusals import is_refusal
from kot_platypus.data.translation.services import (
    Answer,
    AnswerLostError,
    BusyError,
    Flaw,
    Limits,
    ServerFailedError,
    TextRefusedError,
    Translator,
    count_bytes,
)
from kot_platypus.errors import BudgetError, KotError, ServiceError
from kot_platypus.progress import console, pause, show_status

_MAX_LOST = 3
"""After so many lost answers to one request, the service is given up."""
_MAX_BUSY = 8
"""After so many times without room for one request, the service is given up."""
_LONGEST_PAUSE_S = 60.0
_MAX_FLAWED = 8
"""A service without a usable answer to so many new texts in a row is given up."""
_POLL_S = 2.0
_BUSY = "the server has too many requests"
_HINTS: dict[Flaw, str] = {
    "empty": "See the server's log: a model that thinks may need more tokens for its answer.",
    "cut": "Let it write more: its options.max_tokens or max_new_tokens, or a larger context.",
    "filtered": "Another model may take them, or leave such rows out.",
    "refused": "Another model may take them, or leave such rows out.",
    "unreadable": "Another model may keep to the form that it is asked for.",
}


@dataclass
class _Batch:
    """Texts that go in one request."""

    keys: list[str]
    texts: list[str]
    num_lost: int = 0
    num_busy: int = 0

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
    ) -> None:
        self._translator = translator
        self._ledger = ledger
        self._budget_chars = budget_chars
        self._counter: int | None = None
        self._tried: set[str] = set()
        self._num_flawed = 0
        self._resume_at = 0.0  # of the monotonic clock: a busy service is asked nothing before
        self._under_way: dict[Future[Answer], tuple[_Batch, SentRequest]] = {}
        self._stop: KotError | None = None

    def deliver(self, texts: dict[str, str]) -> None:
        """Have all ``texts`` translated. What goes wrong is raised once every answer is stored.

        What got no usable answer in an earlier run comes last: it says little of the service.
        """
        self._tried = self._ledger.list_tried(texts)
        ordered = sorted(texts, key=self._tried.__contains__)
        waiting = _make_batches({key: texts[key] for key in ordered}, self._translator.limits)
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
            if (left_s := self._resume_at - time.monotonic()) > 0:
                if self._under_way:
                    return  # those are collected meanwhile
                pause(left_s, _BUSY)
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
                model=self._translator.model,
                price=self._translator.price_per_char,
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
        """Wait for the next answers, or until a busy service may be asked; store what came."""
        left_s = self._resume_at - time.monotonic()
        timeout_s = left_s if left_s > 0 else None
        for future in wait(self._under_way, timeout_s, return_when=FIRST_COMPLETED).done:
            batch, request = self._under_way.pop(future)
            # Looked at, not raised: a future and the frame it is raised in would hold each other.
            error = future.exception()
            if error is None:
                answer = future.result()
                if len(answer.texts) == len(batch.texts):
                    self._store(batch, request, answer)
                    continue
                error = AnswerLostError(f"{len(answer.texts)} texts for {len(batch.texts)}")
            if isinstance(error, BusyError):
                self._put_off(batch, request, waiting, error)
            elif isinstance(error, AnswerLostError):
                self._try_again(batch, request, waiting, error)
            elif isinstance(error, TextRefusedError):
                answer = Answer([""], 0, flaws={0: "refused"})
                self._store(batch, request, answer, error)
            elif isinstance(error, KotError):
                self._ledger.write_off(request, paid=0, reason=error.found)
                self._stop = error
            else:
                raise error

    def _store(
        self,
        batch: _Batch,
        request: SentRequest,
        answer: Answer,
        refusal: TextRefusedError | None = None,
    ) -> None:
        # Half an emoji, where an answer was cut off, can be neither stored nor trained on.
        texts = [text.encode(errors="replace").decode() for text in answer.texts]
        seen: dict[int, Flaw] = {i: "empty" for i, text in enumerate(texts) if is_empty(text)}
        for place, (source, text) in enumerate(zip(batch.texts, texts, strict=True)):
            if is_refusal(source, text):
                seen[place] = "refused"
        flaws = {**seen, **answer.flaws}
        attempts = [
            Attempt(
                key=batch.keys[place],
                source=batch.texts[place],
                flaw=flaw,
                answer=texts[place],
                characters=min(count_characters(batch.texts[place]), answer.characters),
            )
            for place, flaw in flaws.items()
        ]
        answers = zip(batch.keys, batch.texts, texts, strict=True)
        usable = [Stored(*each) for place, each in enumerate(answers) if place not in flaws]
        paid = answer.characters
        self._ledger.finish(request, usable, paid=paid, attempts=attempts, tokens=answer.tokens)
        if self._counter is not None:
            self._counter += answer.characters
        self._judge_service(usable, attempts, refusal)

    def _judge_service(
        self, usable: list[Stored], attempts: list[Attempt], refusal: TextRefusedError | None
    ) -> None:
        """Stop where one text after the other, none of them tried before, gets no usable answer."""
        if usable:
            self._num_flawed = 0
            return
        self._num_flawed += sum(each.key not in self._tried for each in attempts)
        if self._stop or self._num_flawed < _MAX_FLAWED:
            return
        flaw = attempts[-1].flaw
        self._stop = refusal or ServiceError(
            f"{self._translator.id} gave no usable answer to {self._num_flawed} texts in a row "
            f"(the last: {flaw})",
            expected="answers of use",
            hint=f"{_HINTS[flaw]} kot data ledger shows them. All answers of use so far are "
            "kept, and the same command goes on with the other texts.",
        )

    def _put_off(
        self, batch: _Batch, request: SentRequest, waiting: deque[_Batch], error: BusyError
    ) -> None:
        """Note that a request was free, before the wait in which a kill would leave it in doubt."""
        self._ledger.write_off(request, paid=0, reason=_BUSY)
        wait_s = min(error.retry_after_s or 2.0**batch.num_busy, _LONGEST_PAUSE_S)
        self._resume_at = max(self._resume_at, time.monotonic() + wait_s)
        batch.num_busy += 1
        waiting.appendleft(batch)
        if batch.num_busy == _MAX_BUSY:
            self._stop = ServiceError(
                _BUSY,
                expected="room for one",
                hint="All translations so far are kept. Send fewer at a time, or try again later.",
            )

    def _try_again(
        self,
        batch: _Batch,
        request: SentRequest,
        waiting: deque[_Batch],
        error: AnswerLostError,
    ) -> None:
        reason = str(error)
        if isinstance(error, ServerFailedError):
            self._ledger.write_off(request, paid=0, reason=reason)
        else:
            reconcile(request, self._translator, self._ledger, reason)
        self._counter = self._translator.usage()
        batch.num_lost += 1
        waiting.appendleft(batch)
        if batch.num_lost < _MAX_LOST:
            pause(self._translator.limits.pause_s * 2 ** (batch.num_lost - 1), reason)
        else:
            self._stop = ServiceError(
                f"{self._translator.id} did not answer a request {_MAX_LOST} times ({reason})",
                expected="an answer",
                hint=f"All translations so far are kept. {error.hint}",
            )


def deliver(
    texts: Mapping[str, str],
    translator: Translator,
    ledger: Ledger,
    budget_chars: int | None = None,
) -> None:
    """Have ``texts`` (by key) answered, but for those that failed since the ledger was opened.

    Requests that an earlier run left in doubt are closed first. Raises as ``translate_texts`` does.
    """
    asked = {key: text for key, text in texts.items() if key not in ledger.failed}
    if not asked:
        return
    for request in ledger.list_in_doubt(translator.id):
        reconcile(request, translator, ledger, "an earlier run was cut off")
    Courier(translator, ledger, budget_chars).deliver(asked)


# --- what became of a lost request -------------------------------------------------------------


def reconcile(request: SentRequest, translator: Translator, ledger: Ledger, reason: str) -> None:
    """Close a request whose answer never came, and tell the user when it was paid for."""
    if request.counter is None:  # nobody can be asked: the worst is assumed
        paid, said = request.characters, "count as paid"
    else:
        with show_status(f"Asking {translator.id} whether a lost answer was paid for ({reason})"):
            paid, said = _find_paid(request, request.counter, translator), "were paid"
    ledger.write_off(request, paid=paid, reason=reason)
    if paid:
        console.print(
            f"  {translator.id}: {paid:,} characters {said} for an answer that was lost "
            f"({reason}); they are in the bill, and the texts are sent again.",
            markup=False,
            soft_wrap=True,
        )


def _find_paid(request: SentRequest, counter: int, translator: Translator) -> int:
    """What a lost request cost, by the service's counter, once it can no longer change."""
    # From now on, not from when it was sent: it may have been put off by "too many requests".
    settled_at = time.monotonic() + translator.limits.settle_s
    while True:
        now = translator.usage()
        if now is None:
            return request.characters
        growth = now - counter
        if growth < 0:  # a new month has begun, or it is another account's counter: the worst again
            return request.characters
        # Entities may be billed as written or as one character, so half is proof enough.
        if growth > request.characters / 2:
            return min(growth, request.characters)
        left_s = settled_at - time.monotonic()
        if left_s <= 0:
            return 0
        time.sleep(min(left_s, _POLL_S))
