from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from kot_platypus.errors import RunError
from kot_platypus.evaluate import choices
from kot_platypus.evaluate.choices import (
    build_runs,
    evaluate_choices,
    iter_requests,
    score_runs,
    summarise_runs,
)
from kot_platypus.evaluate.protocols import load_protocol
from kot_platypus.evaluate.tasks import load_task
from kot_platypus.recipe import EvaluateSection

SECTION = EvaluateSection(
    tasks=("copa", "kobest_wic"),
    num_fewshot=(0, 2),
    limit=10,
    kobest_dir="mini",
    max_batch_tokens=256,
)


@pytest.fixture(scope="module")
def tiny(shared):
    return shared / "models" / "tiny-polyglot-ko"


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "choices"
    evaluate_choices(out, tiny, SECTION, dtype="float32", device="cpu")
    return out


def test_the_results_name_what_they_come_from(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["protocol"] == {
        "name": "polyglot",
        "fingerprint": load_protocol("polyglot").fingerprint,
    }
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


@pytest.mark.parametrize("keep", [0, 1, 350, 1111, 4000])
def test_a_killed_run_ends_with_the_same_bytes(keep, finished, tiny, tmp_path, monkeypatch):
    out = tmp_path / "choices"

    class KilledError(Exception):
        pass

    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(choices, "write_jsonl", die)
        with pytest.raises(KilledError):
            evaluate_choices(out, tiny, SECTION, dtype="float32", device="cpu")
    partial = out / "partial.jsonl"
    partial.write_bytes(partial.read_bytes()[:keep])  # a torn line, in the middle of a batch
    evaluate_choices(out, tiny, SECTION, dtype="float32", device="cpu")
    for name in ("samples.jsonl", "results.json"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_a_finished_run_loads_nothing(finished, tiny):
    program = (
        "import sys; from pathlib import Path; from kot_platypus.evaluate import choices;"
        "from kot_platypus.recipe import EvaluateSection;"
        "choices.load_model = choices.load_tokenizer = None;"
        f"section = EvaluateSection.model_validate_json({SECTION.model_dump_json()!r});"
        f"choices.evaluate_choices(Path({str(finished)!r}), Path({str(tiny)!r}), section,"
        "dtype='float32', device='cpu');"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_another_model_or_setting_is_refused(finished, shared, tiny, tmp_path):
    out = tmp_path / "choices"
    shutil.copytree(finished, out)
    with pytest.raises(RunError, match=r"inputs\.model"):
        evaluate_choices(
            out, shared / "models" / "tiny-llama-ko", SECTION, dtype="float32", device="cpu"
        )
    changed = SECTION.model_copy(update={"limit": 11})
    with pytest.raises(RunError, match="limit is 10, not 11"):
        evaluate_choices(out, tiny, changed, dtype="float32", device="cpu")


def test_the_core_works_in_memory(load_tiny):
    protocol = load_protocol("lm-eval")
    runs = build_runs(protocol, [load_task("sentineg", "mini")], (0, 1), limit=5)
    loads = []

    def load():
        loads.append(1)
        return load_tiny("tiny-llama-ko")

    batches = list(score_runs(runs, protocol, load, max_batch_tokens=512))
    summary = summarise_runs(sample for batch in batches for sample in batch)
    assert summary["sentineg"]["1"]["n"] == 5
    assert loads == [1]
    done = {("sentineg", 0): range(5), ("sentineg", 1): range(5)}
    assert not list(score_runs(runs, protocol, load, max_batch_tokens=512, done=done))
    assert loads == [1]


def test_requests_can_be_listed():
    requests = list(iter_requests("polyglot", "copa", 1, "mini", 3))
    assert [(r.doc_id, r.choice) for r in requests] == [(i, c) for i in range(3) for c in range(2)]
    assert set(json.loads(requests[0].model_dump_json())) == {
        "doc_id",
        "choice",
        "context",
        "continuation",
    }
