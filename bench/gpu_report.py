"""What the log of ``gpu_check.py`` says, in Markdown. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gpu_runner import FAILED, PASSED, Entry

SCORING_AIM_MIN = 8
TRAINING_AIM_MIN = 20
_MACHINE = (
    "device", "GPUs", "capability", "memory", "driver", "CUDA", "cuDNN", "bfloat16", "dtype auto",
    "varlen_attn", "TFLOP/s bfloat16", "TFLOP/s float16", "TFLOP/s float32", "python", "system",
    "source", "key",
)  # fmt: skip


def describe_entry(entry: Entry) -> str:
    """A step's end in one line."""
    seconds = f" after {entry['seconds']:.0f} s" if "seconds" in entry else ""
    reason = f": {entry['reason']}" if entry["reason"] else ""
    return f"{entry['step']}: {entry['status']}{seconds}{reason}"


def write_report(folder: Path, first: Entry, entries: Sequence[Entry]) -> None:
    """``report.md``: the machine, a line a step, the figures, what failed and what was noted."""
    is_tiny = first.get("result", {}).get("tiny")
    parts = [
        "# A rehearsal in small: no figure here means anything"
        if is_tiny
        else "# What a GPU says of KoT",
        describe_machine(first),
        tabulate(
            ("step", "status", "seconds", "why, or how many"), map(_list_cells, [first, *entries])
        ),
        *(text for entry in entries if (text := describe_figures(entry))),
        *(describe_failure(entry) for entry in [first, *entries] if entry["status"] == FAILED),
        describe_notes(entries),
    ]
    (folder / "report.md").write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")


def describe_machine(first: Entry) -> str:
    found = first.get("result", {})
    rows = [(name, str(found[name])) for name in _MACHINE if name in found]
    packages = ", ".join(f"{k} {v}" for k, v in found.get("packages", {}).items())
    return tabulate(("machine", ""), [*rows, ("packages", packages), ("at", first["at"])])


def _list_cells(entry: Entry) -> list[str]:
    tests = entry.get("result", {}).get("tests", {})
    counts = ", ".join(f"{len(names)} {outcome}" for outcome, names in tests.items() if names)
    return [
        entry["step"],
        entry["status"] if entry["status"] == PASSED else f"**{entry['status']}**",
        f"{entry['seconds']:.0f}" if "seconds" in entry else "",
        entry["reason"] or counts,
    ]


def describe_figures(entry: Entry) -> str:
    """A measurement's table, also of one that was cut short; empty for tests."""
    result = entry.get("result", {})
    describe = FIGURES.get(result.get("kind", ""))
    if describe is None:
        return ""
    cut = "" if entry["status"] == PASSED else f" ({entry['status']}: {entry['reason']})"
    return f"## {entry['step']}{cut}\n\n{describe(result)}"


def describe_scoring(result: dict[str, Any]) -> str:
    rows = [
        [
            cell["task"],
            str(cell["shots"]),
            f"{cell['measured questions']:,} of {cell['questions']:,}",
            f"{cell['measured s']:.1f}",
            f"{cell['tokens/s']:,.0f}",
            f"{cell['measured questions'] / cell['measured s']:,.1f}",
            f"{cell['extrapolated s']:,.1f}",
        ]
        for cell in result["cells"]
    ]
    names = ("task", "shots", "questions measured", "s", "tokens/s", "questions/s", "whole cell, s")
    done = f"{len(rows)} of the {result['of cells']} cells of the published table"
    minutes, peak = result["extrapolated s"] / 60, result["peak GiB"]
    return (
        f"{result['model']} (random weights), {result['dtype']}, peak {peak:.2f} GiB.\n\n"
        f"{tabulate(names, rows)}\n\n"
        f"Measured: {result['measured s']:.0f} s. Extrapolated to all questions of {done}, by "
        f"their tokens and without tokenisation: **{minutes:.1f} minutes** (aim for all of them "
        f"with 7B on an H100: {SCORING_AIM_MIN})."
    )


def describe_training(result: dict[str, Any]) -> str:
    predicted, minutes = result["predicted GiB"], result["extrapolated s"] / 60
    total = sum(predicted.values())
    parts = ", ".join(f"{kind} {gib:.2f}" for kind, gib in predicted.items())
    kept = "layers' inputs only" if result["gradient_checkpointing"] else "all"
    reserved = ""
    if result["reserved GiB"] is not None:
        reserved = f", {result['reserved GiB']:.2f} with the allocator's seams"
    losses = ", ".join(f"{loss:.3f}" for loss in result["losses"][:5])
    return (
        f"{result['model']} (random weights), {result['method']}, {result['dtype']}, packs of "
        f"{result['pack']:,}, activations kept: {kept}.\n\n"
        + tabulate(
            (
                "steps measured",
                "s/step",
                "examples/s",
                "tokens/s",
                "peak GiB",
                "predicted",
                "ratio",
            ),
            [
                [
                    str(result["steps"]),
                    f"{result['s/step']:.2f}",
                    f"{result['examples/s']:.2f}",
                    f"{result['tokens/s']:,.0f}",
                    f"{result['peak GiB']:.2f}",
                    f"{total:.2f}",
                    f"{result['peak GiB'] / total:.2f}",
                ]
            ],
        )
        + f"\n\nPredicted by `--dry-run`, GiB: {parts}. Measured: tensors at their peak{reserved}. "
        f"First losses: {losses}. Extrapolated to 2,159 rows x 15 epochs of "
        f"{result['tokens an example']:.0f} tokens: **{minutes:.1f} minutes** "
        f"(aim with 7B on an H100: {TRAINING_AIM_MIN})."
    )


def describe_generation(result: dict[str, Any]) -> str:
    def show(speed: float | None) -> str:
        return "out of memory" if speed is None else f"{speed:,.1f}"

    rows = [
        [
            str(line["rows"]),
            show(line["ours"]),
            show(line["transformers"]),
            f"{line['ours'] / line['transformers']:.2f}x"
            if line["ours"] and line["transformers"]
            else "",
        ]
        for line in result["rows"]
    ]
    names = ("texts at a time", "ours, tokens/s", "transformers' generate", "faster")
    where = f"{result['model']} (random weights), {result['dtype']}, prompts of 64 to 256 tokens."
    return f"{where}\n\n{tabulate(names, rows)}"


FIGURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "scoring": describe_scoring,
    "training": describe_training,
    "generation": describe_generation,
}


def describe_failure(entry: Entry) -> str:
    """What a failed step printed last, and each failed test's own words."""
    reasons = entry.get("result", {}).get("reasons", {})
    failed = entry.get("result", {}).get("tests", {}).get("failed", [])
    blocks = [f"`{name}`\n\n```\n{reasons.get(name, '')}\n```" for name in failed]
    output = "\n".join(entry.get("output", []))
    return "\n\n".join([f"## {entry['step']} failed", *blocks, f"```\n{output}\n```"])


def describe_notes(entries: Iterable[Entry]) -> str:
    """What tests noted beside passing, and why some were skipped."""
    lines = []
    for entry in entries:
        result = entry.get("result", {})
        lines += [f"- {name}: {value}" for name, value in result.get("notes", {}).items()]
        skipped = result.get("tests", {}).get("skipped", [])
        lines += [f"- {name}: skipped: {result['reasons'].get(name)}" for name in skipped]
    return "## Notes of the tests\n\n" + "\n".join(lines) if lines else ""


def tabulate(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
