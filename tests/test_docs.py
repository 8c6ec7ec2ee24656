from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.evaluate.protocols import list_protocols, load_protocol
from kot_platypus.prompts import load_templates

TRAINING_PAGE = Path(__file__).parents[1] / "docs" / "training.md"
PROTOCOLS_PAGE = Path(__file__).parents[1] / "docs" / "protocols.md"


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
