from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import read_json, read_jsonl, write_jsonl
from kot_platypus.data.cells import MAX_OWNERS, Cells
from kot_platypus.data.contamination import BenchmarkIndex, Item
from kot_platypus.data.leaks import (
    FieldSpan,
    Leak,
    check_contamination,
    describe_verdict,
    iter_leaks,
    list_fields,
    load_benchmark,
    locate,
)
from kot_platypus.data.normal import encode_text, join_codes
from kot_platypus.data.windows import Windows
from kot_platypus.errors import DataError
from kot_platypus.evaluate.tasks import TASKS, load_task, load_texts
from kot_platypus.records import Dialogue, Example, Message
from kot_platypus.verdicts import read_verdict
from tests.data.item_templates import TEMPLATES

LIGHTHOUSE = (
    "등대지기는 밤마다 계단을 올라 등불을 켜고, 안개가 짙은 날에는 종을 울려 배들을 이끌었다."
)
MARKET = "장터에 모인 상인들은 새벽부터 천막을 치고 싱싱한 채소와 생선을 늘어놓았다."
CLAUSES = "눈이 그쳤다. 아이들이 언덕에 모였다. 썰매를 탔다."
SHORT = "의자가 무척 편합니다"
TINY = "강력 추천!"
UNRELATED = "삼각형의 세 각의 크기를 더하면 백팔십 도이고, 사각형은 그 두 배이다."
ITEMS = [
    Item("b/test", number, (text,))
    for number, text in enumerate(
        [LIGHTHOUSE, MARKET, CLAUSES, SHORT, TINY, LIGHTHOUSE + " 참인가?"]
    )
]


@pytest.fixture(scope="module")
def index() -> BenchmarkIndex:
    return BenchmarkIndex(ITEMS)


def find_items(index: BenchmarkIndex, text: str) -> set[int]:
    return {match.item for match in index.scan([text])}


# --- what is found -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copy",
    [
        MARKET,
        MARKET.replace(" ", ""),
        f"다음 글을 요약하라.\n{MARKET}\n요약:",
        unicodedata.normalize("NFD", MARKET),
        "장터에 모인 상인들은 새벽에 천막은 치고 싱싱한 채소랑 생선은 늘어놓았습니다.",
        "싱싱한 채소와 생선을 늘어놓았다, 장터에 모인 상인들은 새벽부터 천막을 치고.",
        "장터에 모인 상인 들은 새벽 부터 천막을치고 싱싱 한 채소와 생 선을 늘어놓았다.",
    ],
    ids=["same", "spacing", "wrapped", "decomposed", "particles", "order", "split words"],
)
def test_copy_is_found(index, copy):
    assert find_items(index, copy) == {1}


def test_clauses_too_short_for_a_run_are_found_in_any_order(index):
    (match,) = index.scan(["아이들이 언덕에 모였다. 눈이 그쳤다. 썰매를 탔다."])
    assert (match.item, match.how) == (2, "reordered")


@pytest.mark.parametrize(
    "copy",
    [
        SHORT,
        "의자가 무척 편해요",
        "후기: 의자가 무척 편하다",
        "그가 말했다. “의자가 무척 편합니다”",
    ],
)
def test_short_item_is_found_as_a_line_or_quotation(index, copy):
    assert find_items(index, copy) == {3}


@pytest.mark.parametrize(
    "copy",
    [
        "문장: 편합니다 의자가 무척 긍부정: 긍정",
        "| 1 | 의자가 정말 편합니다 | 긍정 |",
        "의자가 정말 편합니다 (긍정)",
        "'걸상이 무척 편합니다'라는 말은 긍정일까?",
        "강력 추천합니다",
    ],
    ids=["order", "synonym", "brackets", "first word", "half a word"],
)
def test_short_item_is_found_with_one_word_edited(index, copy):
    assert find_items(index, copy) & {3, 4}


@pytest.mark.parametrize("text", ["걸상이 정말 편합니다", "의자가 무척 크고 편합니다", "강력 접착"])
def test_other_words_are_no_edit_of_a_short_item(index, text):
    assert find_items(index, text) == set()


def test_item_too_short_for_morphemes_is_found_when_equal(index):
    (match,) = index.scan(["상품평\n강력추천"])
    assert (match.item, match.how) == (4, "exact")


def test_short_item_inside_a_sentence_is_not_found(index):
    assert find_items(index, "이 책은 강력 추천 도서 목록에 올랐다") == set()


@pytest.mark.parametrize("text", [UNRELATED, "", "!!!", "등대지기", "ㅋㅋㅋ"])
def test_text_of_no_item_is_not_found(index, text):
    assert index.scan([text]) == []


def test_item_that_stands_twice_in_the_benchmark_is_found_twice(index):
    assert find_items(index, LIGHTHOUSE) == {0, 5}


def test_all_copies_are_found(index):
    texts = [LIGHTHOUSE, UNRELATED, LIGHTHOUSE, f"{UNRELATED} {LIGHTHOUSE}"]
    assert {match.text for match in index.scan(texts)} == {0, 2, 3}


def test_both_copies_in_one_text_are_found(index):
    matches = index.scan([f"{MARKET} 그리고 {MARKET}"])
    starts = [match.span[0] for match in matches if match.how == "characters"]
    assert starts == [0, len(MARKET) + 5]


def test_texts_do_not_run_into_each_other(index):
    half = len(MARKET) // 3
    together = index.scan([MARKET[:half], MARKET[half:]])
    alone = index.scan([MARKET[:half]])
    alone += [match._replace(text=1) for match in index.scan([MARKET[half:]])]
    assert together == alone


# --- cell by cell ------------------------------------------------------------------------------

UMBRELLA = ("소나기가 쏟아졌다.", "원인", "우산을 폈다.", "먹구름이 몰려왔다.")
"""A premise and two choices: no 13 characters of it stand together in a template."""


@pytest.fixture(scope="module")
def cells() -> BenchmarkIndex:
    return BenchmarkIndex(
        [
            Item("c/test", 0, UMBRELLA),
            Item("s/test", 0, ("좋아요",)),
            Item("s/test", 1, ("가성비가 정말 좋아요",)),
            Item("s/test", 2, ("손이 잘 가네요",)),
        ]
    )


@pytest.mark.parametrize(
    "text",
    [
        "소나기가 쏟아졌다.\n정답: 먹구름이 몰려왔다.",
        "A) 우산을 폈다. B) 먹구름이 몰려왔다. 다음의 원인은? 소나기가 쏟아졌다.",
        '{"premise": "소나기가 쏟아졌다.", "alternative_1": "우산을 폈다."}',
        "| 전제 | 보기 |\n|---|---|\n| 소나기가<br>쏟아졌다. | 우산을 폈다. |",
        "<p><b>소나기</b>가 쏟아졌다.</p><li>우산을&nbsp;폈다.</li>",
        json.dumps({"premise": UMBRELLA[0], "answer": UMBRELLA[3]}),
    ],
    ids=["gold", "shuffled", "json", "table", "html", "ascii"],
)
def test_cells_are_found_in_any_template(cells, text):
    assert {match.item for match in cells.scan([text]) if match.how == "cells"} == {0}


@pytest.mark.parametrize(
    "text",
    [
        "쏟아졌다. 소나기가 그래서 우산을 폈다.",
        "장대비가 쏟아졌다. 왜냐하면 먹구름이 몰려왔다.",
        "소나기가 쏟아졌다. 왜냐하면 먹구름이 몰려들었다.",
        "소나기가 쏟아졌다. 그래서 펼쳤다. 우산을",
    ],
)
def test_cell_may_be_edited_beside_one_that_is_not(cells, text):
    assert find_items(cells, text) == {0}


def test_each_cell_is_marked(cells):
    text = "전제: 소나기가 쏟아졌다. 정답: 먹구름이 몰려왔다."
    found = [text[slice(*match.span)] for match in cells.scan([text])]
    assert found == ["소나기가 쏟아졌다", "먹구름이 몰려왔다"]


@pytest.mark.parametrize(
    "text",
    [
        "소나기가 쏟아졌다. 아이들은 처마 밑으로 뛰었다.",
        "우산을 폈다. 하늘에는 먹구름이 몰려왔다.",
        "소나기가 그쳤다. 그래서 우산을 접었다.",
    ],
    ids=["one cell", "choices alone", "both edited"],
)
def test_cells_that_tell_of_no_item_are_not_found(cells, text):
    assert find_items(cells, text) == set()


def test_phrases_of_many_items_tell_of_none():
    phrases = ["옳은것을고르면", "모두옳다", "알수없다"]
    joined, starts = join_codes([encode_text("".join(phrases))])
    for count, found in ((MAX_OWNERS, 3 * MAX_OWNERS), (MAX_OWNERS + 1, 0)):
        cells = Cells([phrases] * count, [0] * count, 12)
        assert len(list(cells.find(["".join(phrases)], joined, starts))) == found


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("문장: 좋아요 긍부정: 긍정", {1}),
        ("후기 '좋아요'의 감정은?", {1}),
        ("배송이 빨라요. 좋아요. 또 살게요.", set()),
        ("이 색이 좋아요라는 분도 있다", set()),
        ("긍정인가? 가성비가 정말 좋아요. 답하라.", {2}),
        ("가성비가 정말 좋아요 이 말은 긍정", {2}),
        ("다음 말의 감정 가성비가 정말 좋아요", {2}),
        ("가성비가 정말 좋아요라는 분도 있다", set()),
        ("손이 잘 가네요 이 말의 감정은 무엇인가요? 긍정", {3}),
        ("손이 잘 가네요 배송도 빠르고 또 살게요", set()),
    ],
)
def test_short_item_counts_where_it_stands_alone(cells, text, items):
    assert find_items(cells, text) == items


# --- templates ---------------------------------------------------------------------------------

SAMPLE = 25


@pytest.fixture(scope="module")
def sample(shared) -> tuple[BenchmarkIndex, list[tuple[str, dict[str, Any], int]]]:
    """The first items of each task, and the documents they are of."""
    items: list[Item] = []
    documents = []
    for task in TASKS:
        texts = load_texts(shared / "kobest" / "v1.0")[f"kobest/{task}/test"]
        rows = load_task(task, shared / "kobest" / "v1.0").test
        for row, cells in list(zip(rows, texts, strict=True))[:SAMPLE]:
            documents.append((task, row, len(items)))
            items.append(Item(task, len(items), cells))
    return BenchmarkIndex(items), documents


@pytest.mark.parametrize("name", TEMPLATES)
def test_real_items_are_found_in_every_template(sample, name):
    index, documents = sample
    found = index.scan([TEMPLATES[name](task, row) for task, row, _ in documents])
    pairs = {(match.text, match.item) for match in found}
    assert [each for i, each in enumerate(documents) if (i, each[2]) not in pairs] == []


# --- where -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [MARKET, MARKET.replace(" ", "  "), unicodedata.normalize("NFD", MARKET)]
)
def test_span_is_that_of_the_original_text(index, form):
    text = f"“{UNRELATED}” {form} 끝."
    match = next(match for match in index.scan([text]) if match.how == "characters")
    assert text[slice(*match.span)] == form.rstrip(".")
    assert MARKET[slice(*match.item_span)] == MARKET.rstrip(".")


def test_span_of_morphemes_is_that_of_the_original_text(index):
    copy = "장터에 모인 상인들은 새벽에 천막은 치고 싱싱한 채소랑 생선은 늘어놓았습니다."
    match = next(match for match in index.scan([f"글: {copy}"]) if match.how == "morphemes")
    found = f"글: {copy}"[slice(*match.span)]
    assert found.startswith("장터에 모인")
    assert "생선은 늘어놓" in found


def test_span_over_two_fields_is_told_apart():
    fields = {"source": "가나다", "target": "라마"}
    assert locate(fields, 1, 5) == (
        FieldSpan(field="source", start=1, end=3),
        FieldSpan(field="target", start=0, end=1),
    )


def test_fields_of_a_dialogue_are_its_messages_and_its_thoughts():
    turns = (
        Message(role="user", content="가"),
        Message(role="tool", content="나"),
        Message(role="assistant", content="다", reasoning_content="라"),
    )
    assert list_fields(Dialogue(messages=turns)) == {
        "messages.0": "가",
        "messages.1": "나",
        "messages.2.reasoning_content": "라",
        "messages.2": "다",
    }


# --- benchmarks --------------------------------------------------------------------------------


def test_labels_and_words_are_no_text_of_an_item():
    item = Item("b", 0, ("문장은 이렇다.", "원인", "첫째 보기이다."))
    assert item.text == "문장은 이렇다. 첫째 보기이다."


def test_item_of_words_alone_is_kept():
    assert Item("b", 0, ("네", "좋다")).text == "네 좋다"


def test_benchmark_file_gives_all_its_texts(tmp_path):
    path = tmp_path / "b.jsonl"
    row = {
        "question": "하늘은 왜 파란가?",
        "choices": ["빛이 흩어져서", "물이 많아서"],
        "answer": 0,
    }
    path.write_text(json.dumps(row), encoding="utf-8")
    assert load_benchmark(path) == [("하늘은 왜 파란가?", "빛이 흩어져서", "물이 많아서")]
    assert load_benchmark(path, ["question"]) == [("하늘은 왜 파란가?",)]


def test_missing_column_of_a_benchmark_is_named(tmp_path):
    (tmp_path / "b.csv").write_text("question\n왜?\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2 has no column 'text'"):
        load_benchmark(tmp_path / "b.csv", ["text"])


# --- a file of rows ----------------------------------------------------------------------------

ROWS = [
    Example(source=UNRELATED, target="가"),
    Example(source="읽어라.", rationale=MARKET, target="나"),
    Example(source=f"{UNRELATED} 또", target="다"),
    Example(source=f"{LIGHTHOUSE} 요약하라.", target="라"),
    Example(source="장터 이야기", target=MARKET.replace(" ", "")),
]
BENCHMARKS = {"b/test": [(LIGHTHOUSE,), (MARKET,)], "c/test": [(CLAUSES,)]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


def test_every_leaked_row_is_reported_with_its_field(data, tmp_path):
    check_contamination(data, tmp_path / "out", BENCHMARKS)
    leaks = read_jsonl(tmp_path / "out" / "leaks.jsonl", Leak)
    fields = {(leak.row, span.field) for leak in leaks for span in leak.spans}
    assert fields == {(1, "rationale"), (3, "source"), (4, "target")}


def test_verdict_counts_rows_and_items(data, tmp_path):
    verdict = check_contamination(data, tmp_path / "out", BENCHMARKS)
    assert (verdict.rows, verdict.leaked_rows, verdict.is_clean) == (5, 3, False)
    counts = [(each.name, each.items, each.items_found, each.rows) for each in verdict.benchmarks]
    assert counts == [("b/test", 2, 2, 3), ("c/test", 1, 0, 0)]
    assert verdict.describe() == "3 of 5 rows hold text of b/test"


def test_clean_rows_are_written_and_known_to_be_clean(data, tmp_path):
    check_contamination(data, tmp_path / "out", BENCHMARKS)
    clean = tmp_path / "out" / "clean.jsonl"
    assert read_jsonl(clean, Example) == [ROWS[0], ROWS[2]]
    verdict = read_verdict(clean)
    assert verdict is not None
    assert (verdict.rows, verdict.leaked_rows) == (2, 0)


def test_verdict_lies_beside_the_rows_and_holds_for_these_bytes(data, tmp_path):
    verdict = check_contamination(data, tmp_path / "out", BENCHMARKS)
    assert read_verdict(data) == verdict
    data.write_text(data.read_text(encoding="utf-8") * 2, encoding="utf-8")
    assert read_verdict(data) is None


def test_finished_check_is_not_done_again(data, tmp_path, monkeypatch):
    verdict = check_contamination(data, tmp_path / "out", BENCHMARKS)
    monkeypatch.setattr("kot_platypus.data.leaks.BenchmarkIndex", None)
    assert check_contamination(data, tmp_path / "out", BENCHMARKS) == verdict


def test_report_marks_what_is_the_same(data, tmp_path):
    verdict = check_contamination(data, tmp_path / "out", BENCHMARKS)
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert page.startswith(describe_verdict("rows.jsonl", verdict))
    assert "**CONTAMINATED**" in page
    assert f"【{MARKET.rstrip('.')}】" in page
    assert read_json(tmp_path / "out" / "report.json")["clean"] is False


def test_any_chunk_size_gives_the_same_leaks(monkeypatch):
    expected = list(iter_leaks(ROWS, ITEMS))
    assert {leak.row for leak in expected} == {1, 3, 4}
    for chunk_rows in (1, 2, 3):
        monkeypatch.setattr("kot_platypus.data.leaks.CHUNK_ROWS", chunk_rows)
        assert list(iter_leaks(iter(ROWS), ITEMS)) == expected


def test_match_is_plain_data(index):
    match = index.scan([MARKET])[0]
    start, end = match.span
    item_start, item_end = match.item_span
    plain = [match.text, [start, end], match.item, [item_start, item_end], match.how]
    assert json.loads(json.dumps(match)) == plain


def test_few_words_of_a_sentence_that_repeats_itself_are_no_copy():
    """Five of its seven different morphemes, but five of twelve."""
    repeats = "낮에는 육지의 공기가 팽창한다. 낮에는 육지의 공기가 빨리 데워진다."
    repeats += " 낮에는 바다의 공기가 빨리 데워진다."
    index = BenchmarkIndex([Item("c/test", 0, (repeats,))])
    assert find_items(index, "낮에는 육지가 바다보다 빨리 데워진다.") == set()


def test_a_row_and_an_item_that_say_one_thing_over_and_over_do_not_multiply():
    hits = Windows([encode_text("하" * 3000)], 13).find(encode_text("하" * 3000))
    assert len(hits.places) < 20 * 3000  # 9 million before
    assert BenchmarkIndex([Item("b", 0, ("하" * 300,))]).scan(["다 하" + "하" * 300])
