"""The keys of kept scores and texts: a change of any loses what people have kept under it."""

from __future__ import annotations

import pytest

from kot_platypus.evaluate import keys
from kot_platypus.evaluate.beginnings import BOS_KEY
from kot_platypus.evaluate.encoding import EncodedRequest, Encoding
from kot_platypus.evaluate.protocols import build_questions, load_data, load_protocol
from kot_platypus.evaluate.server import OpenAIModel
from kot_platypus.evaluate.texts import Prompt, Settings
from kot_platypus.records import Message

QUESTIONS = {
    "polyglot": "6cf36a8cb515c03a811cc8a1645615469d926d131af846378e4ccbe0da38a904",
    "lm-eval": "5baccb8865099fb02c6d76a8141ff518665713b01b17641a38b4a8e496404704",
}
CHOICES = {
    "opening": "0ef1655f073fde42e355d837e8e39af57a5a7810727b3ac64bd8632a7cddc433",
    False: "ba0f4f389fd54e9d399d0ab5cbc3b360e71391755e3b1d97940cf3321aa4a558",
}


def test_keys_of_models_are_those_of_before(monkeypatch):
    monkeypatch.setattr(keys, "version", lambda name: "1.0")
    assert keys.make_model_key("a", "float32", "cpu") == (
        "8da6d51ed68e4c5a97a189bee04d3f379364360739ecf5ac6f4f7e0b111494bb"
    )
    assert OpenAIModel("m", "http://localhost:8000/v1").key == (
        "fd74eecd37cf1a047ed00cc648cb1b2ec0fadbb84d0fbc706a74c2ca668f5d3f"
    )


@pytest.mark.parametrize("name", QUESTIONS)
def test_keys_of_questions_are_those_of_before(name):
    protocol = load_protocol(name)
    (question,) = build_questions(protocol, load_data(protocol, "copa", "mini"), 1, 1)
    assert question.key == QUESTIONS[name]


@pytest.mark.parametrize("special", CHOICES)
def test_keys_of_choices_after_an_answer_line_are_those_of_before(special):
    encoding = Encoding(tokenisation="joint", special_tokens=special, empty_context="bos")
    key = keys.make_choices_key(encoding, "질문: ?\n정답: ", ("아니요", "예"))
    assert key == CHOICES[special]


def test_keys_of_texts_are_those_of_before():
    chat = (Message(role="user", content="가"),)
    greedy = Settings(max_new_tokens=8, stop_line="정답: ")
    drawn = greedy.model_copy(update={"temperature": 0.7})
    assert keys.make_text_key(Prompt(text="가"), greedy) == (
        "9bd40c3ae4309b1a92b5d1da76fe2a573ad242f12c22505002357a22be5fca08"
    )
    assert keys.make_text_key(Prompt(text="가", messages=chat, sample=1), drawn) == (
        "2c4b9e42e8a38365b9db8348d760f393b8bd2135165c75bce6df5251e9ed0aa0"
    )


def test_keys_of_requests_and_of_bos_are_those_of_before():
    assert keys.make_request_key(EncodedRequest([1, 2, 3], 2)) == (
        "ffb94601c10ebf3a2ebf9ae3db6b19b8b6fe580a989d9ea94d6ff16dfe232a9d"
    )
    assert BOS_KEY == "082e3c465cd6b9ca5faba039d4b82e4611eb7123b819d79f9a0f85fd26959eea"
