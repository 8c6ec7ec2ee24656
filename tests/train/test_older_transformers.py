"""What training and merging write, read by transformers 4, as most tools still do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kot_platypus.artifacts import write_json, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.recipe import ModelSection, TrainSection
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.merge import merge_adapter

# Beside the PyTorch and all else that is installed here: a PyTorch of its own takes a minute.
PACKAGES = (
    "transformers==4.57.6",
    "peft==0.17.1",
    "huggingface_hub==0.36.0",
    "tokenizers==0.22.1",
)
TEXT = "바구니에 귤이 7개 있다. 귤은 모두 몇 개인가? " * 8
READ = """
import json, sys, torch, transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
assert transformers.__version__.startswith("4.57"), transformers.__version__
text, out, jobs = sys.argv[1:]
found = {}
for name, (base, adapter) in json.loads(jobs).items():
    ids = AutoTokenizer.from_pretrained(base)(text)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(base)
    model = PeftModel.from_pretrained(model, adapter) if adapter else model
    with torch.no_grad():
        found[name] = ids, model.eval()(torch.tensor([ids])).logits
torch.save(found, out)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),  # PEFT, of a table
]


@pytest.fixture(scope="module")
def older(request: pytest.FixtureRequest) -> Path:
    """A folder of transformers 4 and its company, made once and kept in pytest's cache."""
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir("transformers-4.57.6"))
    if (folder / "done").is_file():
        return folder
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*install, "--no-deps", "--upgrade", "--target", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"transformers 4 cannot be installed: {done.stderr[-200:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    (folder / "done").touch()
    return folder


@pytest.fixture(scope="module")
def base(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose config.json is as on the Hub: RoPE in the words of transformers 4."""
    folder = tmp_path_factory.mktemp("older") / "base"
    rope = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    config = LlamaConfig(
        vocab_size=4000,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rope_parameters={**rope, "rope_theta": 500000.0},
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    source = shared / "models" / "tiny-llama-ko"
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_json(folder / "tokenizer_config.json", settings)
    settings = json.loads((folder / "config.json").read_text())
    del settings["rope_parameters"], settings["dtype"]
    hub = {"rope_theta": 500000.0, "rope_scaling": rope, "torch_dtype": "float32"}
    write_json(folder / "config.json", {**settings, **hub, "transformers_version": "4.43.0"})
    (folder / "LICENSE").write_text("of the base")
    return folder


@pytest.fixture(scope="module")
def root(base: Path) -> Path:
    """All that a training of the base can end in."""
    root = base.parent
    write_jsonl(root / "train.jsonl", make_problems(8, 1, "train", ("change",)))
    model = ModelSection(device="cpu", dtype="float32")
    at = {"batch_size": 4, "learning_rate": 1e-2, "lora_r": 4, "lora_dropout": 0.0}
    embedding = ("embed_tokens", "q_proj")
    for name, changes in {
        "lora": {},
        "embedding": {"lora_target_modules": embedding},
        "full": {"method": "full", "learning_rate": 1e-3},
    }.items():
        section = TrainSection.model_validate({**at, **changes})
        train_adapter(root / "train.jsonl", base, root / name, section, model)
    merge_adapter(base, root / "lora" / "adapter", root / "by-file")
    merge_adapter(base, root / "embedding" / "adapter", root / "in-memory")
    return root


OUTPUTS = {
    "base": ("base", ""),
    "full": ("full/model", ""),
    "merged by file": ("by-file", ""),
    "merged in memory": ("in-memory", ""),
    "adapter": ("base", "lora/adapter"),
}


@pytest.fixture(scope="module")
def read(older: Path, root: Path) -> dict[str, tuple[list[int], torch.Tensor]]:
    """Of each output, the tokens of a text and their logits, by transformers 4."""
    jobs = {
        name: [str(root / folder), str(root / adapter) if adapter else ""]
        for name, (folder, adapter) in OUTPUTS.items()
    }
    out = root / "read.pt"
    command = [sys.executable, "-c", READ, TEXT, str(out), json.dumps(jobs)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(older)})
    found: dict[str, tuple[list[int], torch.Tensor]] = torch.load(out)
    return found


@pytest.mark.parametrize("name", OUTPUTS)
def test_transformers_4_reads_what_was_written_as_we_do(name, read, root):
    ids, logits = read[name]
    folder, adapter = OUTPUTS[name]
    assert ids == load_tokenizer(root / folder)(TEXT)["input_ids"]
    expected = load_logits(root / folder, ids, root / adapter if adapter else None)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    if name != "base":
        assert (expected - load_logits(root / "base", ids)).abs().max() > 0.05


def load_logits(folder: Path, ids: list[int], adapter: Path | None = None) -> torch.Tensor:
    model = load_model(folder, dtype="float32", device="cpu", adapter=adapter)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits


@pytest.mark.parametrize("folder", ["full/model", "by-file", "in-memory"])
def test_files_of_the_base_stay_as_they_were(folder, root):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "LICENSE"):
        assert (root / folder / name).read_bytes() == (root / "base" / name).read_bytes()
