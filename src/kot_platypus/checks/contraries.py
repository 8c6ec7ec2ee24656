"""Words of one kind that must not become one another: largest and smallest, spring and autumn."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from kot_platypus.checks.segments import Text
from kot_platypus.hangul import ENDING_IN_NIEUN


class Side(NamedTuple):
    """One of a group: the words that say it for certain, and all that may, in both languages."""

    words: frozenset[str]
    mentions: frozenset[str]
    korean: re.Pattern[str]
    korean_mentions: re.Pattern[str]


# A line is a side: English words ; others that may say it | Korean ones ; others that may say it.
_TABLE = """
largest highest greatest biggest longest tallest heaviest deepest widest ; max maximum most top record best peak | (?:가장|제일|번째로) [큰높긴많깊넓]|최고(?:치|의| 수준| 기록)|최[장대]
smallest lowest fewest shortest lightest cheapest shallowest narrowest ; min minimum least | (?:가장|제일|번째로) [작낮짧적]은|최저(?:치|의| 수준| 기록)|최[단소]

fastest quickest | (?:가장|제일|번째로) 빠
slowest | (?:가장|제일|번째로) 느

oldest ; eldest | 가장 (?:오래|나이가? 많|늙)|최고령|맏이
youngest newest latest | 가장 (?:어[린리]|젊|최[신근])|최연소|막내

elder eldest | 누나|언니|형|오빠|맏|큰
younger youngest | 동생|막내

first initial ; begin beginning start starting opening | 처음|맨 앞|첫|초일|최초
last ; final end ending past finally recent bottom latter close closing | 마지막|말일|맨 [뒤끝]|꼴찌 ; 결승|최종|끝

before prior ; earlier until till by previous previously ago preceding ahead eve | (?:바로|직|이) ?전|앞|기 전|전에 ; 전|먼저|까지|미리|일찍|이르|지난|조
after ; later following then next since past in within behind once when from upon if as | (?:바로|직|이) ?후|(?<![{n}])(?<![{n}] )[뒤후]에|바로 (?:뒤|다음) ; 후|뒤|다음|지나|지난|만에|나서|부터|[고한서면] |자

all every ; each any entire whole both always full total complete | 모든|모두|전부 ; 다[ 는]|마다|매|전체|온|각|누구나|항상|내내|다들|빠짐없
most ; mainly largely mostly majority | 대부분|대다수 ; 거의|대체로|가장|대개|주로|과반
some ; part parts certain few several portion any | 일부(?!터) ; 어떤|몇|더러|약간|좀|중|가운데|조금|있

quarter quarters q | 분기|쿼터 ; 분의|25|15|1/4|Q|사분|4
half halves ; semester | [상하]반기 ; 반|5|2|30|하프

early ; beginning start earlier | 초반|초순|초기|초(?=[에의 ])
mid middle ; midst | 중반|중순|중엽|중기 ; 중|가운데|한창
late ; later last end latter | 후반|하순|말기|말(?=[에의 ])

spring | 봄(?![바밤])
summer | 여름
autumn fall | 가을
winter | 겨울

left | 왼|좌[측변]
right | 오른|우[측변]

north northern northeast northwest | 북[쪽부동서]
south southern southeast southwest | 남[쪽부동서]
east eastern northeast southeast | 동[쪽부]|[남북]동
west western northwest southwest | 서[쪽부]|[남북]서

minus negative ; below cold freezing under | 영하
plus positive ; above | 영상 ?(?=\\d)

ascending increasing | 오름차순|(?:작은|낮은|적은|짧은|이른|빠른) (?:것|수|값|순)
descending decreasing ; reverse | 내림차순|(?:큰|높은|많은|긴|늦은) (?:것|수|값|순)|역순

positive | 양(?:의 ?(?:정수|실수|유리수|수|값)|수)|긍정적
negative ; nonnegative | 음(?:의 ?(?:정수|실수|유리수|수|값)|수)|부정적

profit profits surplus ; gain gained earn earned earns income | 이익|흑자|이윤|수익
loss losses deficit ; lose loses lost | 손실|적자|손해

lesser lower smaller ; less | [낮작적]은|더 [낮작적] ; [낮작적]
greater higher larger bigger ; more | [높많]은|큰|더 [높많크] ; [높많크큰컸]

import imports imported | 수입
export exports exported | 수출

deposit deposits deposited | 예금|입금|예치
withdraw withdraws withdrew withdrawal withdrawals withdrawn | 인출|(?<![대지])출금

buy buys bought purchase purchases purchased buying | 구매|구입|매입 ; [사산살샀삽]
sell sells sold sale sales selling | 판매|매각|매도 ; [파판팔팝]

weekday weekdays | 평일
weekend weekends | 주말

real | 실수(?![를로])
integer integers | 정수
rational | 유리수
irrational | 무리수

mother mothers mom | 어머니|엄마|모친
father fathers dad | 아버지|아빠|부친
daughter daughters | 딸
son sons | 아들
grandmother grandma | 할머니
grandfather grandpa | 할아버지

boys boy | 소년|남학생|남자|남아
girls girl | 소녀|여학생|여자|여아

men man male males | 남성|남자|사람
women woman female females | 여성|여자

round ; return | 왕복
single ; one way | 편도

horizontal horizontally | 수평|가로
vertical vertically perpendicular | 수직|세로

numerator | 분자
denominator | 분모

premise premises | 전제
conclusion conclusions ; conclude concluded | 결론

weaken weakens weakened ; undermine undermines | 약화
strengthen strengthens strengthened ; support supports | 강화

legal lawful | 합법
illegal unlawful | 불법

landlord lessor | 임대인|집주인
tenant lessee tenants | 임차인|세입자

plaintiff plaintiffs | 원고
defendant defendants | 피고

supply supplies supplied | 공급
demand demands demanded | 수요|요구

input inputs | 입력
output outputs | 출력

perimeter | 둘레
area | 넓이|면적
volume ; volumes | 부피|체적
radius | 반지름|반경
diameter ; across wide | (?<!반)지름|직경
circumference | 원주|둘레

parallel | 평행|나란
perpendicular ; right vertical orthogonal normal | 수직|직교 ; 직각|연직|⊥

gold ; golden | 금메달 ; 금|골드|황금
silver | 은메달 ; 은|실버
bronze | 동메달 ; 동|청동|브론즈

mean average ; means averages averaged | 평균
median | 중앙값|중위수|중간값
variance ; variances | 분산
deviation ; deviations | 편차

derivative ; derivatives differentiate differentiation differentiable | 도함수|미분
integral ; integrals integrate integration integrable | 적분

even | 짝수
odd | 홀수

monday | (?<![가-힣])월요일 ; 월
tuesday | 화요일 ; 화
wednesday | 수요일 ; 수
thursday | 목요일 ; 목
friday | (?<![가-힣])금요일 ; 금
saturday | 토요일 ; 토
sunday | (?<![가-힣])일요일 ; 일

noon | 정오 ; 낮|점심|오후|(?<!밤 )(?<!새벽 )12시
midnight | 자정|(?:밤|새벽) ?(?:12|열두) ?시 ; 0시
"""  # noqa: E501


def _read_table() -> tuple[tuple[Side, ...], ...]:
    groups = []
    for block in _TABLE.strip().split("\n\n"):
        sides = []
        for line in block.replace("{n}", ENDING_IN_NIEUN).split("\n"):
            english, korean = line.split(" | ")
            words, _, others = english.partition(";")
            certain, _, possible = korean.partition(" ; ")
            said = frozenset(words.split())
            korean = f"{certain}|{possible}" if possible else certain
            patterns = re.compile(certain), re.compile(korean)
            sides.append(Side(said, said.union(others.split()), *patterns))
        groups.append(tuple(sides))
    return tuple(groups)


_GROUPS = _read_table()
_GROUPS_OF: defaultdict[str, set[int]] = defaultdict(set)
for _place, _group in enumerate(_GROUPS):
    for _word in frozenset().union(*(side.words for side in _group)):
        _GROUPS_OF[_word].add(_place)
CONTRARY_WORDS = frozenset(_GROUPS_OF)
"""The English words of which a change is looked for."""


def find_contrary(source: Text, translation: Text) -> Iterator[str]:
    """A side of a group that is said more often than its Korean, and another less often."""
    said = source.lexicon & CONTRARY_WORDS
    words = Counter(_WORD.findall(source.prose.lower())) if said else Counter()
    for place in sorted({place for word in said for place in _GROUPS_OF[word]}):
        group = _GROUPS[place]
        lost = [
            side
            for side in group
            if not said.isdisjoint(side.words)
            and _count(words, side.words) > len(side.korean_mentions.findall(translation.prose))
        ]
        for side in group if lost else ():
            found = side.korean.findall(translation.prose)
            if len(found) > _count(words, side.mentions):
                yield f"{min(said & lost[0].words)} became {found[0].strip()}"
                return


def _count(words: Counter[str], those: frozenset[str]) -> int:
    return sum(words[word] for word in those)


_WORD = re.compile("(?<!non-)(?<![a-z])[a-z]+")
