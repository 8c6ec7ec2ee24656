from __future__ import annotations

import hashlib
import json
from importlib.resources import files

import pytest
import yaml

from kot_platypus.errors import DataError, RecipeError, UsageError
from kot_platypus.evaluate.protocols import build_questions, list_protocols, load_protocol
from kot_platypus.evaluate.tasks import TASKS, load_task


def test_every_request_is_what_the_original_programs_made(shared, load_real):
    goldens = json.loads((shared / "goldens" / "requests.json").read_text(encoding="utf-8"))
    for golden in goldens:
        questions = build_questions(
            load_protocol(golden["protocol"]), load_real(golden["task"]), golden["num_fewshot"]
        )
        requests = [request for question in questions for request in question.requests]
        digest = hashlib.sha256()
        for request in requests:
            pair = [request.context, request.continuation]
            digest.update((json.dumps(pair, ensure_ascii=False) + "\n").encode())
        assert len(requests) == golden["requests"]
        assert digest.hexdigest() == golden["sha256"], golden


@pytest.mark.parametrize("protocol", list_protocols())
@pytest.mark.parametrize("task", TASKS)
def test_a_limit_keeps_the_first_questions(protocol, task):
    data = load_task(task, "mini")
    whole = build_questions(load_protocol(protocol), data, 3)
    assert build_questions(load_protocol(protocol), data, 3, limit=7) == whole[:7]


def test_the_prompts_differ_where_the_protocols_do():
    data = load_task("copa", "mini")
    polyglot, harness, lm_eval = (
        build_questions(load_protocol(name), data, 1)[0]
        for name in ("polyglot", "ko-harness", "lm-eval")
    )
    assert polyglot.requests[0].context == harness.requests[0].context  # shots have their space
    assert polyglot.requests[0].continuation == " " + harness.requests[0].continuation
    assert polyglot.choice_chars == harness.choice_chars
    assert "  왜냐하면" in lm_eval.requests[0].context or "  그래서" in lm_eval.requests[0].context


def test_lm_eval_shots_keep_both_spaces():
    data = load_task("boolq", "mini")
    context = build_questions(load_protocol("lm-eval"), data, 1)[0].requests[0].context
    assert "답변:  아니오\n\n" in context or "답변:  예\n\n" in context


def test_a_protocol_is_its_yaml(tmp_path):
    source = files("kot_platypus.prompts") / "protocols" / "polyglot.yaml"
    values = yaml.safe_load(source.read_text(encoding="utf-8"))
    values["description"] = "ours"
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    ours, shipped = load_protocol(str(path)), load_protocol("polyglot")
    assert ours.fingerprint_task("wic") == shipped.fingerprint_task("wic")
    values["tasks"]["wic"]["choices"] = [" X", " O"]
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    protocol = load_protocol(str(other))
    assert protocol.fingerprint_task("wic") != shipped.fingerprint_task("wic")
    assert protocol.fingerprint_task("copa") == shipped.fingerprint_task("copa")
    question = build_questions(protocol, load_task("wic", "mini"), 0)[0]
    assert [request.continuation for request in question.requests] == [" X", " O"]


@pytest.mark.parametrize(
    "change", [{"seeds": 1}, {"tokenisation": "both"}, {"tasks": {"copa": {"context": "{text}"}}}]
)
def test_a_protocol_that_cannot_be_read_is_refused(tmp_path, change):
    source = files("kot_platypus.prompts") / "protocols" / "polyglot.yaml"
    values = {**yaml.safe_load(source.read_text(encoding="utf-8")), **change}
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_protocol(str(path))
    assert "\n" not in str(caught.value)


def test_tasks_are_found_by_either_name():
    protocol = load_protocol("polyglot")
    assert protocol.find_task("kobest_COPA") == "copa"
    with pytest.raises(DataError, match="Did you mean hellaswag"):
        protocol.find_task("helaswag")


def test_what_does_not_exist_is_named():
    with pytest.raises(UsageError, match="Did you mean polyglot"):
        load_protocol("polyglott")
    with pytest.raises(DataError, match="20 training documents"):
        build_questions(load_protocol("polyglot"), load_task("copa", "mini"), 21)


def test_protocol_file_in_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("tasks:\n  copa: 질문\n".encode("cp949"))
    with pytest.raises(RecipeError, match="line 2 is not UTF-8"):
        load_protocol(str(path))
