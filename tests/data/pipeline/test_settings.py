"""A glossary and a speech level, as settings of a data set's recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.data.dataset_recipe import (
    DatasetRecipe,
    TranslateSection,
    load_dataset_recipe,
)
from kot_platypus.data.pipeline.translating import make_translator
from kot_platypus.data.translation.ledger import open_ledger
from kot_platypus.data.translation.translate import translate_texts
from kot_platypus.errors import RecipeError
from kot_platypus.recipe_files import dump
from tests.data.openai_server import serve_openai
from tests.data.pipeline.apples import make_rows, translate
from tests.data.pipeline.conftest import Builder
from tests.data.pipeline.test_dataset import list_waiting, read_dataset


def make_recipe(builder: Builder, **settings: object) -> DatasetRecipe:
    recipe = builder.make_recipe()
    values = {**recipe.model_dump()["translate"], "retry": {}, **settings}
    return builder.make_recipe(translate=values)


# --- the recipe --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("terms.yaml", "cupboard: 찬장\nUS: 미국\n"),
        ("terms.json", '{"cupboard": "찬장", "US": "미국"}'),
        ("terms.tsv", "cupboard\t찬장\nUS\t미국\n"),
    ],
)
def test_glossary_may_be_a_file(tmp_path: Path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    section = TranslateSection(service="deepl", glossary=str(path))  # type: ignore[arg-type]
    assert section.glossary == {"cupboard": "찬장", "US": "미국"}


@pytest.mark.parametrize(
    ("glossary", "said"),
    [
        ({"Windows 10": "윈도우 10"}, "Windows 10"),
        ({"cupboard": " "}, "cupboard"),
        ({"42": "42"}, "42"),
    ],
)
def test_a_glossary_that_cannot_be_kept_is_refused(glossary, said):
    with pytest.raises(ValidationError, match=said):
        TranslateSection(service="deepl", glossary=glossary)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("terms.yaml", "pen: 볼펜\ncup: 컵\npen: 펜\n", "line 3: 'pen' stands there twice"),
        ("terms.json", '{"pen": "볼펜",\n "pen": "펜"}', "line 2: 'pen' stands there twice"),
        ("terms.tsv", "pen\t볼펜\n\npen\t펜\n", "line 3: 'pen' stands there twice"),
        ("terms.tsv", "pen\t볼펜\ncup\n", "line 2 has 1 columns"),
        ("terms.yaml", "pen: [볼펜]\n", "no such object"),
        ("terms.yaml", "pen: 볼펜\n\x00", "line 2: special characters are not allowed"),
        ("terms.tsv", "", "does not exist"),
    ],
)
def test_a_faulty_glossary_is_named_with_its_line(tmp_path: Path, name: str, text: str, said: str):
    path = tmp_path / name
    if text:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as raised:
        TranslateSection(service="deepl", glossary=str(path))  # type: ignore[arg-type]
    assert raised.value.found == f"the glossary {path}: {said}"
    assert raised.value.hint == "Fix that file."


def test_a_section_without_them_is_written_as_before():
    written = TranslateSection(service="deepl").model_dump()
    assert written == {"service": "deepl", "options": {}, "retry": {}}


# --- what a service is told --------------------------------------------------------------------


def test_deepl_is_told_by_a_glossary_and_an_instruction(builder: Builder):
    builder.build(make_recipe(builder, glossary={"pen": "볼펜"}, speech="formal"))
    (first, *_) = builder.service.bodies
    assert builder.service.entries == ["pen\t볼펜"]
    assert first["glossary_id"] == "id-0"
    assert "합니다체" in first["custom_instructions"][0]  # type: ignore[index]


def test_another_build_finds_the_glossary_in_the_account(builder: Builder, tmp_path: Path):
    for name in ("one", "two"):
        builder.folder = tmp_path / name
        builder.folder.mkdir()
        builder.out = builder.folder / "out"
        builder.build(make_recipe(builder, glossary={"pen": "볼펜"}))
    assert len(builder.service.glossaries) == 1


def test_language_model_is_told_of_a_texts_own_terms(tmp_path: Path):
    values = {"options": {"model": "m"}, "glossary": {"cat": "고양이", "dog": "개"}}
    with serve_openai() as (url, service), open_ledger(tmp_path) as ledger:
        values["options"]["base_url"] = url
        for speech in ("formal", "plain"):
            section = TranslateSection.model_validate(
                {"service": "openai", "speech": speech, **values}
            )
            translate_texts(["a cat", "a bird"], make_translator(section), ledger)
    told = [[message["content"] for message in body["messages"]] for body in service.bodies]  # type: ignore[attr-defined]
    assert all(("cat: 고양이" in system) == (text == "a cat") for system, text in told)
    assert not any("dog" in system for system, _ in told)
    levels = [("합니다체" in system, "해라체" in system) for system, _ in told]
    assert levels == [(True, False)] * 2 + [(False, True)] * 2


def test_another_glossary_asks_for_its_rows_alone(builder: Builder, tmp_path: Path):
    glossary = {"pen": "펜", "coin": "동전"}
    builder.build(make_recipe(builder, glossary=glossary))
    before = set(builder.service.texts)
    builder.service.texts.clear()
    builder.out = tmp_path / "other"
    builder.build(make_recipe(builder, glossary={**glossary, "pen": "볼펜"}))
    assert set(builder.service.texts) == {text for text in before if "pens" in text}
    assert builder.service.texts


# --- what came of it ---------------------------------------------------------------------------


def test_rows_without_the_glossarys_words_wait_for_a_person(builder: Builder):
    counts = builder.build(make_recipe(builder, glossary={"pen": "볼펜"}))
    with_pens = sum("pens" in row["source"] for row in make_rows(30))
    assert counts["waiting"] == with_pens > 0
    assert {f.check for draft in list_waiting(builder.out) for f in draft.errors} == {"glossary"}


def test_rows_of_another_speech_level_wait_for_a_person(builder: Builder):
    assert builder.build(make_recipe(builder, speech="formal"))["passed"] == 30
    row = read_dataset(builder.out)[0]
    assert "speech" in row["checks_passed"]
    assert json.loads(row["translation"]["parameters"])["speech"] == "formal"


def test_what_keeps_to_no_level_waits(builder: Builder):
    builder.service.translation = lambda xml: translate(xml).replace("삽니다", "산다")
    assert builder.build(make_recipe(builder, speech="formal"))["waiting"] == 30


def test_command_line_holds_a_data_set_to_them(builder: Builder, tmp_path: Path):
    terms = tmp_path / "terms.tsv"
    terms.write_text("pen\t볼펜\n", encoding="utf-8")
    recipe = tmp_path / "apples.yaml"
    recipe.write_text(dump(make_recipe(builder)), encoding="utf-8")
    args = ["data", "build", str(recipe), "--out", str(tmp_path / "out"), "--estimate"]
    result = CliRunner().invoke(app, [*args, "--glossary", str(terms), "--speech", "plain"])
    assert result.exit_code == 0, result.output
    written = load_dataset_recipe(str(tmp_path / "out" / "recipe.yaml")).translate
    assert written is not None
    assert (written.glossary, written.speech) == ({"pen": "볼펜"}, "plain")


@pytest.mark.parametrize(
    "text", ["apple:\n", "apple: [사과, 능금]\n", "apple\t사과\napple\t능금\n"]
)
def test_a_term_without_one_korean_is_refused(tmp_path: Path, text: str):
    file = tmp_path / ("terms.tsv" if "\t" in text else "terms.yaml")
    file.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, RecipeError), match=r"glossary|Korean"):
        TranslateSection(service="deepl", glossary=str(file))


def test_terms_that_yaml_has_other_words_for_are_words(tmp_path: Path):
    file = tmp_path / "terms.yaml"
    file.write_text("no: 아니요\nnull: 널\n", encoding="utf-8")
    assert TranslateSection(service="deepl", glossary=str(file)).glossary == {
        "no": "아니요",
        "null": "널",
    }
