"""A run in a few words: the badges at the top of page and card, and only what its files say."""

from __future__ import annotations

from urllib.parse import quote

from kot_platypus.methods import METHODS
from kot_platypus.report.sentences import name_base
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import TUNED
from kot_platypus.results.wording import format_count


def list_badges(results: RunResults) -> list[tuple[str, str]]:
    """Name and value of each badge: base, training, examples, protocol, contamination."""
    recipe = results.recipe
    badges = [("base", name_base(recipe)), ("training", METHODS[recipe.train.method].title)]
    if "num_examples" in results.training:
        badges.append(("examples", format_count(results.training["num_examples"])))
    if TUNED in results.kobest:
        badges.append(("protocol", results.kobest[TUNED].protocol.name))
    verdict = results.contamination
    if verdict is None:
        found = "not checked"
    elif verdict.is_clean:
        found = "none found"
    else:
        found = f"{format_count(verdict.leaked_rows)} of {format_count(verdict.rows)} rows"
    return [*badges, ("contamination", found)]


def write_badge(name: str, value: str) -> str:
    """The badge as Markdown: a static picture of shields.io, as Hub cards have them."""
    colour = "orange" if name == "contamination" and value != "none found" else "blue"
    url = f"https://img.shields.io/badge/{_escape(name)}-{_escape(value)}-{colour}"
    alt = f"{name}: {value}".translate({ord(mark): " " for mark in "[]<>&`\\\n"})
    return f"![{alt}]({url})"


def _escape(text: str) -> str:
    """Text as shields.io reads it from a path, where a dash parts and an underscore is a space."""
    return quote(text.replace("-", "--").replace("_", "__"), safe="")
