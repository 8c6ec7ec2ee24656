"""What the look at packed examples says of families and dtypes: the table of decision 0019.

    python bench/self_checks_training.py [--family NAME] [--std 0.1]

Each cell is how far states move relative to a true mix, when neighbours change and when the order
does, by transformers' masks; then the verdict, and ours where our own attention was taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kot_platypus.models import find_model, load_model
from kot_platypus.train.attention import PACKED
from kot_platypus.train.isolation import isolate_examples, measure_movement

DTYPES = ("float32", "bfloat16", "float16")
SIZES = {
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,  # 4 bits hold blocks of 64
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
}
GPT = {"vocab_size": 1000, "n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 400}
WINDOW = ["sliding_attention", "full_attention"] * 2
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [8.0] * 8,
    "original_max_position_embeddings": 350,
    "factor": 4.0,
}
SOUND: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "llama+left-over window": {**SIZES, "sliding_window": 64},
    "mistral": {**SIZES, "sliding_window": 64},
    "qwen2": SIZES,
    "qwen3": SIZES,
    "gemma": SIZES,
    "gemma2": {**SIZES, "sliding_window": 64, "layer_types": WINDOW},
    "gemma3_text": {**SIZES, "sliding_window": 64, "layer_types": WINDOW},
    "phi3": SIZES,
    "gpt_neox": SIZES,
    "gpt2": GPT,
    "gptj": {**GPT, "rotary_dim": 8},
    "gpt_neo": {
        "vocab_size": 1000,
        "hidden_size": 64,
        "num_layers": 4,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 64,
        "max_position_embeddings": 400,
    },
    "opt": {
        **SIZES,
        "ffn_dim": 96,
        "word_embed_proj_dim": 64,
        "max_position_embeddings": 400,
    },
    "exaone4": {**SIZES, "sliding_window": 64, "layer_types": WINDOW},
    "cohere": SIZES,
    "olmo2": SIZES,
    "granite": SIZES,
    "smollm3": SIZES,
    "mixtral": {**SIZES, "num_local_experts": 8},
    "qwen3_moe": {**SIZES, "num_experts": 16, "moe_intermediate_size": 32},
    "olmoe": {**SIZES, "num_experts": 16},
    "llama4_text": {
        **SIZES,
        "intermediate_size_mlp": 96,
        "num_local_experts": 4,
        "attention_chunk_size": 64,
    },
}
UNSOUND: dict[str, dict[str, Any]] = {
    "bloom": {"vocab_size": 1000, "hidden_size": 64, "n_layer": 4, "n_head": 4},
    "falcon": {k: v for k, v in SIZES.items() if k != "head_dim"} | {"alibi": True},
    "mpt": {"vocab_size": 1000, "d_model": 64, "n_layers": 4, "n_heads": 4},
    "mamba": {k: SIZES[k] for k in ("vocab_size", "hidden_size", "num_hidden_layers")},
    "lfm2": {**SIZES, "layer_types": ["conv", "full_attention"] * 2},
    "jamba": {**SIZES, "use_mamba_kernels": False, "num_experts": 2},
    "recurrent_gemma": {**SIZES, "lru_width": 64, "attention_window_size": 64},
    "gpt_oss": {**SIZES, "num_local_experts": 4, "sliding_window": 64, "layer_types": WINDOW},
    "phi3+longrope": {
        **SIZES,
        "rope_parameters": LONGROPE,
        "original_max_position_embeddings": 350,
        "max_position_embeddings": 1400,
    },
}


def make_model(name: str, std: float) -> Any:
    """A random model of a family; ``std`` as far from nothing as trained weights are."""
    torch.manual_seed(0)
    values = {**SOUND, **UNSOUND}[name]
    kind = name.partition("+")[0]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **values), dtype=torch.float32
    ).eval()
    if std:
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=std)
    return model


def make_models(name: str, std: float) -> Iterator[tuple[str, Any]]:
    """The model in each dtype; the embedded model in 4 bits too."""
    for dtype in DTYPES:
        if name == "gemma-3-270m":
            folder = find_model(name)
            assert folder is not None
            yield dtype, load_model(folder, dtype=dtype, device="cpu")
        else:
            yield dtype, make_model(name, std).to(getattr(torch, dtype))
    if name in ("gemma-3-270m", "llama", "qwen3"):
        import tempfile

        with tempfile.TemporaryDirectory() as part:
            folder = find_model(name) if name == "gemma-3-270m" else Path(part)
            assert folder is not None
            if name != "gemma-3-270m":
                make_model(name, std).save_pretrained(part)
            for dtype in DTYPES:
                found = load_model(folder, dtype=dtype, device="cpu", in_4_bits=True)
                yield f"4 bits, {dtype}", found


def describe(model: Any) -> str:
    """One cell."""
    found = measure_movement(model, 1300)
    ratio = "takes none" if found is None else "not finite"
    if found is not None and found.is_finite:
        ratio = f"{found.leak:.2g} {found.shift:.2g} {found.mix:.2g}"
    try:
        taken = isolate_examples(model, 1300)
    except Exception as error:
        return f"{ratio} {str(error)[:30]}"
    ours = model.config.get_text_config()._attn_implementation == PACKED
    own = measure_movement(model, 1300) if ours else None
    more = "" if own is None else f", ours {own.leak:.2g} {own.shift:.2g}"
    return f"{ratio} {'packs' if taken else 'one a pass'}{more}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family")
    parser.add_argument("--std", type=float, default=0.1)
    asked = parser.parse_args()
    names = [asked.family] if asked.family else [*SOUND, "gemma-3-270m", *UNSOUND]
    for name in names:
        for dtype, model in make_models(name, asked.std):
            print(f"| {name} | {dtype} | {describe(model)} |", flush=True)


if __name__ == "__main__":
    main()
