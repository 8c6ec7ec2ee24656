from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import read_json, read_jsonl, write_json, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import ModelError, RunError
from kot_platypus.evaluate.answers import (
    answer_problems,
    generate_batch,
    judge_output,
    plan_batches,
    render_prompts,
    summarise_answers,
)
from kot_platypus.models import load_model, load_tokenizer
from kot_platypus.prompts import Template, load_template
from kot_platypus.recipe import ModelSection, ReasonSection
from kot_platypus.records import Answer, Example

KOT = load_template("kot")
# What the tiny models write begins with a line "문장: ...", so they always state an "answer".
SENTENCE = Template(
    name="t", description="", prompt="질문: {source}\n답변:\n", answer="문장: {target}"
)
MODELS = ("tiny-llama-ko", "tiny-polyglot-ko")
MODEL_SECTION = ModelSection(device="cpu", dtype="float32")
SECTION = ReasonSection(max_new_tokens=12, batch_size=4)
CHAT_TEMPLATE = (
    "<s>{% for message in messages %}{{ message.role }}: {{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
PROBLEM = Example(source="3+4는?", target="7개", task="sum")


# --- judging -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        "3+4=7.\n정답: 7개",
        "정답: 7개.",
        "정답: 7 개\n",
        "정답:  7개 ",
        "정답: 7개\n정답: 8개",
        "정답: 7개\n질문: ...",
    ],
)
def test_stated_answer_is_right_whatever_its_spaces_and_full_stop(output):
    assert judge_output(0, PROBLEM, output, KOT, 9).correct


@pytest.mark.parametrize(
    "output", ["정답: 8개", "정답: 7", "정답: 77개", "정답: 8개\n정답: 7개", "정답: 7개8"]
)
def test_other_answer_is_wrong(output):
    judged = judge_output(0, PROBLEM, output, KOT, 9)
    assert judged.answer is not None
    assert not judged.correct


@pytest.mark.parametrize("output", ["", "7개", "3+4=7개.", "정답:", "답: 7개"])
def test_output_without_an_answer_line_is_wrong_and_counted_as_unparsed(output):
    judged = judge_output(0, PROBLEM, output, KOT, 9)
    assert judged.answer is None
    assert not judged.correct


def test_judgement_keeps_the_problem_and_the_whole_output():
    output = "3+4=7.\n정답: 7개.\n질문: 다음"
    assert judge_output(5, PROBLEM, output, KOT, 9) == Answer(
        doc_id=5,
        task="sum",
        source="3+4는?",
        target="7개",
        output=output,
        answer="7개",
        correct=True,
        num_tokens=9,
    )


def test_summary_counts_by_hand():
    outputs = [("a", "정답: 7개"), ("a", "정답: 8개"), ("a", "모름"), ("b", "정답: 7개")]
    answers = [
        judge_output(i, PROBLEM.model_copy(update={"task": task}), text, KOT, num_tokens=i)
        for i, (task, text) in enumerate(outputs)
    ]
    summary = summarise_answers(answers)
    assert list(summary) == ["all", "a", "b"]
    numbers = {
        kind: (s["n"], s["num_parsed"], s["accuracy"]["value"], s["mean_tokens"])
        for kind, s in summary.items()
    }
    assert numbers == {"all": (4, 3, 0.5, 1.5), "a": (3, 2, 1 / 3, 1.0), "b": (1, 1, 1.0, 3.0)}
    # Wilson 1927: 2 of 4 is 0.15 to 0.85.
    assert summary["all"]["accuracy"]["ci95"] == pytest.approx([0.1500, 0.8500], abs=1e-4)


# --- batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "batch_size"), [(0, 3), (1, 3), (7, 3), (9, 3), (5, 100)])
def test_batches_are_a_partition(count, batch_size):
    prompts = ["x" * (i * 7 % 5) for i in range(count)]
    batches = list(plan_batches(prompts, batch_size))
    assert sorted(i for batch in batches for i in batch) == list(range(count))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_prompts_of_like_length_share_a_batch():
    assert list(plan_batches(["xxxx", "x", "xxx", "xx"], 2)) == [[1, 3], [2, 0]]


def test_shots_stand_whole_before_every_prompt():
    shot = Example(source="1+1은?", target="2개", rationale="1+1=2.")
    prompts = render_prompts([PROBLEM], KOT, [shot, shot])
    worked = "질문: 1+1은?\n답변:\n1+1=2.\n정답: 2개\n\n"
    assert prompts == [f"{worked}{worked}질문: 3+4는?\n답변:\n"]


def test_shots_of_a_chat_are_its_earlier_turns(shared):
    tokenizer = load_tokenizer(shared / "models" / "tiny-llama-ko")
    tokenizer.chat_template = CHAT_TEMPLATE
    shot = Example(source="1+1은?", target="2개", rationale="1+1=2.")
    assert render_prompts([PROBLEM], load_template("chat"), [shot], tokenizer) == [
        "<s>user: 1+1은?</s>assistant: 1+1=2.\n정답: 2개</s>user: 3+4는?</s>assistant: "
    ]


# --- generation --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MODELS)
def loaded(request: pytest.FixtureRequest, shared: Path) -> tuple[Any, Any]:
    folder = shared / "models" / request.param
    return load_model(folder, device="cpu", dtype="float32"), load_tokenizer(folder)


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    rows = make_problems(5, 1, "heldout", ("change", "swap", "weekday"))
    return [*render_prompts(rows, KOT), "이"]


@pytest.mark.parametrize("template", [KOT, SENTENCE], ids=["kot", "sentence"])
def test_batched_answers_are_those_of_one_prompt_at_a_time(loaded, prompts, template):
    batched = generate_batch(*loaded, prompts, template, 16)
    single = [generate_batch(*loaded, [prompt], template, 16)[0] for prompt in prompts]
    assert batched == single


def test_order_of_prompts_changes_no_answer(loaded, prompts):
    forwards = generate_batch(*loaded, prompts, KOT, 8)
    assert generate_batch(*loaded, prompts[::-1], KOT, 8) == forwards[::-1]


def test_generation_ends_after_a_complete_answer_line(loaded, prompts):
    (free, _), (text, num_tokens) = (
        generate_batch(*loaded, [prompts[0]], template, 40)[0] for template in (KOT, SENTENCE)
    )
    assert SENTENCE.parse_answer(text) == SENTENCE.parse_answer(free)
    assert num_tokens < 40
    assert text.endswith("\n")
    assert free.startswith(text)


def test_unanswered_output_has_exactly_the_allowed_number_of_tokens(loaded, prompts):
    assert [n for _, n in generate_batch(*loaded, prompts, KOT, 6)] == [6] * len(prompts)


def test_output_ends_at_end_of_text_and_does_not_count_it(loaded):
    model, tokenizer = loaded
    (free, _) = generate_batch(model, tokenizer, ["이"], KOT, 8)[0]
    third = tokenizer(free, add_special_tokens=False)["input_ids"][2]
    before = model.generation_config.eos_token_id, tokenizer.eos_token
    model.generation_config.eos_token_id = third
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(third)
    try:
        text, num_tokens = generate_batch(model, tokenizer, ["이"], KOT, 8)[0]
    finally:
        model.generation_config.eos_token_id, tokenizer.eos_token = before
    assert num_tokens == 2
    assert free.startswith(text)


# --- the stage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(shared: Path) -> Path:
    return shared / "models" / "tiny-llama-ko"


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "heldout.jsonl"
    write_jsonl(path, make_problems(10, 1, "heldout", ("change", "swap")))
    return path


def answer(problems: Path, base: Path, out: Path, **changes: Any) -> None:
    arguments = {"template": SENTENCE, "section": SECTION} | changes
    template, section = arguments.pop("template"), arguments.pop("section")
    answer_problems(problems, base, out, template, section, MODEL_SECTION, **arguments)


@pytest.fixture(scope="module")
def answered(problems: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder: only to be read."""
    out = tmp_path_factory.mktemp("answers") / "problems"
    answer(problems, base, out)
    return out


@pytest.fixture
def interrupted(answered: Path, problems: Path, tmp_path: Path) -> Path:
    """The same folder as a kill in the middle of the second of three batches leaves it."""
    manifest = read_json(answered / "manifest.json")
    running = {key: manifest[key] for key in ("stage", "config", "inputs", "machine")}
    write_json(tmp_path / "out" / "manifest.json", running | {"status": "running"})
    answers = read_jsonl(answered / "answers.jsonl", Answer)
    batches = plan_batches(
        render_prompts(read_jsonl(problems, Example), SENTENCE), SECTION.batch_size
    )
    order = [answers[i] for batch in batches for i in batch]
    lines = [row.model_dump_json() + "\n" for row in order[:7]]
    torn = "".join(lines).encode()[:-20]  # 4 of the first batch, 2 and a half of the second
    (tmp_path / "out" / "partial.jsonl").write_bytes(torn)
    return tmp_path / "out"


def test_answers_stand_in_the_order_of_the_problems(answered, problems):
    answers = read_jsonl(answered / "answers.jsonl", Answer)
    assert [row.doc_id for row in answers] == list(range(10))
    rows = read_jsonl(problems, Example)
    assert [row.source for row in answers] == [row.source for row in rows]


def test_results_count_what_the_answers_say(answered):
    answers = read_jsonl(answered / "answers.jsonl", Answer)
    results = read_json(answered / "results.json")
    assert results["results"] == summarise_answers(answers)
    assert [results["results"][kind]["n"] for kind in ("all", "change", "swap")] == [10, 5, 5]
    assert results["num_fewshot"] == 0
    assert results["model"] == read_json(answered / "manifest.json")["inputs"]["model"]


def test_finished_folder_holds_no_partial_result(answered):
    names = sorted(path.name for path in answered.iterdir())
    assert names == ["answers.jsonl", "manifest.json", "results.json"]


def test_killed_and_resumed_answers_equal_uninterrupted_ones(interrupted, answered, problems, base):
    answer(problems, base, interrupted)
    for name in ("answers.jsonl", "results.json"):
        assert (interrupted / name).read_bytes() == (answered / name).read_bytes()


def test_resuming_does_not_repeat_whole_batches(interrupted, problems, base):
    partial = interrupted / "partial.jsonl"
    first, rest = partial.read_bytes().split(b"\n", 1)
    marked = Answer.model_validate_json(first).model_copy(update={"output": "as before"})
    partial.write_bytes(marked.model_dump_json().encode() + b"\n" + rest)
    answer(problems, base, interrupted)
    answers = read_jsonl(interrupted / "answers.jsonl", Answer)
    assert [row.doc_id for row in answers if row.output == "as before"] == [marked.doc_id]


def test_finished_answers_are_not_touched_by_a_second_call(answered, problems, base):
    before = {path.name: path.stat().st_mtime_ns for path in answered.iterdir()}
    answer(problems, base, answered)
    assert {path.name: path.stat().st_mtime_ns for path in answered.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"section": ReasonSection(max_new_tokens=13, batch_size=4)}, "config.max_new_tokens"),
        ({"template": KOT}, "config.template.name"),
        ({"shots": [PROBLEM]}, "config.num_fewshot"),
    ],
)
def test_answers_of_other_settings_are_refused(answered, problems, base, changes, named):
    with pytest.raises(RunError) as raised:
        answer(problems, base, answered, **changes)
    assert named in str(raised.value)


def test_answers_of_another_model_are_refused(answered, problems, base, tmp_path):
    shutil.copytree(base, tmp_path / "other")
    with (tmp_path / "other" / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(RunError, match=r"inputs\.model"):
        answer(problems, tmp_path / "other", answered)


def test_missing_adapter_is_a_model_error_before_anything_is_written(problems, base, tmp_path):
    with pytest.raises(ModelError, match="PEFT adapter"):
        answer(problems, base, tmp_path / "out", adapter=tmp_path / "none")
    assert not (tmp_path / "out").exists()
