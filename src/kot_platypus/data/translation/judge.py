"""A model that reads translations and says which are wrong: asked and paid for as a translator is.

It only ever adds findings. An answer that is no verdict (it cannot be read, it is cut off, it is a
refusal) is an attempt in the ledger, as one that is no translation, and never passes for a good
word: the finding says that there is no verdict.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kot_platypus.checks import Finding, Severity
from kot_platypus.checks.findings import shorten
from kot_platypus.data.dataset_recipe import JudgeSection
from kot_platypus.data.translation.courier import deliver
from kot_platypus.data.translation.ledger import Ledger, make_key, open_ledger
from kot_platypus.data.translation.services import (
    Answer,
    Flaw,
    Translator,
    count_bytes,
    open_service,
)
from kot_platypus.errors import ModelError
from kot_platypus.prompts import load_judge_prompt

JUDGE = "judge"
"""The name of the check."""
Ruling = Literal["right", "wrong", "none"]
Pair = tuple[Mapping[str, str], Mapping[str, str]]
"""English texts and Korean ones, by field; a text that stands alone has the field ""."""
_ANSWER = re.compile(
    r"(?P<mark>[*_`]*)(?P<word>right|wrong)[*_`]*(?:\s*[:：.。\n][*_`]*(?P<reason>.*))?",
    re.DOTALL | re.IGNORECASE,
)
_WRONG = re.compile(r"(?<![a-z])wrong(?![a-z])", re.IGNORECASE)
_RIGHT = re.compile(
    r"(?<![A-Za-z])RIGHT(?![A-Za-z])"
    r"|(?:^\s*|(?<=[.!?:;] ))[*_`]*[Rr]ight[*_`]*(?:[.!]|\s*$)"
    r"|^\s*[*_`]*[Rr]ight[*_`]*\s*[:：]",
    re.MULTILINE,
)
"""As a verdict, alone in its line or sentence, or with a reason of its own.

In reasons it is a word as any other (the right hand, the right answer).
"""
_NOT_ITS_OPTIONS = ("prompt", "speech", "glossary", "languages")
_REASON_CHARS = 200


class Verdict(NamedTuple):
    """What a judge said of one pair."""

    ruling: Ruling
    reason: str = ""
    """Of ``wrong`` in the judge's words; of ``none`` why there is no verdict."""

    def list_findings(self, severity: Severity) -> list[Finding]:
        """Nothing of a right one; a missing verdict is a warning, whatever a wrong one is."""
        if self.ruling == "right":
            return []
        is_wrong = self.ruling == "wrong"
        detail = f"judged wrong: {self.reason}" if is_wrong else f"no verdict: {self.reason}"
        return [Finding(check=JUDGE, severity=severity if is_wrong else "warning", detail=detail)]


def read_verdict(answer: str) -> Verdict | None:
    """The verdict in an answer; None where its form leaves any doubt, as both verdicts do.

    >>> read_verdict("WRONG: 3개가 5개로 바뀌었다.")
    Verdict(ruling='wrong', reason='3개가 5개로 바뀌었다.')
    >>> read_verdict("RIGHT or WRONG?")
    """
    found = _ANSWER.fullmatch(answer.strip())
    if not found:
        return None
    is_right = found["word"].lower() == "right"
    reason = (found["reason"] or "").strip().removesuffix(found["mark"])
    if (_WRONG if is_right else _RIGHT).search(reason):
        return None
    if is_right:
        return Verdict("right")
    return Verdict("wrong", shorten(reason, _REASON_CHARS) or "no reason given")


class Judge:
    """A judge at work: what it is asked for is in ``ledger``, and bounded by ``budget_chars``."""

    def __init__(self, section: JudgeSection, ledger: Ledger, budget_chars: int | None) -> None:
        self._service = _open_service(section)
        self._severity, self._ledger, self._budget_chars = section.severity, ledger, budget_chars
        self.counts = Counter[str](right=0, wrong=0, none=0)
        """How many pairs were ruled how."""

    @property
    def config(self) -> dict[str, Any]:
        """All that decides its findings."""
        service = self._service
        parameters = dict(service.parameters)
        return {"service": service.id, "parameters": parameters, "severity": self._severity}

    @property
    def account(self) -> str:
        """What its answers are paid from."""
        return self._ledger.account

    @property
    def paid(self) -> int:
        """The characters that its account ever paid."""
        return self._ledger.bill().total

    def find(self, pairs: Sequence[Pair]) -> list[list[Finding]]:
        """What it finds in each of ``pairs``. Raises as ``rule`` does."""
        return [verdict.list_findings(self._severity) for verdict in self.rule(pairs)]

    def rule(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """The verdicts on ``pairs``, in their order: from the ledger, and the rest by request.

        Bounded, billed and resumed as translations are; raises as ``translate_texts`` does.
        """
        service, ledger = self._service, self._ledger
        questions = [_write_question(*pair) for pair in pairs]
        keys = [make_key(each, service.id, service.parameters) for each in questions]
        asked = {
            key: question
            for key, question in zip(keys, questions, strict=True)
            if count_bytes(question) <= service.limits.max_bytes
        }
        stored = ledger.find(asked)
        missing = {key: text for key, text in asked.items() if key not in stored}
        deliver(missing, service, ledger, self._budget_chars)
        stored |= ledger.find(missing)
        verdicts = {key: read_verdict(answer) for key, answer in stored.items()}
        reasons: dict[str, str] = {key: each.flaw for key, each in ledger.failed.items()}
        reasons |= {key: "too long" for key in keys if key not in asked}
        ruled = [
            verdicts.get(key) or Verdict("none", reasons.get(key, "unreadable")) for key in keys
        ]
        self.counts.update(verdict.ruling for verdict in ruled)
        return ruled


@contextmanager
def open_judge(
    section: JudgeSection, folder: Path, account: str, budget_chars: int | None = None
) -> Iterator[Judge]:
    """Yield a recipe's judge, and hold the ledger in ``folder``, as ``open_ledger`` does.

    Raises RecipeError, and ModelError for a model that takes no prompt.
    """
    with open_ledger(folder, account) as ledger:
        yield Judge(section, ledger, budget_chars)


class _VerdictService:
    """A service that is asked for verdicts. What it says else is flawed: ``unreadable``."""

    def __init__(self, service: Translator) -> None:
        self._service = service
        self.id = f"{service.id} judge"
        self.model, self.parameters = service.model, service.parameters
        self.limits, self.price_per_char = service.limits, service.price_per_char
        self.notes, self.usage = service.notes, service.usage

    def translate(self, batch: Sequence[str]) -> Answer:
        """The answers to a batch of questions in one request. Raises as a translator does."""
        answer = self._service.translate(batch)
        unreadable: dict[int, Flaw] = {
            place: "unreadable"
            for place, text in enumerate(answer.texts)
            if text.strip() and read_verdict(text) is None
        }
        return replace(answer, flaws={**unreadable, **answer.flaws})


def _open_service(section: JudgeSection) -> _VerdictService:
    told = {"prompt": load_judge_prompt()}
    service = open_service(section.service, section.options, JUDGE, told, _NOT_ITS_OPTIONS)
    if "system" not in service.parameters:
        raise ModelError(
            f"{service.model} is an encoder-decoder, which can be asked nothing",
            expected="a chat model as a judge",
            hint="Choose another model.",
        )
    return _VerdictService(service)


def describe_counts(counts: Mapping[str, int]) -> str:
    """How many pairs were ruled how, e.g. ``480 right, 12 wrong, 8 without a verdict``."""
    names = {"right": "right", "wrong": "wrong", "none": "without a verdict"}
    return ", ".join(f"{counts[ruling]:,} {name}" for ruling, name in names.items())


def _write_question(english: Mapping[str, str], korean: Mapping[str, str]) -> str:
    """A pair as JSON: texts that stand alone as they are, others by field."""
    sides = {
        name: texts[""] if "" in texts else {field: text for field, text in texts.items() if text}
        for name, texts in (("english", english), ("korean", korean))
    }
    # "</x>" would be taken for a mark of a translation; half an emoji can be neither sent nor kept.
    written = json.dumps(sides, ensure_ascii=False).replace("</", r"<\/")
    return written.encode(errors="replace").decode()
