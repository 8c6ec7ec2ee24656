"""New tokens: one token each, rows that are trained alone, and the same to whoever reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from kot_platypus.app.speaker import Speaker
from kot_platypus.artifacts import hash_file, read_json, write_json
from kot_platypus.cli import app
from kot_platypus.errors import ModelError
from kot_platypus.evaluate.decoding import TextGenerator
from kot_platypus.evaluate.texts import Prompt, Settings
from kot_platypus.models import fingerprint_model, load_model, load_tokenizer
from kot_platypus.models.new_tokens import load_vocabulary
from kot_platypus.models.rows import add_rows
from kot_platypus.models.tokens import build_tokenizer
from kot_platypus.prompts import load_template
from kot_platypus.recipe import ModelSection
from kot_platypus.records import Example
from kot_platypus.train.fit import train_adapter
from kot_platypus.train.loss import pack_loss, score_pack
from kot_platypus.train.merge import merge_adapter
from kot_platypus.train.methods import load_trainable
from kot_platypus.train.packing import pack_batch

from .conftest import StopAfter, encode_example, make_gemma, section

CPU = ModelSection(device="cpu", dtype="float32")
TAGS = ("<think>", "</think>")
THINK = {"template": "think", "new_tokens": TAGS}
TEXT = "질문: 가나\n답변:\n<think>\n3 + 4 = 7\n</think>\n정답: 7"


@pytest.fixture(params=["tiny-llama-ko", "tiny-polyglot-ko", "tied", "tied with spare rows"])
def some_base(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    """Untied models and tied ones; the second of each has rows that none of its tokens has."""
    if not request.param.startswith("tied"):
        return shared / "models" / request.param
    return make_tied(shared, tmp_path / "tied", 4064 if "spare" in request.param else 4000)


def make_tied(shared: Path, folder: Path, rows: int = 4000) -> Path:
    model = make_gemma()
    model.resize_token_embeddings(rows, mean_resizing=False)
    model.save_pretrained(folder)
    load_tokenizer(shared / "models" / "tiny-llama-ko").save_pretrained(folder)
    return folder


@torch.inference_mode()
def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    return model.eval()(torch.tensor([ids])).logits[0]


def read_tables(folder: Path) -> dict[str, torch.Tensor]:
    weights = load_file(folder / "model.safetensors")
    return {n: t for n, t in weights.items() if any(k in n for k in ("embed", "lm_head"))}


# --- by hand -----------------------------------------------------------------------------------


def build_by_hand(base: Path, new_ids: list[int], **lora: object) -> PeftModel:
    """What plain transformers and PEFT make of a base with new tokens, its rows the mean."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    names = ["embed_in" if "polyglot" in base.name else "embed_tokens", "lm_head"]
    tables = [model.get_input_embeddings(), model.get_output_embeddings()]
    if tables[0].weight is tables[1].weight:
        names, tables = names[:1], tables[:1]
    means = [table.weight.detach().mean(0) for table in tables]
    model.resize_token_embeddings(max(max(new_ids) + 1, model.config.vocab_size))
    tables = [model.get_input_embeddings(), model.get_output_embeddings()]
    for table, mean in zip(tables, means, strict=False):
        table.weight.data[new_ids] = mean
    names = dict.fromkeys(names, new_ids)
    config = LoraConfig(trainable_token_indices=names, target_modules="all-linear", **lora)
    return get_peft_model(model, config)


@pytest.mark.one_in(2)
def test_loss_and_gradients_are_those_of_peft_by_hand(some_base):
    vocabulary = load_vocabulary(some_base, TAGS)
    new_ids = list(vocabulary.added.values())
    rows = [Example(source="3+4?", rationale=f"{n}에 4를 더한다.", target="7") for n in (1, 2, 33)]
    encoded = [
        encode_example(row, load_template("think"), "rationale_answer", vocabulary.tokenizer, 512)
        for row in rows
    ]
    torch.manual_seed(0)
    by_hand = build_by_hand(some_base, new_ids, r=4, lora_alpha=16)
    expected = torch.zeros(())
    for item in encoded:
        ids = torch.tensor([item.ids])
        found = by_hand(input_ids=ids).logits[0, item.prompt_len - 1 : -1]
        expected = expected + F.cross_entropy(found, ids[0, item.prompt_len :]) / len(rows)
    expected.backward()

    options = section(**THINK, lora_r=4)
    ours, _ = load_trainable(some_base, options, dtype="float32", device="cpu", added=new_ids)
    state = {n: p for n, p in by_hand.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(state[name])
    (pack,) = pack_batch(encoded, 4096, "example")
    loss = pack_loss(ours, pack)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(score_pack(ours, pack)[0], expected, rtol=1e-5, atol=1e-6)
    trained = {n: p for n, p in ours.named_parameters() if p.requires_grad}
    assert trained.keys() == state.keys()
    assert any("trainable_tokens_delta" in name for name in trained)
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.one_in(2)
def test_merged_and_published_folder_is_base_with_adapter_in_plain_libraries(
    some_base, few, tmp_path
):
    train_adapter(few, some_base, tmp_path / "out", section(**THINK), CPU)
    adapter = tmp_path / "out" / "adapter"
    merge_adapter(some_base, adapter, tmp_path / "merged")

    plain = AutoTokenizer.from_pretrained(tmp_path / "merged")
    ids = plain(TEXT)["input_ids"]
    new_ids = [plain.convert_tokens_to_ids(tag) for tag in TAGS]
    first = len(AutoTokenizer.from_pretrained(some_base))
    assert [id_ for id_ in ids if id_ >= first] == new_ids == [first, first + 1]
    for tokenizer in (
        load_tokenizer(tmp_path / "merged"),
        load_tokenizer(some_base, adapter=adapter),
    ):
        assert tokenizer(TEXT)["input_ids"] == ids
        assert tokenizer.decode(ids, skip_special_tokens=True).count("think>") == 2

    by_hand = AutoModelForCausalLM.from_pretrained(some_base, dtype=torch.float32)
    rows = max(by_hand.config.vocab_size, len(plain))
    by_hand.resize_token_embeddings(rows)
    expected = logits(PeftModel.from_pretrained(by_hand, adapter), ids)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    torch.testing.assert_close(logits(merged, ids), expected, atol=1e-4, rtol=1e-4)
    ours = load_model(some_base, dtype="float32", device="cpu", adapter=adapter)
    torch.testing.assert_close(logits(ours, ids), expected, atol=1e-4, rtol=1e-4)
    assert read_json(tmp_path / "merged" / "config.json")["vocab_size"] == rows


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_exactly_the_new_rows_are_trained(base, few, tmp_path, method):
    train_adapter(few, base, tmp_path / "out", section(**THINK, method=method), CPU)
    merge_adapter(base, tmp_path / "out" / "adapter", tmp_path / "merged")
    before, after = read_tables(base), read_tables(tmp_path / "merged")
    assert before.keys() == after.keys()
    for name, table in before.items():
        assert torch.equal(after[name][:4000], table)
        new = after[name][4000:]
        assert len(new) == 2
        assert not torch.allclose(new, table.mean(0).expand(2, -1), atol=1e-3)
    names = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors").keys()
    assert not [name for name in names if "lora_" not in name and "trainable_tokens" not in name]


def test_training_begins_with_the_mean_of_the_old_rows(base):
    model = load_model(base, dtype="float32", device="cpu")
    old = {name: table.clone() for name, table in read_tables(base).items()}
    add_rows(model, [4000, 4003])
    for name, table in old.items():
        found = model.get_parameter(name)
        assert torch.equal(found[:4000], table)
        torch.testing.assert_close(found[4000:], table.mean(0).expand(4, -1))


# --- as ever -----------------------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_interrupted_training_ends_with_the_same_weights(base, few, tmp_path, dtype, method):
    model = ModelSection(device="cpu", dtype=dtype)
    options = section(
        **THINK, method=method, save_steps=1, save_total_limit=1 if method == "lora" else None
    )
    train_adapter(few, base, tmp_path / "whole", options, model)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(few, base, tmp_path / "broken", options, model, callbacks=[StopAfter(2)])
    train_adapter(few, base, tmp_path / "broken", options, model)
    weights = {"lora": "adapter/adapter_model.safetensors", "full": "model/model.safetensors"}
    hashes = {hash_file(tmp_path / each / weights[method]) for each in ("whole", "broken")}
    assert len(hashes) == 1
    if method == "lora":
        last = tmp_path / "whole" / "checkpoint-2"
        assert load_tokenizer(base, adapter=last)(TEXT)["input_ids"].count(4000) == 1
        found, kept = (
            load_file(each / "adapter_model.safetensors")
            for each in (last, tmp_path / "whole" / "adapter")
        )
        assert found.keys() == kept.keys()


def test_packs_change_nothing(base, few, tmp_path):
    losses = []
    for tokens in (1, 4096):
        out = tmp_path / str(tokens)
        train_adapter(few, base, out, section(**THINK, max_tokens_per_pass=tokens), CPU)
        losses.append(load_file(out / "adapter" / "adapter_model.safetensors"))
    for name, weight in losses[0].items():
        torch.testing.assert_close(losses[1][name], weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_is_trained_is_float32_whatever_the_base(base, dtype):
    options = section(**THINK)
    model, _ = load_trainable(base, options, dtype=dtype, device="cpu", added=[4000, 4001])
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32}
    assert sum("trainable_tokens" in name for name in trained) == 2


def test_all_weights_are_trained_with_the_new_rows(base, few, tmp_path):
    options = section(**THINK, method="full", learning_rate=1e-3)
    train_adapter(few, base, tmp_path / "out", options, CPU)
    folder = tmp_path / "out" / "model"
    assert AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"].count(4000) == 1
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == 4002
    assert {len(table) for table in read_tables(folder).values()} == {4002}


def test_qlora_trains_them_too(base, few, tmp_path):
    pytest.importorskip("bitsandbytes")
    train_adapter(few, base, tmp_path / "out", section(**THINK, method="qlora"), CPU)
    merge_adapter(base, tmp_path / "out" / "adapter", tmp_path / "merged")
    after = read_tables(tmp_path / "merged")
    assert {len(table) for table in after.values()} == {4002}
    assert all(torch.equal(after[n][:4000], table) for n, table in read_tables(base).items())


# --- the tokenizer -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-llama-ko", "tiny-llama2-ko", "tiny-polyglot-ko"])
def test_files_of_the_tokenizer_differ_by_the_tokens_alone(shared, name):
    base = shared / "models" / name
    vocabulary = load_vocabulary(base, TAGS)
    before, after = (read_json(folder / "tokenizer.json") for folder in (base, vocabulary.folder))
    assert {key for key in before if before[key] != after[key]} == {"added_tokens"}
    old, new = before["added_tokens"], after["added_tokens"]
    assert new[: len(old)] == old
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    assert [token["content"] for token in new[len(old) :]] == list(TAGS)
    assert all(flags.items() <= token.items() for token in new[len(old) :])
    plain, ours = AutoTokenizer.from_pretrained(base), vocabulary.tokenizer
    assert ours("가 나")["input_ids"] == load_tokenizer(base)("가 나")["input_ids"]
    ids = ours("가<think> 나 </think>\n", add_special_tokens=False)["input_ids"]
    assert [id_ for id_ in ids if id_ >= len(plain)] == list(vocabulary.added.values())
    # Llama 2's puts a space behind every added token, as behind its own.
    spaced = {"tiny-llama2-ko": "가<think>  나 </think> \n"}
    assert ours.decode(ids) == spaced.get(name, "가<think> 나 </think>\n")


def test_what_is_one_token_already_is_said_and_stays(base, few, tmp_path, capsys):
    first = tmp_path / "first"
    train_adapter(few, base, first, section(**THINK, method="full"), CPU)
    capsys.readouterr()
    options = section(template="think", new_tokens=[*TAGS, "<answer>"])
    train_adapter(few, first / "model", tmp_path / "next", options, CPU)
    assert "One token of model already, so not new: <think> (4000), </think> (4001)" in " ".join(
        capsys.readouterr().err.split()
    )
    assert read_json(tmp_path / "next" / "manifest.json")["new_tokens"] == {"<answer>": 4002}
    only = load_vocabulary(first / "model", TAGS)
    assert (only.added, only.folder) == ({}, None)


def test_a_tokenizer_without_its_file_is_one_line(base, tmp_path):
    described = read_json(base / "tokenizer.json")["model"]
    vocab = {**described["vocab"], "<|endoftext|>": 3999}
    write_json(tmp_path / "base" / "vocab.json", {t: n for t, n in vocab.items() if n < 4000})
    merges = "\n".join(" ".join(pair) for pair in described["merges"])
    (tmp_path / "base" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    write_json(tmp_path / "base" / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    with pytest.raises(ModelError, match=r"has no tokenizer.json, into which train.new_tokens"):
        load_vocabulary(tmp_path / "base", TAGS)


def test_an_adapter_with_new_tokens_is_another_model(base, few, tmp_path):
    train_adapter(few, base, tmp_path / "out", section(**THINK), CPU)
    adapter = tmp_path / "out" / "adapter"
    whole = fingerprint_model(base, adapter)
    file = adapter / "tokenizer.json"
    content = read_json(file)
    content["added_tokens"][-1]["lstrip"] = True
    write_json(file, content)
    assert fingerprint_model(base, adapter) != whole


# --- beside other settings ---------------------------------------------------------------------


def dry_run(base: Path, rows: Path, *settings: str) -> str:
    sets = [part for each in settings for part in ("--set", each)]
    command = ["train", "demo", "--data", str(rows), "--dry-run", "--no-measure"]
    where = ["--set", f"model.name={base}", "--set", "model.dtype=float32"]
    result = CliRunner().invoke(app, [*command, *where, *sets])
    return " ".join(result.output.split())


def test_dry_run_counts_the_rows(base, few):
    before, after = dry_run(base, few), dry_run(base, few, "train.new_tokens=['<a>', '<b>']")
    counts = [
        int(out.split("trainable parameters ")[1].split()[0].replace(",", ""))
        for out in (before, after)
    ]
    assert (
        counts[1] - counts[0]
        == 2 * 2 * load_model(base, dtype="float32", device="cpu").config.hidden_size
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["train.lora_target_modules=[lm_head]"], "train.lora_target_modules is on embeddings"),
        (["train.modules_to_save=[lm_head]"], "train.modules_to_save is on embeddings"),
        (["train.modules_to_save=[nothing]"], "train.modules_to_save names nothing, which"),
        (["train.modules_to_save=[q_proj]", "train.method=full"], "beside `modules_to_save`"),
        (["train.new_tokens=['<a>', '<a>']"], "each of them once"),
        (["train.new_tokens=['<a>']", "train.init_lora_weights=pissa"], "beside `new_tokens`"),
        (["train.add_tokens=['<a>']"], "Here it is train.new_tokens"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_trained(
    shared, tmp_path, few, changes, said
):
    out = dry_run(make_tied(shared, tmp_path / "tied"), few, *changes)
    assert said in out
    assert "Nothing was trained" not in out


@pytest.mark.parametrize("saved", [["lm_head"], ["embed_tokens", "lm_head"], ["layers.0.mlp"]])
def test_modules_trained_in_full_stand_beside_them(base, few, tmp_path, saved):
    options = section(**THINK, modules_to_save=saved, learning_rate=1e-3)
    train_adapter(few, base, tmp_path / "out", options, CPU)
    adapter = tmp_path / "out" / "adapter"
    merge_adapter(base, adapter, tmp_path / "merged")
    ids = load_tokenizer(tmp_path / "merged")(TEXT)["input_ids"]
    ours = load_model(base, dtype="float32", device="cpu", adapter=adapter)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    torch.testing.assert_close(logits(merged, ids), logits(ours, ids), atol=1e-4, rtol=1e-4)
    changed = {
        n
        for n, t in read_tables(tmp_path / "merged").items()
        if not torch.equal(t[:4000], read_tables(base)[n])
    }
    assert {name.split(".")[-2] for name in changed} == set(saved) & {"lm_head", "embed_tokens"}


# --- those who read the model ------------------------------------------------------------------


@pytest.mark.parametrize("special", [False, True])
def test_chat_shows_tags_that_are_special_tokens_too(base, tmp_path, special):
    """A base that has <think> may have it as a special token, which decoding leaves out."""
    vocabulary = load_vocabulary(base, TAGS)
    shutil.copytree(vocabulary.folder, tmp_path / "folder")
    tokens = read_json(tmp_path / "folder" / "tokenizer.json")
    for token in tokens["added_tokens"][-2:]:
        token["special"] = special
    write_json(tmp_path / "folder" / "tokenizer.json", tokens)
    tokenizer = build_tokenizer(tmp_path / "folder")
    model = load_model(base, dtype="float32", device="cpu")
    add_rows(model, vocabulary.added.values())
    template = load_template("think")
    prompt = torch.tensor([tokenizer(template.render_prompt("3+4?"))["input_ids"]])
    with torch.no_grad():  # it writes <think> whatever comes before
        hidden = model.model(prompt).last_hidden_state[0, -1]
        model.lm_head.weight.zero_()[vocabulary.added["<think>"]] = hidden
    said = "".join(Speaker(model, tokenizer, template).stream("3+4?", max_new_tokens=1))
    assert said == "<think>"
    asked, how = (
        Prompt(text=template.render_prompt("3+4?")),
        Settings(max_new_tokens=1, stop_line=None),
    )
    ((_, written),) = TextGenerator(model, tokenizer).generate([asked], how)
    assert written.text == "<think>"
