"""How far float32 log-likelihoods lie from float64's: ours and lm-eval's, in two batch sizes each.

    pip install -e '.[demo,lm-eval]'
    python bench/precision.py --kobest-dir DIR

Prints the largest distance over the choices of a few questions (protocol ``lm-eval``, 0 shots), and
that of PyTorch's two ways to a log-probability over random logits of the same vocabulary.
"""

from __future__ import annotations

import argparse

import torch

from evaluate import PROTOCOL, make_lm_eval, make_ours
from kot_platypus.evaluate.protocols import build_questions
from kot_platypus.evaluate.tasks import TASKS, load_task
from kot_platypus.models import load_model, load_tokenizer, resolve_model


def main() -> None:
    parser = argparse.ArgumentParser(description="Distance of float32 scores from float64's.")
    parser.add_argument("--kobest-dir", default="mini", help="KoBEST's TSV files, or mini.")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--limit", type=int, default=4, help="Questions a task.")
    options = parser.parse_args()
    folder = resolve_model(options.model)
    model, tokenizer = load_model(folder, dtype="float32"), load_tokenizer(folder)
    questions = [
        question
        for task in TASKS
        for question in build_questions(
            PROTOCOL, load_task(task, options.kobest_dir), 0, options.limit
        )
    ]
    scores = {}
    for budget in (512, 64):
        scores[f"ours, {budget} tokens a pass"] = make_ours(model, tokenizer, budget)(questions)
    for size in (1, 8):
        scores[f"lm-eval, batch size {size}"] = make_lm_eval(model, tokenizer, size)(questions)
    exact = make_lm_eval(model.double(), tokenizer, 1)(questions)
    for name, values in scores.items():
        distance = max(abs(a - b) for a, b in zip(values, exact, strict=True))
        print(f"{name:28} {distance:.1e}")
    torch.manual_seed(0)
    logits = 3 * torch.randn(16, len(tokenizer))
    exact_rows = logits.double().log_softmax(-1)
    ways = {"log_softmax": logits.log_softmax(-1), "logsumexp": logits - logits.logsumexp(-1, True)}
    for name, rows in ways.items():
        print(f"{name + ', one token':28} {(rows - exact_rows).abs().max():.1e}")


if __name__ == "__main__":
    main()
