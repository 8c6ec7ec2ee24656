"""The sentences follow the signs, and figures read as a person would write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kot_platypus.report.sentences import (
    write_details,
    write_headline,
    write_kobest_sentence,
)
from kot_platypus.results.run import RunResults, load_results
from kot_platypus.results.schema import Estimate
from kot_platypus.results.wording import (
    format_interval,
    format_p,
    format_points,
    format_score_difference,
    format_seconds,
)


def with_differences(results: RunResults, base: float, answer: float) -> RunResults:
    """The results with other differences, intervals of +-0.05 around them."""
    pairs = results.comparison.problems
    values = {"base": base, "answer": answer}
    changed = tuple(
        pair.model_copy(
            update={"difference": Estimate(value=v, ci95=(v - 0.05, v + 0.05)), "p_value": 0.5}
        )
        for pair in pairs
        for v in [values[pair.b]]
    )
    comparison = results.comparison.model_copy(update={"problems": changed})
    return results.model_copy(update={"comparison": comparison})


@pytest.mark.parametrize(
    ("base", "answer", "expected"),
    [
        (0.5, 0.2, "raised the share of held-out problems solved from 10.5% to 61.3%, "
                   "20.0 points above training on answers alone."),
        (0.5, 0.01, "to 61.3%; no difference from training on answers alone is shown."),
        (-0.2, -0.1, "lowered the share of held-out problems solved from 10.5% to 61.3%, "
                     "10.0 points below training on answers alone."),
        (0.01, 0.2, "No difference shown: the tuned model solves 61.3% of 400 held-out problems, "
                    "the base model 10.5%"),
        (-0.05, 0.0, "No difference shown"),
    ],
)  # fmt: skip
def test_headline_follows_the_sign(
    run_folder: Path, base: float, answer: float, expected: str
) -> None:
    results = with_differences(load_results(run_folder), base, answer)
    assert expected in write_headline(results)


def test_details_give_every_interval_and_say_when_nothing_is_shown(run_folder: Path) -> None:
    pairs, kobest = write_details(with_differences(load_results(run_folder), 0.5, -0.01))
    text = pairs.replace("\N{NO-BREAK SPACE}", " ")
    assert "+50.0 points against the base model (95% interval +45.0 to +55.0, p = 0.500)" in text
    assert "−1.0 points against training on answers alone" in text
    assert "p = 0.500, no difference shown)" in text
    assert "4 rose, none fell, 6 show no difference" in kobest


def test_headline_without_problems_is_about_kobest(run_folder: Path) -> None:
    results = load_results(run_folder).model_copy(update={"problems": {}})
    assert write_headline(results).startswith("Against the base model on KoBEST mini")


def test_headline_of_a_run_that_compared_nothing(run_folder: Path) -> None:
    results = load_results(run_folder)
    alone = RunResults(recipe=results.recipe, problems={"cot": results.problems["cot"]})
    assert "there is nothing to compare it with" in write_headline(alone)
    tested = RunResults(recipe=results.recipe, problems=results.problems)
    assert write_headline(tested).endswith("; they were not compared.")
    trained = RunResults(recipe=results.recipe, manifests=results.manifests)
    assert write_headline(trained) == "A model was trained; nothing was compared."
    empty = RunResults(recipe=results.recipe)
    assert write_headline(empty) == "Nothing was trained or compared yet."


def test_figures_as_text() -> None:
    assert format_points(0.095) == "+9.5"
    assert format_points(-0.0004) == "0.0"  # never a signed zero
    assert format_score_difference(-0.0123) == "−0.0123"
    assert [format_p(p) for p in (0.0004, 0.0316, None, float("nan"))] == [
        "< 0.001", "0.032", "–", "–",
    ]  # fmt: skip
    assert [format_seconds(s) for s in (3.4, 59.7, 725, 12000)] == [
        "3 s", "1 min 0 s", "12 min 5 s", "3 h 20 min",
    ]  # fmt: skip
    estimate = Estimate(value=0.1, ci95=(0.05, 0.15))
    assert format_interval(estimate, "percent") == "5.0–15.0%"
    assert format_interval(estimate, "points") == "+5.0 to +15.0"


def test_a_sign_needs_the_whole_interval() -> None:
    signs = [
        Estimate(value=0.1, ci95=ends).sign for ends in ((0.01, 0.2), (0.0, 0.2), (-0.2, -0.1))
    ]
    assert signs == [1, 0, -1]


def test_an_interval_alone_shows_nothing_on_kobest(run_folder: Path) -> None:
    """The demo's SentiNeg: ten questions, +3 to +56 points of F1, but p 0.25 of ten comparisons."""
    results = load_results(run_folder)
    pairs = results.comparison.kobest
    assert all(pair.verdict for pair in pairs if pair.difference.sign > 0)
    doubtful = [pair.model_copy(update={"p_value": 0.25, "p_holm": 1.0}) for pair in pairs]
    comparison = results.comparison.model_copy(update={"kobest": tuple(doubtful)})
    sentence = write_kobest_sentence(results.model_copy(update={"comparison": comparison}))
    assert sentence.endswith("no difference from the base model is shown.")
