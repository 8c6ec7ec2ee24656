"""What went into training, what was left out or cut, and what checks found in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kot_platypus.recipe import TrainSection
from kot_platypus.report.tables import Facts
from kot_platypus.results.run import RunResults
from kot_platypus.results.schema import TUNED
from kot_platypus.results.wording import NBSP, format_count, format_percent, name_task
from kot_platypus.schedule import count_examples

NONE = "none"


class Step(NamedTuple):
    """One step from the sources to what was trained on: rows ``start`` to ``start + length``."""

    label: str
    start: int
    length: int
    is_lost: bool = False


class Loss(NamedTuple):
    """Something that was shorter than it could have been, or missing."""

    what: str
    num_lost: str
    num_all: str

    @property
    def text(self) -> str:
        """Both numbers in one cell."""
        return f"{self.num_lost}{NBSP}of{NBSP}{self.num_all}"


def list_funnel(results: RunResults) -> list[Step]:
    """Sources, the rows drawn from them, those that were too long, and those trained on."""
    counts = results.data_counts
    if "train" not in counts:
        return []
    steps, start = [], 0
    for source, length in counts.get("by_source", {}).items():
        steps.append(Step(source, start, length))
        start += length
    if len(steps) > 1:
        steps.append(Step("drawn", 0, counts["train"]))
    trained = results.training.get("num_examples")
    if trained is not None:
        dropped = results.training.get("num_dropped", 0)
        if dropped:
            steps.append(Step("too long", trained, dropped, is_lost=True))
        validated = results.training.get("validation", {}).get("num_rows", 0)
        if validated and not isinstance(results.recipe.train.validation, str):
            steps.append(Step("validation", trained + dropped, validated, is_lost=True))
        steps.append(Step("trained on", 0, trained))
    return steps


def tabulate_tokens(manifest: dict[str, Any], train: TrainSection) -> Facts:
    """A training's budget. What its manifest does not hold is left out."""
    facts = {
        label: format_count(manifest[key])
        for key, label in {
            "num_examples": "examples",
            "optimizer_steps": "optimizer steps",
            "tokens_seen": "tokens seen",
            "trained_tokens_seen": "of these learnt",
        }.items()
        if key in manifest
    }
    seen, learnt = manifest.get("tokens_seen"), manifest.get("trained_tokens_seen")
    steps, examples = manifest.get("optimizer_steps"), manifest.get("num_examples")
    if seen and learnt is not None:
        facts["share learnt"] = format_percent(learnt / seen)
    if seen and steps and examples:
        shown = count_examples(examples, train, steps)  # patience may end it before
        facts["examples shown"] = format_count(shown)
        facts["tokens an example, mean"] = f"{seen / shown:.1f}"
    for key, label in {
        "parameters": "parameters",
        "trainable_parameters": "of these trainable",
    }.items():
        if key in manifest:
            facts[label] = format_count(manifest[key])
    return [*facts.items(), *_tabulate_validation(manifest.get("validation"))]


def _tabulate_validation(found: dict[str, Any] | None) -> Facts:
    """The validation of the weights that were kept."""
    if not found:
        return []
    facts = [
        ("validation examples", format_count(found["num_examples"])),
        ("validation loss", f"{found['eval_loss']:.4f} (step {format_count(found['step'])})"),
        ("validation tokens right", format_percent(found["eval_token_accuracy"])),
    ]
    if "eval_accuracy" in found:
        facts.append(("validation answers right", format_percent(found["eval_accuracy"])))
    known = found["num_known"]
    return [*facts, ("of these asked in training too", format_count(known))] if known else facts


# --- what was cut ------------------------------------------------------------------------------


def tabulate_losses(results: RunResults, names: Mapping[str, str]) -> list[Loss]:
    """Everything the run's files know to have been dropped or cut, zeros included.

    ``names`` are those of the models whose outputs count.
    """
    return [*_lose_rows(results), *_lose_outputs(results, names), *_lose_shots(results)]


def _lose_rows(results: RunResults) -> list[Loss]:
    training, train = results.training, results.recipe.train
    if "num_examples" not in training:
        return []
    kept = training["num_examples"]
    limit = f"{format_count(train.cutoff_len)} tokens"
    found = []
    if "num_dropped" in training:
        dropped = training["num_dropped"]
        found.append(
            _lose(f"training rows too long for {limit}, left out", dropped, kept + dropped)
        )
    if "num_cut" in training:
        found.append(_lose(f"training rows cut to {limit}", training["num_cut"], kept))
    if train.last_batch == "drop" and kept > train.batch_size:
        rest = kept % train.batch_size
        found.append(_lose("examples left out of each epoch's last batch", rest, kept))
    return found


def _lose_outputs(results: RunResults, names: Mapping[str, str]) -> list[Loss]:
    most = results.recipe.reason.max_new_tokens
    return [
        _lose(
            f"outputs cut at {most} tokens before an answer, {names[who]}",
            sum(answer.answer is None and answer.num_tokens >= most for answer in answers),
            len(answers),
        )
        for who, answers in results.answers.items()
        if answers and who in names
    ]


def _lose_shots(results: RunResults) -> list[Loss]:
    """Shots that did not fit into the model's window, tuned model: per task, on average."""
    part = results.kobest.get(TUNED)
    scores = [
        (task, shots, score)
        for task, by_shots in (part.results if part else {}).items()
        for shots, score in sorted(by_shots.items())
        if shots
    ]
    lost = [
        Loss(
            f"shots that did not fit, {name_task(task)} {shots}-shot, mean",
            f"{shots - score.effective_shots:.1f}",
            str(shots),
        )
        for task, shots, score in scores
        if score.effective_shots < shots - 0.05
    ]
    if scores and not lost:
        return [_lose("tasks whose prompts lost shots", 0, len(part.results if part else ()))]
    return lost


def _lose(what: str, count: int, of: int) -> Loss:
    return Loss(what, format_count(count) if count else NONE, format_count(of))


# --- what checks found -------------------------------------------------------------------------


def tabulate_checks(results: RunResults) -> Facts:
    """The audit's counts: rows, errors by check, duplicates. Empty when there was none."""
    audit = results.audit
    if not audit or "rows" not in audit:
        return []
    return [
        ("rows checked", format_count(audit["rows"])),
        ("rows with errors", format_count(audit["rows_with_errors"])),
        *((name, format_count(count)) for name, count in audit.get("findings", {}).items()),
        ("duplicates", format_count(audit["duplicates"])),
    ]
