"""The store of generated texts: nobody answers the same question twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from kot_platypus.evaluate.generation import TextStore, generate_texts
from kot_platypus.evaluate.keys import make_text_key
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.texts import Generated, Prompt, Settings
from kot_platypus.records import Message
from kot_platypus.thoughts import cut_answer

GREEDY = Settings(max_new_tokens=8, stop_line="정답: ")
DRAWN = Settings(max_new_tokens=8, stop_line="정답: ", temperature=0.7)


class Echo(ModelUnderTest):
    """A model that answers in its own order and notes what it was asked."""

    name = identity = key = "echo"
    about: ClassVar = {}

    def __init__(self, *, dies_after: int | None = None) -> None:
        self.asked: list[Prompt] = []
        self.dies_after = dies_after

    def generate(
        self, prompts: Sequence[Prompt], settings: Settings
    ) -> Iterator[tuple[int, Generated]]:
        for place in reversed(range(len(prompts))):
            if len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(prompts[place])
            yield place, Generated(text=f"{prompts[place].text}!", num_tokens=1)


@pytest.mark.parametrize(
    ("text", "stop_line", "cut"),
    [
        ("풀이\n정답: 7\n더", "정답: ", "풀이\n정답: 7\n"),
        ("풀이\n정답: 7", "정답: ", None),
        ("풀이 정답: 7\n", "정답: ", None),
        ("정답: 7\n정답: 8\n", "정답: ", "정답: 7\n"),
        (" 7개\n질문", "", " 7개\n"),
        (" 7개", "", None),
        ("", "", None),
    ],
)
def test_text_is_cut_after_its_first_whole_answer_line(text, stop_line, cut):
    assert cut_answer(text, stop_line) == cut


def test_texts_come_in_the_order_of_the_prompts(tmp_path):
    prompts = [Prompt(text=text) for text in "나가다라"]
    texts = generate_texts(Echo(), prompts, GREEDY, store=TextStore("m", tmp_path))
    assert [text.text for text in texts] == ["나!", "가!", "다!", "라!"]


def test_killed_generation_goes_on_after_the_last_text(tmp_path):
    prompts = [Prompt(text=str(i)) for i in range(9)]
    first, second = Echo(dies_after=4), Echo()
    with pytest.raises(KeyboardInterrupt):
        generate_texts(first, prompts, GREEDY, store=TextStore("m", tmp_path))
    generate_texts(second, prompts, GREEDY, store=TextStore("m", tmp_path))
    assert len(first.asked) == 4
    assert sorted(p.text for p in (*first.asked, *second.asked)) == sorted(p.text for p in prompts)


def test_torn_line_is_generated_again_and_nothing_else(tmp_path):
    prompts = [Prompt(text=str(i)) for i in range(5)]
    generate_texts(Echo(), prompts, GREEDY, store=TextStore("m", tmp_path))
    (kept,) = tmp_path.rglob("*.jsonl")
    kept.write_bytes(kept.read_bytes()[:-9])
    again = Echo()
    generate_texts(again, prompts, GREEDY, store=TextStore("m", tmp_path))
    assert len(again.asked) == 1


def test_model_is_loaded_when_needed_and_only_then(tmp_path):
    prompts = [Prompt(text="가"), Prompt(text="가")]
    engine = Echo()
    generate_texts(engine, prompts, GREEDY, store=TextStore("m", tmp_path))
    assert len(engine.asked) == 1  # equal prompts are one
    again = Echo(dies_after=0)
    generate_texts(again, prompts, GREEDY, store=TextStore("m", tmp_path))


def test_what_decides_a_text_decides_its_key():
    chat = (Message(role="user", content="가"),)
    prompts = [Prompt(text="가"), Prompt(text="나"), Prompt(text="가", messages=chat)]
    longer = GREEDY.model_copy(update={"max_new_tokens": 9})
    other = GREEDY.model_copy(update={"stop_line": ""})
    keys = [make_text_key(p, s) for p in prompts for s in (GREEDY, longer, other, DRAWN)]
    seeded = DRAWN.model_copy(update={"seed": 1})
    hotter = DRAWN.model_copy(update={"temperature": 1.0})
    again = Prompt(text="가", sample=1)
    keys += [
        make_text_key(prompts[0], seeded),
        make_text_key(prompts[0], hotter),
        make_text_key(again, DRAWN),
    ]
    assert len(set(keys)) == len(keys)


def test_greedy_text_has_no_seed_and_no_sample():
    seeded = GREEDY.model_copy(update={"seed": 1})
    assert make_text_key(Prompt(text="가", sample=3), seeded) == make_text_key(
        Prompt(text="가"), GREEDY
    )


def test_another_model_has_its_own_texts(tmp_path):
    prompts = [Prompt(text="가")]
    generate_texts(Echo(), prompts, GREEDY, store=TextStore("a", tmp_path))
    other = Echo()
    generate_texts(other, prompts, GREEDY, store=TextStore("b", tmp_path))
    assert len(other.asked) == 1
