"""Generation with four programs on identical prompts, alternating, and whether they agree.

    pip install -e '.[bench]' xllamacpp
    OMP_NUM_THREADS=1 python bench/reason.py             # the table in docs/benchmarks.md
    python bench/reason.py --models llama-7b --dtype bfloat16 --problems 256    # on a GPU

The programs: ``model.generate`` question by question; transformers' own continuous batching
(``model.generate_batch``); llama.cpp's server in the same precision, its cache too, all questions
asked at once (its converter in ``$LLAMA_CPP``, as for ``kot export --gguf``); ours. All write
greedily and end a text at the same tokens: the model's end of text and the blank line that stands
between worked examples. The questions are held-out problems of the demo, after so many worked
examples. Every measurement is a process of its own. On a busy machine seconds on the clock say
little; so processor seconds are printed too, and with one thread they are what an idle machine
would have taken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
from transformers import GenerationConfig

from kot_platypus.data.problems import make_problems
from kot_platypus.evaluate.decoding import Decoder
from kot_platypus.evaluate.prompting import Question, build_prompt
from kot_platypus.evaluate.writing import Job
from kot_platypus.models import load_model, load_tokenizer, resolve_device, resolve_model
from kot_platypus.prompts import load_template
from kot_platypus.train.gguf_file import write_gguf
from measuring import SHAPES, describe_machine, make_llama, read_peak_gib, run_child

PROGRAMS = {
    "plain": "`generate`, one by one",
    "continuous": "`generate_batch`",
    "llama.cpp": "llama.cpp",
    "ours": "ours",
}
Texts = list[list[int]]


# --- the questions -----------------------------------------------------------------------------


def make_prompts(options: argparse.Namespace, tokenizer: Any, shots: int) -> Texts:
    template = load_template("kot")
    worked = make_problems(shots, 0, "train", ("chain",)) if shots else []
    problems = make_problems(options.problems, 1, "heldout", ("chain",))
    asked = [Question(row.task, i, row.source, row.target) for i, row in enumerate(problems)]
    return [tokenizer(build_prompt(q, template, worked).text)["input_ids"] for q in asked]


def load_both(options: argparse.Namespace) -> tuple[Any, Any]:
    at = {"dtype": options.dtype, "device": options.device}
    folder = resolve_model(options.tokenizer)
    tokenizer = load_tokenizer(folder)
    if options.model in SHAPES:  # random weights: speed alone; its vocabulary is smaller
        return make_llama(options.model, max_length=4096, **at), lambda text: {
            "input_ids": [3 + i % 40_000 for i in tokenizer(text)["input_ids"]]
        }
    return load_model(resolve_model(options.model), **at), tokenizer


# --- the four programs ------------------------------------------------------------------------


def write_plain(model: Any, prompts: Texts, stops: list[int], options: Any) -> Texts:
    texts = []
    for ids in prompts:
        inputs = torch.tensor([ids], device=model.device)
        whole = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=options.max_new_tokens,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=0,
        )
        texts.append(whole[0, len(ids) :].tolist())
    return texts


def write_continuous(model: Any, prompts: Texts, stops: list[int], options: Any) -> Texts:
    config = GenerationConfig(
        max_new_tokens=options.max_new_tokens, do_sample=False, eos_token_id=stops, pad_token_id=0
    )
    found = model.generate_batch(inputs=prompts, generation_config=config)
    # Answers come in any order; their prompts tell which they are.
    by_prompt = {tuple(each.prompt_ids): list(each.generated_tokens) for each in found.values()}
    return [by_prompt[tuple(ids)] for ids in prompts]


def write_with_llama_cpp(server: Any, prompts: Texts, stops: list[int], options: Any) -> Texts:
    def ask(ids: list[int]) -> list[int]:
        request = {
            "prompt": ids,
            "n_predict": options.max_new_tokens,
            "temperature": 0,
            "cache_prompt": False,
            "return_tokens": True,
            "stop": ["\n\n"],
        }
        body = json.dumps(request).encode()
        asked = Request(f"{server.listening_address}/completion", body)
        with urlopen(asked) as reply:
            return list(json.load(reply)["tokens"])

    with ThreadPoolExecutor(len(prompts)) as pool:
        return list(pool.map(ask, prompts))


def start_llama_cpp(options: argparse.Namespace) -> Any:
    import xllamacpp

    kinds = {"float32": ("f32", "F32"), "bfloat16": ("bf16", "BF16"), "float16": ("f16", "F16")}
    dtype, cache = kinds[options.dtype]
    params = xllamacpp.CommonParams()
    with tempfile.TemporaryDirectory() as folder:
        params.model.path = f"{folder}/model.gguf"
        write_gguf(resolve_model(options.model), Path(params.model.path), dtype)
        params.n_parallel, params.n_ctx = options.rows, 2048 * options.rows
        for threads in (params.cpuparams, params.cpuparams_batch):
            threads.n_threads = torch.get_num_threads()
        kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{cache}")
        params.cache_type_k = params.cache_type_v = kind
        return xllamacpp.Server(params)


def write_ours(model: Any, prompts: Texts, stops: list[int], options: Any) -> Texts:
    decoder = Decoder(model, stops, max_rows=options.rows)
    jobs = [Job(place, ids) for place, ids in enumerate(prompts)]
    done = {job.place: job.written for job in decoder.write(jobs, options.max_new_tokens)}
    return [done[place] for place in range(len(prompts))]


WRITERS: dict[str, Callable[[Any, Texts, list[int], Any], Texts]] = {
    "plain": write_plain,
    "continuous": write_continuous,
    "llama.cpp": write_with_llama_cpp,
    "ours": write_ours,
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    model, tokenizer = load_both(options)
    prompts = make_prompts(options, tokenizer, options.shots)
    blank = tokenizer("\n\n")["input_ids"][-1]
    end = model.generation_config.eos_token_id
    stops = [blank, *(end if isinstance(end, list) else [end])]
    write = WRITERS[options.program]
    if options.program == "llama.cpp":
        model = start_llama_cpp(options)
    write(model, prompts[:1], stops, argparse.Namespace(max_new_tokens=2, rows=1))  # warm
    wall, processor = time.perf_counter(), time.process_time()
    texts = write(model, prompts, stops, options)
    if options.device == "cuda":
        torch.cuda.synchronize()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    texts = [text[:-1] if text and text[-1] in stops else text for text in texts]
    return {
        "seconds": wall,
        "processor": processor,
        "texts": texts,
        "prompt_tokens": sum(map(len, prompts)),
        "peak_gib": read_peak_gib(options.device),
    }


# --- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, name: str, shots: int) -> None:
    rounds: dict[str, list[Any]] = {program: [] for program in options.programs}
    if name in SHAPES:
        rounds.pop("llama.cpp", None)  # there is no folder to convert
    for _ in range(options.rounds):
        for program, results in rounds.items():
            changes = {"model": name, "program": program, "shots": shots}
            results.append(run_child(__file__, options, **changes))
    first = rounds["plain"][0]
    tokens = sum(map(len, first["texts"]))
    print(
        f"\n{name}, {options.dtype}, {options.device}: {options.problems} questions after", end=" "
    )
    print(f"{shots} worked examples ({first['prompt_tokens']:,} tokens read, {tokens:,}", end=" ")
    print(
        f"written, at most {options.max_new_tokens} a text); the best of {options.rounds} rounds\n"
    )
    print("| program | tokens/s | seconds | processor seconds | faster | same texts | peak GiB |")
    print("|---|---|---|---|---|---|---|")
    clock = "processor" if options.device == "cpu" else "seconds"
    plain = min(result[clock] for result in rounds["plain"])
    for program, results in rounds.items():
        best = min(results, key=lambda result: result[clock])
        same = sum(a == b for a, b in zip(best["texts"], first["texts"], strict=True))
        cells = [PROGRAMS[program], f"{sum(map(len, best['texts'])) / best[clock]:.1f}"]
        cells += [f"{min(r['seconds'] for r in results):.1f}", f"{best['processor']:.1f}"]
        cells += [f"**{plain / best[clock]:.2f}x**", f"{same} of {len(first['texts'])}"]
        print("| " + " | ".join([*cells, f"{best['peak_gib']:.2f}"]) + " |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Four ways to generate, side by side.")
    parser.add_argument("--models", default="gemma-3-270m", help="Also llama, llama-7b.")
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--tokenizer", default="gemma-3-270m", help="Of the random Llamas.")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--num-fewshot", default="0,2")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32, help="Ours: texts at a time.")
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
    print(describe_machine(), flush=True)
    for name in options.models.split(","):
        for shots in map(int, options.num_fewshot.split(",")):
            compare(options, name, shots)


if __name__ == "__main__":
    main()
