from __future__ import annotations

import pytest

from kot_platypus.data.translation.openai import OpenAICompatible
from kot_platypus.data.translation.options import keep_wording, mark_row, word_options
from kot_platypus.data.translation.protection import Problem, protect, restore
from kot_platypus.data.translation.translate import Marked, Translated, translate_texts
from kot_platypus.records import Dialogue, Example
from kot_platypus.row_texts import list_texts
from tests.data.openai_server import serve_openai

ROW = Example(
    source="Where are dishes kept?\n(A) cupboard\n(B) closet\n(C) 3 boxes",
    rationale="Dishes are in a cupboard, clothes in a closet. So it is the cupboard.",
    target="(A) cupboard",
)
SOURCE = "접시는 어디에 둡니까?\n(A) 찬장\n(B) 옷장\n(C) 상자 3개"


def said(text: str, *words: str) -> Translated:
    """A translation of the rationale, in which those words stand for its mentions, in order."""
    spans, end = [], 0
    for name, word in zip(("cupboard", "closet", "cupboard"), words, strict=True):
        start = text.index(word, end)
        end = start + len(word)
        spans.append((name, (start, end)))
    return Translated(text=text, said=tuple(spans))


def translate(rationale: Translated, source: str = SOURCE) -> dict[str, Translated]:
    return word_options(ROW, {"source": Translated(text=source), "rationale": rationale})


# --- what is sent ------------------------------------------------------------------------------


def test_target_of_the_list_is_not_sent_and_mentions_are_marked():
    texts = mark_row(ROW)
    assert "target" not in texts
    assert texts["source"] == ROW.source
    rationale = texts["rationale"]
    assert isinstance(rationale, Marked)
    assert [rationale.text[a:b] for a, b in rationale.marks] == ["cupboard", "closet", "cupboard"]


@pytest.mark.parametrize(
    ("target", "rationale"),
    [
        ("the cupboards", "Cupboards hold dishes; the closetful does not."),  # other words
        ("maybe", "`cupboard` is code."),
    ],
)
def test_other_words_and_code_are_sent_as_ever(target, rationale):
    row = ROW.model_copy(update={"target": target, "rationale": rationale})
    texts = mark_row(row)
    assert "target" in texts
    sent = texts["rationale"]
    assert isinstance(sent, Marked)
    assert "</x>" not in protect(*sent).xml


def test_everyday_words_are_taken_from_the_list_but_not_marked():
    row = Example(source="Is it?\n- yes\n- no", rationale="No cat can. So yes.", target="yes")
    texts = mark_row(row)
    assert "target" not in texts
    assert texts["rationale"] == Marked(row.rationale)


def test_row_without_a_list_is_sent_as_it_is():
    row = Example(source="What is a cupboard?", rationale="A cupboard.", target="A cupboard")
    assert mark_row(row) == list_texts(row)


def test_options_of_a_conversation_are_marked_where_the_assistant_names_them():
    turns = [{"role": "user", "content": ROW.source}, {"role": "assistant", "content": "A closet."}]
    sent = mark_row(Dialogue.model_validate({"messages": turns}))
    assert sent == {"messages.0": ROW.source, "messages.1": Marked("A closet.", ((2, 8),))}


def test_marks_hold_pieces_and_tear_none():
    protected = protect("in 3 boxes, `3 boxes`", [(3, 10), (13, 20)])
    assert protected.xml == 'in <x id="3"><x id="1"/> boxes</x>, <x id="2"/>'
    assert restore(protected.xml, protected.pieces, protected.marked).spans == {3: (3, 10)}


@pytest.mark.parametrize(
    ("xml", "spans"),
    [
        ('답은 <x id="1">찬장</x>이다', {1: (3, 5)}),
        ("답은 <x id='1'> 찬장</x >이다".replace("x >", "x>"), {1: (3, 6)}),
        ('답은 <x id="1"/>이다', {1: (3, 3)}),
        ("답은 찬장이다", {}),
        ('답은 <x id="1">찬장이다', {}),
        ("답은 찬장</x>이다", {}),
    ],
)
def test_marks_come_back_as_far_as_they_were_kept(xml, spans):
    restored = restore(xml, ("cupboard",), (1,))
    assert restored.spans == spans
    assert "x" not in restored.text
    assert restored.problems == ()


# --- one wording -------------------------------------------------------------------------------


def test_list_words_target_and_rationale():
    rationale = said("접시는 벽장에, 옷은 옷장에 있다. 그래서 벽장이다.", "벽장", "옷장", "벽장")
    done = translate(rationale)
    assert done["target"].text == "(A) 찬장"
    assert done["rationale"].text == "접시는 찬장에, 옷은 옷장에 있다. 그래서 찬장이다."
    assert done["rationale"].problems == ()


@pytest.mark.parametrize(
    ("text", "word", "wanted", "expected"),
    [
        ("벽장은 좁다", "벽장", "창고", "창고는 좁다"),
        ("창고가 넓다", "창고", "찬장", "찬장이 넓다"),
        ("창고로 간다", "창고", "찬장", "찬장으로 간다"),
        ("벽장으로 간다", "벽장", "거실", "거실로 간다"),
        ("답은 사과다.", "사과", "귤", "답은 귤이다."),
        ("답은 '벽장'", "벽장", "찬장", "답은 '찬장'"),
        ("벽장을 연다", "벽장을", "창고", "창고를 연다"),  # the particle between the tags
        ("찬장을 연다", "찬장을", "찬장", "찬장을 연다"),
        ("어서 달려야 한다", "달려야", "달리기", "어서 달려야 한다"),  # a verb
        ("행복한 개", "행복한", "행복", "행복한 개"),
        ("그는 잤습니다.", "잤습니다", "잠", "그는 잤습니다."),
        ("그가 넘어졌다.", "넘어졌다", "그는 넘어졌습니다.", "그가 넘어졌다."),
    ],
)
def test_nouns_give_way_with_their_particles_and_verbs_do_not(text, word, wanted, expected):
    start = text.index(word)
    assert keep_wording(text, [((start, start + len(word)), wanted)]) == expected


def test_noun_once_is_a_noun_elsewhere():
    text = "벽장 안에 있다. 벽장이다."
    assert keep_wording(text, [((0, 2), "찬장"), ((10, 12), "찬장")]) == "찬장 안에 있다. 찬장이다."


def test_empty_tags_get_the_wording():
    assert keep_wording("답은 이다", [((3, 3), "찬장")]) == "답은 찬장이다"


def test_lost_tags_are_a_problem_unless_the_wording_stands():
    spans = (("cupboard", None), ("closet", None))
    done = translate(Translated(text="옷장이 아니라 벽장이다.", said=spans))
    assert done["rationale"].problems == (Problem(kind="lost", piece="cupboard"),)


@pytest.mark.parametrize(
    "source", ["접시는?\n(A) 찬장\n(B) 옷장", "(A) 찬장 (B) 찬장 (C) 상자", ""]
)
def test_a_question_that_lists_other_options_words_nothing(source):
    rationale = said("벽장, 옷장, 벽장이다.", "벽장", "옷장", "벽장")
    done = translate(rationale, source)
    assert "target" not in done
    assert done["rationale"] == rationale


# --- a language model --------------------------------------------------------------------------


def test_model_is_told_of_the_tags_only_where_there_are_some(ledger, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve_openai() as (url, service):
        model = OpenAICompatible("m", base_url=url)
        plain, marked = translate_texts(["a dog", Marked("a cat", ((2, 5),))], model, ledger)
    systems = {
        body["messages"][1]["content"]: body["messages"][0]["content"] for body in service.bodies
    }  # type: ignore[index]
    assert "Keep both tags" in systems['a <x id="1">cat</x>']
    assert "Keep both tags" not in systems["a dog"]
    assert (plain.said, marked.said) == ((), (("cat", (5, 8)),))
