from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from kot_platypus.artifacts import hash_file, hash_files, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError, RunError
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, SourceSection, TrainSection
from kot_platypus.records import Example
from kot_platypus.train.checkpoints import find_checkpoint, go_back, seal_checkpoint
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter
from kot_platypus.verdicts import Checked, Verdict, write_verdict
from tests.killing import kill_when

from .conftest import StopAfter, write_problems

MODEL = ModelSection(device="cpu", dtype="float32")
HALF = ModelSection(device="cpu", dtype="bfloat16")
SECTION = TrainSection(
    batch_size=4,
    num_epochs=2,
    learning_rate=5e-3,
    max_tokens_per_pass=256,
    lora_r=4,
    lora_dropout=0.1,  # resuming must restore the random state too
    save_steps=2,
)
UNSAVED = SECTION.model_copy(update={"save_steps": 100})  # where nothing is interrupted
TRAIN = """
import sys
from pathlib import Path
from tests.train.test_fit import MODEL, SECTION
from kot_platypus.train.fit import train_adapter
data, base, out = map(Path, sys.argv[1:])
train_adapter(data, base, out, SECTION, MODEL)
"""


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, once for all tests: only to be read."""
    folder = tmp_path_factory.mktemp("fit")
    train_adapter(write_problems(folder), base, folder / "trained", SECTION, MODEL)
    return folder / "trained"


def adapter_hash(out: Path) -> str:
    return hash_file(out / "adapter" / "adapter_model.safetensors")


def test_training_lowers_the_loss_and_counts_what_it_did(trained):
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    manifest = json.loads((trained / "manifest.json").read_text())
    assert len(log) == manifest["optimizer_steps"] == 14  # floor(30 / 4) steps x 2 epochs
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert manifest["status"] == "done"
    assert not (trained / "checkpoints").exists()


@pytest.mark.slow
def test_who_watches_sees_each_step_once_also_after_a_restart(data, base, tmp_path):
    out = tmp_path / "watched"
    for steps in (6, 9):  # the second training goes on from the checkpoint at step 4 or 6
        with pytest.raises(KeyboardInterrupt):
            train_adapter(data, base, out, SECTION, MODEL, callbacks=[StopAfter(steps)])
    lines = (out / "checkpoints" / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert {row["max_steps"] for row in rows} == {14}
    assert all(row["tokens_per_second"] > 0 for row in rows)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("linear", lambda step: (14 - step) / (14 - 4)),
        ("cosine", lambda step: (1 + math.cos(math.pi * (step - 4) / (14 - 4))) / 2),
        ("constant", lambda step: 1),
    ],
)
def test_every_schedule_warms_up_and_then_goes_on_as_transformers_had_it(
    data, base, tmp_path, name, after
):
    """The first step of a warm-up has the rate 0, as with transformers of any year."""
    section = UNSAVED.model_copy(update={"lr_scheduler": name, "warmup_steps": 4})
    train_adapter(data, base, tmp_path / name, section, MODEL)
    log = (tmp_path / name / "log.jsonl").read_text().splitlines()
    rates = [json.loads(line)["learning_rate"] / section.learning_rate for line in log]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, *map(after, range(4, 14))])


# --- contamination -----------------------------------------------------------------------------


def write_finding(data: Path, leaked_rows: int) -> Verdict:
    found = {"items_found": leaked_rows, "rows": leaked_rows}
    verdict = Verdict(
        data_sha256=hash_file(data),
        rows=30,
        leaked_rows=leaked_rows,
        benchmarks=(Checked(name="kobest/copa/test", sha256="0", items=9, **found),),
    )
    write_verdict(data, verdict)
    return verdict


def test_contaminated_rows_are_refused_and_nothing_is_claimed(data, base, tmp_path):
    write_finding(data, 2)
    with pytest.raises(DataError, match=r"2 of 30 rows hold text of kobest/copa/test"):
        train_adapter(data, base, tmp_path / "out", SECTION, MODEL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("leaked_rows", [0, 2])
def test_verdict_on_the_rows_goes_into_the_manifest(few, base, tmp_path, leaked_rows):
    verdict = write_finding(few, leaked_rows)
    section = UNSAVED.model_copy(update={"allow_contaminated": leaked_rows > 0, "num_epochs": 1})
    train_adapter(few, base, tmp_path / "out", section, MODEL)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert Verdict.model_validate(manifest["contamination"]) == verdict
    assert "allow_contaminated" not in manifest["config"]


def test_rows_that_changed_since_are_unchecked(few, base, tmp_path, capsys):
    write_finding(few, 2)
    write_jsonl(few, make_problems(8, 2, "train", ("change",)))
    train_adapter(few, base, tmp_path / "out", UNSAVED, MODEL)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["contamination"] is None
    assert "was not checked for contamination" in " ".join(capsys.readouterr().err.split())


def write_second_source(few: Path, other: Path) -> list[SourceSection]:
    """The eight rows of ``few``, and twice two of another file in other columns."""
    other.write_text("question,answer\n3+4는?,7\n2+2는?,4\n", "utf-8")
    columns = {"source": "question", "target": "answer"}
    return [
        SourceSection(name="file", path=str(few)),
        SourceSection(name="file", path=str(other), columns=columns, weight=2),
    ]


def test_several_sources_are_counted_and_each_verdict_is_heeded(few, base, tmp_path, capsys):
    other = tmp_path / "b.csv"
    sources = write_second_source(few, other)
    section = UNSAVED.model_copy(update={"num_epochs": 1})
    train_adapter(sources, base, tmp_path / "out", section, MODEL)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["num_rows_of"] == {str(few): 8, str(other): 4}
    assert manifest["num_examples"] == 12
    said = " ".join(capsys.readouterr().err.split())
    assert f"12 rows: 8 of {few}, 4 of {other} (of 2)" in said
    write_finding(few, 2)
    with pytest.raises(DataError, match="is contaminated: 2 of 30 rows"):
        train_adapter(sources, base, tmp_path / "again", section, MODEL)


def test_what_is_learnt_as_it_stands_is_said_before_the_first_step(base, tmp_path, capsys):
    rows = [Example(source=f"{i}+1은?", target=f"{i + 1} ") for i in range(4)]
    write_jsonl(tmp_path / "a.jsonl", [*rows, Example(source="끝</s>?", target="끝")])
    section = UNSAVED.model_copy(update={"num_epochs": 1})
    train_adapter(tmp_path / "a.jsonl", base, tmp_path / "out", section, MODEL)
    said = " ".join(capsys.readouterr().err.split())
    assert "of 5 rows: 1 with special tokens written out, 4 with spaces around the target" in said


def test_one_file_is_the_same_training_by_path_and_as_a_source(trained, data, base):
    before = (trained / "manifest.json").read_bytes()
    train_adapter([SourceSection(name="file", path=str(data))], base, trained, SECTION, MODEL)
    assert (trained / "manifest.json").read_bytes() == before


@pytest.mark.slow
def test_killed_and_restarted_training_ends_in_the_same_adapter_bit_for_bit(
    trained, data, base, tmp_path
):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", TRAIN, str(data), str(base), str(out)]
    kill_when(lambda: list(out.glob("checkpoints/checkpoint-*/sealed.json")), command)
    assert not (out / "adapter").exists()
    train_adapter(data, base, out, SECTION, MODEL)
    assert adapter_hash(out) == adapter_hash(trained)
    assert (out / "log.jsonl").read_text() == (trained / "log.jsonl").read_text()


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("step", "last_batch", "model"),
    [
        (7, "drop", MODEL),
        (8, "drop", MODEL),
        (8, "drop", HALF),
        (11, "keep", MODEL),
        (4, "keep", HALF),
    ],
)
def test_interrupted_anywhere_and_saved_more_often_it_goes_on_to_the_same_adapter(
    data, base, tmp_path, step, last_batch, model
):
    """Epochs end after step 7 (drop) and 8 (keep); how often a state is kept changes nothing."""
    changes = {"last_batch": last_batch, "save_steps": 3}
    section = SECTION.model_copy(update=changes)
    train_adapter(data, base, tmp_path / "whole", section, model)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(data, base, tmp_path / "x", section, model, callbacks=[StopAfter(step)])
    often = section.model_copy(update={"save_steps": 1})
    train_adapter(data, base, tmp_path / "x", often, model)
    assert adapter_hash(tmp_path / "x") == adapter_hash(tmp_path / "whole")


SCHEDULES = {
    "half an epoch": {"num_epochs": 0.5, "warmup_ratio": 0.5},
    "an epoch and a half": {"num_epochs": 1.5, "logging_steps": 5},
    "max_steps": {"max_steps": 5, "logging_steps": 4, "warmup_ratio": 0.3},
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_resumed_to_the_same_adapter_and_log(data, base, tmp_path, name):
    section = SECTION.model_copy(update=SCHEDULES[name])
    train_adapter(data, base, tmp_path / "whole", section, MODEL)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(data, base, tmp_path / "x", section, MODEL, callbacks=[StopAfter(3)])
    train_adapter(data, base, tmp_path / "x", section, MODEL)
    assert adapter_hash(tmp_path / "x") == adapter_hash(tmp_path / "whole")
    logs = [(tmp_path / each / "log.jsonl").read_text() for each in ("x", "whole")]
    assert logs[0] == logs[1]
    steps = json.loads((tmp_path / "x" / "manifest.json").read_text())["optimizer_steps"]
    assert json.loads(logs[0].splitlines()[-1])["step"] == steps


@pytest.mark.slow
def test_a_line_of_the_log_is_the_mean_since_the_one_before(trained, data, base, tmp_path):
    section = UNSAVED.model_copy(update={"logging_steps": 5})
    train_adapter(data, base, tmp_path / "x", section, MODEL)
    assert adapter_hash(tmp_path / "x") == adapter_hash(trained)
    every = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (tmp_path / "x" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 14]
    means = [sum(r["loss"] for r in every[a:b]) / (b - a) for a, b in ((0, 5), (5, 10), (10, 14))]
    assert [row["loss"] for row in rows] == pytest.approx(means, rel=1e-4)


def test_settings_that_came_later_are_no_part_of_an_older_folders_identity(trained):
    config = json.loads((trained / "manifest.json").read_text())["config"]
    assert sorted(config) == [
        *("batch_size", "cutoff_len", "dtype", "enable_thinking", "last_batch", "learning_rate"),
        *("lora_alpha", "lora_dropout", "lora_r", "lora_target_modules", "loss_weighting"),
        *("lr_scheduler", "max_grad_norm", "max_tokens_per_pass", "method", "num_epochs", "seed"),
        *("target", "template", "tokens", "torch_compile", "warmup_steps", "weight_decay"),
    ]


def test_finished_training_is_not_repeated(trained, data, base):
    before = (trained / "manifest.json").read_bytes()
    train_adapter(data, base, trained, SECTION, MODEL)
    assert (trained / "manifest.json").read_bytes() == before


def test_a_folder_of_other_settings_is_refused(trained, data, base):
    other = SECTION.model_copy(update={"lora_r": 8})
    with pytest.raises(RunError, match=r"config\.lora_r is 4, not 8"):
        train_adapter(data, base, trained, other, MODEL)


def test_a_cutoff_that_no_example_fits_is_an_error(data, base, tmp_path):
    with pytest.raises(DataError, match="cutoff_len 8"):
        train_adapter(
            data, base, tmp_path / "x", SECTION.model_copy(update={"cutoff_len": 8}), MODEL
        )


def test_the_newest_intact_checkpoint_is_used(tmp_path):
    for step in (2, 4, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_text(f"step {step}")
        seal_checkpoint(folder)
    (tmp_path / "checkpoint-10" / "weights").write_text("damage")
    (tmp_path / "checkpoint-12").mkdir()  # killed before it was sealed
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


def interrupt(data: Path, base: Path, out: Path) -> list[str]:
    """A training that was stopped after 7 steps, and its checkpoints."""
    section = SECTION.model_copy(update={"save_total_limit": 3})
    with pytest.raises(KeyboardInterrupt):
        train_adapter(data, base, out, section, MODEL, callbacks=[StopAfter(7)])
    return sorted(folder.name for folder in out.glob("checkpoints/checkpoint-*"))


@pytest.mark.slow
def test_a_named_checkpoint_is_gone_on_from_and_later_ones_are_made_anew(
    trained, data, base, tmp_path, capsys
):
    assert interrupt(data, base, tmp_path / "x") == [f"checkpoint-{n}" for n in (2, 4, 6)]
    train_adapter(data, base, tmp_path / "x", SECTION, MODEL, resume_from_checkpoint="checkpoint-2")
    said = capsys.readouterr()
    assert "Going on from step 2 of 14" in said.out + said.err
    assert adapter_hash(tmp_path / "x") == adapter_hash(trained)
    assert (tmp_path / "x" / "log.jsonl").read_text() == (trained / "log.jsonl").read_text()


def test_a_checkpoint_that_is_not_there_is_one_line_and_removes_nothing(tmp_path):
    for step in (2, 4, 10):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "weights").write_text(f"step {step}")
        seal_checkpoint(folder)
    (folder / "weights").write_text("damage")
    here = tmp_path / "checkpoints"
    for name in ("checkpoint-3", "checkpoint-10", "last", str(tmp_path / "other" / "checkpoint-2")):
        with pytest.raises(RunError, match=r"expected one of checkpoint-2, checkpoint-4\."):
            go_back(here, name)
    assert len(list(here.iterdir())) == 3
    go_back(here, str(here / "checkpoint-2"))
    assert [folder.name for folder in here.iterdir()] == ["checkpoint-2"]


def test_a_finished_training_has_no_checkpoint_to_go_on_from(trained, data, base):
    with pytest.raises(RunError, match="no intact checkpoint checkpoint-2"):
        train_adapter(data, base, trained, SECTION, MODEL, resume_from_checkpoint="checkpoint-2")
    assert json.loads((trained / "manifest.json").read_text())["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("init", [True, "pissa"])
def test_adapters_of_the_last_checkpoints_stay_and_merge(data, base, tmp_path, init):
    changes = {"lr_scheduler": "constant", "init_lora_weights": init}
    section = SECTION.model_copy(update={**changes, "max_steps": 6, "save_total_limit": 2})
    train_adapter(data, base, tmp_path / "x", section, MODEL)
    kept = sorted((tmp_path / "x").glob("checkpoint*"))
    assert [folder.name for folder in kept] == ["checkpoint-4", "checkpoint-6"]
    shorter = section.model_copy(update={"max_steps": 4, "save_total_limit": None})
    train_adapter(data, base, tmp_path / "4", shorter, MODEL)
    for folder, same in zip(kept, (tmp_path / "4", tmp_path / "x"), strict=True):
        assert hash_files(folder) == hash_files(same / "adapter")
    merge_adapter(base, kept[0], tmp_path / "merged")
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text())
    assert "checkpoint-4/adapter_model.safetensors" in manifest["outputs"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [MODEL, HALF], ids=lambda model: model.dtype)
def test_merged_model_equals_base_with_adapter(data, base, tmp_path, model):
    trained = tmp_path / "trained"
    train_adapter(data, base, trained, SECTION, model)
    merge_adapter(base, trained / "adapter", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    tuned = load_model(base, dtype="float32", device="cpu", adapter=trained / "adapter")
    tokenizer = load_tokenizer(tmp_path / "merged")
    prompt = load_template("kot").render_prompt("바구니에 귤이 7개 있다. 귤은 몇 개인가?")
    inputs = tokenizer(prompt, return_tensors="pt")
    with torch.inference_mode():
        a, b = merged(**inputs).logits, tuned(**inputs).logits
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    texts = [
        tokenizer.decode(model.generate(**inputs, max_new_tokens=20, do_sample=False)[0])
        for model in (merged, tuned)
    ]
    assert texts[0] == texts[1]
    assert sorted(p.suffix for p in (tmp_path / "merged").glob("*model*")) == [".safetensors"]
