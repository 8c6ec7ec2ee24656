from __future__ import annotations

import json
from pathlib import Path

from kot_platypus.data.census import TokenCount, measure_row, take_census
from kot_platypus.data.executors import InProcess
from kot_platypus.data.overview import describe_rows
from kot_platypus.records import Dialogue, Example, Message

ROW = Example(
    source="사과는?", rationale="사과는 3개입니다. 그래서 답은 셋이다.", target="3개", task="a"
)


def test_lengths_are_those_of_each_part():
    found = measure_row(ROW.model_copy(update={"input": "둘"}))
    assert found.chars == {"question": [7], "rationale": [22], "answer": [2]}


def test_lengths_of_a_conversation_are_those_of_its_speakers():
    turns = [("user", "안녕?"), ("assistant", "네."), ("user", "응"), ("tool", "{}")]
    row = Dialogue(messages=tuple(Message(role=r, content=c) for r, c in turns))
    found = measure_row(row)
    assert (found.chars, found.turns) == ({"user": [3, 1], "assistant": [2]}, [4])


def test_every_character_is_counted_once():
    text = "값은 `x = 1`, 곧 $y^2$ 이다. Then 漢 12\n```python\nprint(1)\n```"
    found = measure_row(Example(source=text, target=""))
    assert found.kinds == {
        "code": len("`x=1`") + len("```pythonprint(1)```"),
        "formula": len("$y^2$"),
        "Korean": 5,
        "English": 4,
        "digits": 2,
        "other letters": 1,
        "signs": 2,
    }


def test_a_row_in_two_speech_levels_is_mixed():
    found = measure_row(ROW)
    assert found.levels == {"합니다체": 1, "해라체": 1}
    assert (found.rows_by_level, found.endings) == ({"several": 1}, {"니다": 1, "이다": 1})


def test_korean_is_counted_by_tenths_of_letters():
    shares = {"사과": 9, "사과 abcd": 3, "abc": 0, "12": -1}
    for text, tenth in shares.items():
        assert measure_row(Example(source=text, target="")).korean == {tenth: 1}


def write(path: Path, *rows: Example) -> Path:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    return path


def test_quantiles_and_histogram_are_of_all_rows(tmp_path: Path):
    rows = [Example(source="가" * n, target="") for n in range(1, 102)]
    census = take_census(write(tmp_path / "a.jsonl", *rows), tmp_path / "out", InProcess())
    found = census["chars"]["question"]
    assert (found["least"], found["5%"], found["median"], found["most"]) == (1, 6, 51, 101)
    assert (sum(found["histogram"]), found["histogram"][12]) == (101, 2)  # 100 and 101


def test_tokens_are_counted_where_asked(tmp_path: Path):
    data = write(tmp_path / "a.jsonl", ROW)
    tokens = TokenCount("words", lambda texts: [len(text.split()) for text in texts])
    census = take_census(data, tmp_path / "out", InProcess(), tokens=tokens)
    assert census["tokens"]["rationale"]["most"] == 5


def test_rows_with_an_error_are_counted_once_a_check(tmp_path: Path):
    wrong = ROW.model_copy(
        update={"source": "배는?", "rationale": "배는 8개이다.", "target": "7개"}
    )
    data = write(tmp_path / "a.jsonl", ROW, ROW, wrong)
    found = describe_rows(data, tmp_path / "out", InProcess(), name="a")
    assert found["checks"]["found"]["answer_mismatch"] == {"errors": 1, "warnings": 0}
    assert (found["checks"]["rows"], found["checks"]["rows_with_errors"]) == (3, 1)
    assert found["clusters"]["sizes"] == [[2, 1]]
    assert found["clusters"]["largest"][0]["texts"] == ["사과는?", "사과는?"]
    assert json.loads((tmp_path / "out" / "overview.json").read_text("utf-8")) == found
