"""Every causal architecture of transformers, tiny and random: are its scores and texts right here?

python bench/architectures.py [NAME ...] [--out docs/architectures.md]

Each model is saved and loaded as a user's is. It has a window of 320 tokens in its config, whether
its class looks at that or not, and texts of 500. What KoT says is held against plain code that
shares nothing with it: one sequence at a time, the model's own forward and mask, log-softmax in
float64, no cache. In bfloat16 both are held against the plain code in float32: rounding may move
KoT's scores as far as it moves the plain ones (in brackets).
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from kot_platypus.errors import KotError
from kot_platypus.evaluate.decoding import BatchError, Decoder
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.writing import Job, PlainDecoder
from kot_platypus.models import load_model

WINDOW, VOCAB_SIZE, NEW_TOKENS, TIMEOUT_S = 320, 320, 8, 240
CONTEXT_TOKENS, PROMPT_TOKENS = (30, 200, 500), (9, 60, 400)
FLOAT32_NATS = 2e-3
"""What rounding may move a choice of at most six tokens in float32."""

INTRODUCTION = """\
# Every architecture, tried

`python bench/architectures.py --out docs/architectures.md` wrote this page. Every causal
architecture of transformers is built tiny and random, saved, loaded as a user's model is, and held
against plain code: one sequence at a time, the model's own forward, log-softmax in float64, no
cache. All have a `sliding_window` of 320 tokens in their config, which most classes do not know,
and texts of 500.

- *read*: many choices in one pass (`forest`), or one text at a time where a pass cannot be shared.
- *float32*: the largest distance of a choice's score from the plain one, in nats.
- *bfloat16*: the mean distance from the plain scores in float32, and in brackets that of the plain
  scores in bfloat16: what rounding alone does.
- *written*, *texts*: greedy texts of eight tokens, many at a time or one by one, and whether they
  are the plain ones.

Not built: a config of a few small sizes did not make a model; nothing is known of those.
"""

# Sizes under all the names they go by; a config takes those it knows.
SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "decoder_ffn_dim"), 96),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 4
    ),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "num_experts", "num_local_experts"), 4),
    **dict.fromkeys(("n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok", "moe_k"), 2),
    **dict.fromkeys(("head_dim", "v_head_dim", "q_lora_rank", "kv_lora_rank", "mamba_d_head"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("mamba_d_state", "mamba_n_heads", "state_size"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 1024),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCAB_SIZE),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"), 1),
    "initializer_range": 0.1,  # as trained models: logits that are not flat
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
    "sliding_window": WINDOW,
}
_LATENT = {"head_dim": 8, "num_key_value_heads": 4}  # attention through one latent vector
OWN_SIZES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32"), _LATENT),
    **dict.fromkeys(
        ("glm4_moe_lite", "glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"), _LATENT
    ),
    "bamba": {"attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 8},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 256},
    "gptj": {"rotary_dim": 8},
    "jamba": {"attn_layer_offset": 1, "attn_layer_period": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "mamba2": {"num_heads": 8, "expand": 2, "n_groups": 2, "head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
}


def build_model(name: str) -> Any:
    """A random model of that architecture in float32."""
    config_class = CONFIG_MAPPING[name]
    default = config_class().to_dict()
    sizes = {key: size for key, size in SIZES.items() if key in default}
    inner = {
        key: {name: size for name, size in SIZES.items() if name in value}
        for key, value in default.items()
        if key.endswith("_config") and isinstance(value, dict)
    }
    kinds = list(dict.fromkeys(default.get("layer_types") or ()))
    layers = list(itertools.islice(itertools.cycle(kinds), 4)) if kinds else None
    tries = [{"layer_types": layers}, {}] if len(kinds) > 1 else [{}]
    for number, types in enumerate(tries, start=1):
        torch.manual_seed(0)
        window = {"sliding_window": WINDOW}
        options = {**window, **sizes, **inner, **types, **OWN_SIZES.get(name, {})}
        try:
            model = AutoModelForCausalLM.from_config(config_class(**options)).eval()
            model(input_ids=torch.arange(5, 35)[None], use_cache=False)
            return model
        except Exception:
            if number == len(tries):
                raise
    return None


# --- plain code --------------------------------------------------------------------------------


@torch.inference_mode()
def score_plainly(model: Any, request: EncodedRequest) -> float:
    ids = torch.tensor([request.ids])
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0].double()
    logprobs = logits.log_softmax(-1)[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
    return float(logprobs[request.start - 1 :].sum())


@torch.inference_mode()
def write_plainly(model: Any, prompt: list[int]) -> list[int]:
    ids = list(prompt)
    while len(ids) < len(prompt) + NEW_TOKENS:
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        token = int(logits.argmax())
        if token == SIZES["eos_token_id"]:
            break
        ids.append(token)
    return ids[len(prompt) :]


# --- what is asked -----------------------------------------------------------------------------


def make_requests() -> list[list[EncodedRequest]]:
    """Questions of several choices, some of which share their first tokens."""
    draw = random.Random(0)
    questions = []
    for length in CONTEXT_TOKENS:
        context = [draw.randrange(5, VOCAB_SIZE) for _ in range(length)]
        first = [draw.randrange(5, VOCAB_SIZE) for _ in range(2)]
        choices = [
            first + [draw.randrange(5, VOCAB_SIZE) for _ in range(4)],
            first + [draw.randrange(5, VOCAB_SIZE) for _ in range(2)],
            [draw.randrange(5, VOCAB_SIZE) for _ in range(3)],
        ]
        questions.append([EncodedRequest(context + c, len(context)) for c in choices])
    return questions


class Question:
    def __init__(self, requests: list[EncodedRequest]) -> None:
        self.requests = requests


def score_here(model: Any, questions: list[list[EncodedRequest]]) -> tuple[list[float], str]:
    """Every choice's score, and how the texts were read."""
    scorer = Scorer(model, max_batch_tokens=100_000)
    batches = scorer.plan([Question(requests) for requests in questions])
    groups = [group for batch in batches for group in scorer.score(batch)]
    way = "one by one" if scorer.obstacle else "forest"
    return [score.logprob for group in groups for score in group], way


def write_here(model: Any, prompts: list[list[int]]) -> tuple[list[list[int]], str]:
    """Every prompt's text, and how they were written."""
    jobs = [Job(place, prompt) for place, prompt in enumerate(prompts)]
    stops = [SIZES["eos_token_id"]]
    try:
        decoder: Any = Decoder(model, stops)
    except BatchError:
        decoder = PlainDecoder(model, stops)
    done = {job.place: job.written for job in decoder.write(jobs, NEW_TOKENS)}
    way = "batch" if isinstance(decoder, Decoder) else "one by one"
    return [done[place] for place in range(len(prompts))], way


# --- a row of the table ------------------------------------------------------------------------


def examine(name: str) -> dict[str, str]:
    try:
        built = build_model(name)
    except Exception as error:
        return {"class": f"not built ({type(error).__name__})"}
    row = {"class": type(built).__name__}
    questions = make_requests()
    flat = [request for requests in questions for request in requests]
    try:
        exact = torch.tensor([score_plainly(built, request) for request in flat])
    except Exception as error:
        return {"class": f"{row['class']}: plain code fails ({type(error).__name__})"}
    with TemporaryDirectory() as folder:
        built.save_pretrained(folder)
        try:
            model = load_model(Path(folder), dtype="float32", device="cpu")
            half = load_model(Path(folder), dtype="bfloat16", device="cpu")
        except KotError as error:
            return row | {"float32 read": "refused", "float32": str(error).replace(folder, "it")}
    row |= examine_scores(model, questions, exact)
    row |= examine_texts(model, built)
    try:
        rounded = torch.tensor([score_plainly(half, request) for request in flat])
    except Exception as error:
        return row | {"bfloat16": f"none in transformers ({type(error).__name__})"}
    return row | examine_scores(half, questions, exact, rounded)


def examine_scores(
    model: Any,
    questions: list[list[EncodedRequest]],
    exact: torch.Tensor,
    rounded: torch.Tensor | None = None,
) -> dict[str, str]:
    """The largest (float32) or mean (bfloat16) distance from the exact scores, in nats."""
    dtype = "float32" if rounded is None else "bfloat16"
    try:
        scores, way = score_here(model, questions)
    except KotError as error:
        return {f"{dtype} read": "refused", dtype: str(error)}
    distances = (torch.tensor(scores) - exact).abs()
    if rounded is None:
        worst = float(distances.max())
        found = f"{'' if worst <= FLOAT32_NATS else 'WRONG '}{worst:.1e}"
    else:
        mean, plain = float(distances.mean()), float((rounded - exact).abs().mean())
        found = f"{'' if mean <= 2 * plain + 0.02 else 'WRONG '}{mean:.3f} ({plain:.3f})"
    return {f"{dtype} read": way, dtype: found}


def examine_texts(model: Any, built: Any) -> dict[str, str]:
    draw = random.Random(1)
    prompts = [[draw.randrange(5, VOCAB_SIZE) for _ in range(n)] for n in PROMPT_TOKENS]
    try:
        texts, way = write_here(model, prompts)
    except KotError as error:
        return {"written": "refused", "texts": str(error)}
    same = sum(t == write_plainly(built, p) for t, p in zip(texts, prompts, strict=True))
    return {"written": way, "texts": "same" if same == len(prompts) else f"WRONG: {same} of 3 same"}


def run_child(name: str, pipe: Any) -> None:
    torch.set_num_threads(1)
    # Notices of the plain way stand in the table.
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    try:
        pipe.send(examine(name))
    except Exception as error:
        pipe.send({"class": f"CRASHED: {type(error).__name__}: {error}"})


def run_alone(name: str) -> dict[str, str]:
    """A row, made in a process of its own: what hangs or dies takes nothing with it."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=run_child, args=(name, send))
    child.start()
    send.close()
    try:
        row = receive.recv() if receive.poll(TIMEOUT_S) else {"class": "timed out"}
    except EOFError:
        row = {"class": "CRASHED: the process died"}
    child.kill()
    child.join()
    return row


def write_table(rows: dict[str, dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [["model_type", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(row.get(column, "") for column in columns)] for name, row in rows.items()]
    cells = ([cell.replace("|", "/").replace("\n", " ")[:120] for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def summarise(rows: dict[str, dict[str, str]]) -> str:
    scored = [row for row in rows.values() if "float32" in row]
    counts = {
        way: sum(row["float32 read"] == way for row in scored)
        for way in ("forest", "one by one", "refused")
    }
    return (
        f"transformers {transformers.__version__}, torch {torch.__version__}: {len(rows)} "
        f"architectures, {len(scored)} built and scored by plain code; here "
        + ", ".join(f"{count} {way}" for way, count in counts.items())
        + f"; {sum(map(is_wrong, rows.values()))} wrong"
    )


def is_wrong(row: dict[str, str]) -> bool:
    return any(sign in str(row) for sign in ("WRONG", "CRASHED"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, help="write the table there, as Markdown")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    rows = {}
    for name in options.names or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        rows[name] = run_alone(name)
        print(name, *rows[name].values(), sep="\t", flush=True)
    print(summarise(rows))
    if options.out:
        text = f"{INTRODUCTION}\n{summarise(rows)}.\n\n{write_table(rows)}"
        options.out.write_text(text, encoding="utf-8")
    sys.exit(any(map(is_wrong, rows.values())))


if __name__ == "__main__":
    main()
