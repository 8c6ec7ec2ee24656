from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest

from kot_platypus.data.normal import (
    encode_normals,
    encode_text,
    find_span,
    hash_windows,
    map_positions,
    normalise,
    split_morphemes,
)

# Full width, composed and decomposed Korean, letters that fold into two, signs outside the plane.
MIXED = (
    "한글 ＡＢＣ ½ e\u0301 "
    + unicodedata.normalize("NFD", "갑을 병정")
    + " ㅋㄱㅏ ﬁ ß \U0001f600끝."
)


@pytest.mark.parametrize(
    "text",
    ["사과 세 개.", "사과세개", "「사과」 세-개!", unicodedata.normalize("NFD", "사과 세 개")],
)
def test_spacing_punctuation_and_composition_change_nothing(text):
    assert normalise(text) == "사과세개"


def test_width_and_case_change_nothing():
    assert normalise("ＡＢＣ １２") == normalise("abc 12") == "abc12"


def test_every_character_of_the_normal_form_has_a_place():
    assert len(map_positions(MIXED)) == len(normalise(MIXED)) + 1


@pytest.mark.parametrize("i", range(len(normalise(MIXED))))
def test_span_of_a_character_normalises_to_it(i):
    start, end = find_span(MIXED, i, i + 1)
    assert normalise(MIXED)[i] in normalise(MIXED[start:end])


def test_normal_forms_of_many_texts_at_once_are_those_of_each():
    texts = [MIXED, "", "!?", "사과 세 개\0.", "\ud800가"]
    points, places = encode_normals(texts)
    parts = [points[start:end].tobytes() for start, end in pairwise(places)]
    assert [each.decode("utf-32-le", "surrogatepass") for each in parts] == [
        normalise(text) for text in texts
    ]


# --- windows and morphemes ---------------------------------------------------------------------


def test_equal_windows_have_equal_hashes_and_others_do_not():
    hashes = hash_windows(encode_text("가나다라가나다마"), 3).tolist()
    assert hashes[0] == hashes[4]
    assert len(set(hashes)) == 5


@pytest.mark.parametrize("size", [3, 4])
def test_text_shorter_than_a_window_has_none(size):
    assert hash_windows(encode_text("가나"), size).shape == (0,)


def test_particles_and_endings_are_no_content():
    one, other = split_morphemes(["남자는 학교에서 책을 읽었다.", "남자가 학교에 책 읽어요"])
    assert [each.form for each in one] == [each.form for each in other]


def test_broken_words_have_the_same_morphemes():
    one, other = split_morphemes(["특별상을 받자 기분이 묘했다.", "특별 상을받자 기 분이 묘했다."])
    assert [each.form for each in one] == [each.form for each in other]


def test_morphemes_know_their_place():
    text = "그는 학교에 갔다."
    (morphemes,) = split_morphemes([text])
    assert ("학교", "학교") in [(each.form, text[each.start : each.end]) for each in morphemes]
