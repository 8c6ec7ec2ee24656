"""Tiny multimodal models with random weights, as folders like those that are published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

TOKENS = 4000
"""Of tiny-llama-ko, whose tokenizer all have; its last ones stand for images."""
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": TOKENS,
    "max_position_embeddings": 1024,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.1,
}
_SEEN = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_SEEN = {
    "depth": 2,
    "hidden_size": 32,
    "out_hidden_size": 64,
    "intermediate_size": 64,
    "num_heads": 2,
}
_ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
_LLAMA = {"model_type": "llama", **_TEXT}
_LAYERS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
_BY_ID = {
    "image_token_id": TOKENS - 1,
    "video_token_id": TOKENS - 2,
    "vision_start_token_id": TOKENS - 3,
    "vision_end_token_id": TOKENS - 4,
}
_IMAGE = {"image_token_index": TOKENS - 1}
KINDS: dict[str, dict[str, Any]] = {
    "gemma3": {
        "text_config": {**_TEXT, **_LAYERS},
        "vision_config": {"model_type": "siglip_vision_model", **_SEEN},
        "mm_tokens_per_image": 4,
        "image_token_index": TOKENS - 1,
        "boi_token_index": TOKENS - 2,
        "eoi_token_index": TOKENS - 3,
    },
    "gemma4": {
        "text_config": {
            **_TEXT,
            **_LAYERS,
            "vocab_size_per_layer_input": TOKENS,
            "hidden_size_per_layer_input": 8,
            "num_kv_shared_layers": 0,
            "final_logit_softcapping": 2.0,
        },
        "vision_config": {key: size for key, size in _SEEN.items() if key != "image_size"},
    },
    "qwen2_vl": {
        "text_config": {**_TEXT, "rope_parameters": _ROPE},
        "vision_config": {
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
        },
        **_BY_ID,
    },
    "qwen2_5_vl": {
        "text_config": {**_TEXT, "rope_parameters": _ROPE},
        "vision_config": {**_QWEN_SEEN, "fullatt_block_indexes": [1]},
        **_BY_ID,
    },
    "qwen3_vl": {
        "text_config": {**_TEXT, "rope_parameters": {**_ROPE, "mrope_interleaved": True}},
        "vision_config": {
            **_QWEN_SEEN,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
        **_BY_ID,
    },
    "qwen3_5": {
        "text_config": {
            **_TEXT,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
        },
        "vision_config": {**_QWEN_SEEN, "num_position_embeddings": 16},
        **_BY_ID,
    },
    "llava": {
        "text_config": _LLAMA,
        "vision_config": {"model_type": "clip_vision_model", "projection_dim": 32, **_SEEN},
        **_IMAGE,
    },
    "mistral3": {
        "text_config": {**_TEXT, "model_type": "mistral"},
        "vision_config": {"model_type": "pixtral", "head_dim": 16, **_SEEN},
        **_IMAGE,
    },
    "llama4": {
        "text_config": {
            **_TEXT,
            "intermediate_size_mlp": 96,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
            "attention_chunk_size": 64,
        },
        "vision_config": {
            **_SEEN,
            "vision_output_dim": 64,
            "projector_input_dim": 64,
            "projector_output_dim": 64,
        },
        **_IMAGE,
    },
    "mllama": {
        "text_config": {**_TEXT, "cross_attention_layers": [1], "num_hidden_layers": 3},
        "vision_config": {
            **_SEEN,
            "num_global_layers": 1,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 96,
        },
    },
    "idefics3": {
        "text_config": _LLAMA,
        "vision_config": _SEEN,
        "image_token_id": TOKENS - 1,
    },
    "smolvlm": {"text_config": _LLAMA, "vision_config": _SEEN, "image_token_id": TOKENS - 1},
    "internvl": {
        "text_config": {**_TEXT, "model_type": "qwen2"},
        "vision_config": {**_SEEN, "image_size": [28, 28], "patch_size": [14, 14]},
        "image_token_id": TOKENS - 1,
    },
}
"""What a model type's config is made of."""


def make_multimodal(kind: str, folder: Path, tokenizer: Path, **changes: object) -> Path:
    """The folder of a random model of that ``KINDS``, its weights named as on the Hub.

    ``tokenizer`` is the folder of tiny-llama-ko, ``changes`` go into its ``text_config``.
    """
    values = KINDS[kind]
    values = {**values, "text_config": {**values["text_config"], **changes}}
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(CONFIG_MAPPING[kind](**values)).float()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():  # an initialisation with zeros would hide what is not read
                weight.normal_(0, 0.05)
    model.save_pretrained(folder)
    for file in tokenizer.glob("tokenizer*"):
        shutil.copyfile(file, folder / file.name)
    processor = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 28}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
