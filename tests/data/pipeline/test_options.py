"""A data set whose rows list options, of a service that words them now so, now so."""

from __future__ import annotations

import pytest

from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_dataset import read_dataset

ROW = {
    "source": "Where are dishes kept?\n(A) cupboard\n(B) closet",
    "rationale": "Dishes are kept in the kitchen. So it is the cupboard.",
    "target": "cupboard",
    "task": "qa",
    "type": "CoT",
}
KOREAN = {
    "Where are dishes kept?": "접시는 어디에 둡니까?",
    "Dishes are kept in the kitchen.": "접시는 부엌에 둡니다.",
    "So it is the ": "그러므로 답은 ",
    "</x>.": "</x>입니다.",
    "closet": "옷장",
}


def translate(xml: str) -> str:
    """The cupboard is 찬장 in the question and 벽장 elsewhere."""
    words = {"cupboard": "찬장" if "Where" in xml else "벽장"}
    for english, korean in {**KOREAN, **words}.items():
        xml = xml.replace(english, korean)
    return xml


@pytest.mark.parametrize(
    "options",
    [
        "\n(A) cupboard\n(B) closet",
        "\nOptions:\n- cupboard\n- closet",
        " OPTIONS:\n\n* cupboard\n* closet",
    ],
)
def test_options_have_one_wording_in_the_whole_row(builder: Builder, options: str):
    builder.service.translation = translate
    row = {**ROW, "source": f"Where are dishes kept?{options}"}
    assert builder.build(builder.make_recipe([row]))["passed"] == 1
    (row,) = read_dataset(builder.out)
    assert (row["target"], row["rationale"][-12:]) == ("찬장", "그러므로 답은 찬장입니다."[-12:])
    assert "찬장" in row["source"]
    assert not any(text.startswith("cupboard") for text in builder.service.texts), "target not sent"


def test_a_target_that_the_korean_question_does_not_list_is_sent(builder: Builder):
    builder.service.translation = lambda xml: translate(xml).replace('<x id="2"/> 옷장', "")
    builder.build(builder.make_recipe([ROW]))
    assert "cupboard" in builder.service.texts


def test_second_try_takes_all_fields_that_share_options_or_none(builder: Builder):
    def answer(xml: str) -> str:
        if builder.service.bodies[-1]["formality"] == "prefer_more":
            return translate(xml).replace("접시는 부엌에 둡니다. ", "")  # a sentence lost
        return translate(xml).replace("찬장", "그릇장")

    builder.service.translation = answer
    assert builder.build(builder.make_recipe([ROW]))["mended"] == 1
    (row,) = read_dataset(builder.out)
    assert row["target"] == "그릇장"
    assert "그릇장" in row["source"]
    assert "그릇장" in row["rationale"]
