"""What the self-checks measure, over families of models and dtypes, and what they say.

    python bench/self_checks.py                          # tiny models of random weights
    python bench/self_checks.py --families "llama;bloom"
    python bench/self_checks.py --model gemma-3-270m     # a folder or a name: real weights

A line a model, for scoring and for writing: the difference that the check measures in each dtype,
as a share of the sensitivity (``evaluate/self_check.py``), the largest leak, and what comes of it.
Random models have flat logits with their usual weights, so each is made a second time with matrices
four times as large. The models that cannot read a forest stand last.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from kot_platypus.errors import ModelError
from kot_platypus.evaluate.decoding import BatchError, Decoder
from kot_platypus.evaluate.scoring import find_obstacle, measure_forest
from kot_platypus.evaluate.self_check import Margins
from kot_platypus.models import load_model, resolve_model
from kot_platypus.models.limits import CANNOT, find_max_length

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "n_positions": 2048,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("attention_hidden_size",), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim"), 128),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads"), 4),
    "num_key_value_heads": 2,
    "head_dim": 16,
    "state_size": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HYBRID = ["sliding_attention"] * 3 + ["full_attention"]
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "original_max_position_embeddings": 64,
    "short_factor": [1.0] * 8,
    "long_factor": [2.0] * 8,
}
SOUND: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, stray window": {"sliding_window": 64},
    "gpt_neox": {},
    "gpt2": {},
    "gptj": {"rotary_dim": 8},
    "opt": {},
    "falcon": {"new_decoder_architecture": False},
    "gemma": {},
    "gemma2": {"sliding_window": 64},
    "gemma3_text": {"sliding_window": 64},
    "qwen2": {},
    "qwen2, window": {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 2},
    "qwen3": {},
    "mistral": {"sliding_window": 64},
    "phi3": {},
    "mixtral": {},
    "qwen3_moe": {},
    "olmo2": {},
    "exaone4": {"sliding_window": 64, "layer_types": HYBRID},
    "cohere2": {"sliding_window": 64},
    "gpt_oss": {"sliding_window": 64},
    "llama4_text": {"attention_chunk_size": 64},
}
UNSOUND: dict[str, dict[str, Any]] = {
    "bloom": {},
    "mpt": {},
    "falcon, alibi": {"alibi": True, "new_decoder_architecture": False},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 256},
    "phi3, longrope": {"rope_parameters": LONGROPE},
    "mamba": {},
    "mamba2": {"num_heads": 4, "head_dim": 32, "n_groups": 1},
    "rwkv": {},
    "lfm2": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_heads": 4, "mamba_d_head": 32},
    "bamba": {"mamba_n_heads": 4, "mamba_d_head": 32},
    "qwen3_next": {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    },
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def build_model(family: str, scale: float = 1.0, **changes: Any) -> Any:
    """A tiny model of random weights, its matrices multiplied by ``scale``."""
    kind, own = CONFIG_MAPPING[family.partition(",")[0]], {**SOUND, **UNSOUND}[family]
    known = {name for each in kind.__mro__ for name in getattr(each, "__annotations__", {})}
    known |= set(inspect.signature(kind.__init__).parameters) | set(kind.attribute_map)
    sizes = {name: value for name, value in SIZES.items() if name in known}
    for alias, name in kind.attribute_map.items():
        if alias in sizes and name in sizes:
            sizes.pop(alias)
    torch.manual_seed(0)
    config = kind(**{**sizes, **own, **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    return model


class _Unchecked(Decoder):
    def _check(self) -> None:
        """Nothing, so that what the check would measure can be."""


def judge(model: Any) -> Iterator[tuple[str, Margins | None, str]]:
    """What is measured and decided for scoring and for writing."""
    length = find_max_length(model)
    yield (
        "scoring",
        _try(lambda: measure_forest(model, length)),
        _try(lambda: find_obstacle(model, length) or "accepted"),
    )

    def write() -> str:
        try:
            Decoder(model, [])
        except BatchError as error:
            return str(error)
        return "accepted"

    yield "writing", _try(lambda: _Unchecked(model, []).measure_rows()), _try(write)


def _try(measure: Callable[[], Any]) -> Any:
    try:
        return measure()
    except ModelError as error:
        return str(error)
    except CANNOT:
        return None


def load_each_dtype(folder: Path) -> Iterator[tuple[str, Any]]:
    """The model of a folder in every dtype; in 4 bits only where bitsandbytes can."""
    for dtype in DTYPES:
        yield dtype, load_model(folder, dtype=dtype, device="cpu")
    four = _try(lambda: load_model(folder, dtype="bfloat16", device="cpu", in_4_bits=True))
    if not isinstance(four, str | None):
        yield "nf4", four


def tabulate(name: str, models: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The rows of one model: its differences by dtype, its largest leak, and what it is told."""
    differences: dict[str, dict[str, list[str]]] = {"scoring": {}, "writing": {}}
    leaks: dict[str, list[float]] = {"scoring": [], "writing": []}
    verdicts: dict[str, list[str]] = {"scoring": [], "writing": []}
    for dtype, model in models:
        for what, margins, verdict in judge(model):
            cell = differences[what].setdefault(dtype, [])
            if isinstance(margins, Margins):
                cell.append(f"{margins.difference / margins.sensitivity:.1e}")
                leaks[what].append(margins.leak / margins.sensitivity)
                verdicts[what].append(verdict)
            elif verdict and not verdict.startswith(f"{model.config.model_type} does not read"):
                cell.append("-")
                verdicts[what].append(verdict)
    for what, by_dtype in differences.items():
        cells = [", ".join(by_dtype.get(dtype, [])) for dtype in (*DTYPES, "nf4")]
        leak = f"{max(leaks[what]):.1e}" if leaks[what] else ""
        said = "; ".join(dict.fromkeys(verdict[:60] for verdict in verdicts[what]))
        yield " | ".join([f"| {name}", what, *cells, leak, f"{said} |"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", help="names with ; between [default: all]")
    parser.add_argument("--model", action="append", default=[], help="a folder or a known name")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    print("| model | what | " + " | ".join((*DTYPES, "nf4")) + " | largest leak | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.model:
        for row in tabulate(name, load_each_dtype(resolve_model(name))):
            print(row, flush=True)
    families = options.families.split(";") if options.families else [*SOUND, *UNSOUND]
    for family in families if not options.model else []:
        for row in tabulate(family, _build_each(family)):
            print(row, flush=True)


def _build_each(family: str) -> Iterator[tuple[str, Any]]:
    for scale in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            build_model(family, scale).save_pretrained(folder)
            yield from load_each_dtype(Path(folder))


if __name__ == "__main__":
    main()
