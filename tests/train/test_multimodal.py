"""Multimodal models: text alone, the whole model loaded, its language part trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForImageTextToText

from kot_platypus.errors import ModelError
from kot_platypus.models import has_chat_template, load_model, load_tokenizer
from kot_platypus.prompts import load_template, render_question
from kot_platypus.publication.plan import plan_folder
from kot_platypus.recipe import ModelSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.items import Encoded
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.methods import load_trainable
from kot_platypus.train.packing import pack_batch

from ..multimodal import KINDS, make_multimodal
from .conftest import StopAfter, section, write_problems
from .test_parallel import LAUNCH

MODEL = ModelSection(device="cpu", dtype="float32")
SOME = ("gemma3", "qwen2_vl", "llama4", "idefics3")
_OF_TEXT = re.compile(r"(language_model|text_model)\.")
_SEEN = re.compile(r"vis|projector|connector")
_ONE_BY_ONE = {"qwen3_5"}  # linear attention: no pack keeps examples apart


def make_examples() -> list[Encoded]:
    draw = torch.Generator().manual_seed(0)
    lengths = ((30, 8), (75, 20), (11, 4), (52, 30))
    ids = [torch.randint(5, 3900, (n,), generator=draw).tolist() for n, _ in lengths]
    return [Encoded(tuple(i), p) for i, (_, p) in zip(ids, lengths, strict=True)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def plain_gradients(folder: Path, dtype: torch.dtype, adapter: Path) -> dict[str, torch.Tensor]:
    """Transformers' and PEFT's own, one example at a time."""
    plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)
    model = PeftModel.from_pretrained(plain, adapter, is_trainable=True).train()
    for example in make_examples():
        ids = torch.tensor([example.ids])
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        start = example.prompt_len
        loss = F.cross_entropy(logits[start - 1 : -1], ids[0, start:])
        (loss / 4).backward()
    return {n: p.grad.float() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_packs_have_the_gradients_of_a_plain_loop_of_the_published_class(
    kind, dtype, base, tmp_path
):
    folder = make_multimodal(kind, tmp_path / kind, base)
    name = str(dtype).removeprefix("torch.")
    trained, max_tokens = load_trainable(folder, section(), dtype=name, device="cpu")
    assert max_tokens == (1 if kind in _ONE_BY_ONE else 256)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(0, 0.02)
    trained.save_pretrained(tmp_path / "adapter")
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        for pack in pack_batch(make_examples(), max_tokens, "example"):
            trained.train()(pack).backward()
        usual = plain_gradients(folder, dtype, tmp_path / "adapter")
    expected = plain_gradients(folder, torch.float32, tmp_path / "adapter")
    found = {n: p.grad for n, p in trained.named_parameters() if p.requires_grad}
    assert found.keys() == expected.keys()
    assert all(_OF_TEXT.search(name) for name in found)
    # In bfloat16 these random models round a lot, and a router may turn the other way at a tie: the
    # plain loop's distance is the measure.
    assert find_distance(found, expected) < 2 * find_distance(usual, expected) + 1e-5


def find_distance(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Of all gradients as one vector, as a share of its length."""
    one, other = (torch.cat([each[n].flatten() for n in expected]) for each in (found, expected))
    return float((one - other).norm() / other.norm())


# --- what is written ---------------------------------------------------------------------------


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def list_changed(before: Path, after: Path) -> list[str]:
    old, new = read_weights(before), read_weights(after)
    assert old.keys() == new.keys()
    assert all(old[name].dtype == new[name].dtype for name in old)
    return [name for name in old if not torch.equal(old[name], new[name])]


@torch.no_grad()
def compute_logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(input_ids=torch.tensor([make_examples()[1].ids])).logits


@pytest.mark.one_in(3)
@pytest.mark.parametrize("method", ["lora", "dora"])
@pytest.mark.parametrize("kind", SOME)
def test_merged_is_the_published_class_with_the_same_eyes(kind, method, few, base, tmp_path):
    folder = make_multimodal(kind, tmp_path / kind, base)
    train_adapter(few, folder, tmp_path / "x", section(method=method), MODEL)
    merge_adapter(folder, tmp_path / "x" / "adapter", tmp_path / "merged")
    changed = list_changed(folder, tmp_path / "merged")
    assert len(changed) == 14
    assert not list(filter(_SEEN.search, changed))
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        assert (tmp_path / "merged" / file).read_bytes() == (folder / file).read_bytes()
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    plain = AutoModelForImageTextToText.from_pretrained(folder)
    adapted = PeftModel.from_pretrained(plain, tmp_path / "x" / "adapter")
    torch.testing.assert_close(compute_logits(merged), compute_logits(adapted), atol=1e-4, rtol=0)
    here = load_model(tmp_path / "merged", dtype="float32", device="cpu")
    assert torch.equal(compute_logits(here), compute_logits(merged))


def test_files_with_the_names_of_today_are_merged_too(few, base, tmp_path):
    folder = make_multimodal("gemma3", tmp_path / "base", base)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    model.save_pretrained(folder, save_original_format=False)
    assert "model.language_model.norm.weight" in read_weights(folder)
    train_adapter(few, folder, tmp_path / "x", section(), MODEL)
    merge_adapter(folder, tmp_path / "x" / "adapter", tmp_path / "merged")
    assert len(list_changed(folder, tmp_path / "merged")) == 14


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", ["gemma3", "qwen2_vl", "qwen3_5"])
def test_trained_in_full_the_eyes_stay_byte_for_byte(kind, few, base, tmp_path):
    folder = make_multimodal(kind, tmp_path / kind, base)
    settings = section(method="full", gradient_checkpointing=True, validation=0.25)
    in_half = ModelSection(device="cpu", dtype="bfloat16")
    train_adapter(few, folder, tmp_path / "x", settings, in_half)
    changed = list_changed(folder, tmp_path / "x" / "model")
    assert len(changed) > 14
    assert not list(filter(_SEEN.search, changed))
    AutoModelForImageTextToText.from_pretrained(tmp_path / "x" / "model")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_and_taken_up_it_is_the_same(method, few, base, tmp_path):
    folder = make_multimodal("gemma3", tmp_path / "base", base)
    settings = section(method=method, save_steps=1, num_epochs=2)
    train_adapter(few, folder, tmp_path / "whole", settings, MODEL)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, folder, tmp_path / "x", settings, MODEL, callbacks=[StopAfter(3)])
    train_adapter(few, folder, tmp_path / "x", settings, MODEL)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "x")]
    assert logs[0] == logs[1]


# --- what is asked for -------------------------------------------------------------------------


def test_layers_of_text_are_named_by_their_ends(base, tmp_path):
    folder = make_multimodal("gemma3", tmp_path / "base", base)
    here = {"dtype": "float32", "device": "cpu"}
    settings = section(lora_target_modules=["q_proj", "mlp.down_proj"])
    model, _ = load_trainable(folder, settings, **here)
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 4
    assert not list(filter(_SEEN.search, adapted))
    for name in ("fc1", "vision_tower.encoder.layers.0.self_attn.q_proj"):
        with pytest.raises(ModelError, match=rf"{name}, which the language part of Gemma3.* not"):
            load_trainable(folder, section(lora_target_modules=["q_proj", name]), **here)


def test_one_line_says_what_is_not_trained(base, tmp_path, capsys):
    folder = make_multimodal("gemma3", tmp_path / "base", base)
    load_trainable(folder, section(), dtype="float32", device="cpu")
    said = "Only the language part of Gemma3ForConditionalGeneration is trained, not"
    printed = " ".join(capsys.readouterr().err.split())
    assert f"{said} model.vision_tower nor model.multi_modal_projector" in printed


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method"), [("gemma3", "lora"), ("qwen2_vl", "full")])
def test_two_processes_train_as_one(kind, method, base, tmp_path):
    write_problems(tmp_path, 16)
    folder = make_multimodal(kind, tmp_path / kind, base)
    settings = {"model.name": folder, "model.device": "cpu", "model.dtype": "float32"}
    settings |= {"train.method": method, "train.batch_size": 4, "train.max_tokens_per_pass": 100}
    options = [f"--set={key}={value}" for key, value in settings.items()]
    for start, name in ([[*LAUNCH, "2"], "two"], [[LAUNCH[0]], "one"]):
        command = [*start, "-m", "kot_platypus", "train", "demo", *options]
        command += [f"--data={tmp_path / 'train.jsonl'}", f"--out={tmp_path / name}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, timeout=240, env=environment, capture_output=True)
    logs = ((tmp_path / name / "log.jsonl").read_text() for name in ("one", "two"))
    one, two = ([json.loads(line)["loss"] for line in log.splitlines()] for log in logs)
    assert len(one) >= 4
    assert one == pytest.approx(two, abs=1e-4)


# --- chat templates ----------------------------------------------------------------------------

PARTS_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    " {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA's, in short: a text that is no list of parts is lost."""


def make_with_template(folder: Path, base: Path) -> Path:
    make_multimodal("llava", folder, base)
    values = {"chat_template": PARTS_TEMPLATE}
    (folder / "chat_template.json").write_text(json.dumps(values))
    return folder


def test_template_of_the_processor_is_read_and_shows_the_text(base, tmp_path):
    folder = make_with_template(tmp_path / "base", base)
    assert has_chat_template(folder)
    template = load_template("chat")
    text = render_question(template, load_tokenizer(folder), "3 더하기 4는?")
    assert text == "USER: 3 더하기 4는? ASSISTANT:"


def test_template_of_parts_is_learnt_and_served(few, base, tmp_path):
    folder = make_with_template(tmp_path / "base", base)
    train_adapter(few, folder, tmp_path / "x", section(template="chat"), MODEL)
    merge_adapter(folder, tmp_path / "x" / "adapter", tmp_path / "merged")
    kept = (tmp_path / "merged" / "chat_template.json").read_bytes()
    assert kept == (folder / "chat_template.json").read_bytes()
    assert "USER: {{ .Prompt }}" in (tmp_path / "merged" / "Modelfile").read_text()


def test_template_of_the_training_takes_the_place_of_the_processors(few, base, tmp_path):
    folder = make_with_template(tmp_path / "base", base)
    train_adapter(few, folder, tmp_path / "x", section(), MODEL)
    merge_adapter(folder, tmp_path / "x" / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged" / "chat_template.json").exists()
    assert (tmp_path / "merged" / "chat_template.jinja").is_file()


def test_processor_goes_up_and_the_card_names_the_class(few, base, tmp_path):
    folder = make_multimodal("qwen2_vl", tmp_path / "base", base)
    train_adapter(few, folder, tmp_path / "x", section(), MODEL)
    merge_adapter(folder, tmp_path / "x" / "adapter", tmp_path / "merged")
    plan = plan_folder(tmp_path / "merged", "me/model")
    assert "preprocessor_config.json" in {each.destination for each in plan.uploads}
    assert "model = AutoModelForImageTextToText.from_pretrained(name)" in plan.card
