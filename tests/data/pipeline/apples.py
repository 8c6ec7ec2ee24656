"""Rows of an English source, small enough to be translated by rules, and the rules."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

NAMES = {"Mina": "민아", "Tom": "톰", "Jane": "제인", "Omar": "오마르"}
THINGS = {"apples": "사과", "pens": "펜", "books": "책", "coins": "동전"}
NUMBER = r'(<x id="\d+"/>)'
RULES = [
    (
        rf"(\w+) has {NUMBER} (\w+) and buys {NUMBER} more\.",
        r"\1에게 \3 \2개가 있고 \4개를 더 삽니다.",
    ),
    (r"How many (\w+) are there now\?", r"지금 \1는 모두 몇 개입니까?"),
    (rf"At first there are {NUMBER} (\w+)\.", r"처음에는 \2가 \1개 있습니다."),
    (rf"Then {NUMBER} more are bought\.", r"그런 다음 \1개를 더 삽니다."),
    (rf"So there are {NUMBER} in the end\.", r"그래서 마지막에는 \1개가 됩니다."),
]


def make_rows(count: int, seed: int = 0, tasks: int = 5) -> list[dict[str, Any]]:
    """Rows as CoT-Collection has them: no two ask the same, and a line break is written \\n."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        a, b = 100 + number, rng.randint(2, 99)
        thing = rng.choice(list(THINGS))
        rows.append(
            {
                "source": f"{rng.choice(list(NAMES))} has {a} {thing} and buys {b} more. "
                f"How many {thing} are there now?",
                "target": str(a + b),
                "rationale": f"At first there are {a} {thing}. Then {b} more are bought.\\n"
                f"So there are {a + b} in the end.",
                "task": f"task{number % tasks}",
                "type": "CoT",
            }
        )
    return rows


def translate(xml: str) -> str:
    """The Korean of a row's text as it is sent, placeholders and all."""
    for pattern, korean in RULES:
        xml = re.sub(pattern, korean, xml)
    for english, korean in {**NAMES, **THINGS}.items():
        xml = xml.replace(english, korean)
    return xml


def write_keyed(path: Path, rows: list[dict[str, Any]]) -> Path:
    """One object keyed by row, as CoT-Collection is published."""
    path.write_text(json.dumps({str(i): row for i, row in enumerate(rows)}), encoding="utf-8")
    return path
