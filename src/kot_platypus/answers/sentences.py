"""Which of a reply's sentences states its answer, where no label says so, and what it predicates.

The last sentence counts, without the remarks behind it: a check, a reason, a greeting, or what is
said of another thing. One that asks, plans, breaks off, denies or lists states nothing.
"""

from __future__ import annotations

import re

from kot_platypus.answers.endings import find_ending
from kot_platypus.answers.equality import read_polar

_SENTENCE = re.compile(
    r"(?<=[^\s\d.][.!?~])\s+|(?<=\d[.!?~])\s+(?=[가-힣A-Za-z(])|(?<=[ㅋㅎ]{2})\s+"
)
_ITEM = re.compile(
    r"[-*•] |(?:\d{1,2}|[A-Ja-j가나다라마바사ㄱ-ㅎ])[.)] |\((?:\d|[가-하A-J])\) |[①-⑩]|\|"
)
_TOTAL = re.compile(r"(?:[-*•] |\d[.)] )?(?:남은|결과|합계|총|모두|최종|결론|따라서)")
_RELATED = re.compile(r"[고며], (?:이는|이것[은이]) .*$")  # 12이고, 이것이 답이다
_LED = re.compile(r"^(?:[#>\s✅\"]|=>|→|⇒|=(?= )|(?:답변|결론|결과|출력(?: 결과)?)\s?:)+")
_CHECK = re.compile(r"^\W*(?:검산|확인|대입|합을 확인|참고로)|✓|✔")
_FAILS = re.compile(r"≠|않|아니|틀|어긋|하지만|그런데|\d여야")
_CLOSING = re.compile(
    r"(?:궁금|질문|도움|모르는 (?:거|것|게)|필요하).*(?:면|세요|줘|까요)|하루 (?:되|보내)"
    r"|(?:말씀해|물어|말해|알려) ?(?:주|보|줘|봐)|이해(?:가|되)|감사|고맙|도움이 되|hope"
    r"|let me know|화이팅|파이팅|수고",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"^(?!(?:그 )?(?:까닭|원인)은).*(?:때문|까닭|거)(?:입니다|이다|이에요|예요|이지요?|이죠|야)\W*$"
    r"|^\W*(?:왜냐|이유는|because|since)"
    r"|(?:니까|거든|테니)요?\W*$",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"^(?:반면,? |그리고 |참고로,? |한편,? |나머지 |다른 )?(?P<topic>\S+?)[은는도] (?P<rest>\S.*)$"
)
_NAMES = re.compile(r"^(?:\S+ )+?\S*[가-힣\])'\"」』》〉](?:은|는|이|가|을|를) .*\S|.*→")
_LESS = re.compile(r"[일할될] 뿐|아니|아닙|않|안 |틀|때의|의 |다른|해당|예전|원래|아들|없")
_ASKS = re.compile(r"\?|[까가]요?$|(?:세요|시오|십시오|봅시다|보자|하자|볼까|주세요|줘)\W*$")
_PLANS = re.compile(
    r"(?:(?:보|드리|(?<!답)(?<!택)(?<!정)하)겠습니다|려고 합니다|어 보자|면 [^ ]*구할 수 있\S*"
    r"|면 (?:\S+ )?알 수 있습니다)\W*$"
    r"|(?:곱하|더하|빼|나누|계산하|구하|풀|세|정하|대입하|확인하|판단하)면 (?:됩|된|돼|되)\S*$"
    r"|[을를] (?:모두 |서로 |다시 |먼저 )?(?:곱[하한합]|더[하한합]|빼|뺀|뺍|나누|나눈"
    r"|나눕|계산|구[하한합]|넣|대입|찾|소인수|인수분해|약분|통분|비교|지우|지운|비판|반대|제거"
    r"|고려|검토|살펴|다루|다룬)\S*$"
    r"|(?:취소|철회|보류|무시|잘못|모르|어렵|어려|부족|확신|확실하지|정확히는)"
)
_OPEN = re.compile(
    r"(?:[=,+×÷·*/:]|(?<=\S\S)(?:은|는|을|를|의|와|과|에서|부터|고|며|면|니까|므로"
    r"|지만))(?P<stop>[.!~]?)$"
)
_CONDITION = r"(?<![저나])[라다이]면,? |예를 들|예시|\bif\b|만약|만일"
# 가장 큰 섬이라면, 3분이면: what is described or measured is no condition.
NO_CONDITION = re.compile(r"(?<=[은는인큰던] )\S{1,8}라면 (?!.*[은는이가] )|\d분이면 ")
_IF = re.compile(rf"{_CONDITION}|가정", re.IGNORECASE)
_BACK = re.compile(
    r"(?:틀렸|잘못|취소|철회|무시해|정정|실수)|모르겠|어떻게 풀|수도 있|아닐|확실하지|^\W*(?:잠깐"
    r"|앗)"
)

LINKS = (
    r"따라서|그러므로|그래서|그러니까|결론적으로|결국|최종적으로|결과적으로|고로|즉|∴"
    r"|이에 따라|이상에서|therefore|thus|so|hence|in conclusion|finally"
)

_MAX_CHARS = 400  # of a sentence; what is longer loops


def find_conclusion(text: str) -> str | None:
    """The one sentence of a text that states its answer; None: it has none."""
    sentences = _split(text)
    while len(sentences) > 1:
        last = sentences[-1]
        if _CHECK.search(last):
            if _FAILS.search(last):
                return None
        elif _BACK.search(last) or (_ASKS.search(last) and not _CLOSING.search(last)):
            return None
        elif not (_CLOSING.search(last) or _REASON.search(last) or _is_aside(last, sentences[-2])):
            break
        sentences.pop()
    if not sentences or _BACK.search(text.rsplit(sentences[-1], 1)[-1]):
        return None
    sentences = _drop_remarks(sentences)
    last, before = sentences[-1], sentences[-2:-1]
    if _ITEM.match(last) and not _TOTAL.match(last) and before and _ITEM.match(before[0]):
        return None
    last = NO_CONDITION.sub("은 ", _RELATED.sub("다", last))
    last = _LED.sub("", re.sub(r"^(?:- |\d[.)] )(?=\D)", "", last)).strip()
    bare = last.rstrip(" .!~ㅋㅎㅠ^")
    if _ASKS.search(last) or _PLANS.search(bare) or _breaks_off(last) or _IF.search(last):
        return None
    return bare if 0 < len(bare) <= _MAX_CHARS else None


def _breaks_off(sentence: str) -> bool:
    """Whether it ends in the middle; a noun before a full stop may look like a particle."""
    found = _OPEN.search(sentence)
    return found is not None and not (found["stop"] and found[0][0] in "와과의고면")


def _split(text: str) -> list[str]:
    sentences = []
    for line in text.splitlines():
        item = _ITEM.match(line := line.strip())
        at = item.end() if item else 0
        first, *others = _SENTENCE.split(line[at:])
        sentences += [line[:at] + first, *others]
    return [part for part in sentences if re.search(r"\w", part)]


def _is_aside(last: str, before: str) -> bool:
    """Whether a sentence only says of another thing what it is, after one that named the answer."""
    if last.startswith("(") and last.endswith(")") and len(last) > 5:
        return not re.search(r"아니|아닙", before)
    found = None if _ITSELF.match(last) or not _NAMES.match(before) else _OTHER.match(last)
    return bool(found and _LESS.search(found["rest"]) and not _LESS.search(before.split(" ")[-1]))


# --- what is said of the answer ---------------------------------------------------------------

_NAMING = re.compile(r"[은는을를이가] \S|^\S+(?: \S+)?$")
_NAMES_LESS = re.compile(
    r"[없있]|아니|아닙|않|오답|착각|흔히|처음|가설|후보|가정|예[시를]|\?|용의자|대상|주어진|질문"
    r"|문제|주제|떠올|대부분|많은|단계|먼저|생각"
)
_NO_REMARK = re.compile(
    rf"{_CONDITION}|^(?:{LINKS}|그(?:러면|럼|러나|런데|렇지만|리고)|하지만|다만|사실|실제"
    r"|이제|다음|다시|이때|여기서|바로|총|모두|합|남은|나머지|먼저|두 번째)|아니|아닙|않|못"
    r"|틀[렸린립]|정답|답[은이]|따라서|제외|탈락|배제|모순|불가|어긋|오류|실수|잘못|취소|정정"
    r"|수정|어렵|결론|→|그중 \S+[는은]|함정|거짓|[해봐]야|살펴|알아|맞는지|인지|^라고|적어도",
    re.IGNORECASE,
)
_ALSO = re.compile(r"(?:[^만]면 .*|로도 .*)수 (?:있|도 있)\S*\W*$")
_CHANGES = re.compile(
    r"\d|그중|절반|반을|더 |또|배[로가]|몇|하나|[한두세네] |추가|빼|더하|곱|나누|[었았했렸졌]\S+$"
)
_TOPICS = re.compile(r"(?:^|(?<=[^을를이가에서로] ))\S*[^하되있없\s][은는](?= )")
_ABOUT = re.compile(r"(?P<topic>[^\s(]{2,}?)(?:\([^()]*\))?[은는] ")
_ITSELF = re.compile(
    r"(?:[이그](?:는|것은|곳은|녀는| \S+[은는])|당시|예전|옛날|과거|\S+에는|반대로|반면|한편) ?"
)


def _drop_remarks(sentences: list[str]) -> list[str]:
    """Up to the first that names something of which all that follow only tell more."""
    for at in range(max(0, len(sentences) - 9), len(sentences) - 1):
        lead = sentences[at].rstrip(" .!~ㅋㅎ")
        named = find_ending(lead) or (len(lead.split()) < 3 and lead.endswith("지"))
        if not named or not _NAMING.search(lead) or _NAMES_LESS.search(lead):
            continue
        if all(_tells_more(lead, said) for said in sentences[at + 1 :]):
            return sentences[: at + 1]
    return sentences


def _tells_more(lead: str, said: str) -> bool:
    """Whether a sentence names nothing else: it has a verb, or what the lead named as its topic."""
    if re.search(r"\d", lead) and _ALSO.search(said):
        return True
    if _NO_REMARK.search(said) or _ITEM.match(said) or _ASKS.search(said):
        return False
    if re.search(r"\d", lead) and _CHANGES.search(re.sub(r"\d{4}년", "", said)):
        return False
    if set(_TOPICS.findall(said)) & set(_TOPICS.findall(lead)):
        return False
    topic = _ABOUT.match(said)
    if _ITSELF.match(said) or (topic and topic["topic"] in lead.split("는 ")[-1].split("은 ")[-1]):
        return True
    bare = re.sub(r"\W+$", "", said)
    if find_ending(bare):
        return len(bare.split()) > 2 and not _TOPICS.search(bare)
    return bool(re.search(r"[다요죠지아어해커네까]$|[가-힣]야$", bare))


# --- the clause --------------------------------------------------------------------------------

_LINK = re.compile(
    r"(?:므로|니까|때문에|라서|이어서|지만|[는은인한]데|으나|[하르풀빼누]면|으로면|되면|뒤면|말고"
    r"|아니라|아니고|아닌|니|(?<![이다라표측평])면|고 나서),? |(?:^| )(?:따라서|그래서|그러므로"
    r"|결국|실제로는?|즉|곧|∴),? |(?<=[가-힣]): |→|=>|—|…"
)
_LEAVES = re.compile(r"(?!(?:됩니다|된다|돼요?|됨)\W*$) ?\S")
_TOPIC = re.compile(
    r"(?<=[가-힣A-Za-z\d)\]'\"」』》〉])(?:(?<!혹)은|(?<![로또])는|이란),?[ .…]+(?=\S)"
    r"|(?<= )건 (?=\S)"
)
_BLURS = re.compile(
    r"이상|이하|보다|약 |대략|미만|초과|아니|아닙|아님|않|없|못|수도 [있없]|까지|부터|각각|또는"
    r"|혹은|이나 "
    r"|거나|쯤|정도|이내|넘[는어었]|모르|(?<!럴)듯|아마|사이|\bnot?\b|\bor\b|~ ?\d|제외"
    r"|틀[리린렸립려]|오답|\?|다르|중 하나|착각|오해|생각했|쉽|가능성|처음|텐데|뻔|적어도|최소한"
)
_ONLY = re.compile(r"(?<=\S)밖에 (?:없|되지 않|남지 않|안 남)\S*$")
_COMPARED = re.compile(
    r"\S+보다 (?:\S+ )?(?:큰|작은|많은|적은|싼|비싼|긴|짧은|높은|낮은|무거운|가벼운|빠른|느린|늦은"
    r"|이른) |\S+보다 (?=\d\S* (?:증가|감소|늘|줄))"
)
_EITHER = re.compile(r"또는|혹은|아니면|않으면|\bor\b")
_TWO_CASES = re.compile(r"면,? .*면,? ")
_TWO_THINGS = re.compile(
    r"[은는] \S.*(?:이|았|었|났|였)[고며],? .*(?<!로)[은는] "
    r"|[은는] [^,]+, [^,]*(?<![로혹또])[은는] \S|[이가] \S+이[고며],? \S+[이가] \S+$"
)


def find_predicate(sentence: str) -> tuple[str, str] | None:
    """The last clause of a sentence, and what it says of its topic; None: nothing certain."""
    links = [one.end() for one in _LINK.finditer(sentence) if _LEAVES.match(sentence, one.end())]
    clause = sentence[links[-1] :] if links else sentence
    if _EITHER.search(sentence):
        return None
    clause = _ONLY.sub("이다", _COMPARED.sub("", clause))
    topics = [found.end() for found in _TOPIC.finditer(clause)]
    predicate = clause[topics[-1] if topics else 0 :].strip()
    if _BLURS.search(predicate) or says_two(clause) or says_two(sentence, _TWO_CASES):
        return None
    return clause.strip(), predicate


def says_two(clause: str, pattern: re.Pattern[str] = _TWO_THINGS) -> bool:
    """Whether a clause says one thing of one and another of another: a는 2이고 b는 3이다."""
    return pattern.search(clause) is not None


# --- the topic ---------------------------------------------------------------------------------

_PIVOT = re.compile(
    r"(?:은|(?<!또)는|이|을|를|(?:[하르풀빼누]|되|으로)면) (?:바로 |모두 |총 |전부 |현재 )?(?=\S)"
)
_NO_NOUN = re.compile(r"(?:되|돼|됩|된|걸려|가지게|것|정답|있|맞|옳)\S*$|것이 더 ")
_TRUTH = re.compile(r"(?:맞|옳|틀[리렸립])\S*$")
_FITS_BEST = re.compile(r"(?:적절|알맞|타당|자연스|적합|올바르)\S*$")
_OPEN_FRONT = re.compile(r"아니면|또는|혹은|거나|만약|만일|않으면|아니라면|라고 (?:생각|알)|줄 알")
_QUOTED = re.compile(
    r"['\"‘“「『<《〈](?P<said>[^'\"‘“”’」』>》〉]+)['\"’”」』>》〉](?P<end>[^'\"]*)$"
)
_MOMENT = re.compile(
    r"(?:(?:\d{4}년 )?\d{1,2}월 \d{1,2}일|(?:오전 |오후 )?\d{1,2}시(?: \d{1,2}분| 반)?)(?=에 )"
)
_IS_CLAUSE = re.compile(
    r"^(?:the|it|this|that|so)\b[^.]{1,80} (?:is|are|was|were|equals|takes"
    r"|costs) (?P<said>\S.*)$",
    re.IGNORECASE,
)
_IS_RIGHT = re.compile(
    r"^(?:option|choice) (?P<said>\S{1,5}) is (?:the )?correct(?: answer| one| choice)?$",
    re.IGNORECASE,
)
CAUSE = re.compile(r"^.*(?:므로|니까|때문에|라서|이어서),? ")
_BLURRED = re.compile(
    r"이상|이하|보다|약 |대략|미만|초과|아니|않|없|못|수도|까지|부터|각각|씩|중 |번째|또는|혹은|\?"
    r"|쯤|정도|이내|넘"
)


def strip_topic(said: str, pivots: re.Pattern[str] = _PIVOT) -> str | None:
    """``남은 사과는 모두 7개입니다`` without its topic."""
    bare = said.rstrip(" .")
    if len(bare) > _MAX_CHARS or re.search(r"(?<!\d)[.!?]\s", bare) or read_polar(bare) is not None:
        return said
    if (found := _QUOTED.search(bare)) and find_ending("가" + found["end"]) == 1:
        return found["said"]
    if found := _IS_RIGHT.match(bare) or _IS_CLAUSE.match(bare):
        return found["said"]
    bare = CAUSE.sub("", bare)
    if says_two(bare) or _OPEN_FRONT.search(bare):
        return said
    if moment := _find_moment(bare):
        return moment
    for pivot in reversed(list(pivots.finditer(bare))):
        clause = bare[pivot.end() :]
        if _NO_NOUN.match(clause) or clause.endswith(("는 것이다", "는 것입니다")):
            continue
        if _FITS_BEST.search(clause) and pivot[0][0] not in "은는":
            continue  # 물을 마셨다가 더 자연스럽다: the object belongs to the choice
        if find_ending(clause) or (pivot[0][0] in "은는" and _TRUTH.match(clause)):
            return clause
    return bare if bare != said.rstrip(" .") and find_ending(bare) else said or None


def _find_moment(sentence: str) -> str | None:
    """The one date or time of a sentence that has no other number: 3시 30분에 끝난다."""
    found = _MOMENT.search(sentence)
    if not found or _BLURRED.search(sentence):
        return None
    return None if re.search(r"\d", sentence.replace(found[0], "", 1)) else found[0]
