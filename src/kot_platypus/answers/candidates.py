"""What a sentence states of one kind: its only quantity, its only formula, the noun it ends with.

The target tells which kind is looked for, never which of several candidates is the answer: a
sentence with two of them states nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kot_platypus.answers.endings import COPULA, PARTICLE, list_readings, peel
from kot_platypus.answers.equality import PEN_NAMES, are_equal, read_polar, say_same
from kot_platypus.answers.normal import plain
from kot_platypus.answers.quantities import PERCENT, Quantity, read_quantity
from kot_platypus.answers.sentences import find_conclusion, find_predicate, strip_topic
from kot_platypus.answers.shapes import read_order
from kot_platypus.hangul import NIEUN, read_final

_TAIL = re.compile(rf" ?(?:뿐|만큼)?(?:{COPULA}|{PARTICLE})")
_ENDS = re.compile(rf"(?:뿐)?(?:{COPULA})$")
_MARK_UP = re.compile(r"['\"‘’“”「」『』《》〈〉]")
_GLOSS = re.compile(r"(?<=[가-힣]) ?\([^()]*\)")
_RELATES = re.compile(r"[<>≤≥≠\\]|기원전|^[a-z] = ")
_NUMERAL = re.compile(r"\d|\S .*\S|분의|(?:원|살|명|개|마리|시간|달러|퍼센트)$")
_TOLD = re.compile(
    r"^A ?: |(?<!\S)(?:약|대략) (?=\d{1,3}(?:,\d{3})+|\d{4}|\d[\d.]* ?(?:×|[천백십]?[만억조]))"
)
_NARROWER = {
    True: re.compile(r"(?:오전|오후|새벽|아침|낮|저녁|밤) ?(?=\d{1,2}시)"),
    False: re.compile(r"(?<=\d{4}년) \d{1,2}월(?: \d{1,2}일)?(?=에|$)"),
}
_LEFT = re.compile(r"(?<!\S)[\d.,\s+\-×÷*/()]+[\d)] = (?=\d)")
_HANJA = re.compile(r"\([一-鿿]+\)")
_SUM = re.compile(r"(?:총|모두|전부|합쳐|합계|정확히|바로|즉|곧|합하면)(?: \S+)?$")
_ROOTS = re.compile(r"(?<=\d) (?:또는|혹은) (?=[a-z] ?=)")
_VERDICT = re.compile(
    r"(?:(?:이|위|해당|주어진|the|this) )?"
    r"(?:설명|명제|문장|진술|말|주장|내용|statement)(?:은|는| is) "
    r"(?P<said>\S+?)[.!]?(?:$|\s(?!.*(?:하지만|그러나|다만|다시|아니)))",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(?P<name>[A-Za-z]|[가-힣]+)(?: ?= ?| )(?P<value>\S.*)")
_MAX_WORDS = 4
_COUNT = re.compile(
    rf",? (?:두|세|네|다섯|여섯|\d) ?(?:가지|사람|명|개|곳|분|나라)(?=(?:{COPULA})$)"
)
_FRAME = re.compile(r"(?:에|동안|만에|마다|씩|당|뒤|후|전|짜리|인)$|^(?:동안|만에|마다|뒤|후|때)$")


def states(said: str, target: str) -> bool:
    """Whether what is said has one candidate of the target's kind, and that is the target."""
    target = plain(target)
    if (side := read_polar(target)) is not None:
        verdict = _VERDICT.match(said.strip())
        return verdict is not None and read_polar(verdict["said"]) is side
    sentence = find_conclusion(_TOLD.sub("", said))
    sentence = _NARROWER[bool(re.match(r"\d{1,2}시", target))].sub("", sentence or "")
    sentence = _ROOTS.sub(", ", plain(sentence)) if sentence else ""
    found = find_predicate(sentence)
    if pairs := _list_pairs(target):
        return all(_find_value(name, sentence) == value for name, value in pairs)
    if not sentence or found is None:
        return False
    predicate = _COUNT.sub("", found[1])
    if (quantity := read_quantity(target)) is not None:
        only = find_quantity(_LEFT.sub("", found[1])) or find_quantity(predicate)
        is_share = only is not None and read_quantity(peel(said)) is None
        return only is not None and (
            only.equals(quantity) or (is_share and _are_same_share(only, quantity))
        )
    if (order := read_order(target)) and ("순서" in said or order[0]):
        whole = strip_topic(sentence) or predicate
        nouns = (*_list_formulas(predicate), *_list_nouns(predicate), *_list_nouns(whole))
        return any(other[1] == order[1] for noun in nouns if (other := read_order(noun)))
    if re.search(r"[\d=^√π∞<>≤≥+*/:±→]|^[a-z]$|\\", target):
        parts = {*_list_formulas(predicate), *_list_nouns(predicate, of_text=False)}
        return any(are_equal(part, target) for part in parts if ("=" in target) <= ("=" in part))
    kinds = re.findall(r"(\S+)[은는] ", sentence.removesuffix(found[1]))
    is_person = re.search(r"(?:사람|인물|가|자|왕|장군|분)$", kinds[-1] if kinds else "")
    for noun in _list_nouns(_HANJA.sub("", predicate)):
        names = [noun, noun.split()[-1]] if is_person and len(noun.split()) == 2 else [noun]
        if any(say_same(n, target) for n in names) or target in {noun + kind for kind in kinds}:
            return True
    return False


def _are_same_share(said: Quantity, target: Quantity) -> bool:
    """Whether a sentence's percentage is the target's bare number, of a hundred or of one."""
    if (said.unit, target.unit) != (PERCENT, ""):
        return False
    return said.value == target.value * (1 if target.value > 1 else 100)


def agree(one: str, other: str) -> bool:
    """Whether two statements, of which none is known to be right, say the same: for votes."""
    if are_equal(one, other) or states(one, other) or states(other, one):
        return True
    first, second = _find_only(one), _find_only(other)
    return first is not None and second is not None and first.equals(second)


def differ(one: str, other: str) -> bool:
    """Whether two statements have one quantity each, and not the same."""
    return bool(_find_only(one) and _find_only(other)) and not agree(one, other)


def _find_only(said: str) -> Quantity | None:
    sentence = find_conclusion(said)
    found = find_predicate(plain(sentence)) if sentence else None
    return find_quantity(found[1]) if found else None


# --- quantities --------------------------------------------------------------------------------


def find_quantity(predicate: str) -> Quantity | None:
    """The one quantity, or the one that is called the total."""
    if _RELATES.search(predicate):
        return None
    words = _GLOSS.sub("", _MARK_UP.sub("", predicate)).split()
    found: list[tuple[int, int, Quantity | None]] = []
    at = 0
    while at < len(words):
        for end in range(min(len(words), at + _MAX_WORDS), at, -1):
            quantity = _read_words(" ".join(words[at:end]))
            if quantity is not None:
                found.append((at, end, quantity))
                at = end - 1
                break
        else:
            if re.search(r"\d", words[at]):
                found.append((at, at + 1, None))
        at += 1
    found = [one for one in found if not _is_modifier(words, one[1])]
    if len(found) > 1:
        found = [one for one in found if _SUM.search(" ".join(words[: one[0] + 1]))] or [
            one for one in found if not any(map(_FRAME.search, words[one[1] - 1 : one[1] + 1]))
        ]
    return found[0][2] if len(found) == 1 else None


def _is_modifier(words: list[str], end: int) -> bool:
    """Whether a quantity only belongs to a noun that is predicated: 12층 건물이다."""
    return end < len(words) and bool(
        re.search(r"[\d가-힣](?<![이가])$", words[end - 1])
        and re.search(r"^(?!셈|것|답|정답)\S*[가-힣](?:입니다|이다|이에요|예요|이야)$", words[-1])
    )


def _read_words(text: str) -> Quantity | None:
    text = text.rstrip(",.!~")
    for size in range(min(8, len(text))):
        head, tail = text[: len(text) - size], text[len(text) - size :]
        if tail and not _TAIL.fullmatch(tail):
            continue
        if (quantity := read_quantity(head)) is not None:
            is_word = quantity.unit or re.search(r"\d|분의|마이너스|음수", head)
            if tail == "의" and not quantity.unit:  # 12의 배수
                return None
            return quantity if is_word and _NUMERAL.search(head) else None  # 이번 is no 2번
    return None


def _list_pairs(target: str) -> list[tuple[str, Quantity]]:
    """What a target says of several things by name: 몫 5, 나머지 3. Empty: it does not."""
    found = [_PAIR.fullmatch(part) for part in re.split(r", ", target)]
    pairs = [(one["name"], read_quantity(one["value"])) for one in found if one]
    known = [(name, value) for name, value in pairs if value is not None]
    return known if len(dict(known)) == len(found) > 1 else []


def _find_value(name: str, sentence: str) -> Quantity | None:
    """The one quantity that a sentence gives for a name."""
    found = re.findall(
        rf"(?<!\w){re.escape(name)}(?:의 (?:값|수|개수|길이))?(?:은|는|이|가| ?=)? ?(?=[\d-])(\S+)",
        sentence,
    )
    return _read_words(re.split("이[고며],?$", found[0])[0]) if len(found) == 1 else None


# --- formulas and nouns ------------------------------------------------------------------------


def _list_formulas(predicate: str) -> Iterator[str]:
    """The one stretch without Korean words, and the sides of its equation."""
    bare = re.sub(r"\((?:단위)? ?[a-z]{1,2}\^?\d?\)", "", _MARK_UP.sub("", predicate))
    yield peel(_ENDS.sub("", bare))
    found = _STRETCH.search(bare)
    if found and not _PREDICATED.match(bare, found.end()):
        for size in range(6):
            if not size or _TAIL.fullmatch(found[0][-size:]):
                yield found[0][: len(found[0]) - size]
    bare = _UNIT.sub("", bare)
    parts = [part.strip(" ,.") for part in re.split(r"[가-힣]+", bare)]
    parts = [part for part in parts if re.search(r"[\w∞]", part)]
    if len(parts) == 1:
        yield parts[0]
        sides = [side.strip() for side in parts[0].split("=")]
        if re.search(r"[A-Za-zα-ω]", sides[0]) or all(are_equal(sides[0], s) for s in sides[1:]):
            yield from sides


_UNIT = re.compile(r"(?<=[π√\d)]) ?(?:[cmk]?m)(?:\^[23])?(?=[가-힣.]|$)")
_STRETCH = re.compile(
    r"(?:(?:오전|오후|새벽|아침|낮|저녁|밤|영하|음의|-) ?)?"
    r"(?<!\S)[^\s가-힣]\S*(?:.* [^\s가-힣]\S*)?(?: 전(?=[이을에]))?"
)
_HAVING_DONE = re.compile("[어아]$")  # 6으로 나누어 3 대 2
_PREDICATED = re.compile(r" \S.*[가-힣](?:입니다|이다|이에요|예요|이야)$")
_SAYS = re.compile(
    r"(?:이|가|을|를|이?라고도?|이?라는?|으로|로|에서|에|와|과|인|이?란)? "
    r"(?:것으로 )?(?:[된됩되돼됐]|나온|나옵|나오|나와|출력|부르|부릅|부른|불러|불리|불립|불린|하"
    r"|합|한다|할|해|들어가|들어갈|어울|말|쓰|씁|쓴"
    r"|써|적|나타|판단|보|봅|볼|본|맞|옳|적절|알맞|적합|타당|같|해당|꼽|알려|여겨|일컫|의미|뜻"
    r"|가리|답|생각|선택|고르|고릅"
    r"|고른|골라|결정|추정|예상|구해|얻|읽|번역|표기|표현|남|때문|덕분)\S*"
    r"(?: (?:수 )?(?:있|것|거)\S*)*$"
)
_FULL_NAME = re.compile(
    r"(?:.* )?[가-힣]+ (?P<last>[가-힣]{2,}) ?\([A-Z][^()]*\)"
    r"|.*[A-Za-z] ?\([가-힣 ]+ (?P<inner>[가-힣]+)\)"
)
_PLACE = re.compile(r"^(?P<noun>\S+?)(?:에서|에|으로|로) \S+(?: 됩니다| 된다| 돼요)?$")
_MODIFIES = re.compile(
    r"(?:의|인|던|[가-힣](?:로|어|아|서|고|도)|네,|[은는한된른린간진쓴든킨란])$|^(?:바로|당연히"
    r"|정확히|실제로|역시|결국|오직|정답인|올해|매년)$"
    r"|(?:왕|장군|임금|작가|화가|박사|선생|대왕|회사|나라|도시|산|강|섬|책|말|개념|상수"
    r"|[가-힣](?:가|자|사|관|원|수|도))$"
    rf"|^(?:{PEN_NAMES})$"
)


def _modifies(word: str, of_text: bool) -> bool:
    """Whether what stands behind a word may stand alone: 주신, where it ends in ㄴ; 왕, 민지의."""
    return read_final(word[-1]) == NIEUN or bool(
        (_MODIFIES if of_text else _HAVING_DONE).search(word)
    )


def _list_nouns(predicate: str, of_text: bool = True) -> Iterator[str]:
    """The noun at the end of a predicate, with ever fewer of its modifiers."""
    predicate = predicate.rstrip(".!~ㅋㅎ ")
    heads = [predicate]
    if found := _FULL_NAME.match(predicate):
        yield found["last"] or found["inner"]
    if found := _SAYS.search(predicate):
        heads += [predicate[: found.start()], predicate[: predicate.index(" ", found.start())]]
    if found := _PLACE.match(predicate):
        heads.append(found["noun"])
    for head in heads:
        words = head.split()
        for at in range(len(words)):
            if at and not _modifies(words[at - 1], of_text):
                continue
            for reading in list_readings(" ".join(words[at:])):
                yield reading
                if found := _ENDS.search(reading):
                    yield peel(reading[: found.start()])
