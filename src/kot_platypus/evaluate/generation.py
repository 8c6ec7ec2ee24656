"""Generated texts are kept, so that nothing is generated twice.

A model under test turns prompts into texts in any order. Each text is on disk before the next is
waited for, under a key of all that decides it, so a kill costs what was under way and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kot_platypus.evaluate.keys import make_text_key
from kot_platypus.evaluate.model_under_test import ModelUnderTest
from kot_platypus.evaluate.store import ScoredBatch, Store
from kot_platypus.evaluate.texts import Generated, Prompt, Settings
from kot_platypus.evaluate.workload import expect_steps
from kot_platypus.processes import count_processes, process_rank


class TextStore(Store[Generated]):
    """What one model wrote, keyed by ``keys.make_text_key``."""

    line = ScoredBatch[Generated]
    subfolder = "texts"


def generate_texts(
    model: ModelUnderTest,
    prompts: Sequence[Prompt],
    settings: Settings,
    *,
    store: TextStore | None = None,
    title: str = "Writing",
) -> list[Generated]:
    """A text for each prompt, in their order; what the model's store has is not generated again.

    Under torchrun every process calls this and generates its share; afterwards all know all. The
    model is loaded when a text is missing, and only then.
    """
    store = store or TextStore(model.key)
    keys = [make_text_key(prompt, settings) for prompt in prompts]
    wanted = dict(zip(keys, prompts, strict=True))

    def generate_my_share(missing: set[str]) -> Iterator[dict[str, Generated]]:
        # Long and short prompts for everyone.
        ordered = sorted(missing, key=lambda key: (len(wanted[key].text), key))
        mine = ordered[process_rank() :: count_processes()]
        if mine:
            for place, text in model.generate([wanted[key] for key in mine], settings):
                yield {mine[place]: text}

    num_missing = len(wanted.keys() - store.known.keys())
    left = expect_steps(num_missing, settings.max_new_tokens)
    store.complete(wanted, generate_my_share, title=title, unit="texts", left=left)
    return [store.known[key] for key in keys]
