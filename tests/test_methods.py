"""The registry of training methods: one entry says what all stages need to know of one."""

from __future__ import annotations

from typing import get_args

from kot_platypus.methods import METHODS, MethodName


def test_a_recipe_takes_every_method_and_no_other():
    assert tuple(METHODS) == get_args(MethodName)


def test_what_comes_out_and_what_it_is_called():
    said = {
        name: (m.describe(16), m.result, m.tag, m.base_dtype("bfloat16"))
        for name, m in METHODS.items()
    }
    assert said == {
        "lora": ("LoRA r 16", "adapter", "lora", "bfloat16"),
        "dora": ("DoRA r 16", "adapter", "dora", "bfloat16"),
        "qlora": ("QLoRA r 16", "adapter", "qlora", "bfloat16"),
        "full": ("all weights", "model", "sft", "float32"),
    }
