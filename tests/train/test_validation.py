"""Rows that are not learnt: how they are chosen, what they tell, and what follows from it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import TrainerCallback

from kot_platypus.artifacts import hash_file, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError, ModelError, RecipeError
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, SourceSection, TrainSection, load_recipe
from kot_platypus.records import Dialogue, Example, Message, Row, find_question
from kot_platypus.train.encoding import Encoder, encode_rows, shuffle_rationales
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded
from kot_platypus.train.loss import score_pack
from kot_platypus.train.packing import iter_packs
from kot_platypus.train.validation import hold_out
from kot_platypus.verdicts import Verdict, write_verdict
from tests.killing import kill_when

from .conftest import StopAfter, section

MODEL = ModelSection(device="cpu", dtype="float32")
HALF = ModelSection(device="cpu", dtype="bfloat16")
STEPS_AN_EPOCH, EPOCHS = 2, 6
TRAIN = """
import sys
from pathlib import Path
from tests.train.test_validation import MODEL, overfit
from kot_platypus.train.fit import train_adapter
data, base, out, folder = map(Path, sys.argv[1:])
train_adapter(data, base, out, overfit(folder), MODEL)
"""


def write_unlike(folder: Path) -> Path:
    """Validation rows whose responses are the problems' backwards: soon nothing lowers the loss."""
    rows = [
        row.model_copy(update={"rationale": row.rationale[::-1], "target": row.source[::-1]})
        for row in make_problems(3, 2, "train", ("change",))
    ]
    write_jsonl(folder / "validation.jsonl", rows)
    return folder / "validation.jsonl"


def overfit(folder: Path, **changes: object) -> TrainSection:
    """Settings that are at their best after two epochs of ``few``, and then only get worse."""
    return section(
        lr_scheduler="constant",
        lora_dropout=0.1,
        num_epochs=EPOCHS,
        save_steps=3,  # never together with the end of an epoch but at 6 and 12
        validation=str(write_unlike(folder)),
        **changes,
    )


def read_log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def read_manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


def hash_adapter(out: Path) -> str:
    return hash_file(out / "adapter" / "adapter_model.safetensors")


def score_reference(base: Path, out: Path, file: Path, weighting: str) -> tuple[float, float]:
    """Loss and token accuracy of a saved adapter, example by example, in plain transformers."""
    model = load_model(base, dtype="float32", device="cpu", adapter=out / "adapter")
    rows = [Example.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]
    encoded = encode_rows(
        Encoder(load_template("kot"), section(), load_tokenizer(base)), rows, source=file
    )
    return score_one_by_one(model, [item for item in encoded if item], weighting)


def score_one_by_one(model: Any, examples: list[Encoded], weighting: str) -> tuple[float, float]:
    sums = []
    for item in examples:
        ids = torch.tensor([item.ids])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0].float()
        at = torch.tensor(item.label_positions)
        losses = F.cross_entropy(logits[at - 1], ids[0, at], reduction="none")
        right = (logits[at - 1].argmax(1) == ids[0, at]).float()
        sums.append((losses.sum().item(), right.sum().item(), len(at)))
    if weighting == "token":
        total = sum(n for _, _, n in sums)
        return sum(loss for loss, _, _ in sums) / total, sum(hits for _, hits, _ in sums) / total
    return (
        sum(loss / n for loss, _, n in sums) / len(sums),
        sum(hits / n for _, hits, n in sums) / len(sums),
    )


# --- which rows --------------------------------------------------------------------------------


def make_rows() -> list[Row]:
    """A hundred rows of forty questions, some asked more often, one of them in a dialogue."""
    rows: list[Row] = [
        Example(source=f"질문 {i % 39}", target=str(i), rationale="풀이") for i in range(99)
    ]
    turns = (Message(role="user", content="질문 3"), Message(role="assistant", content="답"))
    return [*rows, Dialogue(messages=turns)]


def split(rows: list[Row], validation: float | str, seed: int = 1) -> Any:
    return hold_out(rows, section(validation=validation), seed)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_a_share_is_taken_by_question_and_every_row_is_on_one_side(share):
    rows = make_rows()
    found = split(rows, share)
    assert sorted([*found.train, *found.validation]) == list(range(1, 101))
    assert all(rows[number - 1] is row for number, row in found.train.items())
    asked = [
        {find_question(row) for row in side.values()} for side in (found.train, found.validation)
    ]
    assert all(asked)
    assert not asked[0] & asked[1]
    assert len(found.validation) == pytest.approx(100 * share, abs=3)


def test_the_seed_alone_decides_which_questions():
    rows = make_rows()
    chosen = {find_question(row) for row in split(rows, 0.1).validation.values()}
    assert {find_question(row) for row in split(rows[::-1], 0.1).validation.values()} == chosen
    assert {find_question(row) for row in split(rows, 0.1, 2).validation.values()} != chosen


def test_an_instruction_about_other_inputs_is_several_questions():
    rows: list[Row] = [
        Example(source="요약", target="", rationale="글", input=str(i)) for i in range(9)
    ]
    assert len(split(rows, 0.3).validation) == 3


def test_rows_of_one_question_cannot_be_split():
    rows: list[Row] = [Example(source="질문", target=str(i)) for i in range(9)]
    with pytest.raises(DataError, match=r"validation 0.2 of 9 rows that ask 1 question"):
        split(rows, 0.2)


def test_the_split_is_said_in_one_line():
    note = split(make_rows(), 0.1, 7).note
    assert "9 of the 100 rows, 3 questions" in note
    assert "with seed 7" in note


def test_validation_rows_that_are_trained_on_are_counted_and_said(tmp_path):
    rows = make_problems(8, 1, "train", ("change",))
    write_jsonl(tmp_path / "v.jsonl", [*rows[:2], *make_problems(3, 2, "train", ("swap",))])
    found = split(list(rows), str(tmp_path / "v.jsonl"))
    assert (len(found.train), len(found.validation), found.num_known) == (8, 5, 2)
    assert found.note.startswith("Warning: 2 of the 5 validation rows")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("validation=1.5", "share between 0 and 1"),
        ("validation=0", "share between 0 and 1"),
        ("eval_steps=5", "a `validation` beside it"),
        ("validation_columns={source: q}", "a `validation` beside it"),
        ("early_stopping_patience=5", "a `validation` beside it"),
    ],
)
def test_settings_that_say_nothing_are_refused(override, expected):
    with pytest.raises(RecipeError, match=expected):
        load_recipe("demo", [f"train.{override}"])


def test_a_file_that_is_not_there_is_named_before_anything_is_made(few, base, tmp_path):
    with pytest.raises(DataError, match=r"nowhere.jsonl does not exist"):
        train_adapter(few, base, tmp_path / "out", section(validation="nowhere.jsonl"), MODEL)
    assert not (tmp_path / "out").exists()


def test_a_row_that_cannot_be_shown_is_named_by_its_place_in_the_file(base, tmp_path):
    turns = (Message(role="user", content="안녕"), Message(role="assistant", content="네"))
    rows = [*make_problems(12, 1, "train"), Dialogue(messages=turns)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"rows.jsonl, row 13"):
        train_adapter(tmp_path / "rows.jsonl", base, tmp_path / "o", section(validation=0.4), MODEL)


def write_columns(file: Path, names: tuple[str, str]) -> Path:
    """Three problems in columns of other names."""
    problems = make_problems(3, 2, "train", ("swap",))
    lines = [{names[0]: row.source, names[1]: row.target} for row in problems]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return file


@pytest.mark.parametrize("has_own", [False, True])
def test_a_file_is_read_in_the_columns_of_the_rows_or_in_its_own(tmp_path, has_own):
    names = ("ask", "say") if has_own else ("question", "answer")
    file = write_columns(tmp_path / "v.jsonl", names)
    own = {"source": "ask", "target": "say"} if has_own else None
    columns = {"source": "question", "target": "answer"}
    source = SourceSection(name="file", path="rows.jsonl", columns=columns)
    settings = section(validation=str(file), validation_columns=own)
    found = hold_out(make_rows(), settings, 1, [source])
    assert [row.target for row in found.validation.values()] == [
        row.target for row in make_problems(3, 2, "train", ("swap",))
    ]
    assert found.name == str(file)


def test_a_folder_of_files_is_validated_on(tmp_path):
    for seed in (1, 2):
        rows = make_problems(4, seed, "train", ("swap",))
        write_jsonl(tmp_path / "held" / f"{seed}.jsonl", list(rows))
    found = split(make_rows(), str(tmp_path / "held"))
    assert len(found.validation) == 8
    assert "4 of " in found.note


def test_a_contaminated_file_is_refused_like_training_rows(few, base, tmp_path, capsys):
    file = write_unlike(tmp_path)
    settings = section(validation=str(file), max_steps=1)
    write_verdict(file, Verdict(data_sha256=hash_file(file), rows=3, leaked_rows=1, benchmarks=()))
    with pytest.raises(DataError, match=r"validation.jsonl is contaminated"):
        train_adapter(few, base, tmp_path / "out", settings, MODEL)
    assert not (tmp_path / "out").exists()
    (tmp_path / "validation.jsonl.contamination.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, tmp_path / "out", settings, MODEL, callbacks=[StopAfter(1)])
    said = capsys.readouterr().err
    assert f"{file} was not checked for contamination" in said


# --- what they tell ----------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["example", "token"])
def test_packed_it_is_the_loss_and_accuracy_of_one_example_at_a_time(any_model, batch, weighting):
    expected = score_one_by_one(any_model, batch, weighting)
    for max_tokens in (1, 150, 10_000):
        found = sum(
            score_pack(any_model, pack) for pack in iter_packs(batch, max_tokens, weighting)
        )
        assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_what_is_packed_a_few_at_a_time_weighs_as_one_batch(any_model, batch, monkeypatch):
    monkeypatch.setattr("kot_platypus.train.packing.PACKED_AT_ONCE", 5)
    expected = score_one_by_one(any_model, batch, "token")
    packs = list(iter_packs(batch, 10_000, "token"))
    assert len(packs) == 4
    found = sum(score_pack(any_model, pack) for pack in packs)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("model", [MODEL, HALF], ids=lambda model: model.dtype)
@pytest.mark.parametrize("weighting", ["example", "token"])
def test_the_log_has_the_loss_of_the_weights_after_each_epoch(
    few, base, tmp_path, weighting, model
):
    """Held to the saved adapter, without dropout: the last line's, as the last weights are kept."""
    chosen = overfit(tmp_path, loss_weighting=weighting, load_best_model_at_end=False)
    train_adapter(few, base, tmp_path / "out", chosen, model)
    log = read_log(tmp_path / "out")
    evaluated = [line["step"] for line in log if "eval_loss" in line]
    assert evaluated == list(range(STEPS_AN_EPOCH, EPOCHS * STEPS_AN_EPOCH + 1, STEPS_AN_EPOCH))
    loss, accuracy = score_reference(
        base, tmp_path / "out", Path(str(chosen.validation)), weighting
    )
    exactness = {"rel": 1e-5} if model is MODEL else {"rel": 2e-2, "abs": 0.02}
    assert log[-1]["eval_loss"] == pytest.approx(loss, **exactness)
    assert log[-1]["eval_token_accuracy"] == pytest.approx(accuracy, **exactness)


def test_looking_changes_nothing_of_the_training(few, base, tmp_path):
    """The same adapter as without, dropout's masks included, however often it looks."""
    often = overfit(tmp_path, eval_steps=1, load_best_model_at_end=False)
    never = often.model_copy(update={"validation": None, "eval_steps": None})
    train_adapter(few, base, tmp_path / "often", often, MODEL)
    train_adapter(few, base, tmp_path / "never", never, MODEL)
    assert hash_adapter(tmp_path / "often") == hash_adapter(tmp_path / "never")
    assert [line["loss"] for line in read_log(tmp_path / "often")] == [
        line["loss"] for line in read_log(tmp_path / "never")
    ]
    assert set(read_log(tmp_path / "never")[-1]) == {"step", "loss", "learning_rate", "epoch"}


def test_rows_held_out_are_not_trained_on(data, base, tmp_path):
    chosen = section(validation=0.4, load_best_model_at_end=False)
    train_adapter(data, base, tmp_path / "out", chosen, MODEL, seed=5)
    rows = [Example.model_validate_json(line) for line in data.read_text("utf-8").splitlines()]
    write_jsonl(tmp_path / "rest.jsonl", hold_out(rows, chosen, 5).train.values())
    rest = chosen.model_copy(update={"validation": None})
    train_adapter(tmp_path / "rest.jsonl", base, tmp_path / "rest", rest, MODEL, seed=5)
    assert hash_adapter(tmp_path / "out") == hash_adapter(tmp_path / "rest")
    manifest = read_manifest(tmp_path / "out")
    assert (manifest["num_examples"], manifest["validation"]["num_examples"]) == (18, 12)
    assert manifest["optimizer_steps"] == 4


def test_another_seed_of_the_training_leaves_the_split_as_it_is(few, base, tmp_path, capsys):
    chosen = section(validation=0.3)
    train_adapter(few, base, tmp_path / "out", chosen, MODEL, seed=5, data_seed=9)
    assert "drawn with seed 9" in " ".join(capsys.readouterr().err.split())
    assert read_manifest(tmp_path / "out")["config"]["data_seed"] == 9


def test_without_validation_the_stage_is_known_by_what_it_was(few, base, tmp_path):
    """Folders of before there was any go on and count as done."""
    train_adapter(few, base, tmp_path / "out", section(), MODEL)
    manifest = read_manifest(tmp_path / "out")
    assert not [
        key for key in manifest["config"] if "eval" in key or "best" in key or "early" in key
    ]
    assert not {"validation", "data_seed"} & (manifest["config"].keys() | manifest["inputs"].keys())
    assert "validation" not in manifest


def test_shuffled_rationales_stay_on_their_side():
    rows = list(make_problems(20, 1, "train", ("change",)))
    found = split(rows, 0.3)
    for side in (found.train, found.validation):
        own = {row.rationale for row in side.values()}
        assert {row.rationale for row in shuffle_rationales(list(side.values()))} == own


# --- what follows from it ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training that kept its best weights: only to be read."""
    folder = tmp_path_factory.mktemp("validation")
    write_jsonl(folder / "train.jsonl", make_problems(8, 1, "train", ("change",)))
    train_adapter(folder / "train.jsonl", base, folder / "whole", overfit(folder), MODEL)
    return folder / "whole"


def test_the_weights_of_the_lowest_loss_are_the_result(whole, base):
    log = {line["step"]: line["eval_loss"] for line in read_log(whole) if "eval_loss" in line}
    best = min(log, key=lambda step: log[step])
    assert STEPS_AN_EPOCH < best < max(log), "the settings of `overfit` do not over-fit any more"
    loss, accuracy = score_reference(base, whole, whole.parent / "validation.jsonl", "example")
    assert loss == pytest.approx(log[best], rel=1e-5)
    assert read_manifest(whole)["validation"] == {
        "num_rows": 3,
        "num_examples": 3,
        "num_known": 0,
        "step": best,
        "eval_loss": log[best],
        "eval_token_accuracy": pytest.approx(accuracy, rel=1e-5),
    }
    assert not (whole / "checkpoints").exists()


def test_patience_ends_a_training_that_gets_worse(few, base, tmp_path, whole, capsys):
    chosen = overfit(tmp_path, early_stopping_patience=2)
    train_adapter(few, base, tmp_path / "out", chosen, MODEL)
    best = read_manifest(whole)["validation"]["step"]
    log = read_log(tmp_path / "out")
    assert log == read_log(whole)[: best + 2 * STEPS_AN_EPOCH]
    assert hash_adapter(tmp_path / "out") == hash_adapter(whole)
    manifest = read_manifest(tmp_path / "out")
    assert manifest["optimizer_steps"] == len(log) < EPOCHS * STEPS_AN_EPOCH
    share = len(log) / (EPOCHS * STEPS_AN_EPOCH)
    assert manifest["tokens_seen"] == share * read_manifest(whole)["tokens_seen"]
    said = " ".join(capsys.readouterr().err.split())
    assert f"The validation loss was lowest at step {best} (epoch 2)" in said
    assert f"The weights kept are those of step {best}" in said


class StopAt(TrainerCallback):
    """Ends the training as a kill does, at an event of the step."""

    def __init__(self, event: str, step: int) -> None:
        def stop(args, state, control, **_: object) -> None:
            if state.global_step == step:
                raise KeyboardInterrupt

        setattr(self, event, stop)


@pytest.mark.parametrize(
    ("event", "step"),
    [
        ("on_evaluate", 4),  # the best: between its evaluation and its checkpoint
        ("on_save", 4),  # after it, before or after it was sealed
        ("on_step_end", 5),
        ("on_evaluate", 6),  # which is no better, and whose checkpoint is not made yet
        ("on_save", 6),
        ("on_step_end", 11),
        ("on_train_end", 12),
    ],
)
@pytest.mark.one_in(3)
def test_interrupted_anywhere_it_goes_on_to_the_same_weights_and_log(
    few, base, tmp_path, whole, event, step
):
    chosen, out = overfit(tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, out, chosen, MODEL, callbacks=[StopAt(event, step)])
    train_adapter(few, base, out, chosen, MODEL)
    assert hash_adapter(out) == hash_adapter(whole)
    assert (out / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    assert read_manifest(out)["validation"] == read_manifest(whole)["validation"]


@pytest.mark.parametrize("event", ["on_evaluate", "on_train_end"])
def test_interrupted_as_patience_ends_it_takes_no_step_more(few, base, tmp_path, whole, event):
    """A checkpoint is due at that step, 8, too: to go on from it would be a step too many."""
    chosen, out = overfit(tmp_path, early_stopping_patience=2), tmp_path / "out"
    often = chosen.model_copy(update={"save_steps": 4})
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, out, often, MODEL, callbacks=[StopAt(event, 8)])
    train_adapter(few, base, out, often, MODEL)
    assert [line["step"] for line in read_log(out)] == list(range(1, 9))
    assert hash_adapter(out) == hash_adapter(whole)


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["checkpoint-4", "checkpoint-4/sealed.json", "checkpoint-9"])
def test_killed_around_its_best_checkpoint_it_goes_on_to_the_same_result(
    few, base, tmp_path, whole, sign
):
    """kill -9 while the best checkpoint is written, when it is, and when a later one is begun."""
    chosen, out = overfit(tmp_path), tmp_path / "out"
    command = [sys.executable, "-c", TRAIN, *map(str, (few, base, out, tmp_path))]
    kill_when(lambda: list(out.glob(f"checkpoints/{sign}")), command)
    assert not (out / "adapter").exists()
    train_adapter(few, base, out, chosen, MODEL)
    assert hash_adapter(out) == hash_adapter(whole)
    assert (out / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()


@pytest.mark.slow
def test_a_best_checkpoint_outlives_later_ones_and_moves_with_the_folder(
    few, base, tmp_path, whole
):
    chosen = overfit(tmp_path).model_copy(update={"save_steps": 1})
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, tmp_path / "a", chosen, MODEL, callbacks=[StopAfter(11)])
    names = {path.name for path in (tmp_path / "a" / "checkpoints").glob("checkpoint-*")}
    assert names == {"checkpoint-4", "checkpoint-9", "checkpoint-10"}
    (tmp_path / "a").rename(tmp_path / "b")
    train_adapter(few, base, tmp_path / "b", chosen, MODEL)
    assert hash_adapter(tmp_path / "b") == hash_adapter(whole)


@pytest.mark.slow
def test_a_damaged_best_checkpoint_is_not_gone_on_from(few, base, tmp_path, whole):
    chosen, out = overfit(tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, out, chosen, MODEL, callbacks=[StopAfter(11)])
    weights = out / "checkpoints" / "checkpoint-4" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    train_adapter(few, base, out, chosen, MODEL)
    assert hash_adapter(out) == hash_adapter(whole)


@pytest.mark.slow
def test_every_weight_of_a_full_training_is_taken_back(few, base, tmp_path):
    chosen = overfit(tmp_path, method="full").model_copy(update={"learning_rate": 3e-3})
    train_adapter(few, base, tmp_path / "best", chosen, MODEL)
    best = read_manifest(tmp_path / "best")["validation"]["step"]
    assert best < EPOCHS * STEPS_AN_EPOCH
    last = chosen.model_copy(
        update={"load_best_model_at_end": False, "num_epochs": best // STEPS_AN_EPOCH}
    )
    train_adapter(few, base, tmp_path / "last", last, MODEL)
    files = [tmp_path / name / "model" / "model.safetensors" for name in ("best", "last")]
    assert len(set(map(hash_file, files))) == 1


def test_a_loss_that_is_no_number_ends_the_training(few, base, tmp_path):
    class Spoil(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_: object) -> None:
            if state.global_step == 2:
                weight = next(p for p in model.parameters() if p.requires_grad)
                with torch.no_grad():
                    weight.fill_(torch.nan)

    with pytest.raises(ModelError, match="at step 2 the training's validation loss became"):
        train_adapter(
            few, base, tmp_path / "out", overfit(tmp_path, eval_steps=2), MODEL, callbacks=[Spoil()]
        )


def test_reporters_and_who_watches_get_it(few, base, tmp_path):
    seen = []

    class Watch(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_: object) -> None:
            seen.append((state.global_step, dict(logs)))

        def on_train_end(self, args, state, control, **_: object) -> None:
            text = (Path(args.output_dir) / "log.jsonl").read_text()
            self.live = [json.loads(line) for line in text.splitlines()]

    watch = Watch()
    chosen = overfit(tmp_path).model_copy(update={"num_epochs": 2})
    train_adapter(few, base, tmp_path / "out", chosen, MODEL, callbacks=[watch])
    evaluated = [(step, logs["eval_loss"]) for step, logs in seen if "eval_loss" in logs]
    assert [step for step, _ in evaluated] == [2, 4]
    assert [line["step"] for line in watch.live] == [1, 2, 3, 4]
    live = [(line["step"], line["eval_loss"]) for line in watch.live if "eval_loss" in line]
    assert live == evaluated
    assert all(
        math.isfinite(logs["eval_token_accuracy"]) for _, logs in seen if "eval_loss" in logs
    )
