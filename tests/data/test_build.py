from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from kot_platypus.artifacts import read_json, read_jsonl, write_jsonl
from kot_platypus.data.build import build_data, draw_evenly, load_source
from kot_platypus.errors import DataError, RunError, UsageError
from kot_platypus.formats import read_rows as read_rows_of_file
from kot_platypus.recipe import DataSection, SourceSection
from kot_platypus.records import Dialogue, Example

PROBLEMS = SourceSection(name="problems", rows=30, families=("change", "swap"))
KOREAN_COT = SourceSection(name="korean-cot", rows=24)
SECTION = DataSection(
    sources=(PROBLEMS, KOREAN_COT), heldout_problems=10, heldout_families=("change",)
)


def make_rows(**counts: int) -> list[Example]:
    return [
        Example(source=f"{task} {i}?", target=str(i), rationale=f"{i}.", task=task)
        for task, count in counts.items()
        for i in range(count)
    ]


def read_rows(folder: Path, name: str) -> list[Example]:
    return read_jsonl(folder / name, Example)


def count_tasks(rows: list[Example]) -> Counter[str]:
    return Counter(row.task for row in rows)


# --- drawing -----------------------------------------------------------------------------------


def test_drawing_is_even_over_the_tasks():
    drawn = draw_evenly(make_rows(a=50, b=10, c=10), 12, seed=1)
    assert count_tasks(drawn) == {"a": 4, "b": 4, "c": 4}


def test_small_tasks_are_taken_whole_and_the_rest_shared():
    drawn = draw_evenly(make_rows(a=50, b=2, c=50), 12, seed=1)
    assert count_tasks(drawn) == {"a": 5, "b": 2, "c": 5}


def test_drawing_takes_no_row_twice():
    drawn = draw_evenly(make_rows(a=5, b=3), 8, seed=1)
    assert len({row.source for row in drawn}) == 8


def test_drawing_depends_on_the_seed_alone():
    rows = make_rows(a=20, b=20)
    assert draw_evenly(rows, 10, seed=1) == draw_evenly(rows, 10, seed=1)
    assert draw_evenly(rows, 10, seed=1) != draw_evenly(rows, 10, seed=2)


def test_no_count_takes_every_row_in_order():
    rows = make_rows(a=3, b=3)
    assert draw_evenly(rows, None, seed=1) == rows


def test_more_rows_than_there_are_is_a_data_error():
    with pytest.raises(DataError, match="at most 6"):
        draw_evenly(make_rows(a=3, b=3), 7, seed=1)


# --- building ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished data folder: only to be read."""
    folder = tmp_path_factory.mktemp("built") / "data"
    build_data(folder, SECTION, seed=42)
    return folder


def test_training_rows_are_those_of_every_source(built):
    rows = read_rows(built, "train.jsonl")
    assert Counter(row.type for row in rows) == {"problem": 30, "CoT": 24}


def test_heldout_rows_are_problems_of_the_asked_families(built):
    assert count_tasks(read_rows(built, "heldout.jsonl")) == {"change": 10}


def test_sources_are_shuffled_into_one_another(built):
    first = read_rows(built, "train.jsonl")[:20]
    assert {row.type for row in first} == {"problem", "CoT"}


def test_same_seed_builds_the_same_bytes(built, tmp_path):
    build_data(tmp_path, SECTION, seed=42)
    for name in ("train.jsonl", "heldout.jsonl"):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()


def test_manifest_counts_the_rows(built):
    counts = read_json(built / "manifest.json")["counts"]
    assert counts["train"] == 54
    assert counts["heldout"] == 10
    assert counts["by_source"] == {"problems": 30, "korean-cot": 24}
    assert sum(counts["by_task"].values()) == 54


@pytest.mark.parametrize("seed", range(5))
def test_training_and_heldout_rows_never_overlap(tmp_path, seed):
    section = DataSection(sources=(SourceSection(name="problems", rows=300),), heldout_problems=100)
    build_data(tmp_path, section, seed=seed)
    train, heldout = (
        {row.source for row in read_rows(tmp_path, f"{split}.jsonl")}
        for split in ("train", "heldout")
    )
    assert not train & heldout


def test_heldout_question_among_the_training_rows_is_refused(built, tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", read_rows(built, "heldout.jsonl"))
    leaking = SECTION.model_copy(
        update={"sources": (SourceSection(name="file", path=str(tmp_path / "mine.jsonl")),)}
    )
    with pytest.raises(DataError, match="10 held-out questions stand in the training rows"):
        build_data(tmp_path / "data", leaking, seed=42)
    assert not (tmp_path / "data" / "train.jsonl").exists()


def test_finished_data_is_not_touched_by_a_second_call(tmp_path):
    build_data(tmp_path, SECTION, seed=42)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    build_data(tmp_path, SECTION, seed=42)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_data_of_another_seed_is_refused(tmp_path):
    build_data(tmp_path, SECTION, seed=42)
    with pytest.raises(RunError, match=r"config\.seed is 42, not 43"):
        build_data(tmp_path, SECTION, seed=43)


def test_no_heldout_problems_is_an_empty_file(tmp_path):
    build_data(tmp_path, SECTION.model_copy(update={"heldout_problems": 0}), seed=1)
    assert read_rows(tmp_path, "heldout.jsonl") == []


# --- sources -----------------------------------------------------------------------------------


def file_source(path: Path, rows: int | None = None) -> DataSection:
    return DataSection(sources=(SourceSection(name="file", path=str(path), rows=rows),))


def test_file_of_ones_own_rows_is_a_source(tmp_path):
    rows = make_rows(a=4, b=4)
    write_jsonl(tmp_path / "mine.jsonl", rows)
    build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)
    built = read_rows(tmp_path / "data", "train.jsonl")
    assert sorted(built, key=repr) == sorted(rows, key=repr)


CHAT = {
    "messages": [{"role": "user", "content": "질문"}, {"role": "assistant", "content": "답"}],
    "task": "chat",
}
ALPACA = {"instruction": "옮겨라", "output": "안녕", "input": None, "task": "alpaca"}


def test_rows_of_several_formats_make_one_training_set(tmp_path):
    (tmp_path / "chat.jsonl").write_text(json.dumps(CHAT) + "\n")
    (tmp_path / "alpaca.csv").write_text("instruction,output\n옮겨라,안녕\n", encoding="utf-8")
    files = (tmp_path / "chat.jsonl", tmp_path / "alpaca.csv")
    sources = tuple(SourceSection(name="file", path=str(file)) for file in files)
    build_data(tmp_path / "data", DataSection(sources=sources), seed=1)
    written = read_rows_of_file(tmp_path / "data" / "train.jsonl")
    assert sorted(row.source for row in written) == ["옮겨라", "질문"]
    assert {type(row) for row in written} == {Example, Dialogue}


def test_sources_of_ones_own_are_counted_by_name(tmp_path, capsys):
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, count in zip(paths, (4, 6), strict=True):
        write_jsonl(path, make_rows(**{path.stem: count}))
    half = SourceSection(name="file", path=str(paths[1]), weight=0.5)
    sources = (SourceSection(name="file", path=str(paths[0])), half)
    build_data(tmp_path / "data", DataSection(sources=sources), seed=1)
    assert count_tasks(read_rows(tmp_path / "data", "train.jsonl")) == {"a": 4, "b": 3}
    said = " ".join(capsys.readouterr().err.split())
    assert f"3 rows: 3 of {paths[1]} (of 6)" in said
    assert f"7 rows: 4 of {paths[0]}, 3 of {paths[1]}" in said


def test_columns_and_folders_are_read_and_their_files_decide_the_identity(tmp_path):
    for name in ("a", "b"):
        rows = tmp_path / "rows" / f"{name}.csv"
        rows.parent.mkdir(exist_ok=True)
        rows.write_text(f"question,answer\n{name}?,{name}\n", "utf-8")
    columns = {"source": "question", "target": "answer"}
    source = SourceSection(name="file", path=str(rows.parent), columns=columns)
    section = DataSection(sources=(source,))
    build_data(tmp_path / "data", section, seed=1)
    assert {row.target for row in read_rows(tmp_path / "data", "train.jsonl")} == {"a", "b"}
    rows.write_text("question,answer\nc?,c\n", "utf-8")
    with pytest.raises(RunError, match=r"b\.csv is"):
        build_data(tmp_path / "data", section, seed=1)


def test_hub_rows_may_have_any_format(monkeypatch):
    monkeypatch.setattr(
        "datasets.load_dataset", lambda path, config, split, revision: [CHAT, ALPACA]
    )
    rows = load_source(SourceSection(name="hub", path="owner/name"), seed=1)
    assert [row.task for row in rows] == ["chat", "alpaca"]


def test_bad_row_of_the_hub_is_named(monkeypatch):
    rows = [ALPACA, {"text": "x"}]
    monkeypatch.setattr("datasets.load_dataset", lambda path, config, split, revision: rows)
    with pytest.raises(DataError, match="owner/name row 2 has the columns text"):
        load_source(SourceSection(name="hub", path="owner/name"), seed=1)


def test_changed_file_is_another_run(tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", make_rows(a=4))
    build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)
    write_jsonl(tmp_path / "mine.jsonl", make_rows(a=5))
    with pytest.raises(RunError, match=r"mine\.jsonl is"):
        build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)


def test_bad_line_of_a_file_is_named(tmp_path):
    good = make_rows(a=1)[0].model_dump_json()
    (tmp_path / "mine.jsonl").write_text(f'{good}\n{{"source": "a"}}\n')
    with pytest.raises(DataError, match="line 2: target"):
        build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)


def test_mended_file_builds_into_the_folder_that_failed_before(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}\n")
    with pytest.raises(DataError):
        build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)
    write_jsonl(tmp_path / "mine.jsonl", make_rows(a=4))
    build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl"), seed=1)
    assert len(read_rows(tmp_path / "data", "train.jsonl")) == 4


@pytest.mark.parametrize(
    ("content", "rows", "kind"),
    [(None, None, DataError), ("\n", None, DataError), ("one", 2, DataError)],
)
def test_missing_empty_or_short_file_is_a_data_error(tmp_path, content, rows, kind):
    if content is not None:
        text = make_rows(a=1)[0].model_dump_json() if content == "one" else content
        (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(kind):
        build_data(tmp_path / "data", file_source(tmp_path / "mine.jsonl", rows), seed=1)


def test_unknown_family_is_wrong_usage_before_anything_is_written(tmp_path):
    section = SECTION.model_copy(update={"heldout_families": ("chnge",)})
    with pytest.raises(UsageError, match="no family"):
        build_data(tmp_path / "data", section, seed=1)
    assert not (tmp_path / "data").exists()


def test_hub_source_without_the_hub_is_an_error_with_a_remedy(monkeypatch):
    # Read from the environment when the libraries are imported, which may have been long ago.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="no-one/nothing") as raised:
        load_source(SourceSection(name="hub", path="no-one/nothing"), seed=1)
    assert raised.value.hint


# --- problems of one's own ---------------------------------------------------------------------


def build_own(folder: Path, heldout: list[Example]) -> Path:
    write_jsonl(folder / "train.jsonl", make_rows(a=12))
    write_jsonl(folder / "test.jsonl", heldout)
    source = SourceSection(name="file", path=str(folder / "train.jsonl"))
    section = DataSection(sources=(source,), heldout=str(folder / "test.jsonl"))
    build_data(folder / "data", section, seed=1)
    return folder / "data"


def test_own_heldout_rows_are_kept_in_order_and_shots_are_training_rows(tmp_path):
    mine = [Example(source=f"새 문제 {i}?", target=str(i), task="own") for i in range(3)]
    folder = build_own(tmp_path, mine)
    assert read_rows(folder, "heldout.jsonl") == mine
    shots = read_rows(folder, "shots.jsonl")
    assert len(shots) == 8
    assert set(shots) <= set(read_rows(folder, "train.jsonl"))


def test_own_heldout_row_among_the_training_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"1 held-out questions.*'a 3\?'.*Take them out"):
        build_own(tmp_path, [make_rows(a=4)[3]])


def test_own_heldout_row_without_an_answer_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"test\.jsonl row 1 states no final answer"):
        build_own(tmp_path, [Example(source="새 문제?", target="")])


def test_generated_problems_beside_ones_own_are_refused():
    with pytest.raises(ValidationError, match="either `heldout`"):
        DataSection(sources=(PROBLEMS,), heldout="a.jsonl", heldout_problems=3)


def test_own_heldout_row_may_ask_the_same_of_another_input(tmp_path):
    asked = [row.model_copy(update={"input": "다른 글"}) for row in make_rows(a=4)]
    assert read_rows(build_own(tmp_path, asked), "heldout.jsonl") == asked
