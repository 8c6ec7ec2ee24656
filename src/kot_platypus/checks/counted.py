"""What a number counts: the 12th floor is no 객실 12개, and 31 goals are no 31경기."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from kot_platypus.checks.alignment import pair_sentences
from kot_platypus.checks.findings import Findings, Span, make_finding
from kot_platypus.checks.segments import Text
from kot_platypus.number_words import CARDINALS, DAYS
from kot_platypus.numerals import Number, Strength

# English nouns | what Korean puts after their number. Before the line any thing may be a 개 or 명.
_TABLE = """
people persons employees workers students men women children | 명 사람 인 분 쌍 대 살 세 가구
boys girls adults players soldiers teachers patients members friends | 명 사람 인 분 쌍 대 살 세
page pages | 쪽 페이지 면 p
point points | 점 득점 포인트 퍼센트 p
quarter quarters | 분기 쿼터 등분
grade grader graders | 학년 등급 점 급
chapter chapters | 장 챕터 단원
game games match matches | 경기 게임 판 전 번 차 연 승
goal goals | 골 득점 점
win wins victories | 승 번 연승 경기 차례
loss losses defeats | 패 번 연패 경기
vote votes | 표
seat seats | 석 자리
room rooms bedrooms | 실 방 호 객실 칸
copy copies | 부 권 장 벌 판
dose doses | 회 번 차
tablet tablets pills capsules | 정 알 캡슐
car cars bus buses bicycles computers machines trucks | 대
book books novels | 권
house houses buildings | 채 동 가구 집
tree trees | 그루
dog dogs cat cats horse horses cow cows bird birds | 마리 필 두
ship ships boats | 척 대 배
song songs | 곡
bottle bottles | 병
glass glasses | 잔
step steps | 단계 걸음 칸 계단 스텝 단 보
line lines | 줄 행
word words | 단어 자 낱말 마디 어절
question questions | 문항 문제 질문 번
act acts | 막
scene scenes | 장
---
floor floors story stories storey storeys | 층
year years | 년 해 살 세 주년 돌 개년 주기 연
month months | 개월 달 월
week weeks | 주
day days | 일 날 박 주야
night nights | 박 일 밤 차례
hour hours | 시간 시 교시
minute minutes | 분
second seconds | 초
century centuries | 세기 백년 년
times | 번 배 회 차례 곱 갑절 승
degree degrees | 도 ° ℃ 촌 각 개
dollar dollars | 달러 불 센트 $
"""
_ANYTHING = frozenset(("개", "명", "가지", "여", "곳", "종", "건", "대"))
_BESIDE = 5  # characters after a counter, where 층 may stand itself
_PLACES = frozenset(("번째", "째"))
_BESIDES = _ANYTHING | _PLACES | {"등", "위", "원", "호", "마리", "잔", "컵"}


def _read_table() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    counters: dict[str, tuple[str, ...]] = {}
    loose, _, strict = _TABLE.partition("---")
    for line in f"{loose}{strict}".strip().split("\n"):
        if " | " in line:
            nouns, said = line.split(" | ")
            counters |= dict.fromkeys(nouns.split(), tuple(said.split()))
    return counters, frozenset(loose.split())


_COUNTERS, _LOOSE = _read_table()
_KNOWN = {counter for said in _COUNTERS.values() for counter in said} | _BESIDES
_KOREAN = re.compile(
    rf"\s?(?>({'|'.join(sorted(map(re.escape, _KNOWN), key=len, reverse=True))}))"
    "(?=[^가-힣]|[을를이가은는의에로와과도만씩간당째으까부마나라인였연]|$)"  # 자 is none in 자녀
)
_ENDS = (
    "and|or|to|of|in|for|per|by|on|at|from|with|than|an?|the|is|are|was|were|more|hundred|thousand"
    f"|million|billion|{'|'.join(CARDINALS)}|every|each|last|next|once|cubic|square|this|that|times"
    "|out|percentage|percent|as"
)
_NOUN = re.compile(
    rf"(?:st|nd|rd|th)?[- ](?:(?!(?:{_ENDS})\b)[a-z]+[- ]){{0,2}}?({'|'.join(_COUNTERS)})\b"
)


def find_counted(source: Text, translation: Text) -> Findings:
    """A number that counts a known noun has one of its counters, or none that is known."""
    if source.lexicon.isdisjoint(_COUNTERS):
        return
    for left, right in pair_sentences(source, translation):
        if not left.lexicon.isdisjoint(_COUNTERS) and (detail := _compare_nouns(left, right)):
            yield make_finding("numbers", detail)
            return


def _index(numbers: Iterable[Number]) -> dict[Decimal, set[Span]]:
    places: defaultdict[Decimal, set[Span]] = defaultdict(set)
    for number in numbers:
        places[number.value].add(number.span)
    return places


def _compare_nouns(source: Text, translation: Text) -> str | None:
    numbers = (*source.digits, *source.english)
    places = _index(numbers)
    others = _index((*translation.digits, *translation.korean))
    for number in numbers:
        noun = _NOUN.match(source.prose, number.span[1])
        is_clock = source.prose[number.span[0] - 1 : number.span[0]] == ":"
        if not noun or number.strength is Strength.POSSIBLE or number.value < 2 or is_clock:
            continue
        if len(places[number.value]) > 1:
            continue
        spans = others.get(number.value, set())
        if any(translation.prose[slice(*span)] in DAYS for span in spans):
            continue
        after = [_KOREAN.match(translation.prose, end) for _, end in sorted(spans)]
        found = [match for match in after if match]
        if not found or len(found) < len(after):
            continue
        said = {match[1] for match in found}
        allowed = _PLACES.union(_COUNTERS[noun[1]], _ANYTHING if noun[1] in _LOOSE else ())
        beside = [translation.prose[match.end() :][:_BESIDE] for match in found]  # 3개 층
        if said.isdisjoint(allowed) and not any(
            counter in text for text in beside for counter in _COUNTERS[noun[1]]
        ):
            place = found[0]
            start = min(start for start, end in spans if end == place.start())
            return (
                f"{source.prose[number.span[0] : noun.end()]} became "
                f"{translation.prose[start : place.end()]}"
            )
    return None
