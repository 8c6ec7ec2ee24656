from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer.main

from kot_platypus.cli import app
from kot_platypus.dataset_recipe import list_dataset_recipes, load_dataset_recipe
from kot_platypus.evaluate.protocols import list_protocols, load_protocol
from kot_platypus.formats import read_rows
from kot_platypus.prompts import load_templates
from kot_platypus.recipe import list_recipes, load_recipe

ROOT = Path(__file__).parents[1]
TRAINING_PAGE = ROOT / "docs" / "training.md"
PROTOCOLS_PAGE = ROOT / "docs" / "protocols.md"
TUTORIAL_PAGE = ROOT / "docs" / "tutorial.md"
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")])
LAUNCHED = re.compile(r"^(?:(?:\.venv/bin/)?kot|(?:torchrun|accelerate) .*-m kot_platypus) (.*)$")


def find_commands(page: Path) -> list[list[str]]:
    """The arguments of every command of ours in a page's code blocks, as a shell would split."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [match[1] for line in lines if (match := LAUNCHED.match(line))]
    return [shlex.split(text.partition(" > ")[0], comments=True) for text in found]


@pytest.mark.parametrize("name", list_protocols())
def test_page_shows_every_prompt_as_it_is(name):
    page = PROTOCOLS_PAGE.read_text(encoding="utf-8")
    contexts = [
        prompt.context.replace("\n", "\\n") for prompt in load_protocol(name).tasks.values()
    ]
    assert [context for context in contexts if f'`"{context}"`' not in page] == []


@pytest.mark.parametrize("name", load_templates())
def test_page_names_every_template(name):
    assert f"| `{name}` |" in TRAINING_PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_can_be_typed(page):
    group = typer.main.get_command(app)
    for verb, *arguments in find_commands(page):
        command = group.commands[verb]
        if verb == "data":
            verb, *arguments = arguments
            command = command.commands[verb]
        context = command.make_context(verb, arguments)
        recipe = context.params.get("recipe")
        if recipe in list_recipes():
            load_recipe(recipe, context.params.get("overrides") or ())
        if recipe in list_dataset_recipes():
            load_dataset_recipe(recipe, context.params.get("overrides") or ())


def test_every_verb_of_the_tutorial_is_found():
    verbs = {verb for verb, *_ in find_commands(TUTORIAL_PAGE)}
    assert verbs == {"data", "train", "merge", "chat", "eval", "compare", "recipes"}


def test_rows_of_the_tutorial_are_those_of_its_file():
    path = TUTORIAL_PAGE.parent / "tutorial" / "mine.jsonl"
    (block,) = re.findall(r"```json\n(.*?)```", TUTORIAL_PAGE.read_text(encoding="utf-8"), re.S)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row for row in map(json.loads, block.splitlines()) if row not in rows] == []
    assert len(read_rows(path)) == len({row["source"] for row in rows}) == 24
    assert all(row["source"] and row["rationale"] and row["target"] for row in rows)
