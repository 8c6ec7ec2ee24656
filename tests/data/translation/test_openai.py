from __future__ import annotations

import re
import sys

import pytest

from kot_platypus import progress
from kot_platypus.data.translation import courier
from kot_platypus.data.translation.ledger import open_ledger
from kot_platypus.data.translation.openai import OpenAICompatible
from kot_platypus.data.translation.translate import estimate, translate_texts
from kot_platypus.errors import BudgetError, MissingExtraError, ServiceError, UsageError
from kot_platypus.progress import show_progress
from tests.data.openai_server import OpenAIService, Reply, serve_openai

TEXTS = [f"{word} has 7 cats" for word in ("Ann", "Ben", "Dan", "Eve", "Fay", "Hal", "Ian", "Jon")]
DONE = [f"옮김 {text}" for text in TEXTS]


@pytest.fixture
def running():
    with serve_openai() as server:
        yield server


@pytest.fixture
def service(running) -> OpenAIService:
    return running[1]


@pytest.fixture
def model(running) -> OpenAICompatible:
    return OpenAICompatible("tiny", base_url=running[0], pause_s=0.01)


def read(outcomes) -> list[str]:
    return [outcome.text for outcome in outcomes]


def test_each_text_is_asked_for_once(model, service, ledger):
    assert read(translate_texts(TEXTS + TEXTS, model, ledger)) == DONE + DONE
    assert read(translate_texts(TEXTS, model, ledger)) == DONE
    assert sorted(service.asked) == [text.replace("7", '<x id="1"/>') for text in sorted(TEXTS)]


def test_model_is_asked_for_the_likeliest_answer_and_told_of_placeholders(model, service, ledger):
    translate_texts(["a cat"], model, ledger)
    (body,) = service.bodies
    assert (body["model"], body["temperature"]) == ("tiny", 0)
    assert '<x id="1"/>' in body["messages"][0]["content"]
    assert body["messages"][1]["content"] == "a cat"


def test_requests_under_way_are_several_but_bounded(running, service, ledger):
    service.latency_s = 0.1
    model = OpenAICompatible("tiny", base_url=running[0], max_requests=3)
    translate_texts(TEXTS, model, ledger)
    assert service.most_under_way == 3


def test_second_try_with_another_prompt_is_another_translation(running, service, ledger):
    service.replies.append(Reply(text="고양이"))
    (first,) = translate_texts(["7 cats"], OpenAICompatible("m", base_url=running[0]), ledger)
    assert [problem.kind for problem in first.problems] == ["lost"]
    literal = OpenAICompatible("m", base_url=running[0], prompt="literal")
    (second,) = translate_texts(["7 cats"], literal, ledger)
    assert len(service.asked) == 2
    assert second.problems == ()


def test_lost_answer_counts_as_paid_since_there_is_no_counter(model, service, ledger, capsys):
    service.replies.append(Reply(drops=True))
    assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]
    assert (ledger.bill().answered, ledger.bill().lost) == (5, 5)
    said = capsys.readouterr().err
    assert "openai: 5 characters count as paid for an answer that was lost" in said
    assert "Asking" not in said, "there is nobody to ask"


def test_error_of_the_server_is_asked_again(model, service, ledger):
    service.replies.append(Reply(status=500))
    assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]
    assert (ledger.bill().total, ledger.bill().lost) == (5, 0), "nobody bills an error of his own"


@pytest.mark.parametrize(
    ("flaw", "reply"),
    [
        ("empty", Reply(content=None)),
        ("empty", Reply(content="\n")),
        ("empty", Reply(text="<think>고양이를 옮겨 보자. 옮김 a")),
        ("cut", Reply(text="옮김 a", finish_reason="length")),
        ("filtered", Reply(content=None, finish_reason="content_filter")),
        ("filtered", Reply(text="옮김 a", finish_reason="content_filter")),
        ("refused", Reply(content=None, refusal="I can't help with that.")),
        ("refused", Reply(text="I'm sorry, but I can't help with that.")),
        ("refused", Reply(text="죄송하지만 이 요청은 도와드릴 수 없습니다.")),
    ],
)
def test_answer_that_is_no_translation_is_billed_and_asked_for_again(
    model, service, tmp_path, flaw, reply
):
    service.replies.append(reply)
    with open_ledger(tmp_path) as ledger:
        (first,) = translate_texts(["a cat"], model, ledger)
        assert [problem.kind for problem in first.problems] == [flaw]
        translate_texts(["a cat"], model, ledger)
        assert len(service.bodies) == 1, "once is enough while the ledger is open"
        assert (ledger.bill().total, ledger.bill().unusable) == (5, 5)
    with open_ledger(tmp_path) as ledger:
        assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]
        assert (ledger.bill().total, ledger.bill().unusable) == (10, 5)


def test_what_came_of_a_cut_answer_is_there_to_be_finished_by_a_person(model, service, ledger):
    service.replies.append(Reply(text='고양이 <x id="1"/>마', finish_reason="length"))
    assert read(translate_texts(["7 cats"], model, ledger)) == ["고양이 7마"]


def test_a_server_that_always_cuts_is_given_up_and_does_not_block_the_next_run(
    model, service, tmp_path
):
    texts = [f"{text} {letter}" for text in TEXTS for letter in ("black", "white", "grey")]
    service.choose = lambda text: Reply(text="옮", finish_reason="length")
    with open_ledger(tmp_path) as ledger, pytest.raises(ServiceError, match="8 texts in a row"):
        translate_texts(texts, model, ledger)
    assert len(service.bodies) < 12, "eight, and those under way"
    service.choose = lambda text: (
        Reply(text="옮", finish_reason="length") if "Ann" in text else None
    )
    with open_ledger(tmp_path) as ledger:
        assert sum(map(bool, translate_texts(texts, model, ledger))) == len(texts)


def test_content_in_parts_is_read(model, service, ledger):
    service.replies.append(Reply(parts=True))
    assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]


def test_error_in_the_body_of_an_answer_is_one_of_the_server(model, service, ledger):
    service.replies.append(Reply(body={"error": {"message": "upstream failed", "code": 502}}))
    assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]
    assert ledger.bill().total == 5


def test_a_longer_limit_for_answers_keeps_what_is_translated(running, service, ledger):
    translate_texts(["a cat"], OpenAICompatible("m", base_url=running[0]), ledger)
    longer = OpenAICompatible("m", base_url=running[0], max_tokens=900)
    translate_texts(["a cat", "a dog"], longer, ledger)
    assert [body.get("max_tokens") for body in service.bodies] == [None, 900]


def test_waits_for_a_busy_server_are_shown_beside_the_progress(
    model, service, ledger, monkeypatch, capsys
):
    monkeypatch.setattr(progress, "_SHOWN_WAIT_S", 0.0)
    monkeypatch.setattr(progress, "_next_wait_line_s", 0.0)
    service.replies.append(Reply(status=429, retry_after="0.1"))
    with show_progress("Translating", 1, "rows"):
        translate_texts(["a cat"], model, ledger)
    assert "waiting 0 s: the server has too many requests" in capsys.readouterr().err


def test_too_many_requests_are_waited_for_as_long_as_the_server_says(model, service, ledger):
    service.replies.append(Reply(status=429, retry_after="0.6"))
    assert read(translate_texts(["a cat"], model, ledger)) == ["옮김 a cat"]
    assert service.times[1] - service.times[0] >= 0.6
    assert ledger.bill().lost == 0


def test_request_that_was_put_off_is_noted_as_free_before_the_wait(
    model, service, ledger, monkeypatch
):
    bills = []
    monkeypatch.setattr(courier, "pause", lambda *_: bills.append(ledger.bill()))
    service.replies.append(Reply(status=429, retry_after="9"))
    translate_texts(["a cat", "a dog"], model, ledger)
    assert (bills[0].answered, bills[0].in_doubt) == (5, 0), "the other's answer is stored by then"
    assert len(service.times) == 3


def test_server_that_never_has_room_is_given_up(model, service, ledger, monkeypatch):
    monkeypatch.setattr(courier, "pause", lambda *_: None)
    service.choose = lambda text: Reply(status=429, retry_after="9")
    with pytest.raises(ServiceError, match="the server has too many requests"):
        translate_texts(["a cat"], model, ledger)
    assert (len(service.times), ledger.bill().total) == (8, 0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"object": "chat.completion", "choices": []}, '{"choices":[],"object":"chat.completion"}'),
        ("<html>\n<body>[/x] planted-key Bad Gateway" + "." * 99, "'<html> <body>[/x] [key] Bad"),
    ],
)
def test_answer_that_cannot_be_read_is_shown_with_what_to_check(
    model, service, ledger, body, said, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key")
    service.choose = lambda text: Reply(body=body)
    with pytest.raises(ServiceError, match=rf"{re.escape(said)}.{{0,40}}\); .*Check base_url"):
        translate_texts(["a cat"], model, ledger)


@pytest.mark.parametrize(
    "reply", [Reply(status=401), Reply(status=404), Reply(status=429, code="insufficient_quota")]
)
def test_refusal_is_never_repeated_and_costs_nothing(model, service, ledger, reply):
    service.replies.append(reply)
    with pytest.raises(ServiceError, match="the server refused"):
        translate_texts(["a cat"], model, ledger)
    assert len(service.times) == 1
    assert ledger.bill().total == 0


def test_one_refusal_keeps_the_answers_that_were_under_way(model, service, ledger):
    service.latency_s = 0.05
    service.replies.extend([Reply(), Reply(status=403), Reply()])
    with pytest.raises(ServiceError):
        translate_texts(TEXTS, model, ledger)
    asked = len(service.asked)
    assert 0 < asked < len(TEXTS)
    translate_texts(TEXTS, model, ledger)
    assert len(service.asked) == len(TEXTS)


def test_a_text_that_is_refused_does_not_stop_the_others(model, service, tmp_path):
    service.replies.extend([Reply(), Reply(status=400), Reply()])
    with open_ledger(tmp_path) as ledger:
        outcomes = translate_texts(TEXTS, model, ledger)
        refused = [outcome for outcome in outcomes if outcome.problems]
        assert [outcome.problems[0].kind for outcome in refused] == ["refused"]
        assert sum(bool(outcome.text) for outcome in outcomes) == len(TEXTS) - 1
        assert ledger.bill().unusable == 0, "a refusal costs nothing"
    with open_ledger(tmp_path) as ledger:
        assert read(translate_texts(TEXTS, model, ledger)) == DONE, "it is asked again"
    assert len(service.times) == len(TEXTS) + 1


def test_a_service_that_takes_no_text_at_all_is_given_up(model, service, ledger):
    service.replies.extend([Reply(status=400)] * len(TEXTS))
    with pytest.raises(ServiceError, match="the server refused"):
        translate_texts(TEXTS, model, ledger)
    assert len(service.asked) < len(TEXTS)


def test_ctrl_c_keeps_the_answers_that_are_under_way(model, service, ledger, monkeypatch):
    service.latency_s = 0.05
    interrupts = iter([True])
    finish = ledger.finish

    def interrupt_once(*args: object, **options: object) -> None:
        finish(*args, **options)
        if next(interrupts, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "finish", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        translate_texts(TEXTS, model, ledger)
    assert ledger.bill().in_doubt == 0
    asked = len(service.asked)
    translate_texts(TEXTS, model, ledger)
    assert 0 < asked < len(service.asked) == len(TEXTS)


def test_budget_holds_though_several_requests_are_under_way(running, service, ledger):
    service.latency_s = 0.05
    model = OpenAICompatible("m", base_url=running[0], max_requests=8)
    budget = 3 * len("Ann has  cats")
    with pytest.raises(BudgetError):
        translate_texts(TEXTS, model, ledger, budget_chars=budget)
    assert len(service.asked) == 3
    assert ledger.bill().total == budget


def test_missing_client_names_the_extra(model, ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"kot-platypus\[openai\]"):
        translate_texts(["a cat"], model, ledger)


def test_server_that_is_not_there_costs_nothing(ledger):
    with pytest.raises(ServiceError, match="no server answers at http"):
        translate_texts(["a"], OpenAICompatible("m", base_url="http://127.0.0.1:9/v1"), ledger)
    assert ledger.bill().total == 0


def test_thoughts_are_no_part_of_the_translation(model, service, ledger):
    service.replies.append(Reply(text="A cat is\n</think>\n\n고양이"))  # opened by the template
    assert read(translate_texts(["a cat"], model, ledger)) == ["고양이"]


def test_price_is_unknown_unless_told(running, ledger):
    for price, expected in ((None, None), (1e-6, pytest.approx(5e-6))):
        model = OpenAICompatible("m", base_url=running[0], price_per_char=price)
        assert estimate(["a cat"], model, ledger).price == expected


def test_unknown_prompt_is_wrong_usage():
    with pytest.raises(UsageError, match="expected one of faithful, literal"):
        OpenAICompatible("m", prompt="free")


def test_password_in_the_address_is_refused():
    with pytest.raises(UsageError) as raised:
        OpenAICompatible("m", base_url="http://user:pass-word@host/v1")
    assert "pass-word" not in str(raised.value)
