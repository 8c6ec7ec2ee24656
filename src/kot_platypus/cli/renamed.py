"""Options that have a new name: what they were called, and where that went."""

from __future__ import annotations

_IN_REASON = {
    "--mode": "(for --mode cot)",
    "--problems": "--problems",
    "--shots": "--shots",
    "--samples": "--num-samples",
    "--temperature": "--temperature",
    "--max-new-tokens": "--max-new-tokens",
    "--template": "--template",
    "--engine": "--backend",
    "--base-url": "--base-url",
    "--at-once": "--num-concurrent",
}
"""Of the former ``kot eval --mode cot``."""

_IN_DATA = {"--engine": "--executor"}

RENAMED = {
    "eval": {old: f"kot reason {new}".strip() for old, new in _IN_REASON.items()},
    "reason": {
        **{old: new for old, new in _IN_REASON.items() if old != new},
        "--mode": "nothing: kot reason does both",
        "--num-fewshot": "--shots FILE",
        "--batch-tokens": "nothing: kot reason picks it",
    },
    **{f"data {verb}": _IN_DATA for verb in ("build", "duplicates", "contamination")},
}
"""Command -> its former options -> what to type instead."""


def find_successor(command: str, option: str) -> str | None:
    """What to type instead of a command's former option, if it is one."""
    return RENAMED.get(command, {}).get(option)
