"""DPO and ORPO: the same tokens as SFT, the loss and gradient of their papers, and resuming."""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import TrainerCallback

from kot_platypus.artifacts import hash_file, read_json, read_jsonl, read_manifest, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import DataError, RecipeError
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, TrainSection, load_recipe
from kot_platypus.records import Dialogue, Example, Message, PairedExample, Row
from kot_platypus.row_formats import parse_row
from kot_platypus.train.encoding import Encoder, encode_items, encode_rows
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded, Pair
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.methods import load_trainable
from kot_platypus.train.packing import pack_batch
from kot_platypus.train.preferences import accept_packs
from tests.killing import kill_when

from .chat_templates import CHATML
from .conftest import StopAfter, section

MODEL = ModelSection(device="cpu", dtype="float32")
HALF = ModelSection(device="cpu", dtype="bfloat16")
KOT = load_template("kot")


def make_pairs(count: int) -> list[PairedExample]:
    """Problems, and against each the reasons and the answer of another."""
    rows = make_problems(count, 1, "train", ("change",))
    return [
        PairedExample(
            **dict(row),
            rejected=row.model_copy(update={"rationale": o.rationale, "target": o.target + "0"}),
        )
        for row, o in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "pairs.jsonl", make_pairs(12))
    return tmp_path / "pairs.jsonl"


def prefer(objective: str, **changes: object) -> TrainSection:
    usual = {"learning_rate": 2e-3, "num_epochs": 2, "save_steps": 2}
    return section(objective=objective, **{**usual, **changes})


def read_log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


# --- tokens ------------------------------------------------------------------------------------

ASKED, WELL, BADLY = (
    Message(role=role, content=text)
    for role, text in (("user", "3+4는?"), ("assistant", "7입니다."), ("assistant", "12입니다."))
)
TURNS = [turn.model_dump() for turn in (ASKED, WELL, BADLY)]
BEFORE = [{"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "네, 안녕하세요."}]
AS_COLUMNS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "kot": (
        {"source": "3+4는?", "rationale": "더하면 7.", "target": "7",
         "rejected": {"rationale": "곱하면 12.", "target": "12"}},
        {"source": "3+4는?", "rationale": "더하면 7.", "target": "7"},
        {"source": "3+4는?", "rationale": "곱하면 12.", "target": "12"},
    ),
    "texts": (
        {"prompt": "3+4는?", "chosen": "7입니다.", "rejected": "12입니다."},
        {"prompt": "3+4는?", "completion": "7입니다."},
        {"prompt": "3+4는?", "completion": "12입니다."},
    ),
    "messages": (
        {"prompt": [*BEFORE, TURNS[0]], "chosen": TURNS[1:2], "rejected": TURNS[2:]},
        {"prompt": [*BEFORE, TURNS[0]], "completion": TURNS[1:2]},
        {"prompt": [*BEFORE, TURNS[0]], "completion": TURNS[2:]},
    ),
    "whole": (
        {"prompt": "3+4는?", "chosen": [*BEFORE, *TURNS[:2]],
         "rejected": json.dumps([*BEFORE, TURNS[0], TURNS[2]])},
        {"prompt": [*BEFORE, TURNS[0]], "completion": TURNS[1:2]},
        {"prompt": [*BEFORE, TURNS[0]], "completion": TURNS[2:]},
    ),
    "sharegpt": (
        {"system": "짧게.", "conversations": [{"from": "human", "value": "3+4는?"}],
         "chosen": {"from": "gpt", "value": "7입니다."},
         "rejected": {"from": "gpt", "value": "12입니다."}},
        {"system": "짧게.", "prompt": TURNS[:1], "completion": TURNS[1:2]},
        {"system": "짧게.", "prompt": TURNS[:1], "completion": TURNS[2:]},
    ),
    "alpaca": (
        {"instruction": "더하라.", "input": "3, 4", "chosen": "7", "rejected": "12"},
        {"instruction": "더하라.", "input": "3, 4", "output": "7"},
        {"instruction": "더하라.", "input": "3, 4", "output": "12"},
    ),
}  # fmt: skip


def list_templates(columns: str) -> list[str]:
    """Those that can ask it: a conversation takes ``chat``."""
    is_dialogue = isinstance(parse_row(AS_COLUMNS[columns][0], "row 1"), Dialogue)
    return ["chat"] if is_dialogue else ["kot", "chat"]


@pytest.mark.parametrize(
    ("columns", "template"), [(each, name) for each in AS_COLUMNS for name in list_templates(each)]
)
def test_ids_and_labels_are_those_of_sft(columns, template, base):
    """Of both replies: as rows of a question and its answer are encoded."""
    pair, *alone = AS_COLUMNS[columns]
    rows = [parse_row(each, "row 1") for each in (pair, *alone)]
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = CHATML
    shown = load_template(template)
    (found,) = encode_items(Encoder(shown, prefer("dpo"), tokenizer), rows[:1], source="x")
    expected = encode_rows(Encoder(shown, section(), tokenizer), rows[1:], source="x")
    assert [found.chosen, found.rejected] == expected
    assert parse_row(json.loads(rows[0].model_dump_json()), "row 1") == rows[0]


def test_an_answer_in_the_question_is_no_label(base):
    pair = AS_COLUMNS["messages"][0]
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = CHATML
    row = parse_row(pair, "row 1")
    encoder = Encoder(load_template("chat"), prefer("dpo"), tokenizer)
    (found,) = encode_items(encoder, [row], source="x")
    said = tokenizer.decode([found.chosen.ids[i] for i in found.chosen.label_positions])
    assert "7입니다." in said
    assert "안녕하세요" not in said


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"chosen": "7", "rejected": "8"}, "`chosen` and `rejected` without a `prompt`"),
        ({"chosen": TURNS[:2], "rejected": [BEFORE[0], BEFORE[1]]}, "begin with other turns"),
        ({"prompt": "?", "chosen": "7"}, "the columns prompt, chosen"),
    ],
)
def test_pair_that_is_none_is_refused_by_its_row(values, found):
    with pytest.raises(DataError, match=f"^x row 3 has .*{found}"):
        parse_row(values, "x row 3")


# --- losses ------------------------------------------------------------------------------------


def to_pairs(batch: Sequence[Encoded]) -> list[Pair]:
    return [Pair(*each) for each in zip(batch[::2], batch[1::2], strict=True)]


def log_likelihood(model: nn.Module, item: Encoded) -> Tensor:
    """Log-probabilities of an example's labels, in plain transformers."""
    ids = torch.tensor([item.ids])
    at = torch.tensor(item.label_positions)
    logprobs = model(input_ids=ids).logits[0].float().log_softmax(-1)
    return logprobs[at - 1].gather(1, ids[0, at, None])[:, 0]


def dpo_loss(model: nn.Module, reference: nn.Module, pairs: Sequence[Pair], beta: float) -> Tensor:
    losses = []
    for pair in pairs:
        ratios = []
        for item in (pair.chosen, pair.rejected):
            with torch.no_grad():
                before = log_likelihood(reference, item).sum()
            ratios.append(log_likelihood(model, item).sum() - before)
        losses.append(-F.logsigmoid(beta * (ratios[0] - ratios[1])))
    return torch.stack(losses).mean()


def orpo_loss(model: nn.Module, pairs: Sequence[Pair], weight: float) -> Tensor:
    losses = []
    for pair in pairs:
        means = [log_likelihood(model, item).mean() for item in (pair.chosen, pair.rejected)]
        odds = [mean.exp() / (1 - mean.exp()) for mean in means]
        losses.append(-means[0] - weight * F.logsigmoid((odds[0] / odds[1]).log()))
    return torch.stack(losses).mean()


def with_reference(model: nn.Module, pair: Pair) -> Pair:
    with torch.no_grad():
        read = [log_likelihood(model, half).sum().item() for half in (pair.chosen, pair.rejected)]
    return Pair(pair.chosen, pair.rejected, (read[0], read[1]))


def shift(model: nn.Module) -> nn.Module:
    """A copy that is no longer the reference."""
    moved = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return moved


def step(model: nn.Module, pairs: Sequence[Pair], how: TrainSection) -> Tensor:
    accept_packs(model, how)
    packs = pack_batch(pairs, how.max_tokens_per_pass, how.loss_weighting)
    losses = [model(pack)[0] for pack in packs]
    torch.stack(losses).sum().backward()
    return torch.stack(losses).sum().detach()


def assert_same_gradient(model: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        if b.grad is not None:
            assert (a.grad - b.grad).norm() <= 1e-5 * b.grad.norm() + 1e-9, name


@pytest.mark.one_in(5)
@pytest.mark.parametrize("max_tokens", [1, 256])
@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_loss_and_gradient_are_those_of_the_paper(any_model, batch, objective, max_tokens):
    """Against one example after another in plain transformers; also where a model takes no packs.

    A pack's attention is looked at before it is trusted; here it is transformers' own mask.
    """
    how = prefer(objective, beta=0.3, max_tokens_per_pass=max_tokens)
    found, plain = shift(any_model), shift(any_model)
    pairs = to_pairs(batch)
    if objective == "dpo":
        expected = dpo_loss(plain, any_model, pairs, 0.3)
        pairs = [with_reference(any_model, pair) for pair in pairs]
    else:
        expected = orpo_loss(plain, pairs, 0.3)
    expected.backward()
    assert step(found, pairs, how).item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradient(found, plain)


def test_odds_ratio_of_a_certain_reply_is_finite():
    from kot_platypus.train.preferences import _log1mexp

    x = torch.tensor([0.0, -1e-9, -0.6931, -0.6932, -60.0], requires_grad=True)
    found = _log1mexp(x)
    found.sum().backward()
    assert found.isfinite().all()
    assert x.grad.isfinite().all()
    assert found[2:].tolist() == pytest.approx([math.log1p(-math.exp(v)) for v in x[2:].tolist()])


def test_rows_of_new_tokens_count_and_are_trained(base):
    """Also on the output layer, whose matrix they are put into."""
    how = prefer("orpo", new_tokens=["<think>"])
    held: dict[str, Any] = {"dtype": "float32", "device": "cpu", "added": [4000]}
    ours, plain = (load_trainable(base, how, **held)[0] for _ in range(2))
    for model in (ours, plain):
        generator = torch.Generator().manual_seed(3)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    ids = (5, 4000, 9, 4000, 11, 6)
    pairs = [Pair(Encoded(ids, 2), Encoded((*ids[:3], 7, 4000), 3))]
    expected = orpo_loss(plain, pairs, 0.1)
    expected.backward()
    assert step(ours, pairs, how).item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradient(ours, plain)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_loss_and_gradient_are_trls(base, batch, tmp_path):
    """Of TRL's own trainer, which is given our ids."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    reference = load_model(base, dtype="float32", device="cpu")
    theirs, ours = shift(reference), shift(reference)
    pairs = []
    for one, other in zip(batch[::2], batch[1::2], strict=True):
        prompt = one.ids[: one.prompt_len]  # TRL's pairs have one
        rejected = Encoded((*prompt, *other.ids[other.prompt_len :]), one.prompt_len)
        pairs.append(with_reference(reference, Pair(one, rejected)))
    rows = [
        {
            "prompt_ids": list(pair.chosen.ids[: pair.chosen.prompt_len]),
            "chosen_ids": list(pair.chosen.ids[pair.chosen.prompt_len :]),
            "rejected_ids": list(pair.rejected.ids[pair.chosen.prompt_len :]),
        }
        for pair in pairs
    ]
    options = {"use_cpu": True, "bf16": False, "disable_dropout": False, "report_to": "none"}

    class Trainer(trl.DPOTrainer):
        def _prepare_dataset(self, dataset, *_: object) -> object:
            return dataset  # or it would tokenise

    trainer = Trainer(
        theirs,
        copy.deepcopy(reference),
        trl.DPOConfig(str(tmp_path), beta=0.3, **options),
        processing_class=load_tokenizer(base),
        train_dataset=Dataset.from_list(rows),
    )
    loss = trainer.compute_loss(theirs.eval(), trainer.data_collator(rows))
    loss.backward()
    found = step(ours.eval(), pairs, prefer("dpo", beta=0.3))
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    assert_same_gradient(ours, theirs)


def test_odds_ratio_is_trls(monkeypatch):
    pytest.importorskip("trl")
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOTrainer

    from kot_platypus.train.preferences import _log1mexp

    means = -torch.rand(8, generator=torch.Generator().manual_seed(1)) * 4
    trainer = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device="cpu"))
    losses, *_ = ORPOTrainer.odds_ratio_loss(trainer, means[::2], means[1::2])
    odds = means - _log1mexp(means)
    ours = 0.3 * F.logsigmoid(odds[::2] - odds[1::2])
    assert ours.tolist() == pytest.approx(losses.tolist(), rel=1e-5)


# --- trainings ---------------------------------------------------------------------------------

TRAIN = """
import sys
from pathlib import Path
from tests.train.test_preferences import MODEL, prefer
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded, Pair
objective, *paths = sys.argv[1:]
train_adapter(*map(Path, paths), prefer(objective, num_epochs=4, validation=0.25), MODEL)
"""


class KeepReference(TrainerCallback):
    """Keeps what lies beside the checkpoints, which go when a training is done."""

    found: list[list[float]]

    def on_train_begin(self, args, state, control, **_: object) -> None:
        self.found = read_json(Path(args.output_dir) / "reference.json")


@pytest.mark.parametrize(
    ("objective", "sign"),
    [
        ("dpo", "reference.json"),
        ("dpo", "checkpoint-2/sealed.json"),
        ("orpo", "checkpoint-2/sealed.json"),
    ],
)
@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_result(pairs, base, tmp_path, objective, sign):
    whole, out = tmp_path / "whole", tmp_path / "out"
    how = prefer(objective, num_epochs=4, validation=0.25)
    train_adapter(pairs, base, whole, how, MODEL)
    command = [sys.executable, "-c", TRAIN, objective, *map(str, (pairs, base, out))]
    kill_when(lambda: (out / "checkpoints" / sign).exists(), command)
    assert not (out / "adapter").exists()
    train_adapter(pairs, base, out, how, MODEL)
    name = "adapter/adapter_model.safetensors"
    assert hash_file(out / name) == hash_file(whole / name)
    assert (out / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_interrupted_training_goes_on_to_the_same_result(pairs, base, tmp_path, objective):
    whole, out = tmp_path / "whole", tmp_path / "out"
    train_adapter(pairs, base, whole, prefer(objective), MODEL)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(pairs, base, out, prefer(objective), MODEL, callbacks=[StopAfter(3)])
    train_adapter(pairs, base, out, prefer(objective), MODEL)
    name = "adapter/adapter_model.safetensors"
    assert hash_file(out / name) == hash_file(whole / name)
    assert (out / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("model", [MODEL, HALF], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_training_prefers_what_is_chosen_and_its_log_says_so(
    pairs, base, tmp_path, objective, model
):
    train_adapter(pairs, base, tmp_path / "out", prefer(objective, validation=0.25), model)
    log = read_log(tmp_path / "out")
    if objective == "dpo":
        assert log[0]["loss"] == pytest.approx(math.log(2), rel=1e-5 if model is MODEL else 0.05)
        assert log[-1]["rewards/accuracies"] == 1
        assert log[-1]["rewards/margins"] > 0.1
    assert log[-1]["loss"] < log[0]["loss"]
    margins = [line["rewards/margins"] for line in log]
    assert len(set(margins)) == len(margins)
    facts = read_manifest(tmp_path / "out")
    assert (facts["num_examples"], facts["optimizer_steps"], len(log)) == (9, 4, 4)
    assert facts["config"]["objective"] == objective
    assert facts["validation"]["eval_rewards/accuracies"] == log[-1]["eval_rewards/accuracies"]
    assert 0 < facts["trained_tokens_seen"] < facts["tokens_seen"]


def test_reference_is_the_model_that_sft_left(pairs, base, tmp_path):
    """DPO on a merged model, whose result is merged and loaded in turn."""
    sft, merged, out = (tmp_path / name for name in ("sft", "merged", "dpo"))
    train_adapter(pairs, base, sft, section(learning_rate=2e-2), MODEL)
    merge_adapter(base, sft / "adapter", merged)

    keep = KeepReference()
    train_adapter(pairs, merged, out, prefer("dpo"), MODEL, callbacks=[keep])
    rows = read_jsonl(pairs, PairedExample)
    tokenizer = load_tokenizer(merged)
    model, before = (load_model(each, dtype="float32", device="cpu") for each in (merged, base))
    for half, place in (((lambda row: row), 0), ((lambda row: row.rejected), 1)):
        encoder = Encoder(KOT, section(), tokenizer)
        encoded = encode_rows(encoder, [half(row) for row in rows], source="x")
        with torch.no_grad():
            expected = [log_likelihood(model, item).sum().item() for item in encoded]
            others = [log_likelihood(before, item).sum().item() for item in encoded]
        found = [both[place] for both in keep.found]
        assert found == pytest.approx(expected, rel=1e-5)
        assert found != pytest.approx(others, rel=1e-3)
    merge_adapter(merged, out / "adapter", tmp_path / "preferred")
    assert load_model(tmp_path / "preferred", dtype="float32", device="cpu")


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"beta": 0.5}, "an objective of pairs"),
        ({"objective": "dpo", "loss_weighting": "token"}, "loss_weighting example"),
        ({"objective": "orpo", "target": "shuffled_rationale"}, "objective sft with target"),
        ({"objective": "dpo", "neftune_noise_alpha": 5}, "objective sft with `neftune"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, found):
    with pytest.raises(ValueError, match=found):
        TrainSection.model_validate(changes)


def test_rows_that_are_no_pairs_are_refused_by_number(base, tmp_path):
    rows: list[Row] = [*make_pairs(2), Example(source="3+4는?", target="7")]
    write_jsonl(tmp_path / "mixed.jsonl", rows)
    with pytest.raises(
        DataError, match=r"mixed\.jsonl, row 3 is no pair, which objective dpo takes"
    ):
        train_adapter(tmp_path / "mixed.jsonl", base, tmp_path / "out", prefer("dpo"), MODEL)


def test_equal_halves_are_dropped_and_counted(base, tmp_path, capsys):
    pair = make_pairs(5)
    same = PairedExample(**dict(pair[0]) | {"rejected": Example(**pair[0].model_dump())})
    write_jsonl(tmp_path / "pairs.jsonl", [*pair[1:], same])
    train_adapter(tmp_path / "pairs.jsonl", base, tmp_path / "out", prefer("dpo"), MODEL)
    assert "of 5 rows 1 dropped (nothing to learn)" in capsys.readouterr().err
    assert read_manifest(tmp_path / "out")["num_dropped"] == 1


def test_sft_on_pairs_learns_what_is_chosen_and_says_so(pairs, base, tmp_path, capsys):
    train_adapter(pairs, base, tmp_path / "pairs", section(), MODEL)
    assert "12 rows are pairs: what is chosen is learnt, and" in capsys.readouterr().err
    chosen = [Example(**row.model_dump()) for row in make_pairs(12)]
    write_jsonl(tmp_path / "rows.jsonl", chosen)
    train_adapter(tmp_path / "rows.jsonl", base, tmp_path / "rows", section(), MODEL)
    name = "adapter/adapter_model.safetensors"
    assert hash_file(tmp_path / "pairs" / name) == hash_file(tmp_path / "rows" / name)


def test_a_run_takes_rows(tmp_path):
    from kot_platypus.run import describe_plan

    with pytest.raises(RecipeError, match=r"kot run with train\.objective dpo"):
        describe_plan(load_recipe("demo", ["train.objective=dpo"]), tmp_path / "run")
