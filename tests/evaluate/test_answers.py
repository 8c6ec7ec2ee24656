from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kot_platypus.artifacts import read_json, read_jsonl, write_jsonl
from kot_platypus.data.problems import make_problems
from kot_platypus.errors import ModelError, RunError
from kot_platypus.evaluate.answers import answer_problems, judge_output, summarise_answers
from kot_platypus.evaluate.decoding import TextGenerator
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.texts import Generated
from kot_platypus.prompts import Template, load_template
from kot_platypus.recipe import ReasonSection
from kot_platypus.records import Answer, Example, Rationale
from kot_platypus.results.schema import dump_part

KOT = load_template("kot")
# What the tiny models write begins with a line "문장: ...", so they always state an "answer".
SENTENCE = Template(
    name="t", description="", prompt="질문: {source}\n답변:\n", answer="문장: {target}"
)
SECTION = ReasonSection(max_new_tokens=12, batch_size=4)
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
    assert judge_output(0, PROBLEM, Generated(text=output, num_tokens=9), KOT).correct


@pytest.mark.parametrize(
    "output", ["정답: 8개", "정답: 7", "정답: 77개", "정답: 8개\n정답: 7개", "정답: 7개8"]
)
def test_other_answer_is_wrong(output):
    judged = judge_output(0, PROBLEM, Generated(text=output, num_tokens=9), KOT)
    assert judged.answer is not None
    assert not judged.correct


@pytest.mark.parametrize(
    ("output", "equivalent"),
    [
        ("정답: 7", True),
        ("따라서 답은 일곱 개입니다.", True),
        ("<think>\n정답: 8개?\n</think>\n\n**정답:** 7개", True),
        ("정답: 8개", False),
        ("정답: 7개 또는 8개", False),
        ("<think>\n정답: 7개", False),
    ],
)
def test_answer_that_means_the_right_one_is_equivalent(output, equivalent):
    judged = judge_output(0, PROBLEM, Generated(text=output, num_tokens=9), KOT)
    assert judged.equivalent is equivalent
    assert not judged.correct


@pytest.mark.parametrize("output", ["", "7개", "3+4=7개.", "정답:", "답: 7개"])
def test_output_without_an_answer_line_is_wrong_and_counted_as_unparsed(output):
    judged = judge_output(0, PROBLEM, Generated(text=output, num_tokens=9), KOT)
    assert judged.answer is None
    assert not judged.correct


def test_judgement_keeps_the_problem_and_the_whole_output():
    output = "3+4=7.\n정답: 7개.\n질문: 다음"
    assert judge_output(5, PROBLEM, Generated(text=output, num_tokens=9), KOT) == Answer(
        doc_id=5,
        task="sum",
        source="3+4는?",
        target="7개",
        output=output,
        answer="7개",
        correct=True,
        equivalent=True,
        num_tokens=9,
        rationale=Rationale(korean=1, loops=False, contradicts=False),
    )


def test_summary_counts_by_hand():
    outputs = [("a", "정답: 7개"), ("a", "정답: 8개"), ("a", "모름"), ("b", "정답: 7개")]
    answers = [
        judge_output(
            i,
            PROBLEM.model_copy(update={"task": task}),
            Generated(text=text, num_tokens=i),
            KOT,
        )
        for i, (task, text) in enumerate(outputs)
    ]
    summary = summarise_answers(answers)
    assert list(summary) == ["all", "a", "b"]
    numbers = {
        kind: (s.n, s.num_parsed, s.accuracy.value, s.mean_tokens) for kind, s in summary.items()
    }
    assert numbers == {"all": (4, 3, 0.5, 1.5), "a": (3, 2, 1 / 3, 1.0), "b": (1, 1, 1.0, 3.0)}
    # Wilson 1927: 2 of 4 is 0.15 to 0.85.
    assert summary["all"].accuracy.ci95 == pytest.approx([0.1500, 0.8500], abs=1e-4)


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
    adapter = arguments.pop("adapter", None)
    rows = section.batch_size
    model = TransformersModel(base, adapter, "float32", "cpu", max_rows=rows)
    answer_problems(problems, model, out, template, section, **arguments)


@pytest.fixture(scope="module")
def answered(problems: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder: only to be read."""
    out = tmp_path_factory.mktemp("answers") / "problems"
    answer(problems, base, out)
    return out


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No text of another test is found."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_answers_stand_in_the_order_of_the_problems(answered, problems):
    answers = read_jsonl(answered / "answers.jsonl", Answer)
    assert [row.doc_id for row in answers] == list(range(10))
    rows = read_jsonl(problems, Example)
    assert [row.source for row in answers] == [row.source for row in rows]


def test_results_count_what_the_answers_say(answered):
    answers = read_jsonl(answered / "answers.jsonl", Answer)
    results = read_json(answered / "results.json")
    assert results["results"] == {
        kind: dump_part(score) for kind, score in summarise_answers(answers).items()
    }
    assert [results["results"][kind]["n"] for kind in ("all", "change", "swap")] == [10, 5, 5]
    assert results["num_fewshot"] == 0
    assert results["model"] == read_json(answered / "manifest.json")["inputs"]["model"]


def test_finished_folder_holds_results_and_nothing_else(answered):
    names = sorted(path.name for path in answered.iterdir())
    assert names == ["answers.jsonl", "manifest.json", "results.json"]


def test_killed_and_resumed_answers_equal_uninterrupted_ones(
    answered, problems, base, tmp_path, own_cache, monkeypatch
):
    written = []
    generate = TextGenerator.generate

    def generate_until_killed(self, prompts, settings):
        for place, text in generate(self, prompts, settings):
            if len(written) == 7:
                raise KeyboardInterrupt
            written.append(prompts[place])
            yield place, text

    with monkeypatch.context() as patch:
        patch.setattr(TextGenerator, "generate", generate_until_killed)
        with pytest.raises(KeyboardInterrupt):
            answer(problems, base, tmp_path / "out")
    asked = []

    def generate_and_tell(self, prompts, settings):
        asked.extend(prompts)
        return generate(self, prompts, settings)

    monkeypatch.setattr(TextGenerator, "generate", generate_and_tell)
    answer(problems, base, tmp_path / "out")
    assert len(asked) == 3
    assert not set(asked) & set(written)
    for name in ("answers.jsonl", "results.json"):
        assert (tmp_path / "out" / name).read_bytes() == (answered / name).read_bytes()


def test_answer_at_once_follows_the_answer_lines_beginning(problems, base, tmp_path, own_cache):
    answer(problems, base, tmp_path / "out", at_once=True)
    answers = read_jsonl(tmp_path / "out" / "answers.jsonl", Answer)
    assert all(row.output.startswith("문장: ") for row in answers)
    assert all(row.output.rstrip("\n").count("\n") == 0 for row in answers)
    assert {row.answer for row in answers} != {None}


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
        ({"at_once": True}, "config.at_once"),
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
