"""Writes a small synthetic run folder, with the names and formats that the stages use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kot_platypus.recipe import Recipe, dump_recipe
from kot_platypus.records import Answer

TASKS = ("copa", "hellaswag", "boolq", "sentineg", "wic")
SHOTS = (0, 5)
FAMILIES = ("change", "groups", "swap")
ACCURACY = {"base": 0.105, "answer": 0.3275, "cot": 0.6125}
ATTACK = "<script>alert(1)</script>"
MACHINE = {
    "python": "3.11.9",
    "platform": "Linux-6.1-x86_64",
    "cpu_count": 2,
    "commit": "8c449bc0",
    "torch": "2.9.0",
    "transformers": "5.1.0",
}

RECIPE = {
    "name": "small-run",
    "description": f"A run made up for tests {ATTACK}.",
    "notes": "Nothing of this was measured.",
    "data": {
        "sources": [{"name": "problems", "rows": 900}, {"name": "korean-cot"}],
        "heldout_problems": 400,
    },
    "train": {"baseline_targets": ["answer"], "learning_rate": 2e-5, "num_epochs": 3},
    "evaluate": {"num_fewshot": list(SHOTS), "limit": 100, "kobest_dir": "mini"},
}


def estimate(value: float, reach: float) -> dict[str, Any]:
    return {"value": round(value, 6), "ci95": [round(value - reach, 6), round(value + reach, 6)]}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def manifest(stage: str, seconds: float, **facts: Any) -> dict[str, Any]:
    return {"stage": stage, "config": {}, "inputs": {}, "status": "done", "seconds": seconds,
            **facts, "machine": MACHINE, "outputs": {}}  # fmt: skip


def write_trainings(run: Path) -> None:
    for who, start in (("cot", 1.9), ("answer", 2.6)):
        facts = {
            "num_examples": 1036, "num_dropped": 3, "num_cut": 17, "optimizer_steps": 48,
            "tokens_seen": 123456, "trained_tokens_seen": 65432,
            "parameters": 268098176, "trainable_parameters": 3796992,
        }  # fmt: skip
        write(run / "train" / who / "manifest.json", manifest("train", 754.2, **facts))
        lines = [
            {"step": step, "loss": round(start * 0.93**step + 0.2, 4), "learning_rate": 1e-5,
             "epoch": step / 16}
            for step in range(1, 49)
        ]  # fmt: skip
        log = run / "train" / who / "log.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_problems(run: Path) -> None:
    for place, (who, accuracy) in enumerate(ACCURACY.items()):
        folder = run / "evaluate" / who / "problems"
        scores = {
            name: {
                "accuracy": estimate(accuracy + 0.031 * number, 0.024 + 0.02 * (number > 0)),
                "n": 400 if number == 0 else 133,
                "num_parsed": 391 - 97 * (place == 0) if number == 0 else 120 + place,
                "mean_tokens": 41.25 + 7 * number + place,
            }
            for number, name in enumerate(["all", *FAMILIES])
        }
        results = {"model": "ab" * 32, "num_fewshot": 3 if who == "base" else 0, "results": scores}
        write(folder / "results.json", results)
        write(folder / "manifest.json", manifest("problems", 61.0 + place))
        rows = [make_answer(number, who, place) for number in range(12)]
        text = "".join(row.model_dump_json() + "\n" for row in rows)
        (folder / "answers.jsonl").write_text(text, encoding="utf-8")


def make_answer(number: int, who: str, place: int) -> Answer:
    start, added = 20 + number, 5 + number
    right = f"{start + added - 3}마리"
    correct = number % 4 < place + (number > 6)
    stated = right if correct else (None if who == "base" else f"{start}마리")
    thought = f"처음에 {start}마리가 있었다. {added}마리를 더해 {start + added}마리가 되었다.\n"
    output = (thought if who != "answer" else "") + (f"정답: {stated}" if stated else ATTACK * 6)
    question = f"농장에 닭이 {start}마리 있다. {added}마리를 사 왔다. 3마리를 팔았다. "
    return Answer(
        doc_id=number,
        task=FAMILIES[number % 3],
        source=f"{question}닭은 몇 마리인가? {ATTACK if number == 0 else ''}",
        target=right,
        output=output,
        answer=stated,
        correct=correct,
        num_tokens=40,
    )


def write_kobest(run: Path) -> None:
    for who, lift in (("base", 0.0), ("cot", 0.0213)):
        scores = {
            task: {
                str(shots): {
                    **{
                        metric: estimate(
                            0.48123 + 0.03 * t + 0.004 * shots + lift - 0.007 * m, 0.08
                        )
                        for m, metric in enumerate(("macro_f1", "macro_f1_norm", "acc", "acc_norm"))
                    },
                    "n": 100,
                    "effective_shots": shots * (0.86 if task == "boolq" else 1),
                }
                for shots in SHOTS
            }
            for t, task in enumerate(TASKS)
        }
        write(
            run / "evaluate" / who / "kobest" / "results.json",
            {
                "model": "cd" * 32,
                "protocol": {"name": "polyglot", "fingerprint": "0123456789abcdef" * 4},
                "data": dict.fromkeys(TASKS, "ef" * 32),
                "results": scores,
            },
        )
        write(run / "evaluate" / who / "kobest" / "manifest.json", manifest("kobest", 190.5))


def make_comparison(problems: float = 0.5075, baseline: float = 0.285) -> dict[str, Any]:
    """Differences of these sizes, with intervals of +-0.05 (problems) and +-0.03 (KoBEST)."""
    pairs = [("base", problems), ("answer", baseline)]
    return {
        "problems": [
            {"a": "cot", "b": b, "n": 400, "difference": estimate(value, 0.05),
             "right_alone": {"a": 203, "b": 0}, "p_value": 0.0004}
            for b, value in pairs
        ],
        "kobest": [
            {"a": "cot", "b": "base", "task": task, "num_fewshot": shots, "metric": "macro_f1",
             "n": 100, "values": {"a": 0.5, "b": 0.5}, "identical": False,
             "difference": estimate(0.0213 * (t - 1), 0.03),
             "right_alone": {"a": 19 if t > 2 else 9, "b": 1 if t > 2 else 8},
             "p_value": 0.00004 if t > 2 else 1.0, "p_holm": 0.0004 if t > 2 else 1.0}
            for t, task in enumerate(TASKS) for shots in SHOTS
        ],
    }  # fmt: skip


def write_run(run: Path) -> Path:
    """A complete run folder."""
    run.mkdir(parents=True, exist_ok=True)
    recipe = dump_recipe(Recipe.model_validate(RECIPE))
    (run / "recipe.yaml").write_text(recipe, encoding="utf-8")
    counts = {
        "train": 1039,
        "heldout": 400,
        "by_source": {"problems": 900, "korean-cot": 139},
        "by_task": {"change": 300, "groups": 300, "swap": 300, "arithmetic": 139},
    }
    write(run / "data" / "manifest.json", manifest("data", 2.4, counts=counts))
    write(run / "merged" / "manifest.json", manifest("merge", 11.0))
    write_trainings(run)
    write_problems(run)
    write_kobest(run)
    write(run / "evaluate" / "comparison.json", make_comparison())
    return run


def add_validation(run: Path) -> None:
    """As if the tuned model's training had been validated every 16 steps, best at step 32."""
    log, manifest_file = (run / "train" / "cot" / name for name in ("log.jsonl", "manifest.json"))
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for step, loss in ((16, 1.5), (32, 1.125), (48, 1.75)):
        lines[step - 1] |= {"eval_loss": loss, "eval_token_accuracy": 0.5}
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    facts = {"num_rows": 40, "num_examples": 39, "num_known": 0, "step": 32,
             "eval_loss": 1.125, "eval_token_accuracy": 0.5}  # fmt: skip
    write(manifest_file, {**json.loads(manifest_file.read_text("utf-8")), "validation": facts})
