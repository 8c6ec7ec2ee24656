from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from kot_platypus.report.comparison_table import comparison_table, write_verdict
from kot_platypus.results.comparison import ComparedPair, ComparedRow
from kot_platypus.results.schema import Rationales


def make_row(task: str = "copa", num_fewshot: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "task": task,
        "num_fewshot": num_fewshot,
        "metric": "macro_f1",
        "protocol": "polyglot",
        "n": 1404,
        "values": {"a": 0.61234, "b": 0.5},
        "difference": {"value": 0.11234, "ci95": [-0.01234, 0.23456]},
        "identical": False,
        "right_alone": {"a": 300, "b": 200},
        "p_value": 0.2,
        "p_holm": 1.0,
        "effective_shots": {"a": num_fewshot, "b": num_fewshot},
        **changes,
    }


def make_facts(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "a": {"folder": "scores/a", "model": "ab"},
        "b": {"folder": "scores/b", "model": "cd"},
        "protocol": "polyglot",
        "metric": "macro_f1",
        "rows": rows,
        "only_a": [],
        "only_b": [],
        **changes,
    }


def render(facts: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_table(ComparedPair.model_validate(facts)))
    return capture.get()


def decide(*rows: dict[str, Any]) -> str:
    return write_verdict([ComparedRow.model_validate(row) for row in rows])


def test_widest_row_fits_eighty_columns_in_full():
    row = make_row("hellaswag", 50, difference={"value": -0.1, "ci95": [-0.2, 0.1]}, p_value=1e-9)
    line = next(line for line in render(make_facts(row)).splitlines() if "HellaSwag" in line)
    for part in ("50", "1,404", "0.612", "0.500", "−0.100", "−0.200 to +0.100", "<0.001", "1.000"):
        assert part in line


def test_table_names_folders_protocol_and_metric():
    text = render(make_facts(make_row()))
    for part in ("A  scores/a", "B  scores/b", "macro F1", "protocol polyglot"):
        assert part in text


def test_identical_predictions_are_said_in_words():
    same = make_row(identical=True, difference={"value": 0, "ci95": [0, 0]})
    text = render(make_facts(same))
    assert "same predictions" in text
    assert "0.000 to" not in text
    assert "A and B made identical predictions on every question." in text


def test_interval_without_width_is_said_in_words():
    row = make_row(difference={"value": 0, "ci95": [0, 0]}, metric="acc")
    assert "same ones right" in render(make_facts(row))


def test_what_only_one_run_has_is_named():
    only = [{"task": "wic", "num_fewshot": 0}, {"task": "wic", "num_fewshot": 5}]
    assert "Only in B: WiC (0 and 5 shots)." in render(make_facts(make_row(), only_b=only))


def test_interval_that_seems_to_contradict_the_verdict_is_explained():
    row = make_row(difference={"value": 0.3, "ci95": [0.1, 0.5]}, p_value=0.3)
    text = " ".join(render(make_facts(row)).split())
    assert "no difference between A and B is shown" in text
    assert "Intervals without zero, but uncorrected: COPA (0 shots). Macro F1 can" in text
    assert "Intervals without zero" not in render(make_facts({**row, "p_holm": 0.01}))


def test_shots_that_did_not_fit_are_told():
    row = make_row("boolq", 50, effective_shots={"a": 12.34, "b": 50})
    assert "BoolQ 12.3 (A) and 50.0 (B) of 50" in " ".join(render(make_facts(row)).split())


def test_verdict_names_who_is_better_on_what():
    rows = [make_row("copa", shots, p_value=0.001, p_holm=0.003) for shots in (0, 5)]
    worse = make_row("wic", p_value=0.001, p_holm=0.01, right_alone={"a": 1, "b": 9})
    assert decide(*rows, worse, make_row("boolq")) == (
        "After Holm's correction for 4 comparisons, A is right more often than B on COPA (0 and 5 "
        "shots); B is right more often than A on WiC (0 shots). On the other comparison no "
        "difference is shown."
    )


def test_verdict_claims_nothing_that_the_correction_took_away():
    rows = [make_row(p_value=0.03, p_holm=0.06), make_row("wic")]
    assert decide(*rows) == (
        "After Holm's correction for 2 comparisons, no difference between A and B is shown. 1 of "
        "the p are below 0.05, as chance alone can do among so many. That does not show that they "
        "are equal."
    )


@pytest.mark.parametrize("p_holm", [0.05, 1.0])
def test_no_difference_is_not_called_equality(p_holm):
    text = decide(make_row(p_holm=p_holm))
    assert "no difference between A and B is shown" in text
    assert "does not show that they are equal" in text


def test_no_figure_is_cut_off_where_a_name_is_long():
    row = make_row("a_task_with_a_long_name" * 2, 50, p_value=1e-9, p_holm=0.00012)
    line = next(line for line in render(make_facts(row), 76).splitlines() if "a_t" in line)
    for part in ("…", "0.612", "0.500", "+0.112", "−0.012 to +0.235", "<0.001"):
        assert part in line
    assert line.count("…") == 1


def test_held_out_problems_of_a_runs_models_are_rows_of_one_table():
    facts = {"test": "problems", "task": "all", "metric": "acc", "protocol": ""}
    shown = make_row(**facts, who="cot", p_value=1e-5, p_holm=1e-4)
    text = render(make_facts(shown, make_row(**facts, who="cot-direct"), make_row(who="cot")))
    assert text.count("Held-out problems: accuracy") == 1
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(("trained model ", "no rationale "))]
    assert "macro F1, protocol polyglot, the same questions, trained model" in text
    assert "A is right more often than B on held-out problems (trained model)." in " ".join(
        text.split()
    )


def test_ways_of_reasoning_stand_under_their_task():
    rows = [
        make_row(test="reasoning", metric="acc", way=way) for way in ("direct", "cot", "cot_scored")
    ]
    text = render(make_facts(*rows))
    assert "COPA, with and without reasoning: accuracy" in text
    for name in ("direct", "reasoned", "then scored"):
        assert any(line.startswith(f"{name} ") for line in text.splitlines())


def test_worth_of_rationales_is_told_of_both_sides():
    found = [Rationales(n=n, korean=0.5, loops=n - 1, contradictions=1) for n in (4, 2)]
    row = make_row(test="reasoning", metric="acc", way="cot", rationales=tuple(found))
    text = " ".join(render(make_facts(row)).split())
    assert "A: 4 rationales: 50.0% Korean letters, 3 loop, 1 ends in another answer." in text
    assert "B: 2 rationales: 50.0% Korean letters, 1 loops, 1 ends in another answer." in text
