"""Rewards: what TRL's GRPO and verl are given, and replies that try to get one for nothing."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from kot_platypus.data.problems import WEEKDAYS, make_problems
from kot_platypus.errors import DataError, KotError
from kot_platypus.formats import read_rows
from kot_platypus.models import load_tokenizer
from kot_platypus.models.training_info import TrainingInfo
from kot_platypus.prompts import load_template
from kot_platypus.records import Example
from kot_platypus.rewards import (
    accuracy_reward,
    compute_score,
    format_reward,
    make_dataset,
    steps_reward,
)
from kot_platypus.train.serving import prepare_serving
from tests.models.folders import copy_model
from tests.test_docs import DOCS
from tests.train.conftest import encode_example

PROBLEMS = make_problems(36, 5, "train")
THINK = {"answer_prefix": "정답: ", "thinks": True, "opened": False, "stop_token_ids": [2]}
OPENED = {**THINK, "opened": True}


def reply(problem: Example, template: str = "kot") -> str:
    return load_template(template).render_shot(problem).split("답변:\n", 1)[1]


def score(text: str, problem: Example, reading: dict | None = None) -> tuple[float, float, float]:
    row = {"source": [problem.source], "target": [problem.target], "task": [problem.task]}
    row |= {"reading": [reading]} if reading else {}
    return tuple(f([text], **row)[0] for f in (accuracy_reward, steps_reward, format_reward))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda each: each.task)
def test_training_rows_earn_everything(problem):
    assert score(reply(problem), problem) == (1, 1, 1)
    assert score(reply(problem, "think"), problem, THINK) == (1, 1, 1)
    assert score(reply(problem, "think").removeprefix("<think>\n"), problem, OPENED) == (1, 1, 1)


def list_candidates(problem: Example) -> list[str]:
    """Answers that a model could list to have the right one among them."""
    if problem.task == "weekday":
        return list(WEEKDAYS)
    if unit := re.fullmatch(r"\d+(\D+)", problem.target):
        right = int(problem.target.removesuffix(unit[1]))
        return [f"{n}{unit[1]}" for n in range(max(0, right - 2), right + 3)]
    others = [each.target for each in PROBLEMS if each.task == problem.task]
    return list(dict.fromkeys([problem.target, *others]))[:4]


def list_hacks(problem: Example) -> list[str]:
    names = list_candidates(problem)
    other = next(name for name in names if name != problem.target)
    right = problem.target
    listed = [
        f"정답: {joint.join(order)}"
        for joint in (
            ", ",
            " ",
            " / ",
            "/",
            "; ",
            " 또는 ",
            " 혹은 ",
            " 아니면 ",
            " or ",
            "·",
            " | ",
        )
        for order in (names, names[::-1], [right, other], [other, right])
    ]
    lines = ["\n".join(f"정답: {name}" for name in order) for order in (names, names[::-1])]
    return [
        *listed,
        *lines,
        f"정답: {other}\n다시 보면\n정답: {right}",
        f"정답: {right}\n다시 보면\n정답: {other}",
        f"정답: {right}\n질문: 1+1은?\n답변:\n정답: {other}",
        f"정답: {right}가 아니면 {other}",
        f"정답: {right}일 수도 있다.",
        f"정답: {right}이 아니다.",
        f"정답: {right}? {other}?",
        f"정답: ({right}, {other}) 가운데 하나",
        f"답은 {other}이다. \\boxed{{{right}}} \\boxed{{{other}}}",
        f"정답: {{{right}}} {{{other}}}",
        f"<think>\n{problem.rationale}\n정답: {right}",
        f"<think>\n정답: {right}\n</think>\n",
        f"</think><think>정답: {right}",
        f"정답: 모른다. 보기: {', '.join(names)}",
        f"{problem.source}\n정답:",
        f"{problem.source}\n정답: {problem.source}",
        problem.source,
        "",
        " \n",
        "정답:",
        "정답: {target}",
        "정답: " + right * 2,
        "정답: 정답",
    ]


@pytest.mark.parametrize("problem", PROBLEMS[:12], ids=lambda each: each.task)
@pytest.mark.parametrize("reading", [None, THINK], ids=["kot", "think"])
def test_hacks_earn_nothing(problem, reading):
    hacks = list_hacks(problem)
    if reading:
        hacks += [
            f"<think>\n{problem.rationale}\n</think>\n{hack}"
            for hack in hacks
            if "think" not in hack
        ]
    paid = [hack for hack in hacks if any(score(hack, problem, reading)[:2])]
    assert paid == []


@pytest.mark.parametrize(
    "text",
    ["답은 3이다. " * 12_000, "정답: " * 20_000, "1" * 99_000, " " * 99_000, "<think>" * 14_000,
     "예, " * 33_000, "(" * 99_000, "\\boxed{" * 14_000],
)  # fmt: skip
@pytest.mark.parametrize("reading", [None, THINK], ids=["kot", "think"])
def test_loops_earn_nothing_and_take_no_time(text, reading):
    problem = PROBLEMS[0]
    start = time.perf_counter()
    for loop in (text, text[:7_900]):
        assert score(f"{loop}\n정답: 1", problem, reading)[:2] == (0, 0)
    assert time.perf_counter() - start < 10  # some took minutes; a busy machine is slow


@pytest.mark.parametrize(
    ("said", "paid"),
    [
        ("정답: {}", 1),
        ("정답: {}.", 1),
        ("**정답:** {}", 1),
        ("답은 {}입니다.", 1),
        ("정답: {}\n정답: {}", 1),
        ("정답: 1{}", 0),
    ],
)
def test_the_answer_may_be_said_otherwise(said, paid):
    problem = PROBLEMS[0]
    assert accuracy_reward([said.format(problem.target, problem.target)], [problem.target]) == [
        paid
    ]


def test_right_answer_with_wrong_steps_earns_no_steps():
    problem = PROBLEMS[0]
    wrong = f"1+1=3, 그래서 ={problem.target}.\n정답: {problem.target}"
    assert score(wrong, problem) == (1, 0, 1)
    assert steps_reward([wrong], [problem.source], [problem.target], ["own"]) == [None]


def test_what_was_cut_off_earns_nothing():
    problem = PROBLEMS[0]
    row = {"target": [problem.target] * 3, "reading": [{**THINK, "thinks": False}] * 3}
    texts = [reply(problem)] * 3
    assert accuracy_reward(texts, completion_ids=[[5, 2], [5, 6], []], **row) == [1, 0, 0]
    assert format_reward(texts, completion_ids=[[5, 2], [5, 6], []], **row) == [1, 0, 0]


def test_opened_thoughts_that_never_end_are_no_answer():
    problem = PROBLEMS[0]
    assert score(f"{problem.rationale}\n정답: {problem.target}", problem, OPENED) == (0, 0, 0)


def test_messages_are_read_as_texts():
    problem = PROBLEMS[0]
    said = {"role": "assistant", "content": f"정답: {problem.target}"}
    given = [
        [said],
        [{**said, "reasoning_content": problem.rationale}],
        [{"role": "assistant", "content": None}],
        [said, {"role": "tool", "content": problem.target}],
        [],
    ]
    assert accuracy_reward(given, [problem.target] * 5) == [1, 1, 0, 0, 0]


def test_rewards_can_be_pickled():
    for function in (accuracy_reward, steps_reward, format_reward, compute_score):
        assert pickle.loads(pickle.dumps(partial(function))).func is function


# --- verl --------------------------------------------------------------------------------------


def test_verl_calls_by_keyword():
    """As ``NaiveRewardManager.run_single`` of verl 0.9.1 does; ``reward_kwargs`` come beside."""
    problem = PROBLEMS[0]
    info = {"index": 0, "source": problem.source, "task": problem.task, "reading": THINK}
    info |= {"num_turns": 2, "rollout_reward_scores": {}}
    call = {"data_source": "kot", "ground_truth": problem.target, "extra_info": info}
    right = reply(problem, "think")
    assert compute_score(solution_str=right, **call) == {"score": 1, "acc": 1}
    weights = {"steps_weight": 0.5, "format_weight": 0.25}
    found = compute_score(solution_str=right, **call, **weights)
    assert found == {"score": 1.75, "acc": 1, "steps": 1, "format": 1}
    found = compute_score(solution_str="정답: 0", **call, **weights)
    assert found == {"score": 0, "acc": 0, "steps": 0, "format": 0}
    with pytest.raises(DataError, match="without source and task"):
        compute_score("other", right, problem.target, {}, steps_weight=1)


# --- rows and TRL ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["tiny-llama-ko", "tiny-llama2-ko"])
def merged(request, shared, tmp_path_factory) -> Path:
    base = shared / "models" / request.param
    folder = copy_model(base, tmp_path_factory.mktemp("rewards") / "merged")
    write_info(folder)
    prepare_serving(folder)
    return folder


def write_info(folder: Path) -> None:
    info = TrainingInfo(template=load_template("think"))
    (folder / "kot.json").write_text(info.model_dump_json(exclude_none=True), encoding="utf-8")


def test_prompts_are_those_of_training(merged):
    dataset = make_dataset(PROBLEMS[:4], merged)
    tokenizer = load_tokenizer(merged)
    for row, problem in zip(dataset, PROBLEMS, strict=False):
        encoded = encode_example(
            problem, load_template("think"), "rationale_answer", tokenizer, 999
        )
        ids = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"]
        assert tuple(ids) == encoded.ids[: encoded.prompt_len]
        assert row["reward_model"] == {"style": "rule", "ground_truth": problem.target}
        assert row["extra_info"]["reading"] == row["reading"]
        assert row["reading"]["stop_token_ids"] == [tokenizer.eos_token_id]


def test_rows_that_cannot_be_rewarded_are_refused(merged, shared):
    with pytest.raises(DataError, match="row 1 states no final answer"):
        make_dataset([Example(source="?", target="")], merged)
    with pytest.raises(KotError, match="does not say which template"):
        make_dataset(PROBLEMS[:1], shared / "models" / "tiny-llama-ko")


SEEN: list[dict] = []


def record(completion_ids, **columns):
    """A reward that differs between replies, so that there is something to learn."""
    SEEN.append({"completion_ids": completion_ids, **columns})
    return [float(sum(ids) % 7) for ids in completion_ids]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # TRL's own of transformers
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_trl_trains_resumes_and_is_merged(shared, tmp_path, dtype):
    import torch
    from peft import LoraConfig
    from safetensors.torch import load_file
    from trl import GRPOConfig, GRPOTrainer

    from kot_platypus.models.training_info import read_template
    from kot_platypus.train.merge import merge_adapter

    merged = copy_model(shared / "models" / "tiny-llama-ko", tmp_path / "merged")
    write_info(merged)
    prepare_serving(merged)
    dataset = make_dataset(PROBLEMS[:6], merged)
    SEEN.clear()

    def train(name: str, resume: str | None = None) -> dict[str, torch.Tensor]:
        config = GRPOConfig(
            str(tmp_path / "grpo"), use_cpu=True, bf16=False, max_steps=4, save_steps=2, seed=1,
            per_device_train_batch_size=4, num_generations=4, max_completion_length=8,
            learning_rate=1e-2, report_to="none", logging_steps=1, disable_tqdm=True,
            model_init_kwargs={"dtype": dtype},
        )  # fmt: skip
        trainer = GRPOTrainer(
            str(merged),
            reward_funcs=[accuracy_reward, steps_reward, format_reward, record],
            args=config,
            train_dataset=dataset,
            peft_config=LoraConfig(r=4, target_modules="all-linear"),
        )
        trainer.train(resume_from_checkpoint=resume)
        trainer.save_model(str(tmp_path / name))
        assert "rewards/accuracy_reward/mean" in trainer.state.log_history[0]
        return load_file(tmp_path / name / "adapter_model.safetensors")

    whole = train("whole")
    resumed = train("resumed", str(tmp_path / "grpo" / "checkpoint-2"))
    assert any(bool(value.any()) for key, value in whole.items() if "lora_B" in key)
    assert {key: torch.equal(value, resumed[key]) for key, value in whole.items()} == dict.fromkeys(
        whole, True
    )
    assert len(SEEN) == 4 + 2
    for call in SEEN:
        sources = call["source"]
        replies = [
            next(reply(p, "think") for p in PROBLEMS if p.source == each) for each in sources
        ]
        given = {**call, "completions": [[{"role": "assistant", "content": r}] for r in replies]}
        given["completion_ids"] = [[9, 2]] * len(sources)
        assert (
            accuracy_reward(**given) == steps_reward(**given) == format_reward(**given) == [1] * 4
        )
    merge_adapter(merged, tmp_path / "whole", tmp_path / "after")
    assert read_template(tmp_path / "after") == load_template("think")


@pytest.mark.slow
@pytest.mark.parametrize("merged", ["tiny-llama-ko"], indirect=True)
def test_program_of_the_tutorial_goes_on_where_it_was_killed(merged, tmp_path):
    program = DOCS / "tutorial" / "grpo.py"
    (tmp_path / "merged").symlink_to(merged)
    command = [sys.executable, "-W", "ignore", str(program)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    start = subprocess.Popen(
        command, cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    written = tmp_path / "grpo" / "checkpoint-2" / "trainer_state.json"  # a checkpoint's last file
    while start.poll() is None and not (
        written.is_file() and written.read_bytes().endswith(b"\n}\n")
    ):
        time.sleep(0.01)
    start.kill()
    said, _ = start.communicate()
    assert "from the first step\nstep 1 " in said
    assert "step 4 " not in said
    assert not (tmp_path / "adapters").exists()
    again = subprocess.run(
        command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    begun, *steps = again.stdout.splitlines()
    assert re.fullmatch(r"from grpo/checkpoint-2", begun)
    assert steps[-1].startswith("step 4 accuracy_reward 0.00 steps_reward 0.00 format_reward ")
    assert (tmp_path / "adapters" / "grpo" / "adapter_model.safetensors").is_file()


def test_page_of_the_tutorial_shows_its_program():
    page = (DOCS / "tutorial" / "grpo.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert block == (DOCS / "tutorial" / "grpo.py").read_text(encoding="utf-8")


def test_program_of_the_page_runs_up_to_trl(merged, tmp_path, monkeypatch):
    page = (DOCS / "training.md").read_text(encoding="utf-8").partition("## GRPO")[2]
    program = re.search(r"```python\n(.*?)```", page, re.S)[1].partition("config = ")[0]
    monkeypatch.chdir(merged.parent)
    names: dict[str, object] = {}
    exec(program.replace("from trl import GRPOConfig, GRPOTrainer\n", ""), names)
    assert len(names["dataset"]) == 512
    assert len(read_rows(merged.parent / "grpo.parquet")) == 512
