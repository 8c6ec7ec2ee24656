"""How far float32 log-likelihoods lie from float64's: ours and lm-eval's, in two batch sizes each.

    pip install -e '.[demo,lm-eval]'
    python bench/precision.py --kobest-dir DIR

Prints the largest distance over the choices of a few questions. (Protocol ``lm-eval``, 0 shots.)
"""

from __future__ import annotations

import argparse

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


if __name__ == "__main__":
    main()
