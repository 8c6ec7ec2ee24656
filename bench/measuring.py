"""What the benchmarks share: processes of their own, their memory, the machine, random Llamas."""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

VOCAB_SIZE = 46_336
# Llama shapes by name: layers, hidden size, MLP size, heads. "7b" is Llama-2-Ko's.
SHAPES = {
    "llama-tiny": (2, 64, 128, 4),
    "llama": (10, 768, 2048, 12),
    "llama-1b": (16, 2048, 8192, 32),
    "llama-7b": (32, 4096, 11008, 32),
}


def make_llama(name: str, *, dtype: str, device: str, max_length: int) -> Any:
    """A Llama of that shape with random weights, the same ones every time."""
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, hidden, mlp, heads = SHAPES[name]
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_attention_heads=heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=name != "llama-7b",
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(getattr(torch, dtype))
        model = LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
    return model


def run_child(script: str, options: argparse.Namespace, **changes: Any) -> Any:
    """What ``script --child OPTIONS`` prints as its last line, in a process of its own."""
    values = {**vars(options), **changes}
    values = {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
    command = [sys.executable, script, "--child", json.dumps(values)]
    child = subprocess.run(command, check=False, capture_output=True)
    if child.returncode:
        sys.exit(child.stderr.decode())
    return json.loads(child.stdout.splitlines()[-1])


def read_peak_gib(device: str) -> float:
    """The most memory this process has held: on a GPU PyTorch's, else the resident set."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def describe_machine() -> str:
    threads = f"{torch.get_num_threads()} threads"
    return f"{describe_processor()}, {threads}, torch {torch.__version__}"


def describe_processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
