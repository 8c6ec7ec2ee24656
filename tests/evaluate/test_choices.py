from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from kot_platypus import processes
from kot_platypus.artifacts import hash_value
from kot_platypus.errors import RunError
from kot_platypus.evaluate import choices
from kot_platypus.evaluate.choices import (
    build_runs,
    evaluate_choices,
    iter_requests,
    make_samples,
    score_runs,
    summarise_runs,
)
from kot_platypus.evaluate.keys import make_model_key
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.store import ScoreStore
from kot_platypus.evaluate.tasks import TaskData, load_task
from kot_platypus.recipe import EvaluateSection

SECTION = EvaluateSection(
    tasks=("copa", "kobest_wic"),
    num_fewshot=(0, 2),
    limit=10,
    kobest_dir="mini",
    max_batch_tokens=256,
)


def make_model(folder, dtype="float32"):
    return TransformersModel(folder, dtype=dtype, device="cpu")


@pytest.fixture(scope="module")
def tiny(shared):
    return shared / "models" / "tiny-polyglot-ko"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """No scores of another test are found."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scores"


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "choices"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOT_CACHE", str(out.parent / "cache"))
        evaluate(tiny, out)
    return out


def evaluate(model, out, section=SECTION):
    evaluate_choices(out, make_model(model), section)
    return [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]


@pytest.fixture
def scored(monkeypatch):
    """The questions that the scorer is given, in order."""
    seen = []
    score = Scorer.score

    def watch(self, batch):
        seen.extend(item.question for item in batch)
        return score(self, batch)

    monkeypatch.setattr(Scorer, "score", watch)
    return seen


def test_the_results_name_what_they_come_from(finished):
    results = json.loads((finished / "results.json").read_text())
    protocol = load_protocol("polyglot")
    prompts = {task: protocol.fingerprint_task(task) for task in ("copa", "wic")}
    assert results["protocol"] == {
        "name": "polyglot",
        "fingerprint": hash_value(prompts),
        "tasks": prompts,
    }
    assert results["versions"]["torch"] == version("torch")
    assert results["data"]["wic"] == load_task("wic", "mini").content_hash
    summary = results["results"]["copa"]["2"]
    assert summary["n"] == 10
    assert summary["effective_shots"] == 2.0
    low, high = summary["acc"]["ci95"]
    assert 0 <= low <= summary["acc"]["value"] <= high <= 1
    assert sorted(path.name for path in finished.iterdir()) == [
        "manifest.json",
        "results.json",
        "samples.jsonl",
    ]


def test_samples_are_in_order(finished):
    rows = [json.loads(line) for line in (finished / "samples.jsonl").read_text().splitlines()]
    keys = [(row["task"], row["num_fewshot"], row["doc_id"]) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == 40


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["tiny-llama-ko", "tiny-polyglot-ko"])
def test_bfloat16_is_float32_but_for_rounding(name, shared, tmp_path, own_cache):
    """Whatever ``auto`` would pick on this machine."""
    rows = {}
    for dtype in ("float32", "bfloat16"):
        evaluate_choices(tmp_path / dtype, make_model(shared / "models" / name, dtype), SECTION)
        text = (tmp_path / dtype / "samples.jsonl").read_text()
        rows[dtype] = [json.loads(line)["logprobs"] for line in text.splitlines()]
    for exact, half in zip(rows["float32"], rows["bfloat16"], strict=True):
        assert half == pytest.approx(exact, rel=0.02)
    assert rows["float32"] != rows["bfloat16"]


# --- nothing is lost, nothing is scored twice --------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize("keep", [0, 1, 350, 1111, 4000])
def test_a_killed_run_ends_with_the_same_bytes(
    keep, finished, tiny, tmp_path, monkeypatch, own_cache
):
    out = tmp_path / "choices"

    class KilledError(Exception):
        pass

    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(choices, "write_jsonl", die)
        with pytest.raises(KilledError):
            evaluate(tiny, out)
    (kept,) = own_cache.glob("*/*.jsonl")
    kept.write_bytes(kept.read_bytes()[:keep])  # a torn line, in the middle of a batch
    evaluate(tiny, out)
    for name in ("samples.jsonl", "results.json"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_a_torn_record_and_nothing_else_is_scored_again(tiny, tmp_path, own_cache, scored):
    evaluate(tiny, tmp_path / "a")
    assert len(scored) == 40
    (kept,) = own_cache.glob("*/*.jsonl")
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(lines)[:-9])
    torn = json.loads(lines[-1])["scores"].keys()
    scored.clear()
    evaluate(tiny, tmp_path / "b")
    assert {question.key for question in scored} == torn
    scored.clear()
    evaluate(tiny, tmp_path / "c")  # the torn line is still there, and does no harm
    assert scored == []


def test_only_what_is_new_is_scored(tiny, tmp_path, own_cache, scored):
    few = SECTION.model_copy(update={"limit": 4})
    evaluate(tiny, tmp_path / "few", few)
    scored.clear()
    rows = evaluate(tiny, tmp_path / "more")
    assert sorted({question.doc_id for question in scored}) == [4, 5, 6, 7, 8, 9]
    assert len(scored) == 24
    alone = {
        (row["task"], row["num_fewshot"], row["doc_id"]): row["logprobs"]
        for row in evaluate(tiny, tmp_path / "few", few)
    }
    kept = {(row["task"], row["num_fewshot"], row["doc_id"]): row["logprobs"] for row in rows}
    assert {key: kept[key] for key in alone} == alone


def test_another_model_never_gets_these_scores(tiny, shared, tmp_path, own_cache, scored):
    other = shared / "models" / "tiny-llama-ko"
    mine = evaluate(tiny, tmp_path / "mine")
    theirs = evaluate(other, tmp_path / "theirs")
    assert len(scored) == 80
    assert all(a["logprobs"] != b["logprobs"] for a, b in zip(mine, theirs, strict=True))
    # Not even when its file lies in the wrong folder.
    first, second = own_cache.iterdir()
    for folder, source in ((first, second), (second, first)):
        (wrong,) = source.glob("*[!g].jsonl")
        shutil.copy(wrong, folder / "wrong.jsonl")
    assert evaluate(tiny, tmp_path / "again") == mine
    assert len(scored) == 80


def test_what_decides_a_score_decides_its_key():
    key = make_model_key
    keys = [key("a", "float32", "cpu"), key("b", "float32", "cpu")]
    keys += [key("a", "bfloat16", "cpu"), key("a", "float32", "cuda")]
    assert len(set(keys)) == 4
    assert key("a", "float32", "cpu") == keys[0]


def test_equal_questions_are_scored_once(tiny, tmp_path, own_cache, scored):
    copa = load_task("copa", "mini")
    twice = TaskData("copa", copa.train, (*copa.test[:3], *copa.test[:3]))
    runs = build_runs(load_protocol("lm-eval"), [twice], [0])
    store = ScoreStore("a")
    score_runs(runs, load_protocol("lm-eval"), make_model(tiny), store, max_batch_tokens=64)
    assert [question.doc_id for question in scored] == [0, 1, 2]
    rows = make_samples(runs, store.known)
    assert [row.logprobs for row in rows[:3]] == [row.logprobs for row in rows[3:]]


def test_a_cache_that_cannot_be_written_is_said_before_the_work(
    tiny, tmp_path, monkeypatch, scored
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunError, match="KOT_CACHE"):
        evaluate(tiny, tmp_path / "out")
    assert scored == []


def test_the_same_question_in_other_words_is_the_same_run(finished, tiny, scored):
    changed = {"tasks": ("wic", "COPA", "copa"), "num_fewshot": (2, 0), "max_batch_tokens": 64}
    evaluate(tiny, finished, SECTION.model_copy(update=changed))
    assert scored == []


def test_processes_that_differ_are_stopped(monkeypatch):
    monkeypatch.setattr(processes, "share_all", lambda value: [value, "another"])
    with pytest.raises(RunError, match="same model, data and settings"):
        processes.check_agreement("model", ["key"], 512)


# --- several processes -------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_write_the_samples_of_one(finished, tiny, tmp_path):
    out = tmp_path / "two"
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    options = ["--tasks", "copa,wic", "--num-fewshot", "0,2", "--limit", "10", "--kobest-dir"]
    options += ["mini", "--batch-tokens", "256", "--dtype", "float32", "--device", "cpu"]
    command = [sys.executable, *launch, "-m", "kot_platypus", "eval", "--model", str(tiny)]
    command += [*options, "--out", str(out)]
    cache = tmp_path / "cache"
    environment = {**os.environ, "KOT_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results.json") == 1, "one process speaks for both"
    for name in ("samples.jsonl", "results.json"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()
    files = list(cache.glob("scores/*/*.jsonl"))
    assert len(files) == 2, "each process has done its share"


# --- the rest ----------------------------------------------------------------------------------


def test_scores_of_another_device_want_another_folder(finished, tiny):
    """They round differently, as those of another dtype do."""
    model = make_model(tiny)
    model.resolved_device = "cuda"
    with pytest.raises(RunError, match=r"config\.device"):
        evaluate_choices(finished, model, SECTION)


@pytest.mark.slow
def test_a_finished_run_loads_nothing(finished, tiny):
    program = (
        "import sys; from pathlib import Path; from kot_platypus.evaluate import choices;"
        "from kot_platypus.recipe import EvaluateSection;"
        "from kot_platypus.evaluate.model_under_test import TransformersModel;"
        f"section = EvaluateSection.model_validate_json({SECTION.model_dump_json()!r});"
        f"model = TransformersModel(Path({str(tiny)!r}), dtype='float32', device='cpu');"
        f"choices.evaluate_choices(Path({str(finished)!r}), model, section);"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_another_model_or_setting_is_refused(finished, shared, tiny, tmp_path):
    out = tmp_path / "choices"
    shutil.copytree(finished, out)
    with pytest.raises(RunError, match=r"inputs\.model"):
        evaluate(shared / "models" / "tiny-llama-ko", out)
    changed = SECTION.model_copy(update={"limit": 11})
    with pytest.raises(RunError, match="limit is 10, not 11"):
        evaluate(tiny, out, changed)


def test_the_model_is_loaded_when_needed_and_only_then(tiny, own_cache):
    protocol = load_protocol("lm-eval")
    runs = build_runs(protocol, [load_task("sentineg", "mini")], (0, 1), limit=5)
    store = ScoreStore("a")
    score_runs(runs, protocol, make_model(tiny), store, max_batch_tokens=512)
    summary = summarise_runs(make_samples(runs, store.known))
    assert summary["sentineg"][1].n == 5
    again = make_model(tiny)
    score_runs(runs, protocol, again, store, max_batch_tokens=512)
    assert not {"model", "tokenizer"} & vars(again).keys()


def test_requests_can_be_listed():
    requests = list(iter_requests("polyglot", "copa", 1, "mini", 3))
    assert [(r.doc_id, r.choice) for r in requests] == [(i, c) for i in range(3) for c in range(2)]
    assert set(json.loads(requests[0].model_dump_json())) == {
        "doc_id",
        "choice",
        "context",
        "continuation",
    }
