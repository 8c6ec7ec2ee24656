from __future__ import annotations

import itertools
import random
import re
from importlib.resources import files

import pytest
import yaml

from kot_platypus.data.problems import holds, make_problems, verify_problem
from kot_platypus.errors import DataError, UsageError
from kot_platypus.records import Example

STORIES = yaml.safe_load(
    (files("kot_platypus.prompts") / "problems.yaml").read_text(encoding="utf-8")
)
FAMILIES = tuple(STORIES)
SPLITS = ("train", "heldout")
ROWS = 500


@pytest.fixture(scope="module")
def problems() -> dict[tuple[str, str], list[Example]]:
    """500 problems of each family and split: only to be read."""
    return {(f, s): make_problems(ROWS, 42, s, (f,)) for f in FAMILIES for s in SPLITS}


REWORDED = [family for family in FAMILIES if "reworded" in STORIES[family]]


@pytest.fixture(scope="module", params=REWORDED)
def reworded(request) -> list[Example]:
    return make_problems(200, 42, "heldout", (f"{request.param}-reworded",))


def test_reworded_problems_are_proved_by_their_text_and_say_what_they_are(reworded):
    for problem in reworded:
        verify_problem(problem)
    assert {problem.task.partition("-")[2] for problem in reworded} == {"reworded"}
    assert len({problem.source for problem in reworded}) == 200


def test_a_reworded_problem_of_another_answer_is_rejected(reworded):
    for one, other in itertools.pairwise(reworded[:50]):
        if one.target != other.target:
            with pytest.raises(DataError):
                verify_problem(one.model_copy(update={"target": other.target}))


@pytest.mark.parametrize("family", REWORDED)
def test_reworded_stories_share_no_sentence_with_the_others(family):
    def list_sentences(split: str) -> set[str]:
        words = ("open", "link", "close", "ask", "does", "leaves", "swap")
        return {story[word] for story in STORIES[family][split] for word in words if word in story}

    assert REWORDED
    assert not list_sentences("reworded") & (list_sentences("train") | list_sentences("heldout"))


def test_nothing_reworded_is_trained_on():
    with pytest.raises(UsageError, match="no family of problems 'chain-reworded' to train on"):
        make_problems(4, 42, "train", ("chain-reworded",))


each_family = pytest.mark.parametrize("family", FAMILIES)
each_split = pytest.mark.parametrize("split", SPLITS)


@each_family
@each_split
def test_every_problem_is_proved_by_its_text(problems, family, split):
    for problem in problems[family, split]:
        verify_problem(problem)


@each_family
@each_split
def test_problems_are_as_many_as_asked_for_and_distinct(problems, family, split):
    assert len({problem.source for problem in problems[family, split]}) == ROWS


@each_family
@each_split
def test_same_seed_makes_the_same_problems(problems, family, split):
    assert make_problems(40, 42, split, (family,)) == problems[family, split][:40]


@each_family
@each_split
def test_another_seed_makes_other_problems(problems, family, split):
    assert make_problems(40, 43, split, (family,)) != problems[family, split][:40]


@each_family
def test_no_heldout_question_is_a_training_question(problems, family):
    train, heldout = ({p.source for p in problems[family, split]} for split in SPLITS)
    assert not train & heldout


@each_family
def test_training_and_heldout_stories_open_differently(family):
    openings = {split: {story["open"] for story in STORIES[family][split]} for split in SPLITS}
    if family == "swap":  # the opening is made of the names and things
        openings = {
            split: {w for story in STORIES[family][split] for w in story["names"] + story["things"]}
            for split in SPLITS
        }
    assert not openings["train"] & openings["heldout"]


def test_training_and_heldout_changes_start_from_different_numbers(problems):
    first = re.compile(r"\d+")
    starts = {s: {first.search(p.source)[0] for p in problems["change", s]} for s in SPLITS}
    assert not starts["train"] & starts["heldout"]


@each_family
@each_split
def test_answers_are_spread_so_that_guessing_one_does_not_pay(problems, family, split):
    targets = [problem.target for problem in problems[family, split]]
    num_states = 2 if family == "switch" else 3 if family == "swap" else 7
    most = max(targets.count(target) for target in set(targets))
    assert most / ROWS < 1.3 / num_states


def test_families_take_turns():
    made = make_problems(len(FAMILIES) * 3, 1, "train")
    assert [problem.task for problem in made] == list(FAMILIES) * 3


def test_no_rows_are_no_problems():
    assert make_problems(0, 1, "heldout") == []


@pytest.mark.slow
def test_more_rows_than_there_are_problems_is_a_data_error():
    # 2 stories, 7 days, 14 first and 8 second changes make 1,568.
    with pytest.raises(DataError, match="different problems of weekday"):
        make_problems(1569, 1, "heldout", ("weekday",))


def test_unknown_family_is_wrong_usage_naming_those_that_exist():
    with pytest.raises(UsageError, match=r"no family of problems 'chnge' to train on.*weekday"):
        make_problems(1, 1, "train", ("change", "chnge"))


# --- verification ------------------------------------------------------------------------------

TRUE = {
    "change": Example(
        task="change",
        source="버스에 11명이 있다. 5명이 들어왔다. 4명이 나갔다. 3명이 나갔다. 지금 몇 명인가?",
        rationale="11+5=16, 16-4=12, 12-3=9명.",
        target="9명",
    ),
    "groups": Example(
        task="groups",
        source="의자가 2개씩 3줄 놓여 있다. 의자 1개를 더 놓았다. 의자 4개를 치웠다. "
        "의자는 모두 몇 개인가?",
        rationale="2×3=6, 6+1=7, 7-4=3개.",
        target="3개",
    ),
    "weekday": Example(
        task="weekday",
        source="오늘은 목요일이다. 3일이 지났다. 6일이 지났다. 무슨 요일이 되었는가?",
        rationale="3+6=9. 9÷7의 나머지는 2. 목요일에서 2일 뒤는 토요일이다.",
        target="토요일",
    ),
    "swap": Example(
        task="swap",
        source="민수는 사과, 지우는 배, 하나는 감을 들고 있다. 민수와 하나가 서로 바꾸었다. "
        "지우와 민수가 서로 바꾸었다. 지우가 든 것은 무엇인가?",
        rationale="민수 감, 지우 배, 하나 사과. 민수 배, 지우 감, 하나 사과. 지우 감.",
        target="감",
    ),
    "switch": Example(
        task="switch",
        source="동전이 앞면이다. 민수가 뒤집었다. 지우는 뒤집지 않았다. 하나가 뒤집었다. "
        "서아가 뒤집었다. 동전은 어느 면인가?",
        rationale="민수 뒷면, 지우 뒷면, 하나 앞면, 서아 뒷면.",
        target="뒷면",
    ),
}


@pytest.mark.parametrize("family", TRUE)
def test_true_problem_written_by_hand_passes(family):
    verify_problem(TRUE[family])


@pytest.mark.parametrize(
    ("family", "field", "old", "new"),
    [
        ("change", "rationale", "16-4=12", "16-4=13"),  # a wrong result
        ("change", "rationale", "12-3=9", "13-4=9"),  # does not follow
        ("change", "rationale", "16-4=12, ", ""),  # a step left out
        ("change", "rationale", "9명", "9개"),  # another unit
        ("change", "target", "9명", "8명"),
        ("change", "target", "9명", "90명"),  # begins with the right digit
        ("change", "target", "9명", "9"),
        ("change", "source", "4명", "6명"),  # a number of the question not used
        ("change", "source", "11명", "12명"),
        ("groups", "rationale", "2×3=6", "2×3=5"),
        ("groups", "rationale", "2×3=6", "3×2=6"),  # not the question's order
        ("groups", "source", "2개씩", "3개씩"),
        ("groups", "target", "3개", "4개"),
        ("weekday", "rationale", "3+6=9", "3+6=8"),
        ("weekday", "rationale", "3+6=9", "4+5=9"),
        ("weekday", "rationale", "나머지는 2", "나머지는 1"),
        ("weekday", "rationale", "2일 뒤는 토요일", "2일 뒤는 일요일"),
        ("weekday", "rationale", "목요일에서", "수요일에서"),
        ("weekday", "target", "토요일", "금요일"),
        ("weekday", "source", "목요일", "금요일"),
        ("weekday", "source", "6일", "7일"),
        ("swap", "rationale", "민수 감, 지우 배", "민수 배, 지우 감"),  # a state between
        ("swap", "rationale", "지우 감.", "지우 배."),
        ("swap", "target", "감", "사과"),
        ("swap", "source", "지우와 민수", "지우와 하나"),
        ("swap", "source", "지우는 배", "지우는 귤"),
        ("switch", "rationale", "지우 뒷면", "지우 앞면"),  # a state between
        ("switch", "rationale", "민수 뒷면, 지우 뒷면", "지우 뒷면, 민수 뒷면"),
        ("switch", "rationale", "하나 앞면", "하나 옆면"),  # a third state
        ("switch", "target", "뒷면", "앞면"),
        ("switch", "source", "하나가 뒤집었다", "하나는 뒤집지 않았다"),
        ("switch", "source", "동전이 앞면", "동전이 뒷면"),
    ],
)
def test_tampered_problem_is_rejected(family, field, old, new):
    text = getattr(TRUE[family], field)
    assert text.count(old) >= 1
    tampered = TRUE[family].model_copy(update={field: text.replace(old, new, 1)})
    with pytest.raises(DataError):
        verify_problem(tampered)


@each_family
def test_exchanged_target_is_rejected_for_every_generated_problem(problems, family):
    rng = random.Random(0)
    made = problems[family, "train"]
    for problem in made[:50]:
        other = rng.choice([p.target for p in made if p.target != problem.target])
        with pytest.raises(DataError):
            verify_problem(problem.model_copy(update={"target": other}))


def test_a_row_that_borrows_a_family_s_name_is_no_proof_and_no_error():
    row = Example(
        source="유나는 공을 가졌다. 유나와 태오가 바꿨다. 누가 무엇을?", target="공", task="swap"
    )
    assert not holds(row)
