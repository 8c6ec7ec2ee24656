"""Encoding dialogues for a training: how long it takes, once and again.

    python bench/encoding.py --rows 100000               # the table in docs/benchmarks.md

Writes dialogues of two generated problems (four turns of Korean, rationale and answer) and reads
and encodes them as `kot train` does, with the tokenizer of Gemma 3 270M and ChatML's template:
in a process of its own first, then in another, as a training that is taken up again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from pathlib import Path

from kot_platypus.artifacts import write_lines
from kot_platypus.data.problems import make_problems
from kot_platypus.models import load_tokenizer, resolve_model
from kot_platypus.prompts import load_template
from kot_platypus.recipe import SourceSection, TrainSection
from kot_platypus.train.examples import read_examples
from kot_platypus.train.kept_rows import keep_rows
from measuring import describe_processor, run_child

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_dialogues(path: Path, count: int) -> None:
    problems = make_problems(min(2 * count, 3000), seed=0, split="train")

    def turns(number: int) -> list[dict[str, str]]:
        found = []
        for offset in (0, 1):
            each = problems[(2 * number + offset * (1 + number // 1500)) % len(problems)]
            question = f"{number}번 대화. {each.source}"
            found.append({"role": "user", "content": question})
            found.append({"role": "assistant", "content": f"{each.rationale}\n{each.target}"})
        return found

    rows = ({"messages": turns(number)} for number in range(count))
    write_lines(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def encode(options: argparse.Namespace) -> dict[str, object]:
    tokenizer = load_tokenizer(resolve_model("gemma-3-270m"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    section = TrainSection(template="chat", cutoff_len=1024)
    sources = [SourceSection(name="file", path=options.file)]
    started, used = time.perf_counter(), time.process_time()
    checkpoints = Path(options.file).parent / "checkpoints"
    examples = read_examples(sources, load_template("chat"), section, tokenizer, 0, checkpoints)
    keep_rows(checkpoints, examples.encoded)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    digest = hashlib.sha256()
    for item in examples.train:
        digest.update(repr((item.ids, item.label_positions)).encode())
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "tokens": sum(len(item.ids) for item in examples.train),
        "examples": digest.hexdigest()[:12],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(encode(argparse.Namespace(**json.loads(options.child)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.file = str(Path(folder) / "dialogues.jsonl")
        write_dialogues(Path(options.file), options.rows)
        print(f"{options.rows:,} dialogues; {describe_processor()}")
        for what in ("first", "again"):
            print(what, run_child(__file__, options))


if __name__ == "__main__":
    main()
