"""KoBEST scored by lm-eval's HF backend and by ours: identical requests, alternating.

    pip install -e '.[bench]'
    python bench/evaluate.py --kobest-dir DIR                    # the table in docs/benchmarks.md
    python bench/evaluate.py --kobest-dir DIR --models llama --num-fewshot 5 --limit 0   # all of it

The published table's 16 cells with a 7B-shaped model on a GPU:

    python bench/evaluate.py --kobest-dir DIR --models llama-7b --dtype bfloat16 --max-length 2048 \
      --tasks copa,hellaswag,boolq,sentineg --num-fewshot 0,5,10,50

Every measurement is a process of its own, so that its peak memory is its own. lm-eval runs at the
batch size that was the quickest on a few questions of each task; ours at its default budget. Both
answer the same requests (protocol ``lm-eval``), and the largest difference between any two of their
log-likelihoods is printed. Forward tokens are counted at the first layer, padding included; the
bound is the number of distinct prefixes of each question's requests.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dtypes import measure_gflops
from kot_platypus.evaluate.encoding import encode_question
from kot_platypus.evaluate.protocols import build_questions, load_protocol
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.tasks import TASKS, load_task
from kot_platypus.models import load_model, load_tokenizer, resolve_device, resolve_model
from kot_platypus.models.limits import find_max_length
from kot_platypus.records import ScoringQuestion
from measuring import SHAPES, VOCAB_SIZE, describe_machine, make_llama, read_peak_gib, run_child

PROTOCOL = load_protocol("lm-eval")
TEST_SIZES = {"boolq": 1404, "copa": 1000, "hellaswag": 500, "sentineg": 397, "wic": 1260}
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
NUM_TUNING = {"cpu": 4, "cuda": 64}
LOADING = ("model", "folder", "dtype", "device", "max_length")


# --- the models --------------------------------------------------------------------------------


def load_both(name: str, folder: Path, dtype: str, device: str, max_length: int) -> tuple[Any, Any]:
    if name not in SHAPES:
        path = resolve_model(name)
        return load_model(path, dtype=dtype, device=device), load_tokenizer(path)
    model = make_llama(name, dtype=dtype, device=device, max_length=max_length)
    return model, load_tokenizer(folder / "tokenizer")


def train_tokenizer(folder: Path, kobest_dir: str) -> None:
    """A byte-level BPE tokenizer of 46,336 entries, from KoBEST's training texts."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    documents = (document for task in TASKS for document in load_task(task, kobest_dir).train)
    texts = [text for d in documents for text in d.values() if isinstance(text, str)]
    bpe = ByteLevelBPETokenizer()
    special = ["<unk>", "<s>", "</s>"]
    bpe.train_from_iterator(texts, VOCAB_SIZE, special_tokens=special, show_progress=False)
    names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, **names)
    fast.save_pretrained(folder / "tokenizer")


# --- the two programs --------------------------------------------------------------------------

Score = Callable[[list[ScoringQuestion]], list[float]]


def make_ours(model: Any, tokenizer: Any, max_batch_tokens: int | None) -> Score:
    scorer = Scorer(model, max_batch_tokens=max_batch_tokens)

    def score(questions: list[ScoringQuestion]) -> list[float]:
        encoded = (encode_question(tokenizer, PROTOCOL, q, scorer.max_length) for q in questions)
        batches = (scorer.score(batch) for batch in scorer.plan(encoded))
        return [s.logprob for batch in batches for scores in batch for s in scores]

    return score


def make_lm_eval(model: Any, tokenizer: Any, batch_size: int) -> Score:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)

    def score(questions: list[ScoringQuestion]) -> list[float]:
        instances = [
            Instance("loglikelihood", {}, (r.context, r.continuation), r.choice)
            for question in questions
            for r in question.requests
        ]
        return [logprob for logprob, _ in harness.loglikelihood(instances, disable_tqdm=True)]

    return score


# --- one measurement, in a process of its own --------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds, tokens, FLOP and scores of each task, and the peak memory of this process."""
    model, tokenizer = load_both(*(getattr(options, name) for name in LOADING))
    loaded_gib = read_peak_gib(options.device)
    counts = count_work(model)
    tasks = {}
    for task in options.tasks:
        questions = list_questions(options, task)
        if options.program == "ours":
            score = make_ours(model, tokenizer, options.batch_tokens)
        else:
            score = make_lm_eval(model, tokenizer, options.batch_sizes[task])
        score(questions[:2])  # warm
        counts.update(tokens=0, flop=0)
        started = time.perf_counter()
        logprobs = score(questions)
        seconds = time.perf_counter() - started
        tasks[task] = {"seconds": seconds, "logprobs": logprobs, "n": len(questions), **counts}
    memory = {"peak_gib": read_peak_gib(options.device), "loaded_gib": loaded_gib}
    for task, result in tasks.items():
        result["bound"] = count_bound(tokenizer, list_questions(options, task), model)
    return {"tasks": tasks, **memory}


def tune(options: argparse.Namespace) -> dict[str, int]:
    """lm-eval's quickest batch size for each task, on a few questions; what needs more memory than
    there is is left out."""
    if options.device == "cpu":  # so that too large a batch is an error, and not the kernel's
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resource.setrlimit(resource.RLIMIT_DATA, (int(0.8 * total),) * 2)
    model, tokenizer = load_both(*(getattr(options, name) for name in LOADING))
    best = {}
    for task in options.tasks:
        questions = list_questions(options, task)[: NUM_TUNING[options.device]]
        times: dict[int, float] = {}
        make_lm_eval(model, tokenizer, 1)(questions[:1])  # warm
        for batch_size in BATCH_SIZES:
            score = make_lm_eval(model, tokenizer, batch_size)
            started = time.perf_counter()
            try:
                score(questions)
            except RuntimeError as error:
                if times and "memory" in str(error):
                    break
                raise
            times[batch_size] = time.perf_counter() - started
            if times[batch_size] > 1.2 * min(times.values()):
                break
        best[task] = min(times, key=times.__getitem__)
    return best


def list_questions(options: argparse.Namespace, task: str) -> list[ScoringQuestion]:
    data = load_task(task, options.kobest_dir)
    return build_questions(PROTOCOL, data, options.shots, options.limit or None)


def count_work(model: Any) -> dict[str, int]:
    """Count tokens at the first layer and the linear layers' FLOP, as the model runs."""
    counts = {"tokens": 0, "flop": 0}

    def count_tokens(_: Any, args: Any, kwargs: Any) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        counts["tokens"] += hidden.shape[0] * hidden.shape[1]

    def count_flop(layer: Any, args: Any) -> None:
        counts["flop"] += 2 * args[0].numel() * layer.out_features

    model.get_decoder().layers[0].register_forward_pre_hook(count_tokens, with_kwargs=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(count_flop)
    return counts


def count_bound(tokenizer: Any, questions: list[ScoringQuestion], model: Any) -> int:
    """Nodes of each question's prefix tree, by a plain trie."""
    total, max_length = 0, find_max_length(model)
    for question in questions:
        nodes: dict[tuple[int, int], int] = {}
        for request in encode_question(tokenizer, PROTOCOL, question, max_length).requests:
            node = 0
            for token in request.inputs:
                node = nodes.setdefault((node, token), len(nodes) + 1)
        total += len(nodes)
    return total


# --- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, name: str, shots: int, peak_gflops: float) -> None:
    at = {"model": name, "shots": shots}
    if options.batch_size:
        batch_sizes = dict.fromkeys(options.tasks, options.batch_size)
    else:
        batch_sizes = run_child(__file__, options, step="tune", **at)
    rounds: dict[str, list[Any]] = {"lm-eval": [], "ours": []}
    for _ in range(options.rounds):
        for program, results in rounds.items():
            changes = {"step": "measure", "program": program, "batch_sizes": batch_sizes}
            results.append(run_child(__file__, options, **changes, **at))
    print(f"\n{name}, {shots} shots, {options.dtype}, {options.device}; seconds of", end=" ")
    print(
        f"{options.limit or 'all'} questions a task, the best of {options.rounds} rounds;", end=" "
    )
    print(f"peak of matrix products {peak_gflops:.0f} GFLOP/s\n")
    print("| task | lm-eval (batch) | ours | faster | tokens: lm-eval | ours | bound ", end="")
    print("| ours / bound | share of peak: lm-eval | ours |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    totals = dict.fromkeys(rounds, 0.0)
    for task in options.tasks:
        theirs, ours = (
            min((r["tasks"][task] for r in results), key=lambda t: t["seconds"])
            for results in rounds.values()
        )
        bound = ours["bound"]
        for program, result in zip(totals, (theirs, ours), strict=True):
            totals[program] += result["seconds"] / result["n"] * TEST_SIZES[task]
        cells = [task, f"{theirs['seconds']:.1f} ({batch_sizes[task]})", f"{ours['seconds']:.1f}"]
        cells += [f"**{theirs['seconds'] / ours['seconds']:.2f}x**"]
        cells += [f"{n:,}" for n in (theirs["tokens"], ours["tokens"], bound)]
        cells += [f"{ours['tokens'] / bound:.3f}"]
        cells += [f"{r['flop'] / r['seconds'] / peak_gflops / 1e9:.0%}" for r in (theirs, ours)]
        print("| " + " | ".join(cells) + " |", flush=True)
    print_suite(rounds, totals)


def print_suite(rounds: dict[str, list[Any]], totals: dict[str, float]) -> None:
    hours = {program: seconds / 3600 for program, seconds in totals.items()}
    print(f"\nThe whole test sets at that speed: lm-eval {hours['lm-eval']:.2f} h,", end=" ")
    print(f"ours {hours['ours']:.2f} h: **{totals['lm-eval'] / totals['ours']:.2f}x**.", end=" ")
    peaks = {p: max(r["peak_gib"] for r in results) for p, results in rounds.items()}
    loaded = rounds["ours"][0]["loaded_gib"]
    print(f"Peak memory: {peaks['lm-eval']:.2f} against {peaks['ours']:.2f} GiB", end=" ")
    print(
        f"({peaks['ours'] / peaks['lm-eval']:.2f}x), {loaded:.2f} of it program and model.", end=" "
    )
    print(f"Largest difference of a log-likelihood: {max(list_differences(rounds)):.1e}.")


def list_differences(rounds: dict[str, list[Any]]) -> Iterator[float]:
    theirs, ours = (results[0]["tasks"] for results in rounds.values())
    for task in theirs:
        pairs = zip(theirs[task]["logprobs"], ours[task]["logprobs"], strict=True)
        yield from (abs(a - b) for a, b in pairs)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="lm-eval's HF backend against ours on KoBEST.")
    parser.add_argument("--kobest-dir", required=True, help="KoBEST's TSV files.")
    parser.add_argument("--models", default="gemma-3-270m,llama", help="Also llama-7b, on a GPU.")
    parser.add_argument("--num-fewshot", default="0,5")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--limit", type=int, default=16, help="Questions a task; 0: all.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, help="lm-eval's; left out: the quickest.")
    parser.add_argument("--batch-tokens", type=int, help="Ours; left out: the default.")
    parser.add_argument("--max-length", type=int, default=4096, help="Of the Llama shapes.")
    parser.add_argument("--device", default=resolve_device())
    parser.add_argument("--dtype", default="float32")
    return parser.parse_args()


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        options = argparse.Namespace(**json.loads(sys.argv[2]))
        options.folder = Path(options.folder)
        print(json.dumps({"tune": tune, "measure": measure}[options.step](options)))
        return
    options = parse()
    options.tasks = options.tasks.split(",")
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        train_tokenizer(options.folder, options.kobest_dir)
        print(describe_machine(), flush=True)
        dtype, side = getattr(torch, options.dtype), 2048 if options.device == "cpu" else 8192
        peak = max(measure_gflops(dtype, options.device, side, side, side) for _ in range(20))
        for name in options.models.split(","):
            for shots in map(int, options.num_fewshot.split(",")):
                compare(options, name, shots, peak)


if __name__ == "__main__":
    main()
