"""What does not fit a model's tables is said before training, in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    RobertaConfig,
)
from typer.testing import CliRunner

from kot_platypus.artifacts import write_jsonl
from kot_platypus.cli import app
from kot_platypus.data.problems import make_problems
from kot_platypus.models import build_empty_model, load_tokenizer
from kot_platypus.models.limits import find_learnt_positions

ROWS = 6
LLAMA = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", make_problems(ROWS, 1, "train", ("change",)))
    return tmp_path / "rows.jsonl"


def save(model: torch.nn.Module, shared: Path, folder: Path) -> Path:
    model.save_pretrained(folder)
    for file in (shared / "models" / "tiny-llama-ko").glob("tokenizer*"):
        shutil.copyfile(file, folder / file.name)
    return folder


def train(base: Path, data: Path, *more: str) -> tuple[int, str]:
    options = ["--data", str(data), "--set", f"model.name={base}", "--set", "model.dtype=float32"]
    options += ["--set", "model.device=cpu", "--set", "train.template=kot"]
    result = CliRunner().invoke(app, ["train", "demo", *options, *more])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


WAYS = {
    "preview": ("--preview",),
    "dry run": ("--dry-run", "--no-measure"),
    "training": ("--out", "OUT"),
}


@pytest.mark.parametrize("way", WAYS)
def test_tokens_without_a_row_are_refused(way, shared, data, tmp_path):
    torch.manual_seed(0)
    size = len(load_tokenizer(shared / "models" / "tiny-llama-ko")) - 3000
    model = LlamaForCausalLM(LlamaConfig(vocab_size=size, num_attention_heads=2, **LLAMA))
    base = save(model, shared, tmp_path / "small")
    options = [str(tmp_path / "out") if word == "OUT" else word for word in WAYS[way]]
    code, text = train(base, data, *options)
    assert code == 1
    assert f"the tokenizer has {size + 3000:,} tokens and the model {size:,} rows" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", WAYS)
def test_rows_beyond_learnt_positions_are_refused(way, shared, data, tmp_path):
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=4000, n_embd=32, n_layer=1, n_head=2, n_positions=32)
    )
    base = save(model, shared, tmp_path / "gpt2")
    options = [str(tmp_path / "out") if word == "OUT" else word for word in WAYS[way]]
    code, text = train(base, data, *options)
    assert code == 1
    assert "of 32 positions" in text
    assert "Set train.cutoff_len=32." in text


def test_which_models_have_a_table_of_positions():
    opt = OPTConfig(vocab_size=50, max_position_embeddings=32, num_hidden_layers=1)
    gpt2 = GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2, n_positions=48)
    roberta = RobertaConfig(
        vocab_size=50, max_position_embeddings=34, num_hidden_layers=1, is_decoder=True
    )
    llama = LlamaConfig(vocab_size=64, max_position_embeddings=64, num_attention_heads=2, **LLAMA)
    found = [
        find_learnt_positions(build_empty_model({**config.to_dict()}))
        for config in (opt, gpt2, roberta, llama)
    ]
    assert found == [32, 48, 32, None]


@pytest.mark.parametrize("way", ["dry run", "training"])
@pytest.mark.parametrize("module", ["lm_head", "embed_tokens"])
def test_lora_on_tied_embeddings_is_refused_before_training(way, module, shared, data, tmp_path):
    config = LlamaConfig(vocab_size=4000, num_attention_heads=2, tie_word_embeddings=True, **LLAMA)
    base = save(LlamaForCausalLM(config), shared, tmp_path / "tied")
    options = [str(tmp_path / "out") if word == "OUT" else word for word in WAYS[way]]
    modules = json.dumps([module, "q_proj"])
    code, text = train(base, data, *options, "--set", f"train.lora_target_modules={modules}")
    assert code == 1
    assert "on embeddings that LlamaForCausalLM keeps as one" in text


def test_dry_run_counts_a_pass_an_example_for_what_cannot_be_packed(shared, data, tmp_path):
    from transformers import BloomConfig, BloomForCausalLM

    torch.manual_seed(0)
    config = BloomConfig(vocab_size=4000, hidden_size=32, n_layer=2, n_head=2)
    base = save(BloomForCausalLM(config), shared, tmp_path / "bloom")
    batch = ("--set", f"train.batch_size={ROWS}", "--set", "train.num_epochs=1")
    modules = ("--set", 'train.lora_target_modules=["query_key_value"]')
    code, text = train(base, data, "--dry-run", *batch, *modules)
    assert code == 0, text
    assert f"packs (passes) {ROWS} {ROWS}.0 a step, of one example" in text


def test_dry_run_says_in_one_line_what_it_cannot_measure(shared, data, tmp_path):
    """Which of its layers are recurrent follows from several values of the config."""
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    sizes = {**LLAMA, "num_hidden_layers": 3, "lru_width": 32, "head_dim": 16}
    config = RecurrentGemmaConfig(vocab_size=4000, num_attention_heads=2, **sizes)
    base = save(RecurrentGemmaForCausalLM(config), shared, tmp_path / "recurrent")
    code, text = train(base, data, "--dry-run")
    assert code == 1
    assert "RecurrentGemmaForCausalLM cannot be counted without its weights" in text
    assert train(base, data, "--dry-run", "--no-measure")[0] == 0
