"""Tiny models of four families, and what rounding may change in them.

Their weights are far larger than fresh ones: attention then decides something, and a token that
sees what it must not changes scores by far more than rounding does.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

FAMILIES = ("llama", "gpt-neox", "gemma3", "mistral")
DTYPES = ("float32", "bfloat16", "float16")
VOCAB_SIZE = 512
WINDOW = 8
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHARED_HEADS = {"num_key_value_heads": 2, "head_dim": 32}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def make_model(family: str, **changes: Any) -> Any:
    """A model with the same random weights every time, in float32 on the CPU."""
    sizes = {**SIZES, **changes}
    torch.manual_seed(0)
    model: Any
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**sizes, **SHARED_HEADS))
    elif family == "mistral":
        model = MistralForCausalLM(MistralConfig(**sizes, **SHARED_HEADS, sliding_window=WINDOW))
    elif family == "gpt-neox":
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, use_parallel_residual=False))
    else:
        config = Gemma3TextConfig(
            **sizes,
            **SHARED_HEADS,
            sliding_window=WINDOW,
            layer_types=MIXED,
            query_pre_attn_scalar=32,
        )
        model = Gemma3ForCausalLM(config)
    return sharpen(model)


def sharpen(model: Any) -> Any:
    """``model`` with weights that give each its say: columns of length 1, or of 2 in the output."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5, generator=generator)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(2)
    return model.eval()


def place(model: Any, dtype: str, device: str) -> Any:
    """A copy where it is tested, in the dtype that is tested."""
    return copy.deepcopy(model).to(device=device, dtype=getattr(torch, dtype))


def make_exact(model: Any, dtype: str) -> Any:
    """The reference: a copy in float32 on the CPU, of the weights as ``dtype`` holds them.

    So what differs is arithmetic alone.
    """
    return copy.deepcopy(model).to(getattr(torch, dtype)).float()


def find_tolerance(dtype: str, logits: torch.Tensor) -> float:
    """Nats by which a log-probability may differ between two ways to compute such logits.

    One rounding moves a number by half of ``eps`` of it, and a logit is the end of some 20 of them
    in a row (7 a layer: norm, projections, attention, two sums); as if drawn they add up to
    sqrt(20), and the farthest of some thousand numbers lies 3 or 4 times as far: 8 ``eps`` of the
    range of the logits. In float32 the order of summation counts too: some 100 products a number.
    """
    scale = float(logits.float().abs().max())
    factor = 64 if dtype == "float32" else 8
    return factor * torch.finfo(getattr(torch, dtype)).eps * max(scale, 1.0)


def make_ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB_SIZE, (count,), generator=generator).tolist()


def read_logits(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits (T, V) in float32 on the CPU, by the model's own plain forward pass."""
    with torch.inference_mode():
        logits = model(torch.tensor([ids], device=model.device), use_cache=False).logits[0]
    return logits.float().cpu()
