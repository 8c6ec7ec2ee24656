"""A trained model stops where its training did, in ``generate`` and servers that know no KoT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from kot_platypus.artifacts import write_json
from kot_platypus.models import TRAINING_INFO, load_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.serving import MODELFILE, prepare_serving

from . import chat_templates

ROWS = [
    {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
    for q, a in (("3+4는?", "7입니다."), ("2+4는?", "6입니다."), ("4+4는?", "8입니다."))
]


@pytest.fixture(scope="module")
def base(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose tokenizer ends a text with </s>, and whose template ends a turn with another."""
    folder = tmp_path_factory.mktemp("ends") / "base"
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = chat_templates.CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    rows = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder.parent / "rows.jsonl").write_text(rows)
    return folder


@pytest.fixture(scope="module")
def trained(base: Path) -> Path:
    """All weights trained on short dialogues until they are known by heart."""
    section = TrainSection(
        method="full", template="chat", batch_size=3, num_epochs=40, learning_rate=5e-3
    )
    model = ModelSection(device="cpu", dtype="float32")
    train_adapter(base.parent / "rows.jsonl", base, base.parent / "full", section, model)
    return base.parent / "full" / "model"


def generate(folder: Path) -> str:
    """What plain transformers makes of the first question."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        ROWS[0]["messages"][:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    output = model.generate(**ids, max_new_tokens=40, do_sample=False)
    return tokenizer.decode(output[0, ids["input_ids"].shape[1] :])


def test_plain_generate_stops_where_a_turn_ends(base, trained, tmp_path):
    assert generate(trained) == "7입니다.<|im_end|>"
    tokenizer = AutoTokenizer.from_pretrained(trained)
    ends = json.loads((trained / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id]
    # Without, it goes on: the test can fail.
    shutil.copytree(trained, tmp_path / "without")
    shutil.copyfile(base / "generation_config.json", tmp_path / "without/generation_config.json")
    assert len(generate(tmp_path / "without")) > len("7입니다.<|im_end|>")


def test_a_merged_model_lists_the_end_of_a_turn_too_and_keeps_its_other_settings(base, tmp_path):
    own = tmp_path / "base"
    shutil.copytree(base, own)
    write_json(own / "generation_config.json", {"eos_token_id": 2, "temperature": 0.6})
    section = TrainSection(template="chat", batch_size=3, lora_r=4)
    model = ModelSection(device="cpu", dtype="float32")
    train_adapter(base.parent / "rows.jsonl", own, tmp_path / "lora", section, model)
    merge_adapter(own, tmp_path / "lora" / "adapter", tmp_path / "merged")
    found = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    end = AutoTokenizer.from_pretrained(own).convert_tokens_to_ids("<|im_end|>")
    assert found == {"eos_token_id": [end, 2], "temperature": 0.6}


def test_modelfile_of_a_chat_has_its_prompt_and_stops(trained):
    content = (trained / MODELFILE).read_text()
    prompt = "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n"
    assert f'TEMPLATE """{prompt}"""' in content
    assert 'PARAMETER stop "<|im_end|>"\n' in content
    assert 'PARAMETER stop "</s>"\n' in content


def test_a_template_that_is_no_chat_changes_nothing(base, tmp_path):
    shutil.copytree(base, tmp_path / "kot")
    before = (tmp_path / "kot" / "generation_config.json").read_bytes()
    info = {"template": load_template("kot").model_dump()}
    write_json(tmp_path / "kot" / TRAINING_INFO, info)
    prepare_serving(tmp_path / "kot")
    assert (tmp_path / "kot" / "generation_config.json").read_bytes() == before
    assert "PARAMETER stop" not in (tmp_path / "kot" / MODELFILE).read_text()


def test_a_base_without_generation_settings_gets_those_of_its_config(base, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "bare")
    (tmp_path / "bare" / "generation_config.json").unlink()
    prepare_serving(tmp_path / "bare")
    found = json.loads((tmp_path / "bare" / "generation_config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert found["bos_token_id"] == tokenizer.bos_token_id
    assert found["eos_token_id"][1] == tokenizer.eos_token_id
