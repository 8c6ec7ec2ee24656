"""A row's answer options: worded once, where the question lists them, and alike everywhere.

Fields are translated apart, so a cupboard may be 찬장 in the question and 벽장 in the answer. Here
the question's list decides. A target that is one of its options is not sent at all: it is taken
from the Korean list. An option that a rationale mentions is marked when it is sent, and where its
translation comes back as a noun in other words, the list's words take its place, with particles
that fit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kot_platypus.checks.answers import list_options
from kot_platypus.data.translation.protection import Problem, Span, has_words, protect
from kot_platypus.data.translation.translate import Marked, Translated
from kot_platypus.hangul import RIEUL, read_final
from kot_platypus.records import Example, Row
from kot_platypus.row_texts import list_texts

TARGET = "target"

_MARKER = r"\s*(?:\([A-Ha-h1-8]\)|[A-Ha-h1-8][.:)]|[①-⑧])\s*"
_EVERYDAY = re.compile(
    "yes|no|true|false|none|all|both|n?either|it|s?he|him|hers?|his|they|them|we|us|you|i|me|that"
    "|this|these|those|one|not|can|will|may|an?|the|more|less|same|other|right"
)
"""Options of one word that sentences hold without naming an option."""


@dataclass(frozen=True)
class Options:
    """The options of a row: which field lists them, how, and which of them the target is."""

    home: str
    listed: tuple[str, ...]
    chosen: int | None
    head: str = ""
    """Of the target: what stands before and behind the option."""
    tail: str = ""


def find_options(row: Row) -> Options | None:
    """The options that a row's question lists; None where it lists none, or one twice."""
    texts = list_texts(row)
    homes = ["source", "input"]
    if not isinstance(row, Example):
        homes = [f"messages.{i}" for i, turn in enumerate(row.messages) if turn.role == "user"]
    for home in homes:
        listed = tuple(list_options(texts.get(home, "")))
        if len(listed) > 1 and all(listed) and len(set(map(str.lower, listed))) == len(listed):
            for number, option in enumerate(listed):
                target = rf"(?i)((?:{_MARKER})?){re.escape(option)}([\s.]*)"
                found = re.fullmatch(target, texts.get(TARGET, ""))
                if found and has_words(protect(option).xml):
                    return Options(home, listed, number, found[1], found[2])
            return Options(home, listed, None)
    return None


def find_mentions(text: str, listed: Sequence[str]) -> list[tuple[Span, int]]:
    """Where a text holds an option word for word, and which: none within another, in order."""
    names = {
        option.lower(): number
        for number, option in enumerate(listed)
        if not _EVERYDAY.fullmatch(option.lower()) and has_words(protect(option).xml)
    }
    if not names:
        return []
    longest_first = sorted(names, key=len, reverse=True)
    pattern = rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w|['’]\w)"
    return [
        (match.span(), names[match[0].lower()])
        for match in re.finditer(pattern, text)
        if match[0].lower() in names
    ]


def shares_options(row: Row) -> bool:
    """Whether a field repeats what another lists."""
    options = find_options(row)
    return options is not None and (
        options.chosen is not None
        or any(
            find_mentions(text, options.listed)
            for field, text in list_texts(row).items()
            if field != options.home
        )
    )


def mark_row(row: Row, fields: Collection[str] | None = None) -> dict[str, str | Marked]:
    """Those fields of a row, or all, as they are sent; not a target that its question lists."""
    options, texts = find_options(row), list_texts(row)
    sent: dict[str, str | Marked] = {
        f: t for f, t in texts.items() if fields is None or f in fields
    }
    if options is None:
        return sent
    if options.chosen is not None and options.home in sent:
        sent.pop(TARGET, None)
    for field in sent.keys() - {options.home}:
        mentions = find_mentions(texts[field], options.listed)
        sent[field] = Marked(texts[field], tuple(span for span, _ in mentions))
    return sent


def word_options(row: Row, done: Mapping[str, Translated]) -> dict[str, Translated]:
    """What ``mark_row`` let be translated, with each option in the words of the question's list.

    The target is there if it could be taken from it, or was sent.
    """
    options, outcomes = find_options(row), dict(done)
    if options is None or options.home not in done:
        return outcomes
    korean = tuple(list_options(done[options.home].text))
    if not (len(korean) == len(options.listed) == len(set(korean))) or not all(korean):
        return outcomes
    wording = dict(zip(map(str.lower, options.listed), korean, strict=True))
    for field, outcome in done.items():
        said = [(span, wording[name.lower()]) for name, span in outcome.said if span]
        text = keep_wording(outcome.text, said)
        gone = {
            name for name, span in outcome.said if not span and wording[name.lower()] not in text
        }
        lost = tuple(Problem(kind="lost", piece=name) for name in sorted(gone))
        outcomes[field] = outcome.model_copy(
            update={"text": text, "problems": (*outcome.problems, *lost)}
        )
    if options.chosen is not None and TARGET not in done:
        text = f"{options.head}{korean[options.chosen]}{options.tail}"
        outcomes[TARGET] = Translated(text=text)
    return outcomes


# --- one wording -------------------------------------------------------------------------------

_PREDICATE = re.compile(r"[다요까죠][.!?]*$|[.!?…]$")
_PARTICLE = (
    r"(?:에서|에게|에는|으로|까지|부터|처럼|보다|이나|[은는이가을를와과의에도만로다])(?![가-힣])"
    r"|(?:으로|로|에)(?:는|도|부터|써)|입니|이다|이라|이며|이고|이었|이에|였|예요|라고|라는|인(?![가-힣])"
)
_NOUN_FOLLOWS = re.compile(rf"(?:[\"'’”」』)\].,;:!?]|\s*$|{_PARTICLE})")
_INSIDE = re.compile(r"(?<=[가-힣])(?:을|를|입니다|이다|에서|으로)$")
_AFTER_CONSONANT = {
    "은": "는", "이": "가", "을": "를", "과": "와", "으로": "로", "이나": "나", "이라": "라",
    "이며": "며", "이고": "고", "이었": "였", "이에요": "예요", "이다": "다",
}  # fmt: skip
_AFTER_VOWEL = {vowel: consonant for consonant, vowel in _AFTER_CONSONANT.items()}
_ALONE = r"(?![가-힣])"


def keep_wording(text: str, said: Sequence[tuple[Span, str]]) -> str:
    """``text`` with one wording for each option: ``said`` is where it was said, and the wording.

    Only a noun gives way: where a particle, the copula, a mark or the end follows. A verb or an
    adjective ("달려야") is left as the translator wrote it, and so is a noun that begins as wanted.
    Where the same word stands once with a particle, it is a noun elsewhere too ("벽장 안에").
    """
    nouns = {
        (word, wanted)
        for (start, stop), wanted in said
        for word, rest in [_split(text, start, stop)]
        if _NOUN_FOLLOWS.match(rest) and not (_PREDICATE.search(word) or _PREDICATE.search(wanted))
    }
    for (start, stop), wanted in sorted(said, reverse=True):
        word, rest = _split(text, start, stop)
        if not word or ((word, wanted) in nouns and not word.startswith(wanted)):
            text = text[:start] + wanted + _fit_particle(wanted, rest)
    return text


def _split(text: str, start: int, stop: int) -> tuple[str, str]:
    """What was said for an option, and what follows; a particle between the tags follows it."""
    word, rest = text[start:stop], text[stop:]
    inside = _INSIDE.search(word)
    return (word[: inside.start()], inside[0] + rest) if inside else (word, rest)


def _fit_particle(word: str, rest: str) -> str:
    """``rest`` with its first particle as it is after ``word``: 은 or 는, 으로 or 로."""
    final = read_final(word[-1:])
    if final is None:
        return rest
    others = _AFTER_VOWEL if final else _AFTER_CONSONANT
    for wrong in sorted(others, key=len, reverse=True):
        alone = _ALONE if len(wrong) == 1 and wrong not in "라며고였다" else ""
        if re.match(wrong + alone, rest):
            right = others[wrong]
            if wrong == "로" and final == RIEUL:  # after ㄹ as after a vowel
                right = "로"
            return right + rest[len(wrong) :]
    if final == RIEUL and rest.startswith("으로"):
        return rest[1:]
    return rest
