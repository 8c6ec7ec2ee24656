"""Texts in, translations out: nothing is paid for twice, and nothing beyond the budget.

What the ledger holds is taken from there, and the rest goes by request (see ``courier.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kot_platypus.data.spool import iter_chunks
from kot_platypus.data.translation.courier import deliver
from kot_platypus.data.translation.ledger import Attempt, Ledger, make_key
from kot_platypus.data.translation.protection import (
    Problem,
    Protected,
    Span,
    count_characters,
    has_words,
    protect,
    restore,
)
from kot_platypus.data.translation.services import Translator, count_bytes
from kot_platypus.records import Record

_CHUNK_TEXTS = 4096


class Marked(NamedTuple):
    """A text with stretches whose translation is to be found again, none within another."""

    text: str
    marks: tuple[Span, ...] = ()


class Translated(Record):
    """What became of one text: its translation, what is wrong with it at first sight."""

    text: str
    problems: tuple[Problem, ...] = ()
    said: tuple[tuple[str, Span | None], ...] = ()
    """What was marked, and where in ``text`` its translation stands; None: the tags were lost."""


class TranslationCost(Record):
    """What is still to be sent, and what that will cost. Nothing is sent to find out."""

    texts: int
    """Distinct, as they are sent: protected pieces make no difference."""
    characters: int
    price: float | None
    """US dollars; None where it is not known."""
    stored: int
    """Distinct texts whose translation lies in the ledger."""


def estimate(
    texts: Iterable[str | Marked], translator: Translator, ledger: Ledger
) -> TranslationCost:
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
    texts: Sequence[str | Marked],
    translator: Translator,
    ledger: Ledger,
    *,
    budget_chars: int | None = None,
) -> list[Translated]:
    """The translations of ``texts``, in their order: from the ledger, and the rest by request.

    ``budget_chars`` bounds all that the ledger's account ever paid, earlier calls and lost answers
    included. A text whose answer is no translation is asked for once while ``ledger`` is open, and
    again the next time; what came of it is its ``text``, and a problem says what is wrong. Raises
    BudgetError before a request that would exceed the budget, ServiceError when the service refuses
    or is silent for good; by then all that was answered is stored, and the same call goes on from
    there.
    """
    drafts = _prepare_texts(texts, translator)
    sent = {draft.key: draft.xml for draft in drafts if draft.is_sent}
    stored = ledger.find(sent)
    missing = {key: xml for key, xml in sent.items() if key not in stored}
    deliver(missing, translator, ledger, budget_chars)
    answers = stored | ledger.find(missing)
    return [draft.finish(answers, ledger.failed) for draft in drafts]


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

    def finish(self, answers: Mapping[str, str], failed: Mapping[str, Attempt]) -> Translated:
        """The outcome, once all answers are in."""
        if self.is_too_long:
            return Translated(text="", problems=(Problem(kind="too_long"),))
        if self.is_sent and self.key not in answers:
            attempt = failed[self.key]
            text = restore(
                attempt.answer.strip(), self.protected.pieces, self.protected.marked
            ).text
            return Translated(text=text, problems=(Problem(kind=attempt.flaw),))
        # Nothing but pieces is its own translation.
        answer = answers[self.key].strip() if self.is_sent else self.xml
        protected, offset = self.protected, len(self.head)
        restored = restore(answer, protected.pieces, protected.marked)
        problems = restored.problems
        if self.is_sent and not has_words(answer):
            problems = (*problems, Problem(kind="wordless"))
        places = {each: (a + offset, b + offset) for each, (a, b) in restored.spans.items()}
        said = ((protected.pieces[each - 1], places.get(each)) for each in protected.marked)
        return Translated(
            text=f"{self.head}{restored.text}{self.tail}",
            problems=problems,
            said=tuple(said),
        )


def _prepare_texts(texts: Sequence[str | Marked], translator: Translator) -> list[_Prepared]:
    parameters = translator.parameters
    drafts = []
    for each in texts:
        text, marks = each if isinstance(each, Marked) else Marked(each)
        core = text.strip()  # services strip it, and bill it
        start = text.find(core)
        protected = protect(core, [(a - start, b - start) for a, b in marks])
        notes = translator.notes(protected.xml)
        is_too_long = count_bytes(protected.xml) > translator.limits.max_bytes
        drafts.append(
            _Prepared(
                key=make_key(protected.xml, translator.id, {**parameters, **notes}),
                head=text[:start],
                protected=protected,
                tail=text[start + len(core) :],
                is_sent=has_words(protected.xml) and not is_too_long,
                is_too_long=is_too_long,
            )
        )
    return drafts
