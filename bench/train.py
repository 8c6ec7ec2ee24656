"""Training with four programs on identical examples, alternating, and whose gradient it is.

    pip install -e '.[bench]'
    python bench/train.py                                # the tables in docs/benchmarks.md

On a GPU, and the whole KoT-platypus2-7B run extrapolated from a few of its steps:

    python bench/train.py --models llama-7b --dtype bfloat16 --batch-size 64

The programs: HF's Trainer at micro-batch 1 as Platypus used it (each example weighs the same);
TRL's SFTTrainer, unpacked and packed (`bfd`); ours. All but the first at the micro-batch or pack
length that was the quickest on half of the examples. LoRA as Platypus had it, without dropout so
that gradients can be compared; no gradient checkpointing. The examples have KoCoT's lengths (about
300 tokens, about half of them response) and random tokens. Every measurement is a process of its
own: one optimizer step to get warm, whose gradient is compared with that of separate passes in
float64 and whose matrix products are counted (attention's kernels apart), then the timed steps.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Trainer, TrainerCallback, TrainingArguments

from dtypes import measure_gflops
from kot_platypus.models import load_model, resolve_device, resolve_model
from kot_platypus.recipe import TrainSection
from kot_platypus.train.fit import make_arguments, make_trainer
from kot_platypus.train.fused import fuse_layers
from kot_platypus.train.isolation import isolate_examples
from kot_platypus.train.items import Encoded
from kot_platypus.train.methods import make_trainable
from kot_platypus.train.preferences import accept_packs
from measuring import SHAPES, describe_machine, make_llama, read_peak_gib, run_child

PROGRAMS = {
    "hf": "HF Trainer, micro-batch 1",
    "trl": "TRL, unpacked",
    "trl-bfd": "TRL, `bfd` packing",
    "ours": "ours",
}
PACKS = (1024, 2048, 4096)
CANDIDATES = {"trl": (1, 2, 4, 8), "trl-bfd": PACKS, "ours": PACKS}
RECIPE_EXAMPLES = 2_159 * 15  # KoT-platypus2-7B's
LENGTHS = {"mean": 300, "sigma": 0.5, "least": 40, "most": 1024}


# --- the examples and the model ----------------------------------------------------------------


def make_examples(num_examples: int) -> list[Encoded]:
    rng = random.Random(0)
    examples = []
    mu = np.log(LENGTHS["mean"]) - LENGTHS["sigma"] ** 2 / 2
    for _ in range(num_examples):
        length = round(rng.lognormvariate(mu, LENGTHS["sigma"]))
        length = max(LENGTHS["least"], min(LENGTHS["most"], length))
        ids = tuple(rng.randrange(3, 40_000) for _ in range(length))
        examples.append(Encoded(ids, round(length * rng.uniform(0.3, 0.7))))
    return examples


def make_section(options: argparse.Namespace) -> TrainSection:
    return TrainSection(
        batch_size=options.batch_size,
        num_epochs=1 + options.steps,
        max_grad_norm=1e9,  # nothing is clipped
        lora_dropout=0,
        lora_target_modules=("gate_proj", "up_proj", "down_proj"),
        save_steps=10**6,
        max_tokens_per_pass=options.setting if options.program == "ours" else 4096,
    )


def make_model(options: argparse.Namespace) -> Any:
    at = {"dtype": options.dtype, "device": options.device}
    if options.model in SHAPES:
        model = make_llama(options.model, max_length=4096, **at)
    else:
        model = load_model(resolve_model(options.model), **at)
    if options.program == "ours" and not isolate_examples(model):
        sys.exit(f"{options.model} cannot be packed here")
    torch.manual_seed(1)
    model = make_trainable(model, make_section(options))
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # zero at first, and with it half of the gradient
            torch.nn.init.normal_(weight, std=0.02)
    return model


# --- the four programs -------------------------------------------------------------------------


class Watch(TrainerCallback):
    """Seconds of each step after the first; of that one its gradient and matrix products."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.counter = FlopCounterMode(display=False)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self.counter.__enter__()

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, *, model: Any, **_: Any
    ) -> None:
        if state.global_step == 0:
            self.gradient = read_gradient(model)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            self.counter.__exit__(None, None, None)
        else:
            self.seconds.append(time.perf_counter() - self.started)
        self.started = time.perf_counter()


def read_gradient(model: Any) -> np.ndarray:
    named = sorted((n, p) for n, p in model.named_parameters() if p.requires_grad)
    return torch.cat([p.grad.flatten().double() for _, p in named]).cpu().numpy()


def train_plainly(options: argparse.Namespace, model: Any, examples: Any, watch: Watch) -> None:
    """HF's Trainer with the mean of the examples' means, as in 2023."""
    arguments = TrainingArguments(**list_arguments(options, micro_batch_size=1))
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=label(examples),
        data_collator=lambda rows: {k: torch.tensor([rows[0][k]]) for k in rows[0]},
        callbacks=[watch],
    )
    trainer.model_accepts_loss_kwargs = False
    trainer.train()


def train_with_trl(options: argparse.Namespace, model: Any, examples: Any, watch: Watch) -> None:
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    is_packed = options.program == "trl-bfd"
    arguments = SFTConfig(
        **list_arguments(options, micro_batch_size=1 if is_packed else options.setting),
        packing=is_packed,
        max_length=options.setting if is_packed else LENGTHS["most"],
        gradient_checkpointing=False,
    )
    words = Tokenizer(WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(label(examples)),
        processing_class=tokenizer,
        callbacks=[watch],
    )
    trainer.train()


def train_ours(options: argparse.Namespace, model: Any, examples: Any, watch: Watch) -> None:
    section, folder = make_section(options), Path(options.folder)
    at = {"seed": 0, "dtype": options.dtype, "device": options.device}
    arguments = make_arguments(section, len(examples), folder, **at)
    if options.device == "cpu":
        fuse_layers(model)
    accept_packs(model, section)
    make_trainer(model, examples, section, arguments, [watch]).train()


def list_arguments(options: argparse.Namespace, *, micro_batch_size: int) -> dict[str, Any]:
    """HF's arguments; an epoch is one optimizer step, however many micro-batches that takes."""
    return {
        "output_dir": options.folder,
        "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": -(-options.batch_size // micro_batch_size),
        "num_train_epochs": 1 + options.steps,
        "max_grad_norm": 0.0,
        "learning_rate": 1e-5,
        "bf16": options.dtype == "bfloat16",
        "use_cpu": options.device == "cpu",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def label(examples: Sequence[Encoded]) -> list[dict[str, list[int]]]:
    return [
        {
            "input_ids": list(e.ids),
            "labels": [-100] * e.prompt_len + list(e.ids[e.prompt_len :]),
        }
        for e in examples
    ]


def refer(options: argparse.Namespace, model: Any, examples: Any, watch: Watch) -> None:
    """The recipe's gradient in float64: an example, a pass; the mean of the examples' means.

    Not by transformers' loss, which computes in float32 whatever the model does.
    """
    model.double().train()
    for example in examples:
        ids = torch.tensor([example.ids], device=model.device)
        logits = model(ids, use_cache=False).logits[0, example.prompt_len - 1 : -1]
        assert logits.dtype == torch.float64
        loss = torch.nn.functional.cross_entropy(logits, ids[0, example.prompt_len :])
        (loss / len(examples)).backward()
    watch.gradient = read_gradient(model)


# --- one measurement, in a process of its own --------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, Any]:
    examples = make_examples(options.batch_size)
    model, watch = make_model(options), Watch()
    train = {"hf": train_plainly, "ours": train_ours, "reference": refer}
    train.get(options.program, train_with_trl)(options, model, examples, watch)
    np.save(Path(options.folder) / f"{options.program}.npy", watch.gradient)
    return {
        "seconds": min(watch.seconds, default=0.0),
        "flop": watch.counter.get_total_flops(),
        "peak_gib": read_peak_gib(options.device),
    }


# --- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, name: str, peak_gflops: float) -> None:
    settings = {p: tune(options, name, p) for p in options.programs if p in CANDIDATES}
    results: dict[str, list[Any]] = {program: [] for program in options.programs}
    for _ in range(options.rounds):
        for program, found in results.items():
            at = {"model": name, "program": program, "setting": settings.get(program)}
            found.append(run_child(__file__, options, **at))
    run_child(__file__, options, model=name, program="reference", setting=None)
    best = {p: min(found, key=lambda r: r["seconds"]) for p, found in results.items()}
    tokens = sum(len(e.ids) for e in make_examples(options.batch_size))
    print(f"\n**{name}, {options.dtype}, {options.device}; {options.batch_size} examples", end=" ")
    print(f"({tokens:,} tokens) a step, the best of {options.rounds} x {options.steps};", end=" ")
    print(f"peak of matrix products {peak_gflops:.0f} GFLOP/s**\n")
    print("| program | examples/s | tokens/s | ours is | share of peak | peak memory", end=" ")
    print("| distance from the recipe's gradient |")
    print("|---|---|---|---|---|---|---|")
    for program, result in best.items():
        seconds = result["seconds"]
        cells = [PROGRAMS[program] + describe_setting(program, settings)]
        cells += [f"{options.batch_size / seconds:.2f}", f"{tokens / seconds:,.0f}"]
        cells += [f"{seconds / best['ours']['seconds']:.2f}x" if program != "ours" else ""]
        cells += [f"{result['flop'] / seconds / peak_gflops / 1e9:.0%}"]
        cells += [f"{max(r['peak_gib'] for r in results[program]):.2f} GiB"]
        cells += [f"{find_distance(options, program):.1e}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    if name == "llama-7b":
        minutes = RECIPE_EXAMPLES / options.batch_size * best["ours"]["seconds"] / 60
        print(f"\nAt that speed KoT-platypus2-7B's 2,159 x 15 examples take {minutes:.0f} minutes.")


def tune(options: argparse.Namespace, name: str, program: str) -> int:
    """The quickest setting on half of the examples."""
    seconds = {}
    for setting in CANDIDATES[program]:
        half = max(1, options.batch_size // 2)
        at = {"model": name, "program": program, "setting": setting}
        seconds[setting] = run_child(__file__, options, batch_size=half, **at)["seconds"]
    return min(seconds, key=seconds.__getitem__)


def describe_setting(program: str, settings: dict[str, int]) -> str:
    if program not in settings:
        return ""
    return f", {'micro-batch' if program == 'trl' else 'packs of'} {settings[program]}"


def find_distance(options: argparse.Namespace, program: str) -> float:
    """Relative distance of a program's gradient from that of separate passes."""
    found, expected = (
        np.load(Path(options.folder) / f"{each}.npy") for each in (program, "reference")
    )
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Four training programs on the same examples.")
    parser.add_argument("--models", default="llama,gemma-3-270m", help="Also llama-7b, on a GPU.")
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--batch-size", type=int, default=16, help="Examples a step.")
    parser.add_argument("--steps", type=int, default=1, help="Timed steps of a process.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default=resolve_device())
    parser.add_argument("--dtype", default="float32")
    return parser.parse_args()


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(measure(argparse.Namespace(**json.loads(sys.argv[2])))))
        return
    options = parse()
    options.programs = options.programs.split(",")
    with tempfile.TemporaryDirectory() as options.folder:
        print(describe_machine(), flush=True)
        dtype, side = getattr(torch, options.dtype), 2048 if options.device == "cpu" else 8192
        peak = max(measure_gflops(dtype, options.device, side, side, side) for _ in range(5))
        for name in options.models.split(","):
            compare(options, name, peak)


if __name__ == "__main__":
    main()
