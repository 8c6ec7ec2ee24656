from __future__ import annotations

import csv
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from kot_platypus.artifacts import read_jsonl
from kot_platypus.data.build import KOREAN_COT, load_korean_cot
from kot_platypus.records import Example

MINI = Path(str(files("kot_platypus") / "data" / "sets" / "kobest_mini"))
LABELS = {"BoolQ": "Answer", "COPA": "Answer", "HellaSwag": "label", "SentiNeg": "Label"}
LABELS["WiC"] = "ANSWER"
NUM_LABELS = {task: 4 if task == "HellaSwag" else 2 for task in LABELS}
# What makes a document: the words that may repeat (연결어, the target word, labels) are left out.
TEXTS = {
    "BoolQ": ("Text",),
    "COPA": ("sentence", "1", "2"),
    "HellaSwag": ("context", "choice1", "choice2", "choice3", "choice4"),
    "SentiNeg": ("Text", "Text_origin"),
    "WiC": ("SENTENCE1", "SENTENCE2"),
}
each_task = pytest.mark.parametrize("task", LABELS)


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def list_texts(task: str, split: str) -> list[str]:
    rows = read_tsv(MINI / task / f"{split}.tsv")
    return [row[column] for row in rows for column in TEXTS[task] if column in row]


# --- korean_cot --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cot() -> list[Example]:
    return load_korean_cot()


def test_korean_cot_has_enough_rows_of_enough_kinds(cot):
    assert len(cot) >= 300
    assert len({row.task for row in cot}) >= 10


def test_korean_cot_files_are_named_after_their_kind():
    for file in KOREAN_COT.glob("*.jsonl"):
        assert {row.task for row in read_jsonl(file, Example)} == {file.stem}


def test_korean_cot_rows_fill_every_column_of_kocot(cot):
    kocot = ("source", "target", "rationale", "task", "type")
    incomplete = [row for row in cot if not all(getattr(row, name).strip() for name in kocot)]
    assert incomplete == []


def test_korean_cot_asks_nothing_twice(cot):
    repeated = [source for source, n in Counter(row.source for row in cot).items() if n > 1]
    assert repeated == []


def test_korean_cot_rationales_end_in_the_target(cot):
    def last_sentence(text: str) -> str:
        return re.split(r"(?<=[^\d]\.)\s+", text.strip())[-1]

    astray = [row.source for row in cot if row.target not in last_sentence(row.rationale)]
    assert astray == []


def test_korean_cot_rationales_have_at_least_two_sentences(cot):
    short = [row.source for row in cot if len(re.findall(r"\.(?:\s|$)", row.rationale)) < 2]
    assert short == []


NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
UNIT = r"(?:\s?[가-힣a-zA-Z²㎡%]+)?"
EQUATION = re.compile(rf"((?:{NUMBER}{UNIT}\s*[-+×÷−*/]\s*)+{NUMBER}{UNIT})\s*=\s*({NUMBER})")


def evaluate(expression: str) -> float:
    """The value of numbers and operators, × and ÷ first; units are ignored."""
    numbers = [float(number.replace(",", "")) for number in re.findall(NUMBER, expression)]
    signs = re.findall(r"[-+×÷−*/]", re.sub(NUMBER, "", expression))
    terms = [numbers[0]]
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign in "×*":
            terms[-1] *= number
        elif sign in "÷/":
            terms[-1] /= number
        else:
            terms.append(number if sign == "+" else -number)
    return sum(terms)


def test_every_equation_in_a_korean_cot_rationale_is_true(cot):
    wrong, count = [], 0
    for row in cot:
        for expression, result in EQUATION.findall(row.rationale):
            count += 1
            if abs(evaluate(expression) - float(result.replace(",", ""))) > 1e-9:
                wrong.append(f"{expression} = {result}")
    assert wrong == []
    assert count >= 100


def test_every_sign_of_equality_in_korean_cot_belongs_to_a_checked_equation(cot):
    unread = [row.rationale for row in cot if "=" in EQUATION.sub("", row.rationale)]
    assert unread == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1,500 × 2", 3000), ("31 - 22 + 1", 10), ("2 + 3 × 4", 14), ("4,000원 + 500원", 4500)],
)
def test_the_check_of_equations_itself_computes(expression, value):
    assert evaluate(expression) == value


# --- kobest_mini -------------------------------------------------------------------------------


@each_task
def test_kobest_mini_has_enough_questions_and_shots(task):
    assert len(read_tsv(MINI / task / "test.tsv")) >= 40
    assert len(read_tsv(MINI / task / "train.tsv")) >= 20


@each_task
@pytest.mark.parametrize("split", ["train", "test"])
def test_kobest_mini_labels_are_balanced(task, split):
    counts = Counter(row[LABELS[task]].lower() for row in read_tsv(MINI / task / f"{split}.tsv"))
    assert len(counts) == NUM_LABELS[task]
    assert max(counts.values()) - min(counts.values()) <= 1


@each_task
@pytest.mark.parametrize("split", ["train", "test"])
def test_kobest_mini_rows_fill_every_column(task, split):
    rows = read_tsv(MINI / task / f"{split}.tsv")
    assert all(cell and cell.strip() for row in rows for cell in row.values())


@each_task
def test_kobest_mini_shares_no_text_between_train_and_test(task):
    assert not set(list_texts(task, "train")) & set(list_texts(task, "test"))


@pytest.mark.parametrize("task", ["BoolQ", "COPA", "HellaSwag", "SentiNeg", "WiC"])
def test_kobest_mini_asks_nothing_twice(task):
    rows = read_tsv(MINI / task / "test.tsv")
    keys = Counter(tuple(row[column] for column in TEXTS[task]) for row in rows)
    assert [key for key, n in keys.items() if n > 1] == []


def test_no_question_of_korean_cot_stands_in_kobest_mini(cot):
    mini = [
        text for task in LABELS for split in ("train", "test") for text in list_texts(task, split)
    ]
    shared = [
        row.source for row in cot for text in mini if text in row.source or row.source in text
    ]
    assert shared == []


# --- originality -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kobest_cells(shared: Path) -> set[str]:
    """Every cell of five words or more of the real KoBEST's three splits."""
    rows = [row for path in (shared / "kobest" / "v1.0").rglob("*.tsv") for row in read_tsv(path)]
    assert len(rows) > 20_000
    return {normalise(cell) for row in rows for cell in row.values() if cell and " " in cell}


def normalise(text: str) -> str:
    return re.sub(r"[\s\[\].?!\"']", "", text)


@each_task
def test_no_text_of_kobest_mini_is_of_the_real_kobest(task, kobest_cells):
    ours = list_texts(task, "train") + list_texts(task, "test")
    assert [text for text in ours if normalise(text) in kobest_cells] == []


def test_no_text_of_korean_cot_is_of_the_real_kobest(cot, kobest_cells):
    texts = [text for row in cot for text in (row.source, row.rationale)]
    assert [text for text in texts if normalise(text) in kobest_cells] == []
