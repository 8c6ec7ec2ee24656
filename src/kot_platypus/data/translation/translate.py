"""Texts in, translations out: nothing is paid for twice, and nothing beyond the budget.

A request is written into the ledger, sent, and its answer stored, in that order. When the answer
never comes, because of a time-out, a dropped connection or a kill -9, the service's own counter
tells whether it was paid for, once the service can no longer be at work on it. If it was, it is
counted as lost and the user is told; in both cases the texts are sent again, within the budget.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.ledger import Ledger, SentRequest, make_key
from kot_platypus.data.translation.protection import (
    Problem,
    Protected,
    count_characters,
    has_words,
    protect,
    restore,
)
from kot_platypus.data.translation.services import (
    Answer,
    AnswerLostError,
    Limits,
    TextRefusedError,
    Translator,
)
from kot_platypus.errors import BudgetError, KotError, ServiceError
from kot_platypus.progress import Advance, console, show_status
from kot_platypus.records import Record

_MAX_LOST = 3
"""After so many lost answers to one request, the service is given up."""
_MAX_REFUSED = 3
"""A service that refuses so many texts and takes none is given up."""
_POLL_S = 2.0
_CHUNK_TEXTS = 4096


class Translated(Record):
    """What became of one text: its translation, what is wrong with it at first sight."""

    text: str
    problems: tuple[Problem, ...] = ()
    cached: bool
    """Whether nothing was sent for it this time."""


class TranslationCost(Record):
    """What is still to be sent, and what that will cost. Nothing is sent to find out."""

    texts: int
    """Distinct, as they are sent: protected pieces make no difference."""
    characters: int
    price: float | None
    """US dollars; None where it is not known."""
    stored: int
    """Distinct texts whose translation lies in the ledger."""


def estimate(texts: Iterable[str], translator: Translator, ledger: Ledger) -> TranslationCost:
    """What ``translate_texts`` would still send and pay for these texts. Needs no key.

    Memory: about 150 bytes for each distinct text.
    """
    seen: set[str] = set()
    characters = num_stored = 0
    for chunk in iter_chunks(texts, _CHUNK_TEXTS):
        drafts = {
            draft.key: draft
            for draft in _prepare_texts(chunk, translator)
            if draft.is_sent and draft.key not in seen
        }
        seen.update(drafts)
        stored = ledger.find(drafts)
        num_stored += len(stored)
        characters += sum(
            count_characters(draft.xml) for key, draft in drafts.items() if key not in stored
        )
    price = translator.price_per_char
    return TranslationCost(
        texts=len(seen) - num_stored,
        characters=characters,
        price=None if price is None else price * characters,
        stored=num_stored,
    )


def translate_texts(
    texts: Sequence[str],
    translator: Translator,
    ledger: Ledger,
    *,
    budget_chars: int | None = None,
    advance: Advance = lambda n=1, note="": None,
) -> list[Translated]:
    """The translations of ``texts``, in their order: from the ledger, and the rest by request.

    ``budget_chars`` bounds all that the ledger's account ever paid, earlier calls and lost answers
    included. ``advance`` is told of every text that is done. Raises BudgetError before a request
    that would exceed the budget, ServiceError when the service refuses or is silent for good;
    by then all that was answered is stored, and the same call goes on from there.
    """
    drafts = _prepare_texts(texts, translator)
    copies = Counter(draft.key for draft in drafts)
    stored = ledger.find({draft.key for draft in drafts if draft.is_sent})
    missing = {d.key: d.xml for d in drafts if d.is_sent and d.key not in stored}
    advance(len(texts) - sum(copies[key] for key in missing))
    if missing:
        for request in ledger.list_in_doubt(translator.id):
            _reconcile(request, translator, ledger, "an earlier run was cut off")
        _Courier(translator, ledger, budget_chars, copies, advance).deliver(missing)
    answers = stored | ledger.find(missing)
    return [draft.finish(answers, cached=draft.key not in missing) for draft in drafts]


# --- texts as they are sent --------------------------------------------------------------------


@dataclass(frozen=True)
class _Prepared:
    """A text made ready: the part that is sent, without the white space around it."""

    key: str
    head: str
    protected: Protected
    tail: str
    is_sent: bool
    is_too_long: bool

    @property
    def xml(self) -> str:
        return self.protected.xml

    def finish(self, answers: dict[str, str], *, cached: bool) -> Translated:
        """The outcome, once all answers are in."""
        if self.is_too_long:
            return Translated(text="", problems=(Problem(kind="too_long"),), cached=True)
        if self.is_sent and self.key not in answers:
            return Translated(text="", problems=(Problem(kind="refused"),), cached=False)
        # Nothing but pieces is its own translation.
        answer = answers[self.key].strip() if self.is_sent else self.xml
        restored = restore(answer, self.protected.pieces)
        problems = restored.problems
        if self.is_sent and not has_words(answer):
            problems = (*problems, Problem(kind="empty"))
        return Translated(
            text=f"{self.head}{restored.text}{self.tail}", problems=problems, cached=cached
        )


def _prepare_texts(texts: Sequence[str], translator: Translator) -> list[_Prepared]:
    parameters = translator.parameters
    drafts = []
    for text in texts:
        core = text.strip()  # services strip it, and bill it
        start = text.find(core)
        protected = protect(core)
        is_too_long = _count_bytes(protected.xml) > translator.limits.max_bytes
        drafts.append(
            _Prepared(
                key=make_key(protected.xml, translator.id, parameters),
                head=text[:start],
                protected=protected,
                tail=text[start + len(core) :],
                is_sent=has_words(protected.xml) and not is_too_long,
                is_too_long=is_too_long,
            )
        )
    return drafts


def _count_bytes(text: str) -> int:
    """The bytes of a text in a request, where JSON takes six for what is not ASCII."""
    return len(json.dumps(text)) + len(", ")


# --- requests ----------------------------------------------------------------------------------


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
        size = _count_bytes(text)
        if not batches or len(batches[-1].texts) == limits.max_texts or size > room:
            batches.append(_Batch([], []))
            room = limits.max_bytes
        batches[-1].keys.append(key)
        batches[-1].texts.append(text)
        room -= size
    return batches


class _Courier:
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
        _reconcile(request, self._translator, self._ledger, reason)
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


def _reconcile(request: SentRequest, translator: Translator, ledger: Ledger, reason: str) -> None:
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
