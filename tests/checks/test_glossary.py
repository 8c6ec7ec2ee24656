from __future__ import annotations

import pytest

from kot_platypus.checks import check_row
from kot_platypus.checks.glossary import find_terms
from kot_platypus.records import Example

GLOSSARY = {"cupboard": "찬장", "learning": "학습", "machine learning": "머신러닝", "US": "미국"}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("A cupboard", ["cupboard"]),
        ("Cupboards, and learning", ["cupboard", "learning"]),
        ("Machine learning is fun", ["machine learning"]),
        ("learning about machine learning", ["learning", "machine learning"]),
        ("Give us a cupboardful", []),
        ("The US", ["US"]),
    ],
)
def test_terms_are_whole_words_and_the_longest(text, terms):
    assert list(find_terms(text, GLOSSARY)) == terms


@pytest.mark.parametrize(
    ("source", "korean", "is_found"),
    [
        ("A cupboard is here.", "벽장이 여기 있습니다.", True),
        ("A cupboard is here.", "찬장이 여기 있습니다.", False),
        ("Run `cupboard()` now please.", "지금 `cupboard()`을 실행하십시오.", False),
        ("A cupboard is here.", "", False),  # cut_off says so
    ],
)
def test_translation_without_the_glossarys_word_is_an_error(source, korean, is_found):
    original = Example(source=source, target="")
    translated = original.model_copy(update={"source": korean})
    findings = check_row(original, translated, glossary=GLOSSARY)
    found = [(f.field, f.severity) for f in findings if f.check == "glossary"]
    assert found == ([("source", "error")] if is_found else [])


def test_nothing_is_held_to_what_was_not_asked():
    original = Example(source="A cupboard is here.", target="")
    translated = original.model_copy(update={"source": "벽장이 여기 있다."})
    assert check_row(original, translated) == []
