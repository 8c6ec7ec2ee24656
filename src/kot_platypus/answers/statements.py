"""Where a reply states its final answer.

The last statement counts: a line that begins with 정답: or the like, a sentence that says what the
answer is, or a box. So a model may correct itself; but two different answers in one line, or in
two lines with nothing between them, are none. A new question that the model goes on to
invent, and all that follows, is not its answer. Only a reply with no such statement is read by its
last sentence, where that draws a conclusion, or as a whole where it is one line.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from kot_platypus.answers.candidates import agree, differ
from kot_platypus.answers.endings import find_ending
from kot_platypus.answers.equality import are_equal, read_polar
from kot_platypus.answers.normal import find_boxed, flatten, unmark
from kot_platypus.answers.sentences import (
    CAUSE,
    LINKS,
    NO_CONDITION,
    find_conclusion,
    strip_topic,
)

_ASKED = (
    r"(?:질문|문제|예제|연습 ?문제|명령어|입력|Question|Problem|Q|User|Human|사용자|Instruction)"
)
_NEW_QUESTION = re.compile(
    rf"^(?:[ #>*\-\[]*(?:다음 |새로운? )?{_ASKED}\s*\d*\s*[:.)\]]"
    rf"|#{{1,4}}\s*(?:다음 |새로운? )?{_ASKED}\s*\d*\s*$"
    r"|[ #>*]*(?:문제|예제) ?\d+[ ]*$"
    r"|.{3,200}(?:[은는]|(?:무엇|얼마|몇|누구|어디|언제|어느|어떤)[^.?\n]{0,60})\?[ ]*$"
    r"|.{3,200}(?:고르|구하|쓰|답하|설명하|계산하)(?:시오|세요|십시오|여라)\.?[ ]*$"
    r"|<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)",
    re.MULTILINE | re.IGNORECASE,
)
# A first look at one letter makes this five times as fast.
_LABEL = re.compile(
    r"(?=[최모정해답수선aAfFcCrR])(?<![가-힣A-Za-z'\"‘“「])(?i:"
    r"(?:최종(?:적인)? ?(?:정답|답안|답변|답|결과|결론)|모범 ?답안|정답|해답|답안|답)(?: ?번호)?"
    r"(?: ?\([^()\n]{1,12}\))?"
    r"|(?:정정|수정)(?:된|한)?(?: ?(?:정답|답안|답))?(?=\s?:)|선택(?=\s?:)"
    r"|(?:(?:(?:final|correct|right) )?answer(?: choice| option)?|ans)(?![a-z]))"
)
_BULLETS = re.compile(r"\s*(?:^[ ]*[-*•] \S.{0,40}(?:\n|\Z)){2,}", re.MULTILINE)
_HEADING = re.compile(
    r"^(?:#{1,4} *|\*\*)?답변(?:\*\*)?:?[ ]*\n+(?=.{1,30}(?:\n\n|\n*\Z))", re.MULTILINE
)
_SHORT_LABEL = re.compile(
    r"^(?:####[ ]*(?!답변|풀이|해설|결론)(?=\S{1,24}[ ]*$)|\[ANSWER\])[ ]*", re.MULTILINE
)
_JSON = re.compile(
    r"[\"'](?:최종 ?)?(?:정답|답|결과|result|(?:final_?)?answer)[\"'] ?: ?"
    r'(?:"([^"\n]+)"|(-?\d[\d.,/]*))[ ]*(?=[,}\n])',
    re.IGNORECASE,
)
_COLON = re.compile(
    r"\s?[\])】>}]?\s?(?:은|는| is)?\s?(?::=|[:=|]|→|->|⇒|-(?= \S))[ ]*", re.IGNORECASE
)
_BRACKET = re.compile(r"[\]】>][ ]*(?=\S)")
_TOPIC = re.compile(
    r"(?:은|는)(?:요,? | |(?=[\d(①-⑩'\"$\\]))\s*(?:바로 |모두 |총 )?|을 구하면 |\s+is\s+",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"(?:을|를) (?P<said>\S.{0,60}?)(?:으로|로) (?:정정|수정|변경|바로잡|바꾸|바꿉|고치|고칩)"
)
_SUBJECT = re.compile(r"(?:이|가) (?=\S{1,40}(?:입니다|이다|이에요|예요|임)\.?\s*$)")
_ALONE = re.compile(r"[ ]*[\])】>]?[ ]*(?:은|는)?[ ]*(?:다음과 같(?:습니다|다))?[ ]*[:.]?[ ]*$")
_BARE_AFTER = re.compile(r"[ ]+(?=[^가-힣\s])")
_INVERSE_BEFORE = re.compile(
    r"(?P<said>\S[^.\n]{0,120}?)(?:이|가) (?:(?:이|그) ?(?:문제|질문)의 )?$"
)
_INVERSE_AFTER = re.compile(
    r"(?:입니다|이다|이에요|임|이 됩니다|이 된다|이라고 할 수 있(?:다|습니다))(?=[.\s]|$)"
)
_LINK = re.compile(rf"(?:^|(?<=[.!?\n] )|(?<=\n))[ ]*(?:{LINKS})(?:[, ]|(?<=∴))\s*", re.IGNORECASE)
_FRONT = re.compile(rf"^(?:[\s#>*\-•∴]|{LINKS}|[,])*$", re.IGNORECASE)
_OWNERS = re.compile(r"(?<!\S)(\S+)의 ?$")
_OWN = re.compile(r"문제|질문|물음|이것|위|식|계산|풀이|보기|최종|나|저|제")
_IF = re.compile(r"만약|만일|가정하면|라면|라고 하면|\bif\b|예를 들어|예시", re.IGNORECASE)
_ENDS_OPEN = re.compile(
    r"(?:무엇|얼마|어느|몇|누구|어디)[^.]*$|\?\s*$|구하(?:면|기|자|여)|^\s*(?:아직|알 수 없)"
)
_VERB = re.compile(
    r"(?<![이니에])(?:한다|된다|하자|해야|니까|므로|는데|지만|려면|합니다|됩니다|구한다)\.?$"
)
_NEGATES = re.compile(
    r"(?:이|가|은|는)?\s*(?:아니|아닙|아님|않)|또는|혹은|\bis not\b|\bor\b|\?|수도|이상|이하|미만"
)
_BUT = re.compile(
    r"^(?P<no>[^.]{1,60}?)(?:이|가) ?아니(?:라|고|며|라는)[, ]+(?P<yes>\S.*)$"
    r"|^not .{1,60}? but (?P<en>.+)$",
    re.IGNORECASE,
)
_SIGHS = r"(?:[(.…~\s]|(?:아|앗|음|어|흠|이런)[,.!~…\s])*"
_TAKES_BACK = re.compile(
    rf"(?:^|[.!?…]\s?|\n)\s*{_SIGHS}(?:아니[,.!]|아니다|아니야|잠깐|잠시만|어라|앗|죄송|정정"
    r"|수정(?:합니다|하면)|wait\b|actually\b|hmm\b|correction\b)"
    r"|(?:^|\n)\s*(?:아|앗|어|음|이런|흠)[,!.…~]+ |(?:제|내)가 (?:틀|잘못|실수)"
    r"|(?:검산|대입|확인)[^.\n]{0,30}(?:맞|일치하|성립하|같)지 않"
    r"|다시 (?:계산|풀|세|생각|확인|검토)\S*면"
    r"|다시 (?:(?:생각|계산|검토|확인)해 ?|풀어 ?|읽어 ?|세어 ?|한번 )?(?:보니|보면)"
    r"|(?:이건|이것은|이 답은|제 답은|내 답은|방금 답은) ?\S*(?: 틀| 잘못|틀렸)"
    r"|(?:위|앞)(?:의|에서)? ?(?:답|정답|계산)\S* ?(?:은|는|이|가)? ?(?:틀|잘못)"
    r"|(?:계산|풀이)\S* (?:실수|오류)|취소(?:하겠|합니|한다)|철회(?:하|합|한)|무시해 ?(?:주|줘)"
    r"|잘못 (?:계산|읽|풀|이해)(?!하기 쉽|하는 경우)",
    re.IGNORECASE,
)
_CORRECTS = re.compile(r"아니[,. ]|다시|정정|수정|\bwait\b", re.IGNORECASE)
_CONFIRMS = re.compile(
    r"(?:(?<![이가] )|(?:답|풀이|계산|값|결과|것|게)[이가] )맞(?:다|습|음|아)"
    r"|같(?:다|습|음)|동일|일치|확인(?!해 ?보)"
)

_MAX_CHARS = 1000  # of an answer, and of a line before its label


class Statement(NamedTuple):
    """An answer as it is stated, and where: the lines from ``start`` to ``end``."""

    text: str
    start: int
    end: int


def find_statement(reply: str, answer_prefix: str = "") -> str | None:
    """The final answer as the reply words it; None: it states none, several, or takes it back."""
    text = _clean(reply)
    starts = [found.start() for found in _NEW_QUESTION.finditer(text)]
    bounds = [0, *starts, len(text)]
    parts = [text[a:b] for a, b in pairwise(bounds)]
    parts = [part for part in parts if part.strip()]
    for part in parts:
        statements = _list_statements(part, flatten(answer_prefix))
        if statements:
            said = _choose(statements, part)
            break
    else:
        part = _cut_section(parts[0]) if parts else ""
        said = _conclude(part) or find_conclusion(part)
    asked = next((start for start in starts if start), len(text))
    if said and _DOUBTED.search(text, asked, asked + 80) and _YIELDS.search(text, asked):
        return said if agree(said, find_conclusion(text[asked:]) or "") else None
    return said


def list_answers(reply: str, answer_prefix: str = "") -> list[str]:
    """Every answer that a reply says to be one, in their order: also those corrected later."""
    return [each.text for each in _list_statements(_clean(reply), flatten(answer_prefix))]


def _clean(reply: str) -> str:
    text = _ROUNDED.sub(r"\1 ", unmark(flatten(reply)))
    return _OFFER.sub(r"\1", _COPULA_LINE.sub(" ", _BROKEN_BOX.sub(r"\\boxed{", text)))


# --- choosing ----------------------------------------------------------------------------------


def _choose(statements: list[Statement], text: str) -> str | None:
    """The last one, unless another is stated beside it or it is taken back."""
    last = statements[-1]
    for earlier in statements[:-1]:
        if _repeats(earlier.text, last.text):
            continue
        same_line = "\n" not in text[earlier.start : last.start]
        between = text[min(earlier.end, last.start) : last.start]
        corrected = _CORRECTS.search(earlier.text) or _CORRECTS.match(text, last.start)
        beside = same_line or not (between.strip(" \n#>*-•") or corrected)
        if beside and not are_equal(earlier.text, last.text):
            return None
    taken_back = _TAKES_BACK.search(text, last.end)
    if taken_back and not _confirms(text[taken_back.start() :], last.text):
        return None
    concluded = [text[one.end() :].split("\n")[0] for one in _LINK.finditer(text, last.end)][-1:]
    return None if concluded and differ(last.text, concluded[0]) else _prefer(last.text)


def _confirms(tail: str, answer: str) -> bool:
    """Whether a second look ends with the same answer."""
    if re.search(r"틀렸|틀립|잘못|실수|오류", tail):
        return False
    return bool(_CONFIRMS.search(tail) or re.search(re.escape(answer) + r"[이가] 맞", tail))


def _repeats(earlier: str, last: str) -> bool:
    """Whether a label only leads to another: ``Final answer: The answer is 42``."""
    return earlier.endswith(last) and not re.search(r"[\d$]", earlier.removesuffix(last))


def _prefer(text: str) -> str | None:
    """What a line states that first says what the answer is not."""
    if read_polar(text) is not None:  # 아니요, 고래는 어류가 아니라 포유류다
        return text.strip()
    found = _BUT.match(text.strip())
    return (found["yes"] or found["en"]) if found else text.strip() or None


# --- finding -----------------------------------------------------------------------------------


def _list_statements(text: str, prefix: str) -> list[Statement]:
    found = [
        statement
        for label in _LABEL.finditer(text)
        if (statement := _read_label(text, label.start(), label.end()))
    ]
    for pattern in (_SHORT_LABEL, _HEADING):
        found += [_take_line(text, label.start(), label.end()) for label in pattern.finditer(text)]
    if prefix.strip() and not _LABEL.match(prefix.strip()):
        for label in _compile_prefix(prefix).finditer(text):
            found.append(_take_line(text, label.start(), label.end()))
    found += [
        Statement(
            (entry[1] or entry[2]).strip(), entry.start(), _end_of_line(text, entry.end() - 1)
        )
        for entry in _JSON.finditer(text)
    ]
    if "boxed" in text:
        found += _list_boxed(text, found)
    kept = [statement for statement in found if statement.text]
    return sorted(kept, key=lambda statement: statement.start)


@lru_cache(maxsize=64)
def _compile_prefix(prefix: str) -> re.Pattern[str]:
    return re.compile("^" + re.escape(prefix.rstrip()) + "[ ]*", re.MULTILINE)


def _take_line(text: str, start: int, at: int) -> Statement:
    """What stands from ``at`` to the end of its line, or in the next that is not empty."""
    end = _end_of_line(text, at)
    if not text[at:end].strip():
        while end < len(text) and not text[at:end].strip():
            end = _end_of_line(text, end + 1)
        if _LABEL.search(text, at, end):
            return Statement("", start, end)
        if bullets := _BULLETS.match(text, at):
            items = [line.strip(" -*•") for line in bullets[0].split("\n") if line.strip()]
            return Statement(", ".join(items), start, bullets.end())
    said = _until_next(text[at : min(end, at + _MAX_CHARS)]).strip()
    return Statement(said if "[" in said else said.rstrip("]"), start, end)


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _until_next(line: str) -> str:
    """A line up to the next label that states an answer too."""
    for label in _LABEL.finditer(line):
        if label.start() and _COLON.match(line, label.end()):
            return re.sub(r"[\s,.;/(]+$", "", line[: label.start()]) or line
    return line


def _read_label(text: str, start: int, end: int) -> Statement | None:
    line_start = text.rfind("\n", 0, start) + 1
    before = text[max(line_start, start - _MAX_CHARS) : start]
    front = bool(_FRONT.match(before.replace("[", "").replace("【", "").replace("<", "")))
    sentence = re.split(r"[.!?]\s", before)[-1]
    if _IF.search(sentence) or ((owner := _OWNERS.search(before)) and not _OWN.search(owner[1])):
        return None
    if colon := _COLON.match(text, end):
        return _take_line(text, start, colon.end())
    if front and (alone := _ALONE.match(text[end : _end_of_line(text, end)])):
        return _take_line(text, start, end + alone.end())
    if front and (bracket := _BRACKET.match(text, end)):
        return _take_line(text, start, bracket.end())
    line_end = _end_of_line(text, end)
    if changed := _CHANGED.match(text, end, line_end):
        return Statement(changed["said"], start, line_end)
    for pattern in (_TOPIC, _SUBJECT):
        if topic := pattern.match(text[end:line_end]):
            said = _take_line(text, start, end + topic.end())
            said = said._replace(text=re.sub(r"(?<=\d\d)!(?= )", ".", said.text.rstrip("!")))
            return said if _is_said(said.text) else None
    if inverse := _read_inverse(before, text[end:line_end]):
        return Statement(inverse, line_start, line_end)
    if _FRONT.match(sentence) and (bare := _BARE_AFTER.match(text, end)):
        return _take_line(text, start, bare.end())
    return None


def _is_said(text: str) -> bool:
    """Whether a clause says what the answer is, and not how it is found or that it is asked for."""
    first = re.split(r"[.!]\s", text)[0]
    if text.startswith("다음과 같"):
        return False
    return not (_ENDS_OPEN.search(first) or (_VERB.search(first) and len(first) > 12))


def _read_inverse(before: str, after: str) -> str | None:
    """``(나)가 정답입니다``: what stands before."""
    if not _INVERSE_AFTER.match(after):
        return None
    sentence = re.split(r"[.!?]\s(?=\S{3})", before)[-1]
    found = _INVERSE_BEFORE.match(_LINK.sub("", sentence.strip(" #>*-") + " "))
    said = CAUSE.sub("", found["said"]).strip() if found else ""
    return re.sub(r"^(?:남은|나머지|바로|(?:제|내) 생각에는?) ", "", said) or None


def _list_boxed(text: str, known: list[Statement]) -> list[Statement]:
    """Boxes in lines that are not statements already; one that is denied or doubted is none."""
    spans = [(statement.start, statement.end) for statement in known]
    boxes = []
    for start, end, content in find_boxed(text):
        if any(a <= start < b for a, b in spans):
            continue
        line_end = _end_of_line(text, end)
        rest = re.split(r"[.!]\s", text[end:line_end])[0]
        is_denied = _NEGATES.search(rest)
        boxes.append(Statement("?" if is_denied else content, start, line_end))
    return boxes


# --- no statement ------------------------------------------------------------------------------


_OFFER = re.compile(
    r"([.!~])\s+[^.!?\n]*(?:다른 문제|더 (?:알고|궁금)|궁금하|필요하시)[^.!?\n]*[?!.]\s*\Z"
)
_COPULA_LINE = re.compile(r"(?<=[은는])\s*\n+(?=[ ]*\$)|(?<=[\d$])\s*\n+(?=(?:입니다|이다)\.?\s*$)")
_BROKEN_BOX = re.compile(r"\x08?(?<![\\\w])oxed\{")
_YIELDS = re.compile(r"죄송|정정|착각|실수|다시 \S+ ?보니")
_DOUBTED = re.compile(r"다시|틀렸|틀린|확실|정말|진짜|맞[아나습]")
_SECTION = re.compile(
    r"\n(?:[\s\[#]*(?:특징|검산|풀이|해설|설명|이유|근거|참고|\S+ 방법)[\]: ]*\n|※"
    r"|(?=(?:\s*[-*•] [^\n]+)+\s*\Z))"
)
_ROUNDED = re.compile(r"(반올림(?:하면|해서|하여)) 약 ")
_ONLY_TOPIC = re.compile(r"(?:은|(?<!또)는) (?:바로 |모두 |총 |전부 |현재 )?(?=\S)")


def _cut_section(text: str) -> str:
    """A reply up to the notes behind its answer, unless these conclude, fail or take it back."""
    found = _SECTION.search(text)
    if not found or _LINK.search(text, found.end()) or _TAKES_BACK.search(text, found.end()):
        return text
    before, notes = text[: found.start()].rstrip(), text[found.start() :]
    is_named = find_ending(before.rstrip(" .!")) or bool(_LINK.search(before.splitlines()[-1]))
    is_open = re.search(r"다음|아래|가지", before) or re.search(r"≠|않|틀리", notes)
    return before if is_named and not is_open else text


def _conclude(text: str) -> str | None:
    """The whole of one line; else the last sentence, where it draws a conclusion."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines or _IF.search(NO_CONDITION.sub("", lines[-1])):
        return None
    if len(lines) == 1 and not _LINK.search(lines[0]):
        whole = re.sub(r"^(?:[#>\s]|(?:답변|출력)\s?:)+", "", lines[0])
        return _prefer(whole)
    if re.fullmatch(r"\$[^$]+\$\.?", lines[-1]):
        return lines[-1]
    links = list(_LINK.finditer(lines[-1]))
    if not links:
        return None
    said = lines[-1][links[-1].end() :]
    if re.search(r"[.!]\s+\S", said):
        return None
    return strip_topic(said, _ONLY_TOPIC)
