from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.data.executors import InProcess
from kot_platypus.data.overview import describe_rows
from kot_platypus.records import Example
from kot_platypus.report.data_page import render_data_page
from tests.browser import open_page

EVIL = "<script>alert(1)</script> $x$ & \"'"


def write(path: Path, *rows: Example) -> Path:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def page(tmp_path: Path) -> str:
    rows = [
        Example(
            source=f"{EVIL} 사과는 몇 개일까요 그리고 또?",
            rationale="3개이다.",
            target="3",
            task=task,
        )
        for task in (EVIL, "plain", "plain")
    ]
    data = write(tmp_path / "a.jsonl", *rows)
    return render_data_page(describe_rows(data, tmp_path / "out", InProcess(), name=EVIL))


def test_nothing_of_the_data_is_markup(page: str):
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4  # its name, a task's label, the cluster's texts


def test_the_page_is_one_file(page: str):
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "url(http" not in page


def test_every_part_is_on_it(page: str):
    ids = re.findall(r'<h2 id="(\w+)"', page)
    assert ids == ["lengths", "tasks", "languages", "endings", "checks", "clusters"]
    assert (
        page.count("<svg") == 2 * 2 * 7
    )  # lengths, tasks, kinds, korean, levels, endings, clusters


def test_the_page_is_in_korean_and_english_but_for_the_data(page: str):
    texts = [
        re.findall(rf'<span class="{each}" lang="{each}">(.*?)</span>', page)
        for each in ("ko", "en")
    ]
    assert len(texts[0]) == len(texts[1]) > 30
    assert all(re.search("[가-힣]", text) for text in texts[0])
    assert not any(re.search("[가-힣]", text) for text in texts[1])
    assert page.count(">plain<") == 4  # a task's label, in each picture


@pytest.mark.slow
def test_lengths_of_a_large_set_are_in_sight_on_a_phone(tmp_path: Path):
    rows = [Example(source="사과는?", rationale="3개이다.", target="3", task="t", type="")]
    data, out = write(tmp_path / "a.jsonl", *rows), tmp_path / "out"
    overview = describe_rows(data, out, InProcess(), name="apples")
    large = {"texts": 25_000, "least": 112, "5%": 234, "median": 1_345, "mean": 1_456.0}
    for lengths in overview["census"]["chars"].values():
        lengths.update(large | {"95%": 2_567, "most": 12_678})
    path = tmp_path / "page.html"
    path.write_text(render_data_page(overview), encoding="utf-8")
    with open_page(path.as_uri(), width=390) as shown:
        table = shown.get_by_role("region", name="Lengths in characters")
        assert "12,678" in table.inner_text()
        assert table.evaluate("it => it.scrollWidth - it.clientWidth") == 0


def type_page(*words: object) -> str:
    result = CliRunner().invoke(app, ["data", "page", *map(str, words)])
    return f"{result.exit_code} {' '.join(result.output.split())}"


def test_rows_need_a_folder_to_write(tmp_path: Path):
    data = write(tmp_path / "a.jsonl", Example(source="가?", target="나"))
    assert type_page(data).startswith("2 kot: ") or "without --out" in type_page(data)
    assert type_page(data, "--out", tmp_path / "out") == f"0 {tmp_path / 'out' / 'page.html'}"


def test_rows_that_are_not_there_are_said_before_the_folder_that_lacks(tmp_path: Path):
    assert "nowhere does not exist" in type_page(tmp_path / "nowhere")


def test_a_build_has_its_page_and_its_steps(tmp_path: Path):
    texts = ("사과는 어디에서 나는가?", "배는 언제 익는가?", "배는 언제 익는가?")
    data = write(tmp_path / "a.jsonl", *(Example(source=t, target="가을") for t in texts))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "kind: dataset\nname: fruit\ndescription: d\nlicense: mit\ndecontaminate: {against: []}\n"
        f"sources: [{{file: '{data}', language: ko}}]\n"
    )
    out = tmp_path / "out"
    CliRunner().invoke(app, ["data", "build", str(recipe), "--out", str(out)])
    built = (out / "page.html").read_text("utf-8")
    assert "Rows from the sources to the data set: in the sources 3, drawn 3, duplicates 1" in built
    assert type_page(out) == f"0 {out / 'page.html'}"
    assert (out / "page.html").read_text("utf-8") == built
