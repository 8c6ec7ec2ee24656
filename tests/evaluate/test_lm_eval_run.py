from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial

import datasets
import lm_eval.tasks
import pytest
import yaml
from lm_eval import evaluator
from lm_eval.tasks import TaskManager
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.evaluate import lm_eval_model
from kot_platypus.evaluate.lm_eval_run import render_table
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.models import fingerprint_model
from tests.evaluate.lm_eval_tasks import NUM_DOCUMENTS, write_tasks

OWN = "own,whole,answer"
"""Of every kind of task one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Neither index lm-eval's fourteen thousand tasks nor ask pip what is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lm_eval.tasks, "TaskManager", partial(TaskManager, include_defaults=False))
        patch.setattr(evaluator, "add_env_info", lambda _: None)
        yield


@pytest.fixture(scope="module")
def tiny(shared):
    return shared / "models" / "tiny-polyglot-ko"


@pytest.fixture
def run(folder, tiny, tmp_path, monkeypatch):
    """``run(*arguments)``: the command with the tests' own tasks and a cache of its own."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))

    def invoke(*arguments):
        defaults = {"--model": tiny, "--tasks": OWN, "--include-path": folder}
        defaults |= {"--device": "cpu", "--dtype": "float32", "--out": tmp_path / "out"}
        options = [part for option in defaults.items() for part in option]
        return CliRunner().invoke(app, ["lm-eval", *map(str, (*options, *arguments))])

    return invoke


def read_samples(out, task):
    return [json.loads(line) for line in (out / f"samples_{task}.jsonl").read_text().splitlines()]


def assert_one_line(result, *named):
    """The error is the last line, after the notice that the catalogue is read."""
    assert "Traceback" not in result.output
    notes, error = result.stderr.splitlines()[:-1], result.stderr.splitlines()[-1]
    assert error.startswith("kot: ")
    assert set(notes) <= {"  Reading lm-eval's catalogue ..."}
    assert [name for name in named if name not in error] == []
    assert result.exit_code == 1


# --- what is written ---------------------------------------------------------------------------


def test_results_are_lm_evals_with_the_model_they_are_of(run, tiny, tmp_path):
    done = run("--num-fewshot", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(tmp_path / "out" / "results.json")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["kot"]["model"] == fingerprint_model(tiny)
    assert results["kot"]["name"] == "tiny-polyglot-ko"
    assert results["n-shot"]["choice_drawn"] == 1
    values = results["results"]["choice"]
    assert f"| {values['acc,none']:.4f}" in done.stdout
    samples = read_samples(tmp_path / "out", "choice")
    assert [sample["doc_id"] for sample in samples] == list(range(NUM_DOCUMENTS))
    assert sum(sample["acc"] for sample in samples) / NUM_DOCUMENTS == values["acc,none"]


def test_the_table_has_groups_and_no_standard_errors_as_rows():
    results = {
        "results": {
            "a": {"alias": "a", "acc,none": 0.5, "acc_stderr,none": 0.25},
            "g": {"ppl,strict": 3.0, "ppl_stderr,strict": "N/A"},
        },
        "versions": {"a": 2.0},
        "n-shot": {"a": 5},
    }
    _, _, *rows = render_table(results).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells == [
        ["a", "2.0", "none", "5", "acc", "0.5000", "0.2500"],
        ["g", "None", "strict", "", "ppl", "3.0000", "N/A"],
    ]


# --- going on ----------------------------------------------------------------------------------


def test_a_finished_folder_is_left_alone(run, tmp_path, monkeypatch):
    first = run("--tasks", "choice")
    monkeypatch.setattr(lm_eval_model, "KotLM", None)
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", None)
    again = run("--tasks", "choice")
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--limit", 3, "limit is null, not 3"),
        ("--tasks", "whole", "tasks"),
        ("--model", None, "model"),
    ],
)
def test_a_folder_of_another_run_is_refused(run, shared, option, value, named):
    run("--tasks", "choice")
    value = value or shared / "models" / "tiny-llama-ko"
    assert_one_line(run("--tasks", "choice", option, value), "holds another run", named)


def test_changed_task_files_are_another_run(run, folder):
    run("--tasks", "choice")
    (folder / "note.py").write_text("new")
    result = run("--tasks", "choice")
    (folder / "note.py").unlink()
    assert_one_line(result, "inputs.tasks")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "text"])
def test_changed_data_are_another_run(run, folder, tmp_path, kind):
    """Whatever the kind of file, beside the task or where it says."""
    own, away = tmp_path / "own", tmp_path / "away"
    own.mkdir()
    away.mkdir()
    task = yaml.safe_load((folder / "choice.yaml").read_text())
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    data = (own if kind == "arrow" else away) / f"test.{kind}"
    if kind == "text":
        task |= {"doc_to_text": "{{text}}", "doc_to_choice": ["가", "나"], "doc_to_target": "가"}
    kwargs = {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "cache")}
    task |= {"task": f"of_{kind}", "dataset_path": kind, "dataset_kwargs": kwargs}
    (own / "own.yaml").write_text(yaml.safe_dump(task, allow_unicode=True))

    def write_data(rows):
        if kind == "text":
            data.write_text("".join(row["premise"] + "\n" for row in rows))
        elif kind == "parquet":
            datasets.Dataset.from_list(rows).to_parquet(data)
        else:
            for path in datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved") or (
                tmp_path / "saved"
            ).glob("*.arrow"):
                shutil.copy(path, data)

    options = ("--include-path", own, "--tasks", f"of_{kind}")
    write_data(rows)
    assert run(*options).exit_code == 0
    assert run(*options).exit_code == 0, "a finished folder is left alone"
    write_data(rows[:6])
    assert_one_line(run(*options), "holds another run", "inputs.tasks")


def test_an_interrupted_run_scores_only_what_is_missing(run, tmp_path, monkeypatch):
    seen, score = [], Scorer.score

    def watch(self, batch):
        if len(seen) == 2:
            seen.append(None)
            raise KeyboardInterrupt
        seen.append([tuple(r.ids) for group in batch for r in group.requests])
        return score(self, batch)

    monkeypatch.setattr(Scorer, "score", watch)
    options = ("--tasks", "choice,whole", "--batch-tokens", 64)
    assert run(*options).exit_code == 130
    assert run(*options).exit_code == 0
    assert run(*options, "--out", tmp_path / "whole").exit_code == 0
    requests = [ids for batch in seen if batch for ids in batch]
    assert len(requests) == len(set(requests)) == 3 * NUM_DOCUMENTS
    for task in ("choice", "whole"):
        assert read_samples(tmp_path / "out", task) == read_samples(tmp_path / "whole", task)


@pytest.mark.slow
def test_two_processes_write_the_samples_of_one(run, folder, tiny, tmp_path):
    assert run("--tasks", "choice_drawn,whole,answer").exit_code == 0
    out = tmp_path / "two"
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    options = [
        "--tasks",
        "choice_drawn,whole,answer",
        "--include-path",
        str(folder),
        "--device",
        "cpu",
    ]
    options += ["--dtype", "float32", "--model", str(tiny), "--out", str(out)]
    command = [sys.executable, *launch, "-m", "kot_platypus", "lm-eval", *options]
    environment = {**os.environ, "KOT_CACHE": str(tmp_path / "cache two")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "results.json")
    for task in ("choice_drawn", "whole", "answer"):
        for one, two in zip(
            read_samples(tmp_path / "out", task), read_samples(out, task), strict=True
        ):
            assert two["doc"] == one["doc"]
            assert two["arguments"] == one["arguments"]
            pairs = zip(two["filtered_resps"], one["filtered_resps"], strict=True)
            assert all(a == pytest.approx(b, abs=1e-4) for a, b in pairs)


# --- bad input is one line ---------------------------------------------------------------------


def test_an_unknown_task_is_one_line(run, tmp_path):
    result = run("--tasks", "choise")
    assert_one_line(result, "no task 'choise'", "Did you mean choice?")
    assert not (tmp_path / "out").exists()


def test_data_that_is_not_to_be_had_is_one_line(run, folder, tmp_path):
    task = (folder / "choice.yaml").read_text().replace("test.jsonl", "none.jsonl")
    (tmp_path / "lost.yaml").write_text(task)
    result = run("--tasks", tmp_path / "lost.yaml")
    assert_one_line(result, "lost.yaml", "cannot load", "none.jsonl")


def test_too_many_shots_are_one_line(run):
    result = run("--tasks", "choice_drawn", "--num-fewshot", 1000)
    assert_one_line(result, "choice_drawn has", "1000")


def test_a_model_without_a_chat_template_is_one_line(run):
    result = run("--tasks", "choice", "--apply-chat-template")
    assert_one_line(result, "no chat template")


def test_a_missing_include_path_is_one_line(run, tmp_path):
    assert_one_line(run("--include-path", tmp_path / "none"), "none is no folder")


def test_without_the_extra_it_is_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert_one_line(run(), "'lm_eval' is not installed", "kot-platypus[lm-eval]")


# --- how texts are generated -------------------------------------------------------------------


def generate(run, out, *arguments):
    done = run("--tasks", "answer", "--out", out, *arguments)
    assert done.exit_code == 0, done.output
    return read_samples(out, "answer")


def test_settings_of_generation_take_the_place_of_the_tasks_own(run, tiny, tmp_path):
    plain = [s["resps"][0][0] for s in generate(run, tmp_path / "plain")]
    longer = generate(run, tmp_path / "longer", "--gen-kwargs", "max_gen_toks=9")
    for short, sample in zip(plain, longer, strict=True):
        assert sample["arguments"][0][1]["max_gen_toks"] == 9
        assert sample["resps"][0][0].startswith(short)
    assert any(len(s["resps"][0][0]) > len(p) for p, s in zip(plain, longer, strict=True))
    refused = run("--tasks", "answer", "--out", tmp_path / "longer")
    assert_one_line(refused, "gen_kwargs")


@pytest.mark.parametrize("given", ["tempratur=0.6", "top_p", "top_p="])
def test_what_is_no_setting_of_generation_is_refused(run, given):
    done = run("--gen-kwargs", given)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"kot: --gen-kwargs {given}")
    assert "; expected NAME=VALUE" in done.stderr


def test_a_system_instruction_stands_before_each_question(run, tmp_path):
    said = "한국어로 답하세요."
    for sample in generate(run, tmp_path / "out", "--system-instruction", said):
        assert sample["arguments"][0][0].startswith(said)


def test_only_what_follows_the_thoughts_is_an_answer(run, tmp_path):
    long = ("--gen-kwargs", "max_gen_toks=12")
    texts = [s["resps"][0][0] for s in generate(run, tmp_path / "all", *long)]
    text = max(texts, key=len)
    end = text[len(text) // 2]
    cut = generate(run, tmp_path / "cut", *long, "--think-end-token", end)
    found = [sample["resps"][0][0] for sample in cut]
    assert any(end in text for text in texts)
    assert not any(end in text for text in found)
    assert found[texts.index(text)] != text
