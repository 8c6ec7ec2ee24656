"""Checks of the language itself: that it is Korean, only Korean, and goes somewhere."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from kot_platypus.checks.findings import Findings, make_finding, shorten
from kot_platypus.checks.segments import HANGUL, Text
from kot_platypus.checks.snippets import read_snippets

# --- untranslated ------------------------------------------------------------------------------

_STRETCH = re.compile(r"[^가-힣\n]*[A-Za-z]{2}[^가-힣\n]*")
_WORD = re.compile(r"(?<![A-Za-z_\\./@-])[a-z][a-z'’]+(?![A-Za-z_(/@\d]|\.\w)")
_QUOTED = re.compile(
    r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|‘[^’\n]{1,200}’|[«「『《][^»」』》\n]{1,80}[»」』》]"
    r"|(?<![A-Za-z])'[^\n]{1,80}?'(?![A-Za-z])"
)
_FUNCTION_LIST = (
    "the is are was were has have had of to in on at for with that this it and or we you he "
    "she they by from as be can will if so then each how what which than not its their do "
    "does"
)
_FUNCTION_WORDS = frozenset(_FUNCTION_LIST.split())
_UNITS_LIST = (
    "cm mm km kg mg ml mi ft lb oz hz mph kph rpm ppm mol kcal cal min sec hr log sin cos tan "
    "exp max mod lim ln gcd lcm det deg rad iphone ipad ebay http https www com org true "
    "false null none vs pm am pi"
)
_UNITS_AND_NAMES = frozenset(_UNITS_LIST.split())
_FEWEST_WORDS = 4  # lower-case words between two pieces of Korean that are no name any more


_left = partial(make_finding, "untranslated")


def find_untranslated(source: Text, translation: Text) -> Findings:
    """The translation is Korean throughout.

    Catches a copy of the source, a sentence or a clause left in English, and single English words
    (a warning). Look-alikes: short answers and names kept as they are (Isaac Newton, B, DNA),
    titles, quoted English in a question about English, code, formulas, units.
    """
    words = translation.words
    if not source.raw and not translation.num_hangul:  # a row that should be Korean by itself
        if len(_list_words(translation.prose)) >= _FEWEST_WORDS:
            yield _left("nothing is Korean", (), [(0, len(translation.raw))], is_error=False)
        return
    if not words or not source.words:
        return
    if not translation.num_hangul:
        lower = _list_words(translation.prose) or _TRUTH.findall(translation.prose)
        if lower:
            is_error = len(words) >= 3 and len(lower) >= 2
            whole = [(0, len(translation.raw))]
            yield _left("nothing is Korean", (), whole, is_error=is_error)
        return
    prose = _blank_kept(source, translation)
    partly = _list_partly_kept(source, prose)
    if len(partly) > 2:
        yield _left(f"translated in one place, kept in another: {', '.join(partly[:5])}")
    elif label := _LABEL.search(translation.prose):
        yield _left(f"left in English: {label[1]}", (), [label.span(1)])
    else:
        yield from _find_stretches(source, prose)


# Before a text in Korean; Step 1 and Example 1 may well stay, and "Tom: 안녕" is who says it.
_LABEL = re.compile(
    r"(?m)^\W*((?:Question|Answer|Premise|Hypothesis|Context|Passage|Solution|Explanation|Reasoning"
    r"|Sentence|Statement|Options?|Choices?|Conclusion|Task|Problem|Instructions?|Rationale)"
    r"(?: \d+)?) ?:(?=[^\n]*[가-힣])"
)
# Where English is what a question is about, and where what computers are told may stand in English.
_ABOUT_WORDS = re.compile(
    r"(?i)\b(?:words?|letters?|alphabet\w*|spell\w*|rhym\w*|\w+nyms?|vowels?|nouns?|verbs?|plural"
    r"|strings?|english)\b"
)
_ABOUT_LANGUAGE = re.compile(
    r"(?i)\b(?:words?|sentences?|phrases?|tenses?|voice|idioms?|english|french|spanish|german|latin"
    r"|gramma\w*|translat\w*|spell\w*|punctuat\w*|\w+nyms?|(?:ad|pro)?(?:verb|noun)s?|adjectives?)\b"
)
_ABOUT_CODE = re.compile(
    r"(?i)`|_|program|command|software|script|server|\b(?:code|string|variable|function|array|files?"
    r"|git|npm|void|press|type|enter|click|menu|print|table|pull request)\b"
)
_KEPT_LIST = (
    "add append array async await bash bool boolean branch break byte cache catch char class"
    " clone commit config const continue cookie css csv def default delete dict diff docker else"
    " enter enum export false fetch float fork function git grep hash head header heap host"
    " import index init input insert install int integer join json kernel key keys lambda len"
    " list load log login main map master merge method module name namespace node none null"
    " number object origin output param parent path payload ping pop private prompt protected"
    " props proxy public pull push query queue rebase regex release return root row schema script"
    " select self server session set shell slice socket sort stack static status stdin stdout"
    " string struct super switch table target text thread throw title token true try tuple txt"
    " type undefined union update url user username value values var vector verbose void webhook"
    " while"
)
_KEPT_WORDS = frozenset(_KEPT_LIST.split())


_QUOTED_WORDS = 6  # from which on a quotation ended by a full stop is no title


def _is_said(quoted: str) -> bool:
    """Whether a quotation is a sentence, which should be Korean, rather than a title or a word."""
    words = _list_words(quoted)
    is_ended = quoted.rstrip("\"”’'»」』》")[-1:] in (".", "!", "?", ",")
    return is_ended and len(words) >= _QUOTED_WORDS and not _FUNCTION_WORDS.isdisjoint(words)


def _blank_kept(source: Text, translation: Text) -> str:
    """The translation's prose without what is quoted, and without code of the source."""
    prose = translation.prose
    if not _QUOTES.isdisjoint(prose):
        may_be_said = not (_ABOUT_LANGUAGE.search(source.raw) or _ABOUT_CODE.search(source.raw))
        prose = _QUOTED.sub(
            lambda match: (
                match[0]
                if HANGUL.search(match[0]) or (_is_said(match[0]) and may_be_said)
                else " " * len(match[0])
            ),
            prose,
        )
    if _ABOUT_LANGUAGE.search(source.raw):  # the English that a question asks about
        prose = _EXAMPLE.sub(
            lambda match: " " * len(match[0]) if source.raw.find(match[1]) > 0 else match[0], prose
        )
    codes = {code for code, _ in read_snippets(source)}
    for code, (start, end) in read_snippets(translation) if codes else ():
        if code in codes:
            prose = prose[:start] + " " * (end - start) + prose[end:]
    return prose


def _find_stretches(source: Text, prose: str) -> Findings:
    """Passages that stayed English, or else single words."""
    kept, passages = [], []
    code = _list_code_words(source)
    header = _HEADER.search(prose)
    if header and header[1] in source.raw and not _ABOUT_DATA.search(source.raw):
        passages.append(header.span(1))
    for stretch in _STRETCH.finditer(prose):
        found = [word for word in _list_words(stretch[0]) if word not in code]
        if _is_list(stretch[0], found, source):
            continue
        if _is_passage(stretch[0], found):
            start = stretch.end() - len(stretch[0].lstrip(" .,;:!?)]"))
            passages.append((start, stretch.end()))
        elif any(len(word) > 3 for word in found):
            kept.append(stretch.span())
    if passages:
        detail = f"left in English: {shorten(prose[slice(*passages[0])])}"
        yield _left(detail, (), passages)
    elif words := _list_intruders(source, prose, code):
        yield _left(f"left in English: {', '.join(words[:5])}", (), kept)
    elif kept:
        detail = f"English words: {shorten(prose[slice(*kept[0])])}"
        yield _left(detail, (), kept, is_error=False)


_DAY = re.compile(  # 3월 12일(Wednesday), March까지
    r"(?<!요일\()\b(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|July"
    r"|September|October|November|December)(?=[가-힣]|\))"
)
_GLUED = re.compile("[가-힣][a-z]{2,}[가-힣]")  # 파워house라고
_AMONG_KOREAN = re.compile(
    r"(?<![A-Za-zÀ-ɏ\d_./@-])(?<![A-Za-z\d|] )(?P<said>[a-z]{3,}(?:[ -][a-z]{3,})?)"
    r"(?=[가-힣]|(?<=[a-z]{4})(?: [가-힣]| \([A-H]\)))"
)


def _list_intruders(source: Text, prose: str, code: frozenset[str]) -> list[str]:
    """English words that do a Korean one's work: jacket을, damp한.

    None are words that the source quotes or has in ``code``, and what computers are told.
    """
    if not source.has_code and (glued := _GLUED.findall(prose)):
        return glued
    found = [match["said"] for match in _AMONG_KOREAN.finditer(prose)] + _DAY.findall(prose)
    if not found or _ABOUT_WORDS.search(source.raw):
        return []
    kept = _KEPT_WORDS if source.has_code or _ABOUT_CODE.search(source.raw) else frozenset()
    kept |= code
    return [
        said
        for said in found
        if all(
            word not in kept
            and not re.search(
                rf"[\"'“‘`*]{word}[\"'”’`*]|(?m:[|,(] ?{word} *(?:[|,)]|$))"
                rf"|[_.]{word}|\b{word}(?: =|[=(\[_.](?=[\w()\[\"']))"
                rf"|\b(?:array|list|string|matrix|integer|tree|graph|variable|table)s? {word}\b",
                source.raw,
            )
            for word in re.split("[ -]", said)
        )
    ]


_LATIN = re.compile("[A-Za-z]+")


def _list_code_words(source: Text) -> frozenset[str]:
    """The words of the source's code, which are names: pandas, salary."""
    spans = (*source.blocks, *source.code_lines, *source.inline)
    return frozenset(word for span in spans for word in _LATIN.findall(source.cut(span)))


_TRUTH = re.compile(r"\b(?:true|false|none)\b")
_QUOTES = frozenset("\"“'‘«「『《")


def _list_words(prose: str) -> list[str]:
    """The lower-case English words that are no units or well-known names."""
    return [word for word in _WORD.findall(prose) if word not in _UNITS_AND_NAMES]


# A line, or the end of one, without Korean.
_EXAMPLE = re.compile(
    r"(?m)(?:^[ \t]*(?:\(?[A-Ha-h\d][.)]|[-*•①-⑳])?[ \t]*|(?<=[:?]) (?!.*,))"
    r"([^가-힣\s][^가-힣\n]*)$"
)


def _list_partly_kept(source: Text, prose: str) -> list[str]:
    """Words that stand in the translation, but not wherever the source has them; no glosses."""
    kept = Counter(_list_words(_BRACKETED.sub("", prose)))
    wanted = Counter(_list_words(source.prose)) if kept else kept
    return [word for word in kept if kept[word] < wanted[word]]


_BRACKETED = re.compile(r"\([^()\n]*\)")


def _is_list(stretch: str, words: list[str], source: Text) -> bool:
    """Whether a stretch lists words in a question about words: "pear, fig and apple"."""
    return (
        "," in stretch
        and _FUNCTION_WORDS.isdisjoint(words)
        and stretch.strip(" .:") in source.raw
        and _ABOUT_WORDS.search(source.raw) is not None
    )


# For instance, ... and Kind regards, which are no names.
_PHRASE = re.compile(r"^(?:\W*[.?!] +)?[A-Z][a-z]+(?: [a-z]+){1,3},[^A-Za-z]*$")
_ABOUT_DATA = re.compile(r"(?i)\bsql|quer(?:y|ies)\b|columns?\b|data ?frame|database")
_HEADER = re.compile(r"(?m)^(\|(?: *[A-Z][a-z]+(?: [a-z]+)* *\|){2,})\n\|[ :|-]+$")


def _is_passage(stretch: str, words: list[str]) -> bool:
    """Whether a stretch without Korean is a piece of a sentence rather than a name or a term."""
    if len(words) >= _FEWEST_WORDS or (
        len(words) == _FEWEST_WORDS - 1 and not _FUNCTION_WORDS.isdisjoint(words)
    ):
        return True
    if _PHRASE.search(stretch):
        return True
    is_sentence = stretch.rstrip(" )")[-1:] in (".", "?", "!") and len(stretch.split()) > 2
    return is_sentence and len(words) > 1


# --- other scripts -----------------------------------------------------------------------------

_CLASSES = {
    "Chinese characters": r"[\u3400-\u9fff\uf900-\ufaff]",
    "Japanese kana": r"[\u3041-\u30fa\u30fc-\u30ff]",
    "Cyrillic": r"[\u0400-\u04ff]",
    "Arabic": r"[\u0600-\u06ff]",
    "Thai": r"[\u0e00-\u0e7f]",
    "Devanagari": r"[\u0900-\u097f]",
    "Hebrew": r"[\u0590-\u05ff]",
}
_SCRIPTS = _CLASSES | {
    "Vietnamese": r"[A-Za-zÀ-ɏ]*[\u1ea0-\u1ef9][A-Za-zÀ-ɏ\u1ea0-\u1ef9]*",
    "unreadable characters": r"\ufffd|[ìíëê][\u0080-\u00bf\u2018-\u203a€ˆ˜œŒ]|Ã[\u0080-\u00bf]|â€",
    "letters in pieces": r"[ㄱ-ㅎ] ?[ㅏ-ㅣ]",
}
_SCRIPT = {name: re.compile(f"(?:{pattern})+") for name, pattern in _SCRIPTS.items()}
# One class, which is fast to search for: what any of them begins with.
_MAY_BE_SCRIPT = re.compile(
    f"[{''.join(x[1:-1] for x in _CLASSES.values())}\ufffdìíëêÃâㄱ-ㅎ\u1ea0-\u1ef9]"
)
_GLOSS = re.compile(r"(?<=[가-힣])\([\u3400-\u9fff]+\)")


def find_mixed_language(source: Text, translation: Text) -> Findings:
    """No script but Hangul and Latin stands in the translation, unless in the source too.

    Catches Chinese, Japanese, Cyrillic and other characters that a model slips in, and broken
    ones. Look-alikes: Greek letters of formulas; hanja in brackets after a word, 인(仁), which is
    a warning.
    """
    if not _MAY_BE_SCRIPT.search(translation.raw):
        return
    for name, pattern in _SCRIPT.items():
        known = set(pattern.findall(source.raw))
        spans = [
            match.span()
            for match in pattern.finditer(translation.raw)
            if not any(match[0] in one for one in known)
        ]
        if not spans:
            continue
        is_gloss = name.startswith("Chinese") and not pattern.search(
            _GLOSS.sub("", translation.raw)
        )
        detail = f"{name}: {shorten(translation.cut(spans[0]), 20)}"
        yield make_finding("mixed_language", detail, (), spans, is_error=not is_gloss)


# --- repetition --------------------------------------------------------------------------------

_STUTTER = re.compile(r"([^\W\d_])\1{7,}")
_LOOP = re.compile(r"(\S.{1,79}?)(?:\s*\1){3,}", re.DOTALL)
_GLUED_LOOP = re.compile(r"(\w{2,12}?)\1{3,}")
_TWICE = 20  # characters, from which on a translation that stands there twice is no rhyme
_SPARE = 6  # words said again beyond what the source says again, before we look closer


def find_repetition(source: Text, translation: Text) -> Findings:
    """The translation does not go round in circles.

    Catches a syllable, phrase or sentence said four times or more in a row, or a sentence said
    three times though the source says it once. Look-alikes: lists, refrains and tables that
    repeat in the source too.
    """
    words = translation.raw.split()
    again = _count_again(translation.raw)
    match = _find_repeated_sentence(source, translation)
    if match:
        yield make_finding("repetition", f"twice: {shorten(match[1])}", (), [match.span(1)])
        return
    if again > _SPARE and again > _count_again(source.raw) + _SPARE:
        match = _LOOP.search(translation.raw)
    line, n = max(_count_lines(translation.raw).items(), key=lambda one: one[1], default=("", 0))
    if n > 2 and n > max(_count_lines(source.raw).values(), default=0):
        yield make_finding("repetition", f"again and again: {shorten(line)}")
        return
    first, second = _halve(translation.raw)
    was_twice = bool(source.raw) and len({*_halve(source.raw)}) == 1
    if first == second and len(first) > _TWICE and source.num_hangul == 0 and not was_twice:
        yield make_finding("repetition", f"again and again: {shorten(first)}")
        return
    longest = max(map(len, words), default=0)
    if match is None and longest > 16:
        match = _GLUED_LOOP.search(translation.prose)
    if match is None and longest > 7:
        match = _STUTTER.search(translation.prose)
    if match and _LOOP.search(source.raw) is None and _STUTTER.search(source.raw) is None:
        detail = f"again and again: {shorten(match[1])}"
        yield make_finding("repetition", detail, (), [match.span()])


_LONG_LINE = 10  # characters; shorter ones come again in tables and lists


def _count_lines(text: str) -> Counter[str]:
    lines = map(str.strip, text.split("\n")) if text.count("\n") > 1 else ()
    return Counter(line for line in lines if len(line) >= _LONG_LINE)


def _halve(text: str) -> tuple[str, str]:
    middle = len(text.strip()) // 2
    return text.strip()[:middle].strip(), text.strip()[middle:].strip()


def _count_again(text: str) -> int:
    words = text.split()
    return len(words) - len(set(words))


_SENTENCE = re.compile(
    r"(?<![^.!?\n\s])[\W\d]{0,40}(?:[A-H][.)] *)?"
    r"((?:[^.!?\n]|(?<=\d)\.(?=\d)){10,})(?:[.!?\n]|\Z)"
)


def _find_repeated_sentence(source: Text, translation: Text) -> re.Match[str] | None:
    matches = [match for match in _SENTENCE.finditer(translation.prose) if HANGUL.search(match[1])]
    counts = Counter(match[1].strip() for match in matches)
    if len(counts) == len(matches):
        return None
    original = Counter(match[1].strip() for match in _SENTENCE.finditer(source.prose))
    if original and max(original.values()) > 1:
        return None  # an example said again
    return next((match for match in matches if counts[match[1].strip()] > 1), None)
