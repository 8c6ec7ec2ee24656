"""Which choice an answer names: by its text, by a mark that was shown, or by both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kot_platypus.answers.endings import COPULA, PARTICLE, key, list_readings, peel
from kot_platypus.answers.equality import list_cuts, say_same
from kot_platypus.answers.normal import plain
from kot_platypus.answers.sentences import find_conclusion, find_predicate, strip_topic
from kot_platypus.hangul import read_final

_FAMILIES = (
    "가나다라마바사아자차",
    "ABCDEFGHIJ",
    "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ",
    "①②③④⑤⑥⑦⑧⑨⑩",
    "㉠㉡㉢㉣㉤㉥㉦㉧㉨㉩",
)
_ORDINALS = ("첫", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")
_NOUN = r"(?:보기|선택지|선지|옵션|항목|option|choice|answer)"
_ONE = r"(?:10|[1-9]|[가나다라마바사아자차]|[A-J]|[ㄱ-ㅎ]|[①-⑩])"
_SIGNED = re.compile(
    rf"(?:{_NOUN} ?)?(?:\((?P<mark>{_ONE})\)|\[(?P<mark2>{_ONE})\]"
    rf"|(?P<mark3>{_ONE})(?![가-힣A-Za-z\d])[.):]?|(?P<mark4>{_ONE})(?=번)) ?번? ?{_NOUN}?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"(?P<mark>{'|'.join(_ORDINALS)}) ?번째 ?{_NOUN}?")
_GLUED = re.compile(r"(?P<mark>[①-⑩㉠-㉩]) ?번?")
_CONTRARY = -1  # a mark beside the text of another choice
_BETWEEN = re.compile(r"^\s*(?:인(?= ))?[:.,)\-–—=]?\s*")


def find_place(mark: str) -> int | None:
    """The place of a mark, from 0: 나, B, ㄴ, ② and 2 are 1."""
    if mark.isdecimal():
        return int(mark) - 1
    if mark in _ORDINALS:
        return _ORDINALS.index(mark)
    return next((f.index(mark.upper()) for f in _FAMILIES if mark.upper() in f), None)


def match_stated_choice(
    answer: str, choices: Sequence[str], marks: Sequence[str] = ()
) -> int | None:
    """The one choice that an answer states in any of the ways people write it, or None.

    ``marks`` are those that the model was shown, as (가) or A.; without them only text counts.
    """
    flat = [plain(choice) for choice in choices]
    if "0" in marks and answer.strip() in marks:  # counted from 0: 1 is the second
        return list(marks).index(answer.strip())
    if _CONTRADICTS.search(_name_places(plain(answer), choices, marks)):
        return None
    sentences = re.split(r"(?<=[.!])\s+", plain(answer))
    if len(set().union(*(_find_text(said, flat) for said in sentences))) > 1:
        return None
    for cut in (*list_cuts(plain(answer)), plain(strip_topic(answer) or "")):
        place = _match(cut, flat, marks)
        if place is not None:
            return None if place == _CONTRARY else place
    return _find_only(answer, choices, marks)


def _match(answer: str, choices: Sequence[str], marks: Sequence[str]) -> int | None:
    by_text = _find_text(answer, choices)
    signed = set(_list_signed(answer, choices)) if marks else set()
    if _CONTRARY in signed:
        return _CONTRARY
    if len(by_text) > 1 or len(signed) > 1:
        return None
    if by_text and signed and by_text != signed:
        # "2" where 2 is a choice's text and the mark of another; 2번 is the mark alone.
        said = key(peel(answer))
        if all(key(peel(choices[place])) != said for place in by_text):
            return signed.pop()
        shown = {re.sub(r"\W", "", plain(mark)).casefold() for mark in marks}
        return None if said in shown else by_text.pop()
    found = by_text | signed
    return found.pop() if len(found) == 1 else None


def _find_text(answer: str, choices: Sequence[str]) -> set[int]:
    """The choices whose text this is: exactly, or else in another form."""
    said = {key(reading) for reading in list_readings(answer)}
    exact = {place for place, choice in enumerate(choices) if key(peel(choice)) in said}
    return exact or {place for place, choice in enumerate(choices) if say_same(answer, choice)}


def _list_signed(answer: str, choices: Sequence[str]) -> Iterator[int]:
    """The places that are named by a mark, with nothing else or with that choice's own text."""
    for reading in list_readings(answer):
        for pattern in (_SIGNED, _GLUED, _ORDINAL):
            if found := pattern.match(reading):
                text = _BETWEEN.sub("", reading[found.end() :])
                yield from _agree(found, text, choices)
        for found in _SIGNED.finditer(reading):
            if (
                found.start()
                and found.end() == len(reading)
                and reading[found.start()] in "([①②③④⑤⑥⑦⑧⑨⑩"
            ):
                yield from _agree(found, reading[: found.start()], choices)
        if found := re.search(rf"\((?:{_SIGNED.pattern})\)$", reading, re.IGNORECASE):
            yield from _agree(found, reading[: found.start()], choices)


def _agree(found: re.Match[str], text: str, choices: Sequence[str]) -> Iterator[int]:
    mark = next((value for value in found.groupdict().values() if value), "")
    place = find_place(mark)
    if place is None or place >= len(choices):
        return
    beside = _find_text(peel(text.strip(" ,")), choices) if text.strip() else {place}
    if beside:
        yield place if place in beside else _CONTRARY


# --- in a sentence -----------------------------------------------------------------------------

_MARK = re.compile(
    r"[①-⑩㉠-㉩]|\((?:10|[1-9가나다라마바사아자차A-Ja-jㄱ-ㅎ])\)|(?:10|[1-9])번(?!째| 문제)"
    r"|(?<![\w'\"-])[A-J](?![A-Za-z\d'+-]|(?<=[AI]) (?!and|or|is)[a-z])"
    r"|(?<![\w])[ㄱ-ㅊ](?![ㄱ-ㅎ\w])|['‘][가나다라마바사]['’](?=[을를이가] )"
    r"|(?P<nth>첫|두|세|네|다섯) ?번째(?= (?:문장|보기|선택지|것|설명))"
)
_CHOSEN = re.compile("[\ue000-\ue0ff]")
# A mark and another choice's text, however they are joined: 2번, 즉 3월 1일.
_CONTRADICTS = re.compile(
    r"([\ue000-\ue0ff])[\s,.:(\[='\"‘“\-—–]*(?:번|인|은|는|이란|의|이며|이고)?"
    r"[\s,:(]*(?:즉|곧|바로|다시 말해|다시 말하면|그러니까)[\s,:]*(?!\1)[\ue000-\ue0ff]"
)


def _find_only(said: str, choices: Sequence[str], marks: Sequence[str]) -> int | None:
    """The one choice that a concluding sentence names, by its text or by its mark."""
    sentence = find_conclusion(said)
    if sentence is None or len(said.strip()) < 6:  # 3번 alone is not a sentence
        return None
    found = find_predicate(_name_places(plain(sentence), choices, marks))
    if found is None or re.search("[\ue000-\ue0ff](?:은|는|도)(?= (?!것))", found[0]):
        return None
    for part in reversed(found):
        places = set(_CHOSEN.findall(part))
        if places:
            place = ord(places.pop()) - 0xE000
            return place if not places and place < len(choices) else None
    return None


def _name_places(sentence: str, choices: Sequence[str], marks: Sequence[str]) -> str:
    """A sentence with the places of the choices in it instead of their texts and marks."""
    places = {form: place for place, choice in enumerate(choices) for form in _bend(plain(choice))}
    forms = "|".join(re.escape(form) for form in sorted(places, key=len, reverse=True))
    texts = re.compile(
        rf"(?<!\w)(?:{forms})(?=$|[^\w]|(?:{COPULA}|{PARTICLE}|도|와|과|이나|나|라는|라|때문|밖에"
        rf"|는 (?:것이|내용)|일 것입니다|적인?|적이다|적입니다|뿐(?:{COPULA}))(?!\w))"
    )

    def name(found: re.Match[str]) -> str:
        place = find_place(found["nth"] or found[0].strip("()번'‘’"))
        return found[0] if place is None else chr(0xE000 + place)

    if marks:
        sentence = _MARK.sub(name, sentence)
    return texts.sub(lambda found: chr(0xE000 + places[found[0]]), sentence)


def _bend(choice: str) -> set[str]:
    """A choice, and its polite form where it ends in a verb: 증가한다, 증가합니다."""
    choice = choice.rstrip(".")
    forms = {choice}
    if choice.endswith(("는다", "음")) and len(choice) > 2:
        forms.add(re.sub("(?:는다|음)$", "습니다", choice))
    elif choice.endswith("다") and (final := read_final(choice[-2:-1])) is not None:
        polite = {0: chr(ord(choice[-2]) + 17) + "니다", 4: chr(ord(choice[-2]) + 13) + "니다"}
        forms.add(choice[:-1] + "기")  # 때문
        forms.add(choice[:-2] + polite.get(final, choice[-2] + "습니다"))
    return forms
