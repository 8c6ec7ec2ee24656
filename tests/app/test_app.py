"""What the page shows, without a browser."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kot_platypus.app.chat_tab import Side, answer, stream_answer
from kot_platypus.app.data_tab import load_rows, select_rows
from kot_platypus.app.markup import render
from kot_platypus.app.page import KobestText
from kot_platypus.app.results_tab import (
    KOBEST,
    PROBLEMS,
    RunModel,
    load_pairs,
    pair_answers,
    pair_samples,
    select_pairs,
)
from kot_platypus.app.runs import open_runs
from kot_platypus.app.space import hide_paths, write_space
from kot_platypus.app.training_tab import (
    choose_colours,
    describe_state,
    read_curves,
    tabulate_curves,
)
from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli.pages import find_texts, list_steps, make_views
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import KotError, RunError
from kot_platypus.recipe import Recipe, list_recipes, load_recipe
from kot_platypus.records import Dialogue, Message
from kot_platypus.report.page import render_page
from kot_platypus.report.runs import load_runs
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.wording import format_interval, format_percent
from kot_platypus.run import plan_steps

from ..evaluation_builder import make_samples, write_evaluation
from ..report.run_builder import ATTACK, RECIPE, add_validation, make_answer, write_run
from ..test_cli import assert_one_line, kot

HERE = "127.0.0.1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


# --- questions ---------------------------------------------------------------------------------


def test_each_change_between_two_models_is_found():
    rows = [
        [make_answer(n, who, place) for n in range(12)] for place, who in enumerate(("base", "cot"))
    ]
    pairs = pair_answers(*rows)
    changes = [(a.correct, b.correct) for a, b in zip(*rows, strict=True)]
    for name, change in {
        "repaired": (False, True), "broken": (True, False),
        "both wrong": (False, False), "both right": (True, True),
    }.items():  # fmt: skip
        expected = [f"{n + 1}" for n, found in enumerate(changes) if found == change]
        assert [pair.label for pair in select_pairs(pairs, change=name)] == expected


def test_search_needs_every_word_and_may_name_an_output():
    rows = [make_answer(n, "cot", 2) for n in range(12)]
    pairs = pair_answers(rows, rows)
    assert [p.label for p in select_pairs(pairs, words="닭이 23마리")] == ["4"]
    assert [p.label for p in select_pairs(pairs, words="처음에 23마리가")] == ["4"]
    assert select_pairs(pairs, words="닭이 없는말") == []
    assert {p.task for p in select_pairs(pairs, task="swap")} == {"swap"}


def test_other_problems_are_no_pairs():
    rows = [make_answer(n, "cot", 2) for n in range(4)]
    others = [row.model_copy(update={"source": "다른 문제"}) for row in rows[:2]] + rows[2:]
    assert [pair.label for pair in pair_answers(rows, others)] == ["3", "4"]


def test_kobest_questions_have_their_text_and_choices():
    before, after = (make_samples({("copa", 0): [p, 1], ("wic", 0): [0, 0]}) for p in (1, 0))
    texts = {("copa", 0): KobestText("비가 왔다. 그래서", ("우산을 폈다.", "우산을 접었다."))}
    pairs = pair_samples(before, after, texts, ["copa"])
    assert [(p.task, p.label, p.change) for p in pairs] == [
        ("copa", "1 · 0-shot", "repaired"), ("copa", "2 · 0-shot", "both right"),
    ]  # fmt: skip
    assert pairs[0].truth == "우산을 폈다."
    html = render("questions", pairs=pairs[:1], before="base", after="cot")
    right, chosen = re.findall(r"<li.*?</li>", html)[:2]  # of the model before
    assert "우산을 폈다. <b" in right
    assert "정답" in right
    assert "고름" not in right
    assert 'class="chosen"><span>우산을 접었다. <b>고름</b></span><span class="n">0.00' in chosen
    assert (pairs[1].question, pairs[1].truth) == ("", "(2)")  # there is no text of it


def test_kobest_questions_of_other_data_are_not_compared(run):
    for who, data in (("base", "one"), ("cot", "another")):
        folder = run / "evaluate" / who / "kobest"
        write_evaluation(folder, {("copa", 0): [0, 1], ("wic", 0): [0, 1]}, data={"wic": data})
    results = load_results_of_samples(run)
    sides = [RunModel(run, results, who) for who in ("base", "cot")]
    assert {p.task for p in load_pairs(KOBEST, *sides, lambda _: {})} == {"copa"}
    assert len(load_pairs(PROBLEMS, *sides, lambda _: {})) == 12


def load_results_of_samples(run: Path):
    """``write_evaluation`` writes no fingerprint of the whole protocol."""
    for file in run.glob("evaluate/*/kobest/results.json"):
        facts = json.loads(file.read_text(encoding="utf-8"))
        facts["protocol"]["fingerprint"] = "0" * 64
        file.write_text(json.dumps(facts), encoding="utf-8")
    return load_results(run)


def test_texts_of_kobest_questions_come_from_files_of_this_machine_or_not_at_all(run):
    results = load_results(run)
    texts = find_texts(results)
    assert len(texts[("copa", 0)].choices) == 2
    assert {task for task, _ in texts} == {"copa", "hellaswag", "boolq", "sentineg", "wic"}
    elsewhere = {"evaluate": {"kobest_dir": "/nowhere"}}
    gone = results.model_copy(update={"recipe": Recipe.model_validate({**RECIPE, **elsewhere})})
    assert find_texts(gone) == {}


# --- texts stay text ---------------------------------------------------------------------------


def test_markup_in_questions_and_outputs_is_shown_not_obeyed(run):
    results = load_results(run)
    pairs = pair_answers(results.answers["base"], results.answers["cot"])
    html = render("questions", pairs=pairs, before=ATTACK, after=ATTACK)
    html += render("turn", question=ATTACK, mode=ATTACK, sides=[Side(ATTACK).add(ATTACK, "")])
    html += render("message", text=ATTACK, kind="error")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 20


# --- rows --------------------------------------------------------------------------------------


def test_rows_are_shown_with_what_the_checks_found(run):
    rows = [
        *make_problems(3, 1, "train"),
        Dialogue(messages=(Message(role="user", content="안녕"),)),
    ]
    write_jsonl(run / "data" / "train.jsonl", rows)
    finding = {"check": "answer", "severity": "error", "detail": "다름", "field": "target"}
    audit = run / "audit" / "findings.jsonl"
    audit.parent.mkdir()
    audit.write_text(json.dumps({"row": 1, "finding": finding}) + "\n", encoding="utf-8")
    shown = load_rows(run, "train.jsonl")
    assert [row.number for row in select_rows(shown, only_found=True)] == [1]
    assert shown[1].findings == (("answer", "error", "다름"),)
    assert dict(shown[0].fields)["정답 target"] == rows[0].target
    assert shown[3].fields == (("user", "안녕"),)
    assert [row.number for row in select_rows(shown, "안녕")] == [3]
    assert load_rows(run, "heldout.jsonl") == ()


# --- curves ------------------------------------------------------------------------------------


def test_running_training_is_told_from_a_finished_one(run):
    live = run / "train" / "more" / "checkpoints" / "log.jsonl"
    live.parent.mkdir(parents=True)
    live.write_text('{"step": 1, "loss": 2.5}\n')
    curves = {curve.who: curve for curve in read_curves(run)}
    assert curves["more"].age_s is not None
    assert curves["cot"].age_s is None
    table = tabulate_curves([curves["more"]], {"more": "그 밖"})
    assert table == {"step": [1], "loss": [2.5], "learning_rate": [None], "model": ["그 밖"]}


def test_answers_in_words_stand_beside_the_validation_loss(run):
    live = run / "train" / "more" / "checkpoints" / "log.jsonl"
    live.parent.mkdir(parents=True)
    asked = {"step": 2, "loss": 2.0, "eval_loss": 2.5, "eval_accuracy": 0.125}
    lines = [asked, {"step": 3, "loss": 1.9}, {"step": 4, "loss": 1.8, "eval_loss": 2.25}]
    live.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = [curve for curve in read_curves(run) if curve.who == "more"]
    html = render("training", curves=curves, steps=[], speeds={"more": None})
    assert "2.2500 <small>정답 12.5%, 2단계</small>" in html


def test_validation_is_a_series_of_its_own_beside_the_training(run):
    add_validation(run)
    curves = read_curves(run)
    (curve,) = (curve for curve in curves if curve.who == "cot")
    assert [line.step for line in curve.validated] == [16, 32, 48]
    assert curve.best is not None
    assert curve.best.step == 32
    table = tabulate_curves([curve], {"cot": "학습한 모델"})
    assert table["model"][-3:] == ["학습한 모델 · 검증"] * 3
    assert table["loss"][-3:] == [1.5, 1.125, 1.75]
    assert table["learning_rate"][-3:] == [None] * 3
    assert "학습한 모델 · 검증" in choose_colours(curves)
    last = curve.lines[-1].model_copy(update={"eval_loss": None})
    before = curve._replace(lines=(*curve.lines[:-1], last))
    assert describe_state([curve]) != describe_state([before])  # the step was drawn without it
    html = render("training", curves=curves, steps=[], speeds={c.who: None for c in curves})
    assert "1.1250 <small>32단계</small>" in html


def test_every_training_has_a_name_and_a_colour_of_its_own(run):
    for who in ("cot-seed2", "round-1", "shuffled_rationale"):
        shutil.copytree(run / "train" / "cot", run / "train" / who)
    colours = choose_colours(read_curves(run))
    assert set(colours) == {
        *("학습한 모델", "학습한 모델, 시드 2", "1회차 학습", "뒤섞은 풀이 학습", "정답만 학습"),
    }
    assert len(set(colours.values())) == 5
    assert next(iter(colours)) == "학습한 모델"


def test_steps_are_those_of_the_run_and_their_state(run):
    steps = {step.title: step for step in list_steps(run, load_results(run))}
    assert steps["Train on rationale + answer"].state == "done"
    assert steps["Train on rationale + answer"].duration == "12 min 34 s"
    assert steps["Check the data"].state == "to do"


@pytest.mark.parametrize("name", list_recipes())
def test_every_step_of_every_recipe_has_a_korean_name(tmp_path, name):
    recipe = load_recipe(name)
    steps = list_steps(tmp_path, RunResults(recipe=recipe))
    assert len(steps) == sum(step.folder is not None for step in plan_steps(recipe, tmp_path))
    assert all(re.search("[가-힣]", step.name) for step in steps)


@pytest.mark.slow
def test_results_are_the_reports_tables_and_pictures_with_korean_names(run):
    results = load_results(run)
    html = make_views().show_results(results)
    assert html.count("<svg") == 6  # three pictures in two sizes
    assert html.count('aria-label="문제 풀이 정답률: 기본 모델 10.5%') == 2
    page = render_page(load_runs([run]))
    for row in results.problems["cot"].results["all"], results.problems["base"].results["all"]:
        assert f'<p class="figure">{format_percent(row.accuracy.value)}</p>' in html
        assert format_interval(row.accuracy, "percent") in html
    cells = re.findall(r'<td class="n">.*?</td>', html.partition("KoBEST")[2])
    assert len(cells) == 20
    plain = [re.sub(r'<span class="unseen">.*?</span>', "", text) for text in (*cells, page)]
    assert [cell for cell in plain[:-1] if cell not in plain[-1]] == []
    assert "기본 모델보다 높음" in html


# --- chat --------------------------------------------------------------------------------------


def test_direct_answer_is_shown_with_the_line_that_the_prompt_begins(speaker):
    sides = list(stream_answer(speaker, Side("cot"), "3+4는?", "direct", 8))
    text = "".join(text for text, _ in sides[-1].parts)
    assert text.startswith("정답: ")
    assert not text.startswith("정답:  ")
    assert {style for _, style in sides[-1].parts} <= {"answer"}
    assert [side.is_writing for side in sides[-2:]] == [True, False]


def test_run_without_a_model_says_so_in_the_answer(run):
    (opened,) = open_runs([run])
    *_, html = answer(opened, "3+4는?", "cot", "cot", 8, lambda: False)
    assert "no trained model yet" in html


# --- runs and errors ---------------------------------------------------------------------------


def test_runs_of_one_name_go_by_their_paths(tmp_path):
    folders = [write_run(tmp_path / parent / "demo") for parent in "ab"]
    assert [r.name for r in open_runs([*folders, folders[0]])] == [str(f) for f in folders]
    assert [r.name for r in open_runs(folders[:1])] == ["demo"]


def test_results_are_read_again_when_they_change(run):
    (opened,) = open_runs([run])
    assert opened.read() is opened.read()
    (run / "evaluate" / "comparison.json").write_text("{}")
    assert opened.read().comparison.problems == ()


def test_wrong_commands_are_one_line(run, tmp_path):
    assert_one_line(kot("app", tmp_path), 1, "recipe.yaml")
    assert_one_line(kot("app", run, "--model-id", "a/b"), 2, "--space")
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(kot("app", run, "--port", port), 1, str(port), "--port 0")


def test_without_gradio_the_extra_is_named(run):
    code = (
        "import sys; sys.modules['gradio'] = None; from kot_platypus.cli import main; "
        f"sys.argv = ['kot', 'app', {str(run)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "kot-platypus[app]" in done.stderr
    assert done.stderr.count("\n") == 1


# --- the Space ---------------------------------------------------------------------------------


def test_space_holds_what_the_page_shows_and_nothing_of_this_machine(run, tmp_path):
    recipe = load_recipe(str(run / "recipe.yaml"))
    source = {"name": "file", "path": "/home/me/secret/rows.jsonl"}
    values = recipe.model_dump(mode="json")
    values["model"]["name"] = "/home/me/secret/base"
    values["data"]["sources"] = [source]
    values["evaluate"]["kobest_dir"] = "/home/me/secret/kobest"
    values["train"]["validation"] = "/home/me/secret/rows.jsonl"
    hidden = hide_paths(Recipe.model_validate(values))
    assert hidden.model.name == "base"
    assert "secret" not in hidden.model_dump_json()

    (run / "data" / "train.jsonl").write_text("{}\n")
    (opened,) = open_runs([run])
    write_space(opened, tmp_path / "space", "me/model")
    shown = load_results(tmp_path / "space" / "run")
    before = load_results(run)
    assert (shown.problems, shown.kobest, shown.answers, shown.losses) == (
        before.problems, before.kobest, before.answers, before.losses,
    )  # fmt: skip
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in (tmp_path / "space").rglob("*")
        if path.is_file() and "kot_platypus" not in path.parts
    }
    assert [p for p, text in texts.items() if str(tmp_path) in text or "Linux-6.1" in text] == []
    assert not (tmp_path / "space" / "run" / "data" / "train.jsonl").exists()
    assert "model_id='me/model'" in texts[tmp_path / "space" / "app.py"]
    assert "\ngradio==" in texts[tmp_path / "space" / "requirements.txt"]
    with pytest.raises(RunError, match="holds files already"):
        write_space(opened, tmp_path / "space", "me/model")


@pytest.mark.parametrize("model_id", ["name alone", "a/b/c", "a/b\nimport os"])
def test_space_takes_no_other_text_for_a_model(run, tmp_path, model_id):
    (opened,) = open_runs([run])
    with pytest.raises(KotError, match="USER/NAME"):
        write_space(opened, tmp_path / "space", model_id)
