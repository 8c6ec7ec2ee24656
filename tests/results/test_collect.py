"""Figures of every kind of results file, and nothing that is none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lm_eval import evaluator, simple_evaluate
from lm_eval.loggers import EvaluationTracker

from kot_platypus.errors import DataError
from kot_platypus.results.collect import ScoreRow, collect_rows
from kot_platypus.results.intervals import Z95, wilson_interval
from kot_platypus.results.metrics import measure_f1
from kot_platypus.results.wording import name_model
from tests.evaluate.lm_eval_tasks import NUM_DOCUMENTS, open_manager, write_tasks
from tests.evaluation_builder import write_evaluation
from tests.report.run_builder import SHOTS, TASKS, write, write_run
from tests.results.foreign_files import write_old_harness

UTILS = """
from sklearn.metrics import f1_score

def macro_f1(items):
    return f1_score(*zip(*items), average="macro")
"""


@pytest.fixture(scope="module")
def lm_eval_output(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What lm-eval itself writes: of two tasks, one with KoBEST's F1, and of a group."""
    tasks, out = tmp_path_factory.mktemp("tasks"), tmp_path_factory.mktemp("out")
    write_tasks(tasks)
    (tasks / "metric.py").write_text(UTILS)
    task = yaml.safe_load((tasks / "choice.yaml").read_text())
    task |= {"task": "kobest_pair", "metric_list": "METRICS", "doc_to_text": "{{premise}} 왜?"}
    f1 = "\n- metric: f1\n  aggregation: !function metric.macro_f1\n  higher_is_better: true"
    text = yaml.safe_dump(task, allow_unicode=True).replace("METRICS", f"{f1}\n- metric: acc")
    (tasks / "kobest_pair.yaml").write_text(text)
    tracker = EvaluationTracker(output_path=str(out))
    with pytest.MonkeyPatch.context() as patch:  # nor is the Hub waited for
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        patch.setattr(
            evaluator, "add_env_info", lambda facts: facts.update(lm_eval_version="0.4.13")
        )
        results = simple_evaluate(
            model="dummy",
            model_args={"pretrained": "/home/someone/models/mine", "dtype": "float16"},
            tasks=["own", "kobest_pair"],
            task_manager=open_manager(tasks),
            num_fewshot=1,
            evaluation_tracker=tracker,
            bootstrap_iters=1,
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples)
    for name, rows in samples.items():
        tracker.save_results_samples(name, rows)
    return out


def find(scores: list[ScoreRow], task: str, metric: str) -> ScoreRow:
    (score,) = [each for each in scores if (each.task, each.metric) == (task, metric)]
    return score


# --- lm-eval -----------------------------------------------------------------------------------


def test_lm_evals_own_file_is_read_with_intervals_from_its_samples(lm_eval_output: Path) -> None:
    scores, skipped = collect_rows(lm_eval_output)
    assert skipped == []
    assert {each.model for each in scores} == {"mine (dtype float16)"}
    assert {each.protocol for each in scores} == {"lm-eval 0.4.13"}
    assert {each.is_file_date for each in scores} == {False}
    acc, f1 = find(scores, "choice", "acc_norm"), find(scores, "pair", "f1")
    assert (acc.num_fewshot, acc.n, acc.interval) == (1, NUM_DOCUMENTS, "wilson")
    assert acc.ci95 == pytest.approx(wilson_interval(round(acc.value * acc.n), acc.n))
    (file,) = lm_eval_output.rglob("samples_kobest_pair*.jsonl")
    pairs = [json.loads(line)["f1"] for line in file.read_text().splitlines()]
    assert f1.interval == "bootstrap"
    assert f1.ci95 == pytest.approx(measure_f1(*zip(*pairs, strict=True)).ci95)
    assert find(scores, "own", "acc").n == 2 * NUM_DOCUMENTS
    assert str(lm_eval_output) not in "".join(map(str, scores))


def test_other_prompts_have_another_fingerprint(lm_eval_output: Path, tmp_path: Path) -> None:
    (path,) = lm_eval_output.rglob("results_*.json")
    facts = json.loads(path.read_text())
    write(tmp_path / "same.json", facts | {"date": 0, "kot": {"model": "ab", "dtype": "float32"}})
    facts["configs"]["choice_drawn"]["doc_to_text"] = "{{premise}}?"
    write(tmp_path / "other.json", facts)
    scores, _ = collect_rows(tmp_path)
    found: dict[str, set[str]] = {}
    for score in scores:
        found.setdefault(score.task, set()).add(score.fingerprint)
    assert {task: len(prints) for task, prints in found.items()} == {
        "choice": 1,
        "choice_drawn": 2,
        "own": 2,
        "pair": 1,
    }


def test_no_generation_options_are_none_however_they_are_written(
    lm_eval_output: Path, tmp_path: Path
) -> None:
    (path,) = lm_eval_output.rglob("results_*.json")
    facts = json.loads(path.read_text())
    for name, options in (("command", {}), ("python", None), ("warm", {"temperature": 1})):
        facts["config"]["gen_kwargs"] = options
        write(tmp_path / f"{name}.json", facts)
    prints = {s.file: s.fingerprint for s in collect_rows(tmp_path)[0] if s.task == "choice"}
    assert prints["command.json"] == prints["python.json"] != prints["warm.json"]


def test_kot_lm_eval_goes_by_its_model_not_its_folder(lm_eval_output: Path, tmp_path: Path) -> None:
    (path,) = lm_eval_output.rglob("results_*.json")
    facts = json.loads(path.read_text())
    facts["config"] |= {"model": "/home/kim/models/tiny", "model_args": None}
    kot = {"model": "ab" * 32, "dtype": "float32", "name": "tiny + mine"}
    write(tmp_path / "all" / "results.json", {**facts, "kot": kot})
    write(tmp_path / "old" / "results.json", {**facts, "kot": {**kot, "name": ""}})
    names = {score.file: score.model for score in collect_rows(tmp_path)[0]}
    assert names == {"all/results.json": "tiny + mine", "old/results.json": "tiny (old)"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("beomi/llama-2-ko-7b", "beomi/llama-2-ko-7b"),
        ("/home/kim/models/tiny", "tiny"),
        ("/c/hub/models--beomi--llama-2-ko-7b/snapshots/0123abcd", "beomi/llama-2-ko-7b"),
        ("/home/kim/.cache/kot/models/gemma-3-270m-0123456789ab", "gemma-3-270m"),
        ("C:\\work\\adapters\\mine", "mine"),
    ],
)
def test_models_go_by_what_people_call_them(path: str, name: str) -> None:
    assert name_model(path) == name


@pytest.mark.parametrize("damage", ["torn", "another's", "gone"])
def test_samples_that_do_not_give_the_figure_are_not_used(
    lm_eval_output: Path, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(lm_eval_output, tmp_path / "copy")
    (file,) = tmp_path.rglob("samples_choice_2*.jsonl")
    first, *rest = file.read_text().splitlines()
    other = json.dumps(json.loads(first) | {"acc": 1 - json.loads(first)["acc"]})
    file.write_text("\n".join([first[:40] if damage == "torn" else other, *rest]))
    if damage == "gone":
        file.unlink()
    scores, _ = collect_rows(tmp_path)
    assert find(scores, "choice", "acc").interval == "stderr"
    assert find(scores, "choice_drawn", "acc").interval == "wilson"


# --- lm-eval 0.3 -------------------------------------------------------------------------------


def test_an_old_harness_file_is_read(tmp_path: Path) -> None:
    write_old_harness(tmp_path / "all" / "5_shot.json")
    scores, skipped = collect_rows(tmp_path)
    assert skipped == []
    assert {(s.task, s.n) for s in scores} == {("copa", None), ("hellaswag", None)}
    score = find(scores, "copa", "macro_f1")
    assert score.model == "EleutherAI/polyglot-ko-1.3b"
    assert (score.num_fewshot, score.fingerprint, score.interval) == (5, "", "stderr")
    assert score.ci95 == pytest.approx((0.7193 - Z95 * 0.0142, 0.7193 + Z95 * 0.0142))
    assert "prompts not said" in score.protocol


def test_a_limit_tells_how_many_questions_there_were(tmp_path: Path) -> None:
    path = write_old_harness(tmp_path / "x.json", limit=7)
    facts = json.loads(path.read_text())
    facts["results"] = {"kobest_copa": {"acc": 1.0, "acc_stderr": 0.0}}
    write(path, facts)
    assert [s.n for s in collect_rows(tmp_path)[0]] == [7]
    (score,) = collect_rows(tmp_path)[0]  # whose standard error of 0 is no certainty
    assert (score.ci95, score.interval) == (pytest.approx(wilson_interval(7, 7)), "wilson")
    facts["config"]["limit"] = 0.5
    write(path, facts)
    assert [s.ci95 for s in collect_rows(tmp_path)[0]] == [None]
    assert [s.n for s in collect_rows(tmp_path)[0]] == [None]


def test_folders_and_secrets_of_model_args_are_not_shown(tmp_path: Path) -> None:
    args = "pretrained=/home/kim/llama,peft=C:\\work\\adapter,token=hf_secret,dtype=float16"
    write_old_harness(tmp_path / "x.json", model_args=args)
    (name,) = {score.model for score in collect_rows(tmp_path)[0]}
    assert name == "llama (peft adapter, dtype float16)"


# --- ours --------------------------------------------------------------------------------------


def test_a_run_gives_all_its_figures_under_its_names(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "first")
    scores, skipped = collect_rows(tmp_path)
    assert skipped == []
    kobest = [score for score in scores if score.protocol == "polyglot"]
    assert len(kobest) == 2 * len(TASKS) * len(SHOTS) * 4
    assert {score.model for score in scores} == {
        "gemma-3-270m", "small-run (first)", "small-run (first), answer",
    }  # fmt: skip
    facts = json.loads((run / "evaluate" / "cot" / "kobest" / "results.json").read_text())
    wanted = facts["results"]["copa"]["5"]["macro_f1"]
    tuned = [s for s in kobest if s.model == "small-run (first)" and s.num_fewshot == 5]
    score = find(tuned, "copa", "macro_f1")
    assert (score.value, list(score.ci95 or ())) == (wanted["value"], wanted["ci95"])


def test_a_model_scored_again_goes_by_its_runs_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "small-run")
    path = run / "evaluate" / "cot" / "kobest" / "results.json"
    again = tmp_path / "scores" / "again" / "results.json"
    facts = json.loads(path.read_text()) | {"model": "ee" * 32}
    write(path, facts)
    scores = {task: {"10": by_shots["5"]} for task, by_shots in facts["results"].items()}
    write(again, facts | {"results": scores})
    scores, _ = collect_rows(tmp_path)
    assert {s.model for s in scores if s.file.startswith("scores")} == {"small-run"}


def test_scores_outside_a_run_go_by_their_folder(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "scores" / "mine", {("copa", 0): [0, 1, 1, 1]})
    scores, _ = collect_rows(tmp_path)
    assert {score.model for score in scores} == {"scores/mine"}
    assert {score.fingerprint for score in scores} == {"polyglot copa"}


def test_scores_that_name_their_model_go_by_it_and_two_of_a_name_are_told_apart(
    tmp_path: Path,
) -> None:
    for folder, key, name in (("a", "aa", "merged"), ("b", "bb", "merged"), ("c", "cc", "tiny")):
        write_evaluation(tmp_path / folder, {("copa", 0): [0, 1, 1, 1]})
        path = tmp_path / folder / "results.json"
        write(path, json.loads(path.read_text()) | {"model": key * 32, "name": name})
    names = {score.file: score.model for score in collect_rows(tmp_path)[0]}
    assert names == {
        "a/results.json": "merged (a)",
        "b/results.json": "merged (b)",
        "c/results.json": "tiny",
    }


# --- what is left out --------------------------------------------------------------------------


def test_files_without_figures_are_listed_with_a_reason(tmp_path: Path) -> None:
    write_old_harness(tmp_path / "good.json")
    (tmp_path / "torn.json").write_text('{"results": {')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "latin.json").write_bytes(b'{"results": "\xff"}')
    (tmp_path / "\x1b[2Jname.json").write_text("[]")
    write(tmp_path / "empty.json", {"results": {}})
    write(tmp_path / "odd.json", {"results": {"copa": 3}, "versions": {}, "config": {}})
    write(tmp_path / "nan.json", {"results": {"copa": {"acc": None}}, "config": {}})
    write(tmp_path / "half.json", {"results": {"copa": {"0": {}}}, "protocol": {"name": "x"}})
    scores, skipped = collect_rows(tmp_path)
    assert {score.file for score in scores} == {"good.json"}
    reasons = {each.file: each.reason for each in skipped}
    assert reasons.keys() == {
        "torn.json", "deep.json", "latin.json", "\N{REPLACEMENT CHARACTER}[2Jname.json",
        "empty.json", "odd.json", "nan.json", "half.json",
    }  # fmt: skip
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert "not JSON" in reasons["torn.json"]


def test_what_is_no_results_file_of_a_stage_or_model_is_not_mentioned(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write(run / "merged" / "config.json", {})
    write(tmp_path / "model" / "config.json", {"model_type": "llama"})
    write(tmp_path / "model" / "tokenizer.json", {"results": 1})
    write(tmp_path / ".cache" / "x.json", {})
    write(tmp_path / "board.json", {"scores": [], "skipped": []})
    assert collect_rows(tmp_path)[1] == []


def test_an_unfinished_evaluation_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    folder = run / "evaluate" / "cot" / "kobest"
    facts = json.loads((folder / "manifest.json").read_text())
    write(folder / "manifest.json", {**facts, "stage": "choices", "status": "running"})
    (skipped,) = collect_rows(tmp_path)[1]
    assert "not finished" in skipped.reason


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        collect_rows(tmp_path / "nowhere")


def test_dates_are_the_files_in_utc_where_results_have_none(tmp_path: Path) -> None:
    path = write_old_harness(tmp_path / "x.json")
    os.utime(path, (0, 86_400))
    assert {(s.date, s.is_file_date) for s in collect_rows(tmp_path)[0]} == {
        ("1970-01-02 00:00", True)
    }


# --- the files of today ------------------------------------------------------------------------

FILES = Path(__file__).parent / "files"


def test_all_kinds_of_results_are_collected_and_none_twice() -> None:
    rows, skipped = collect_rows(FILES)
    assert {row.protocol for row in rows} == {
        "polyglot", "held-out problems", "kot reason", "lm-eval 0.4.13",
        "lm-eval 0.3 v0 (prompts not said)",
    }  # fmt: skip
    reasons = {each.file: each.reason for each in skipped}
    assert reasons == {
        f"runs/second/evaluate/base/{test}/results.json": "the same results as "
        f"runs/first/evaluate/base/{test}/results.json"
        for test in ("kobest", "problems")
    }
    assert {row.dtype for row in rows if row.protocol == "polyglot"} == {"float32"}


def test_a_copy_and_a_second_path_to_a_run_are_the_same_results(tmp_path: Path) -> None:
    shutil.copytree(FILES / "runs" / "first", tmp_path / "a-run")
    shutil.copytree(FILES / "runs" / "first" / "evaluate" / "cot" / "kobest", tmp_path / "a" / "x")
    (tmp_path / "again").symlink_to(tmp_path / "a-run")
    once, _ = collect_rows(FILES / "runs" / "first")
    rows, skipped = collect_rows(tmp_path)
    assert len(rows) == len(once)
    assert [each.file for each in skipped] == ["a/x/results.json"]  # the run's own name wins


def test_a_model_that_was_scored_again_on_the_same_questions_is_one_row() -> None:
    rows, _ = collect_rows(FILES)
    base = [r for r in rows if r.model == "tiny-llama-ko" and r.protocol == "polyglot"]
    found = [(row.task, row.num_fewshot) for row in base if row.metric == "acc"]
    assert sorted(found) == [(task, n) for task in ("copa", "wic") for n in (0, 1, 5)]


def test_every_way_of_reasoning_is_a_row_of_one_block() -> None:
    rows, _ = collect_rows(FILES / "scores")
    copa = [row for row in rows if row.protocol == "kot reason" and row.task == "copa"]
    accuracy = [row for row in copa if row.metric == "acc"]
    assert {row.model for row in accuracy} == {
        f"tiny-{name}-ko, {way}"
        for name in ("llama", "polyglot")
        for way in ("direct", "reasoned (2 samples)", "then scored (2 samples)")
    }
    assert len({(row.fingerprint, row.data, row.n) for row in accuracy}) == 1
    assert {row.metric for row in copa} == {"acc", "macro_f1"}
    plus = [row for row in rows if row.task == "problems: plus"]
    assert {row.metric for row in plus} == {"acc"}


def test_a_family_that_is_all_there_is_stands_there_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for path in run.glob("evaluate/*/problems/results.json"):
        facts = json.loads(path.read_text())
        results = dict.fromkeys(("all", "chain"), facts["results"]["all"])
        write(path, facts | {"results": results})
    rows, _ = collect_rows(tmp_path)
    assert {row.task for row in rows if row.protocol == "held-out problems"} == {"problems: all"}


def test_a_manifest_says_when_results_were_made(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run / "evaluate" / "cot" / "kobest" / "manifest.json"
    write(path, json.loads(path.read_text()) | {"finished": "2026-11-28T21:00:00+00:00"})
    rows, _ = collect_rows(tmp_path)
    dates = {(row.date, row.is_file_date) for row in rows if "cot/kobest" in row.file}
    assert dates == {("2026-11-28 21:00", False)}


def test_ties_and_a_model_that_needs_bos_are_remarked(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "mine", {("copa", 0): [0, 1, 1, 1]})
    path = tmp_path / "mine" / "results.json"
    bos = {"nats_without": 6.84, "nats_with": 2.47, "reads_badly": True}
    ties = {"tied": 2, "same_tokens": 0, "n": 4}
    write(path, json.loads(path.read_text()) | {"bos": bos, "ties": ties})
    rows, _ = collect_rows(tmp_path)
    assert {row.remarks for row in rows} == {("reads badly without BOS", "2 of 4 questions tied")}
