from __future__ import annotations

import pytest

from kot_platypus.checks.segments import Text
from kot_platypus.checks.speech import find_speech, read_level
from kot_platypus.data.build import load_korean_cot

ENDINGS = {
    "formal": """
        답은 3입니다. / 사과를 먹습니다. / 무엇입니까? / 몇 개가 남았습니까? / 다음을 구하십시오.
        함께 알아봅시다. / 그렇습니다 / 값은 $x$입니다. / 줄어듭니다!
        그는 갔을 것입니다. / 잘 모르겠습니다. / 값이 깁니다. / 그것이 정답이랍니다.
    """,
    "plain": """
        답은 3이다. / 사과를 먹는다. / 그는 집에 갔다. / 옳지 않다. / 그러므로 없다. / 값이 같다.
        이것은 크다. / 무엇인가? / 몇 개가 남았는가? / 얼마나 되느냐? / 다음을 구하라. / 값을 써라.
        다음 물음에 답하여라. / 함께 알아보자. / 식을 계산해 보자. / 이를 정리하자.
        이유를 설명해라. / 빛은 매우 빠르다. / 그것은 고래가 아니다. / 줄이 길다. / 시간이 남는다
        어머니다운 분이다. / 그럴 것이다! / 10을 더한다. / 이 산은 높다.
    """,
    "polite": """
        답은 3이에요. / 사과예요. / 함께 먹어요. / 몇 개인가요? / 어떻게 하나요? / 얼마일까요?
        그렇지요. / 맞죠? / 값을 써 보세요. / 좋네요! / 그런데요. / 괜찮을까요?
        제가 답할게요. / 날씨가 좋거든요. / 셋으로 나눠요. / 답이 더 커요. / 예뻐요!
        그러니까요. / 그렇다고요. / 소리가 나요. / 집에 돌아가요. / 그게 더 싸요.
    """,
    "casual": """
        벌써 먹었어. / 나도 갔어! / 내가 할게. / 그건 맞잖아. / 그걸 봤어. / 집에 있어. / 답은 없어.
        그것은 사과야. / 책이야. / 답은 3이야. / 그게 아니야! / 그건 뭐야? / 갈 거야. / 누구야?
        비가 오네. / 정말 좋네! / 하나도 없네. / 값이 크네. / 날이 춥네. / 날이 좋거든.
        내가 갈게.
    """,
}
UNTOLD = """
    바다 / 캐나다 / 우간다와 르완다 / 판다 / 사이다 / 베란다 / 람다 / 이것은 저것보다 / 아니요. / 예
    필요 / 수요 / 공급과 수요. / 주요 / 개요 / 인기 가요 / 다음을 구하시오. / 할까?
    어머니 / 3개 / 찬장 / 제품의 하자 / 여자 / 의자. / 우리나라 / 누군가 / 그 결과,
    계산함 / 더하기 / 답: 42 / 그러므로 / yes / 노래와 가요? / 소라 / 학교에 가서 / 크고 / 있으며
    소나무 아니면 감나무 / $x$다. / 우리 동네. / 그네 / 언니네. / 아낙네 / 수학 분야. / 넓은 시야
    집에 가야. / 먼저 해야. / 히말라야. / 철수야! / 지우야, / 이야! / 대중가요. / 고요. / 데 있어,
    길게.
"""


def split(text: str) -> list[str]:
    return [part.strip() for line in text.strip().splitlines() for part in line.split(" / ")]


@pytest.mark.parametrize(
    ("level", "sentence"),
    [(level, sentence) for level, text in ENDINGS.items() for sentence in split(text)]
    + [(None, sentence) for sentence in split(UNTOLD)],
)
def test_endings_are_read(level, sentence):
    # Code and formulas are blanked before.
    assert read_level(Text(sentence.strip(" /")).prose) == level


@pytest.mark.parametrize(
    ("text", "wanted", "spans"),
    [
        ("값은 3입니다. 그래서 답은 3이다.", "formal", ["그래서 답은 3이다."]),
        ("값은 3.5이다. 답은 3.5입니다.", "plain", ["답은 3.5입니다."]),
        ("값을 써 보세요. 답은 3입니다.", "formal", []),
        ("값을 써 보세요.", "plain", ["값을 써 보세요."]),
        ('그는 "나는 갔다."라고 말했습니다.', "formal", []),
        ("그는 '갑니다'라고 말했다.", "plain", []),
        ("```\n# 값이다\n```\n설명입니다.", "formal", []),
        ("", "formal", []),
        ("옳지 않다(그림 1).", "formal", ["옳지 않다(그림 1)."]),
        ("(A) 바다\n(B) 산", "formal", []),
        ("먼저 더한다\n다음에 뺍니다", "formal", ["먼저 더한다"]),
    ],
)
def test_sentences_of_another_level_are_found(text, wanted, spans):
    checked = Text(text)
    findings = list(find_speech(checked, wanted))
    found = [checked.cut(span).strip() for each in findings for span in each.translation_spans]
    assert found == spans


def test_rationales_of_the_project_are_plain():
    """336 hand-written rows in 해라체: what is read as another level would be a false alarm."""
    others = [
        finding.detail
        for row in load_korean_cot()
        for finding in find_speech(Text(row.rationale), "plain")
    ]
    assert others == []
