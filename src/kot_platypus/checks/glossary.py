"""The check that a glossary's terms are translated as it says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kot_platypus.checks.findings import Findings, make_finding, shorten
from kot_platypus.checks.segments import Text


def find_terms(text: str, glossary: Mapping[str, str]) -> dict[str, str]:
    """The entries whose English term ``text`` holds: whole words, also in the plural.

    Within a longer term a shorter one does not count. A term in capitals ("US") is only found so.
    """
    found: dict[str, str] = {}
    folded = text.casefold()
    likely = (term for term in glossary if term.casefold() in folded)
    for term in sorted(likely, key=lambda each: (-len(each), each)):
        case = "" if term.isupper() else "(?i)"
        pattern = re.compile(rf"{case}(?<!\w){re.escape(term)}(?:e?s)?(?!\w)")
        text, count = pattern.subn("\ufffc", text)
        if count:
            found[term] = glossary[term]
    return {term: found[term] for term in glossary if term in found}


def find_glossary(source: Text, translation: Text, glossary: Mapping[str, str]) -> Findings:
    """A term of the source that the translation does not render in the glossary's words.

    It may leave one out where the source repeats it. Look-alikes: terms in code and formulas.
    """
    for term, korean in find_terms(source.prose, glossary).items():
        if korean not in translation.raw:
            at = re.search(rf"(?i)(?<!\w){re.escape(term)}", source.prose)
            yield make_finding(
                "glossary",
                f"{shorten(term, 30)!r} is not {shorten(korean, 30)!r}, as the glossary has it",
                [at.span()] if at else [],
            )
