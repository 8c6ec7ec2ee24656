from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

import kot_platypus.results
from kot_platypus.errors import DataError, UsageError
from kot_platypus.report.comparison_table import FolderBeside, gather_published, published_table
from kot_platypus.results.published import Figure, list_models, load_figures, select_models

from ..evaluation_builder import write_evaluation

RIGHT, MIXED = [0, 1] * 5, [0, 1, 1, 1, 0] * 2
POLYGLOT_KO = [f"Polyglot-ko-{size}" for size in ("1.3b", "3.8b", "5.8b", "12.8b")]


def find(model: str, task: str, num_fewshot: int = 0) -> Figure:
    (figure,) = (
        figure
        for figure in load_figures()
        if (figure.model, figure.task, figure.num_fewshot) == (model, task, num_fewshot)
    )
    return figure


def render(facts: FolderBeside, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(published_table(facts))
    return capture.get()


# --- the figures and their marks ---------------------------------------------------------------


def test_shipped_figures_are_the_shared_ones(shared):
    shipped = Path(kot_platypus.results.__file__).with_name("published.json")
    assert shipped.read_bytes() == (shared / "published.json").read_bytes()


def test_all_figures_are_there_once():
    keys = Counter((f.model, f.task, f.num_fewshot) for f in load_figures())
    assert len(keys) == 8 * 4 * 4
    assert set(keys.values()) == {1}


def test_hellaswag_of_polyglot_ko_is_another_metric():
    for figure in load_figures():
        is_norm = figure.task == "hellaswag" and figure.model in POLYGLOT_KO
        assert figure.metric == ("macro_f1_norm" if is_norm else "macro_f1")
        assert any("Treat them as macro_f1_norm" in note for note in figure.notes) == is_norm


@pytest.mark.parametrize(
    ("model", "protocol", "certainty", "note"),
    [
        ("Llama-2-Ko-7b 40B", "polyglot", "known", "equal, to four digits"),
        ("KoT-platypus2-7B", "polyglot", "inferred", "most likely"),
        ("KO-platypus2-7B-EX", "polyglot", "inferred", "most likely"),
        ("Llama-2-Ko-7b 20B", None, "unknown", "Protocol unknown"),
        *((model, None, "unknown", "Protocol unknown") for model in POLYGLOT_KO),
    ],
)
def test_protocol_is_no_surer_than_the_notes(model, protocol, certainty, note):
    figures = [figure for figure in load_figures() if figure.model == model]
    assert {(f.protocol, f.protocol_certainty) for f in figures} == {(protocol, certainty)}
    assert all(any(note in each for each in figure.notes) for figure in figures)


def test_copied_figures_are_flagged_and_equal_the_ones_they_copy():
    flagged = [f for f in load_figures() if any("copied a row" in note for note in f.notes)]
    assert [(f.model, f.task, f.num_fewshot) for f in flagged] == [
        ("Polyglot-ko-3.8b", "boolq", 50),
        ("Polyglot-ko-3.8b", "sentineg", 50),
    ]
    for figure in flagged:
        assert figure.value == find("Polyglot-ko-1.3b", figure.task, 50).value


def test_fifty_shots_that_never_fit_are_noted():
    noted = {
        (figure.task, figure.num_fewshot)
        for figure in load_figures()
        if any("how many that were is not published" in note for note in figure.notes)
    }
    assert noted == {("boolq", 50), ("hellaswag", 50)}


# --- choosing models ---------------------------------------------------------------------------


def test_models_are_chosen_by_name_in_any_case():
    assert select_models("kot-platypus2-7b, Llama-2-Ko-7b 40B") == [
        "KoT-platypus2-7B",
        "Llama-2-Ko-7b 40B",
    ]
    assert select_models("all") == list_models()


def test_misspelt_model_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"'kot-platypus'.*Did you mean KoT-platypus2-7B\?"):
        select_models("kot-platypus")


# --- beside our figures ------------------------------------------------------------------------


def test_published_figures_stand_beside_ours_of_the_same_task_and_shots(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): RIGHT, ("wic", 0): RIGHT})
    beside = gather_published(folder, "KoT-platypus2-7B")
    (table,) = beside.tables
    assert (table.task, table.shots) == ("copa", (0,))
    assert [(row.hub_id != "", row.cells[0].value) for row in table.rows] == [
        (True, 0.7517), (False, 1),
    ]  # fmt: skip
    assert [(key.task, key.num_fewshot) for key in beside.unpublished] == [("wic", 0)]


def test_each_figure_stands_beside_ours_in_its_own_metric(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("hellaswag", 0): RIGHT}, pred_norm=0)
    (table,) = gather_published(folder, "all").tables
    ours = {row.metric: row.cells[0].value for row in table.rows if not row.hub_id}
    assert ours == {"macro_f1": 1, "macro_f1_norm": pytest.approx(1 / 3)}
    models = {
        metric: [r.name for r in table.rows if r.hub_id and r.metric == metric] for metric in ours
    }
    assert models["macro_f1_norm"] == POLYGLOT_KO
    assert not set(models["macro_f1"]) & set(POLYGLOT_KO)


def test_nothing_published_is_refused(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 3): RIGHT, ("wic", 0): RIGHT})
    with pytest.raises(DataError, match="no task at a number of shots that was published"):
        gather_published(folder, "all")


def test_sound_results_of_another_kind_are_not_called_damaged():
    folder = Path(__file__).parents[1] / "results" / "files" / "scores" / "llama-cot"
    with pytest.raises(DataError, match="holds no multiple-choice scores") as refused:
        gather_published(folder, "all")
    assert "Delete" not in str(refused.value)


def test_table_shows_value_interval_and_marks(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): MIXED, ("copa", 5): MIXED})
    text = " ".join(render(gather_published(folder, "KoT-platypus2-7B")).split())
    (table,) = gather_published(folder, "all").tables
    low, high = table.rows[-1].cells[0].ci95
    assert f"95% interval {low:.3f}–{high:.3f}" in text
    assert "KoT-platypus2-7B b 0.7517 0.7868" in text
    assert "b Protocol inferred, not proven" in text


def test_table_has_no_p_value_and_says_why(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): MIXED})
    text = " ".join(render(gather_published(folder, "all")).split())
    assert "nothing is tested here" in text
    assert " p " not in text


def test_table_of_all_models_and_shots_fits_eighty_columns(tmp_path):
    preds = {("hellaswag", shots): MIXED for shots in (0, 5, 10, 50)}
    folder = write_evaluation(tmp_path / "a", preds, effective_shots=0)
    text = render(gather_published(folder, "all"))
    assert "…" not in text
    assert "0.0 of 50" in text


def test_cut_shots_are_told(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("boolq", 50): MIXED}, effective_shots=12)
    text = render(gather_published(folder, "all"))
    assert "shots that fit        12.0 of 50" in text


def test_other_protocol_of_ours_is_marked(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): MIXED}, protocol="lm-eval")
    text = render(gather_published(folder, "all"))
    assert "  ours a b " in text
    assert "a  Ours: the protocol lm-eval." in text


def test_other_number_of_questions_is_marked(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): MIXED})
    text = render(gather_published(folder, "all"))
    assert "  ours a " in text
    assert "COPA 10, not 1,000" in text


def test_whole_test_set_with_the_same_protocol_has_no_mark(tmp_path):
    folder = write_evaluation(tmp_path / "a", {("copa", 0): MIXED * 100})
    assert gather_published(folder, "all").tables[0].rows[-1].marks == ""
