"""The page: complete, self-contained, safe, and the same every time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kot_platypus.errors import DataError, RunError
from kot_platypus.recipe import SelfTaughtSection
from kot_platypus.report import write_report
from kot_platypus.report.card import render_card
from kot_platypus.report.examples import choose_changes, choose_problems
from kot_platypus.report.figures import draw_figures
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import make_run
from kot_platypus.results.run import load_results

from .run_builder import ATTACK, add_validation, manifest, write

SCORES = Path(__file__).parents[1] / "results" / "files" / "scores"

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects ids, tags and what would be loaded; fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.references: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            value = value or ""
            if name == "id":
                self.ids.append(value)
            if name == "xlink:href" or (name == "href" and value.startswith("#")):
                self.references.append(value.removeprefix("#"))
            elif name in ("src", "srcset", "data", "poster") or (name == "href" and tag != "a"):
                self.loads.append(value)
            if name in ("aria-labelledby",):
                self.references.append(value)
            assert not name.startswith("on"), (tag, name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def finish(self) -> None:
        assert not self._open


@pytest.fixture(scope="module")
def page(finished_run: Path) -> str:
    return render_page([make_run(load_results(finished_run))])


def parse(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.finish()
    return checker


def test_the_page_is_well_formed_and_loads_nothing(page: str) -> None:
    checker = parse(page)
    assert not checker.loads
    assert not checker.tags & {"script", "link", "iframe", "img", "object"}
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.references) <= set(checker.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(checker.ids)
    assert 'lang="en"' in page
    assert 'lang="ko"' in page


def test_what_a_model_writes_never_becomes_html(page: str) -> None:
    assert ATTACK not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3  # question, output, recipe


def test_pictures_take_font_and_colours_from_the_page(page: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(pictures) == 12  # six pictures in two sizes
    for picture in pictures:
        assert 'role="img" aria-label="' in picture
        assert "<text" in picture
        assert "DejaVu" not in picture
        assert not re.search(r"(?:fill|stroke): ?#", picture)
    assert 'aria-label="Dot plot of the share of held-out problems solved: base 10.5%' in page


def test_every_figure_is_on_the_page(finished_run: Path, page: str) -> None:
    results = load_results(finished_run)
    for part in results.kobest.values():
        for score in (s for by_shot in part.results.values() for s in by_shot.values()):
            for figure in (score.acc, score.acc_norm, score.macro_f1, score.macro_f1_norm):
                assert f">{figure.value:.4f}<" in page
                assert f"{figure.ci95[0]:.4f}–{figure.ci95[1]:.4f}" in page
            assert f">{score.effective_shots:.1f}<" in page
    for tested in results.problems.values():
        for row in tested.results.values():
            low, high = row.accuracy.ci95
            assert f">{100 * row.accuracy.value:.1f}%<" in page
            assert f"{100 * low:.1f}–{100 * high:.1f}%" in page
            assert f">{row.mean_tokens:.1f}<" in page
            assert f">{row.num_parsed}<" in page


def test_examples_follow_the_stated_rule(run_folder: Path) -> None:
    results = load_results(run_folder)
    shown = choose_problems(results)
    answers = {who: {a.doc_id: a for a in rows} for who, rows in results.answers.items()}
    mixed = [i for i in range(12) if len({answers[who][i].correct for who in answers}) == 2]
    wrong = [i for i in range(12) if not answers["cot"][i].correct and i not in mixed[:4]]
    assert [problem.number - 1 for problem in shown] == mixed[:4] + wrong[:2]
    assert all(len(problem.attempts) == 3 for problem in shown)


def test_seeds_and_kobest_with_a_rationale_are_shown(run_folder: Path) -> None:
    evaluate = run_folder / "evaluate"
    assert "Hollow:" not in render_page([make_run(load_results(run_folder))])
    shutil.copytree(evaluate / "cot" / "problems", evaluate / "cot-seed43" / "problems")
    compared = json.loads((evaluate / "comparison.json").read_text())
    mean = {"value": 0.612, "ci95": [0.55, 0.67]}
    gain = {"b": "base", "n": 400, "difference": {"value": 0.507, "ci95": [0.44, 0.57]}}
    gain["p_value"] = 0.002
    compared["seeds"] = {
        "accuracy": {"42": 0.61, "43": 0.614}, "mean": mean, "differences": [gain],
    }  # fmt: skip
    (evaluate / "comparison.json").write_text(json.dumps(compared))
    for who in ("base", "cot"):
        shutil.copytree(SCORES / "llama-cot", evaluate / who / "reasoning")
    results = load_results(run_folder)
    page = render_page([make_run(results)])
    parse(page)
    assert "chain of thought, seed 43" in page
    assert (
        "<h1>Training raised the share of held-out problems solved from 10.5% to 61.2% (the mean "
        "of 2 seeds)." in page
    )
    assert "mean of 2 seeds − base" in page
    assert "Hollow: the same training at its other seeds." in page
    assert "Trained at 2 seeds (61.0%, 61.4% solved), 61.2% on average" in page
    assert ">+50.7<" in page
    assert ">44.0 to +57.0<" in page or "+44.0 to +57.0" in page
    (section,) = re.findall(r'<section aria-labelledby="rationales">.*?</section>', page, re.S)
    score = results.reasoning["cot"].results["copa"]
    for value in (score.direct.accuracy.value, score.cot.accuracy.value):
        assert f">{100 * value:.1f}%<" in section
    assert all(len(shown.attempts) == 3 for shown in choose_problems(results))


def test_rounds_of_self_teaching_are_shown_with_what_came_of_them(run_folder: Path) -> None:
    for folder in ("train", "evaluate"):
        for number in (0, 1):
            shutil.copytree(run_folder / folder / "answer", run_folder / folder / f"round-{number}")
    for number, kept in ((1, 22), (2, 35)):
        facts = {"questions": 96, "pass_rate": 0.1849, "rows": kept, "proved": 9}
        write(
            run_folder / "rounds" / f"round-{number}" / "manifest.json",
            manifest("rationales", 9.0, **facts),
        )
    results = load_results(run_folder)
    taught = {"self_taught": SelfTaughtSection(rounds=2)}
    results = results.model_copy(update={"recipe": results.recipe.model_copy(update=taught)})
    page = render_page([make_run(results)])
    parse(page)
    (section,) = re.findall(r'<section aria-labelledby="rounds">.*?</section>', page, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in section.split("<tr>")[1:]]
    rows = [row for row in rows if row[0].startswith("round")]
    score = results.problems["cot"].results["all"].accuracy.value
    assert [row[:6] for row in rows] == [
        ["round 1", "given rows", "96", "18.5%", "22", "9"],
        ["round 2", "round 1", "96", "18.5%", "35", "9"],
    ]
    assert rows[1][6] == f"{100 * score:.1f}%"
    assert f"| round 2 | round 1 | 18.5% | 35 | 9 | {100 * score:.1f}% |" in render_card(results)


def test_what_the_rationale_changed_is_counted_and_shown(run_folder: Path) -> None:
    assert choose_changes(load_results(run_folder)) is None
    folder = run_folder / "evaluate" / "cot-direct" / "problems"
    shutil.copytree(run_folder / "evaluate" / "answer" / "problems", folder)
    results = load_results(run_folder)
    cot, direct = (results.answers[who] for who in ("cot", "cot-direct"))
    repaired = [a.doc_id for a, b in zip(cot, direct, strict=True) if a.correct and not b.correct]
    changes = choose_changes(results)
    assert changes is not None
    assert (changes.n, changes.num_repaired, changes.num_broken) == (12, len(repaired), 0)
    assert [shown.number - 1 for shown in changes.repaired] == repaired[:3]
    page = render_page([make_run(results)])
    parse(page)
    assert f"The rationale repaired {len(repaired)} and broke 0." in page
    assert "No rationale: the trained model made to answer at once." in page
    assert ATTACK not in page
    # The examples that all models are compared on stay those of before.
    assert all(len(problem.attempts) == 3 for problem in choose_problems(results))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("gone", "missing", "kept"),
    [
        (["evaluate"], ["Reasoning on held-out", "What the models wrote", "(F1)"], ["Training"]),
        (["evaluate/base/kobest", "evaluate/cot/kobest"], ["(F1)"], ["Reasoning on held-out"]),
        (["evaluate/answer", "train/answer"], ["answers only"], ["chain of thought", "(F1)"]),
        (["evaluate/base/problems", "evaluate/cot/problems", "evaluate/answer"],
         ["Reasoning on held-out"], ["(F1)"]),
        (["train", "data", "merged"], ["What each training saw"], ["Reasoning on held-out"]),
        (["evaluate/comparison.json"], ["Paired differences"], ["Reasoning on held-out", "(F1)"]),
    ],
)  # fmt: skip
def test_absent_parts_are_left_out(
    run_folder: Path, gone: list[str], missing: list[str], kept: list[str]
) -> None:
    for name in gone:
        path = run_folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if "evaluate/answer" in gone:
        comparison = run_folder / "evaluate" / "comparison.json"
        found = load_results(run_folder).comparison.model_dump()
        problems = [pair for pair in found["problems"] if pair["b"] != "answer"]
        write(comparison, {**found, "problems": problems})
    write_report(run_folder)
    for file in ("report.html", "README.md"):
        text = (run_folder / file).read_text(encoding="utf-8")
        assert not [part for part in missing if part in text]
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    assert not [part for part in kept if part not in page]
    parse(page)


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(run_folder: Path) -> None:
    write_report(run_folder)
    first = [(run_folder / name).read_bytes() for name in ("report.html", "README.md")]
    write_report(run_folder)
    assert first == [(run_folder / name).read_bytes() for name in ("report.html", "README.md")]
    assert not list(run_folder.glob("*.part"))


def test_many_shots_fill_the_width(run_folder: Path) -> None:
    results = load_results(run_folder)
    part = results.kobest["cot"]
    more = {t: {**by, 10: by[5], 50: by[5]} for t, by in part.results.items()}
    kobest = {**results.kobest, "cot": part.model_copy(update={"results": more})}
    page = render_page([make_run(results.model_copy(update={"kobest": kobest}))])
    assert '<div class="stack">' in page
    assert ">50-shot</th>" in page
    assert ">–</td>" in page  # the base model has no score there


def test_korean_names_do_not_disturb_the_pictures(run_folder: Path) -> None:
    results = load_results(run_folder)
    renamed = {
        who: part.model_copy(update={"results": {**part.results, "요일": part.results["swap"]}})
        for who, part in results.problems.items()
    }
    changed = results.model_copy(update={"problems": renamed})
    assert ">요일</text>" in render_page([make_run(changed)])


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no recipe\.yaml"):
        write_report(tmp_path)


def test_a_damaged_results_file_is_named(run_folder: Path) -> None:
    path = run_folder / "evaluate" / "cot" / "problems" / "results.json"
    write(path, {"model": "x", "num_fewshot": 0, "results": {"all": {"n": 3}}})
    with pytest.raises(DataError, match=r"results\.all\.accuracy"):
        write_report(run_folder)


@pytest.mark.slow
def test_no_torch_is_loaded(run_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kot_platypus.report import write_report; "
        f"write_report(Path({str(run_folder)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_validation_is_drawn_with_the_step_where_over_fitting_begins(run_folder: Path) -> None:
    before = draw_figures([make_run(load_results(run_folder))])["losses"]
    add_validation(run_folder)
    after = draw_figures([make_run(load_results(run_folder))])["losses"]
    assert "validation" not in before
    assert "(validation loss lowest at step 32, 1.125)" in after
    assert after.count("stroke-dasharray") == before.count("stroke-dasharray") + 2  # wide, narrow
