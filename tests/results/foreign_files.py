"""Results files of other harnesses, for the tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

QUESTIONS = {"kobest_copa": 1000, "kobest_hellaswag": 500}


def describe_accuracy(right: int, n: int) -> dict[str, float]:
    """``acc`` and ``acc_stderr`` as both harnesses compute them: from n zeros and ones."""
    answers = np.repeat([1.0, 0.0], [right, n - right])
    stderr = np.std(answers, ddof=1) / np.sqrt(n)
    return {"acc": float(answers.mean()), "acc_stderr": float(stderr)}


def write_old_harness(
    path: Path, model: str = "EleutherAI/polyglot-ko-1.3b", num_fewshot: int = 5, **changes: Any
) -> Path:
    """A file as ``main.py --output_path`` of lm-eval 0.3's Korean forks writes it."""
    f1 = {"macro_f1": 0.7193, "macro_f1_stderr": 0.0142}
    results = {task: {**describe_accuracy(n * 7 // 10, n), **f1} for task, n in QUESTIONS.items()}
    results["kobest_hellaswag"] |= {"acc_norm": 0.6, "acc_norm_stderr": 0.0219}
    facts = {
        "results": results,
        "versions": dict.fromkeys(results, 0),
        "config": {
            "model": "hf-causal-experimental",
            "model_args": f"pretrained={model},use_accelerate=true,trust_remote_code=true",
            "num_fewshot": num_fewshot,
            "batch_size": "16",
            "device": None,
            "no_cache": True,
            "limit": None,
            "bootstrap_iters": 100000,
            "description_dict": {},
            **changes,
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=2))
    return path
