"""Answers that no label announces: read from the sentence that concludes, where it is one."""

from __future__ import annotations

import time

import pytest

from kot_platypus.answers import agree, match_answer, read_answer

PREFIX = "정답: "
FEELINGS = ("기쁨", "슬픔", "분노", "공포")
ANIMALS = ("개", "뱀", "소", "말")

QUANTITIES = [
    ("재닛은 매일 시장에서 18달러를 법니다.", "18"),
    ("하루에 62kg이니까 닷새 동안 먹는 사료는 310kg이 되겠네요.", "310"),
    ("남은 피자는 전체의 4분의 3입니다.", "3/4"),
    ("농장에는 소가 열두 마리 있습니다.", "12마리"),
    ("| 월 | 180 |\n| 합계 | 540 |\n\n표에서 보듯 합계는 540분이다.", "540"),
    ("3x = 36\nx = 12", "12"),
    ("- 처음: 50개\n- 남은 것: 50-14-10 = 26개", "26"),
    ("x = 25\n\n검산: 25 × 4 = 100 ✓", "25"),
    ("키는 동생보다 5cm 큰 142cm이다.", "142cm"),
    ("최댓값은 x=2일 때 12이다.", "12"),
    ("친구들은 1/2이라고 적었는데, 실제로는 1/4이 맞아요.", "1/4"),
    ("24개예요. 3상자에 8개씩 들어 있거든요.", "24"),
    ("수지는 책을 17권 읽었습니다. 이해가 되셨나요?", "17"),
    ("막내의 나이는 9살밖에 되지 않습니다.", "9"),
    ("토끼는 모두 9마리고, 이것이 구하는 값입니다.", "9"),
    ("일을 끝내는 기간은 사흘입니다.", "3일"),
    ("기온은 영하 15도로 예상됩니다.", "-15℃"),
    ("정답은 三입니다.", "3"),
    ("43 ÷ 8은 몫이 5이고 나머지가 3입니다.", "몫 5, 나머지 3"),
]
NOUNS = [
    ("훈민정음을 창제한 임금은 조선의 제4대 왕인 세종입니다.", "세종대왕"),
    ("이 책을 쓴 사람은 아이작 뉴턴(Isaac Newton, 1643-1727)이다.", "뉴턴"),
    ("이러한 현상을 가리켜 '나비 효과'라고 부릅니다.", "나비 효과"),
    ("범인은 바로 민수입니다!", "민수"),
    ("해는 동쪽에서 뜹니다.", "동쪽"),
    ("울릉도가 아닌 독도예요.", "독도"),
    ("캐나다의 수도는 오타와!", "오타와"),
    ("책을 쓴 사람은 허준이다. 『향약집성방』은 세종 때의 책이다.", "허준"),
    ("산 과일은 감, 사과, 배 세 가지입니다.", "사과, 배, 감"),
    ("키가 큰 순서대로 민수, 영희, 철수입니다.", "민수 > 영희 > 철수"),
    ("이 설명은 올바릅니다. 지구는 태양 주위를 공전합니다.", "O"),
    ("愚公移山 (우공이산)", "우공이산"),
]
FORMULAS = [
    ("두 사람은 오후 5시에 만납니다. 즐거운 하루 보내세요.", "오후 5시"),
    ("기차가 도착하는 시각은 낮 12시입니다.", "정오"),
    ("시계는 8시 15분 전을 가리키고 있다.", "7시 45분"),
    ("회의는 09:00에 시작합니다.", "오전 9시"),
    ("6으로 나누어 3 대 2가 됩니다.", "3:2"),
    ("빗변의 길이는 √12 = 2√3 이다.", "2√3"),
    ("넓이는 π×5² = 25π(cm²)입니다.", "25π"),
    ("x² = 16을 만족하는 x는 4와 -4입니다.", "±4"),
    ("백만은 10의 6제곱입니다.", "10^6"),
]
WRONG = [
    ("먼저 12에 3을 더합니다.", "3"),
    ("18을 소인수분해한다.", "18"),
    ("이제 12를 대입하면", "12"),
    ("4대라고 착각하기 쉽습니다.", "4"),
    ("적어도 18이다.", "18"),
    ("3대나 4대가 필요합니다.", "4"),
    ("정답은 12의 배수입니다.", "12"),
    ("12층 건물이다.", "12"),
    ("54쪽에 나온 그림이다.", "54"),
    ("A는 12, B는 15, C는 18이다.", "18"),
    ("임진왜란은 1597년에 일어났고, 정유재란은 1592년이다.", "1592년"),
    ("12개다. 방금 말은 취소할게요.", "12"),
    ("학생은 12명이다. 확인: 12 + 3 ≠ 16", "12"),
    ("18개가 남을까요?", "18"),
    ("합은 12이다. 이제 평균을 구한다.", "12"),
    ("몫은 1, 나머지는 6입니다.", "몫 6, 나머지 1"),
    ("세종입니다... 죄송합니다, 방금 답변은 취소하겠습니다.", "세종"),
    ("범인은 철수와 영희이다.", "영희"),
    ("범인은 철수의 동생이다.", "철수"),
    ("민수일 수도 있고 철수일 수도 있다.", "철수"),
    ("빗변의 길이는 √12 = 3√2이다.", "2√3"),
    ("3월 2일 다음 날이다.", "3월 2일"),
    ("키가 큰 순서대로 쓰면 영희, 민수, 철수이다.", "민수 > 영희 > 철수"),
    ("CO입니다.", "Co"),
    ("예, 질문을 이해했습니다.", "예"),
    ("1. 사과\n2. 감", "감"),
]
# What stands behind the answer only tells more of it; or it goes on, and nothing is stated yet.
TOLD = [
    ("이 소설의 주인공은 홍길동입니다. 서자로 태어나 차별을 받았지요.", "홍길동"),
    ("「토지」의 작가는 박경리이다.\n\n박경리(1926~2008)는 통영에서 태어났다.", "박경리"),
    ("삼각형의 넓이는 12입니다. 사각형으로도 확인할 수 있어요.", "12"),
    ("장영실이 만든 시계는 자격루입니다. 더 궁금한 점이 있으신가요?", "자격루"),
    ("섬은 제주도입니다.\n\n**특징**\n- 화산섬\n- 감귤", "제주도"),
    ("넓이는 24㎠입니다.\n\n풀이\n밑변 6, 높이 4\n6 × 4 = 24", "24"),
    ("구하는 확률은\n\n$$\\frac{3}{6} = \\frac{1}{2}$$\n\n입니다.", "0.5"),
    ("할인율은 35%입니다.", "35"),
    ("당첨 확률은 5%입니다.", "1/20"),
    ("달의 지름은 약 3,474km입니다.", "3474"),
    ("회의가 시작하는 시각은 오전 10시 30분이에요.", "10시 30분"),
    ("축척은 1:25,000이에요.", "1:25000"),
    ("상대성 이론을 세운 과학자는 알베르트 아인슈타인입니다.", "아인슈타인"),
    ("가장 긴 강은 이집트를 지나는 나일입니다.", "나일강"),
    ("우리나라에서 가장 큰 섬이라면 제주도입니다.", "제주도"),
    ("배가 물에 뜨는 것은 부력 덕분이에요.", "부력"),
    ("최종 답은 oxed{42}입니다.", "42"),
    ("[정답: 토끼]", "토끼"),
    ("정답: 30\n\n6 × 5를 구하면 됩니다.\n따라서 넓이는 30입니다.", "30"),
    ("17개예요.\n\n사용자: 다시 세어 봐.\n\n죄송합니다. 다시 세어 보니 17개가 맞아요.", "17"),
]
NOT_YET = [
    ("사과는 5개입니다. 그중 2개를 먹었습니다.", "5"),
    ("사과는 5개입니다. 친구에게 몇 개를 주었습니다.", "5"),
    ("철수의 형은 민수입니다. 민수의 형은 영호입니다.", "민수"),
    ("용의자는 철수입니다. 알리바이가 있어서 풀려났습니다.", "철수"),
    ("흔히 떠올리는 도시는 시드니입니다. 그곳은 수도가 아닙니다.", "시드니"),
    ("넓이는 24입니다.\n\n풀이\n6 × 5 = 30\n따라서 넓이는 30입니다.", "24"),
    ("넓이는 24입니다.\n\n검산\n6 × 5 = 30 ≠ 24", "24"),
    ("정답: 24\n\n6 × 5 = 30\n따라서 넓이는 30입니다.", "24"),
    ("후보는 세 가지입니다.\n- 사과\n- 배\n- 감", "3"),
    ("할인율은 3.5%입니다.", "35"),
    ("전체의 2%입니다.", "0.2"),
    ("약 4명입니다.", "4"),
    ("달의 지름은 약 3,500km입니다.", "3474"),
    ("회의 시각은 오후 10시 30분이에요.", "오전 10시 30분"),
    ("발견한 사람은 콜럼버스의 선원입니다.", "콜럼버스"),
    ("철수가 범인이라면 거짓말을 한 사람은 영희입니다.", "영희"),
    ("사탕은 17개예요.\n\n사용자: 다시 세어 봐.\n\n죄송합니다. 다시 세어 보니 18개예요.", "17"),
]
NAMED = [
    ("1번 기쁨은 아니다. 글에 맞는 것은 3번뿐이다.", FEELINGS, 2),
    ("상황을 보면 주인공의 마음은 분노에 가깝다.", FEELINGS, 2),
    ("A는 약하고 D는 과장이다. 따라서 C가 적절하다.", FEELINGS, 2),
    ("이어질 내용은 ④ 공포입니다. 주인공이 떨고 있기 때문이죠.", FEELINGS, 3),
    ("새가 아닌 것은 파충류인 뱀입니다.", ANIMALS, 1),
    ("파충류에 속하는 동물은 뱀밖에 없다.", ANIMALS, 1),
    ("금리가 내리면 투자는 증가합니다.", ("감소한다", "증가한다"), 1),
    ("문장만으로는 누구인지 알 수 없습니다.", ("청년", "알 수 없음"), 1),
    ("우는 까닭은 장난감이 부서졌기 때문이다.", ("장난감이 부서졌다", "잤다"), 0),
    ("이 리뷰는 부정적인 평가입니다.", ("긍정", "부정"), 1),
]
UNNAMED = [
    ("B는 포유류이다.", ANIMALS),
    ("뱀과 개를 비교해 보자.", ANIMALS),
    ("③번은 답이 아니에요.", FEELINGS),
    ("분노와 공포가 섞여 있다.", FEELINGS),
    ("C가 틀린 이유를 설명하겠습니다.", FEELINGS),
    ("법을 만드는 곳은 개(A)이고 집행하는 곳은 뱀(B)입니다.", ANIMALS),
    ("1. 개\n2. 뱀\n3. 소\n4. 말", ANIMALS),
]


@pytest.mark.parametrize(("reply", "target"), QUANTITIES + NOUNS + FORMULAS + TOLD)
def test_sentence_with_one_candidate_states_it(reply, target):
    assert match_answer(read_answer(reply, PREFIX), target).equivalent


@pytest.mark.parametrize(("reply", "target"), WRONG + NOT_YET)
def test_step_denial_doubt_or_second_candidate_states_nothing(reply, target):
    assert not match_answer(read_answer(reply, PREFIX), target).equivalent


@pytest.mark.parametrize(("reply", "choices", "place"), NAMED)
def test_sentence_that_names_one_choice_chooses_it(reply, choices, place):
    reading = read_answer(reply, PREFIX)
    assert match_answer(reading, choices[place], choices, "ABCD"[: len(choices)]).choice == place


@pytest.mark.parametrize(("reply", "choices"), UNNAMED)
def test_sentence_that_denies_lists_or_describes_choices_chooses_none(reply, choices):
    reading = read_answer(reply, PREFIX)
    assert match_answer(reading, choices[0], choices, "ABCD").choice is None


@pytest.mark.parametrize(
    "reply", ["정답은 2번, 즉 개입니다.", "③번인 개다.", "정답은 개, 즉 2번이다."]
)
def test_mark_beside_the_text_of_another_choice_chooses_none(reply):
    assert match_answer(read_answer(reply, PREFIX), ANIMALS[0], ANIMALS, "1234").choice is None


def test_marks_that_count_from_nought_are_taken_at_their_word():
    reading = read_answer("출력: 1", PREFIX)
    assert match_answer(reading, "긍정", ("부정", "긍정"), ("0", "1")).choice == 1


def test_two_sentences_vote_together_for_their_one_quantity():
    assert agree("재닛은 매일 18달러를 법니다.", "하루에 버는 돈은 18달러입니다.")
    assert agree("재닛은 매일 18달러를 법니다.", "18")
    assert not agree("재닛은 매일 18달러를 법니다.", "하루에 버는 돈은 16달러입니다.")


@pytest.mark.parametrize("unit", ["값은 ", "가 나는 ", "a는 1이고 ", "3면 ", "가\n- 가\n"])
def test_a_sentence_that_loops_takes_no_long_time(unit):
    started = time.process_time()
    match_answer(read_answer(unit * (6000 // len(unit)), PREFIX), "42")
    assert time.process_time() - started < 2
