from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kot_platypus.artifacts import (
    MANIFEST,
    JsonlLog,
    hash_file,
    hash_files,
    hash_value,
    iter_jsonl,
    new_folder,
    read_json,
    read_jsonl,
    read_log,
    write_json,
    write_jsonl,
    write_text,
)
from kot_platypus.errors import DataError, RunError
from kot_platypus.records import Example

ROWS = [Example(source=f"{n}+1은?", target=str(n + 1)) for n in range(5)]


# --- writing -----------------------------------------------------------------------------------


def test_written_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "가\n나\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "가\n나\r\n".encode()


def test_old_file_stays_when_writing_fails_midway(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "x" * 100_000 + "\ud800")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_failed_first_write_leaves_no_file_of_that_name(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert not (tmp_path / "a.txt").exists()


def test_next_write_ignores_what_a_failed_one_left(tmp_path):
    (tmp_path / "a.txt.part").write_text("a longer torn text")
    write_text(tmp_path / "a.txt", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "new"}


def test_new_folder_replaces_the_old_one_whole(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old.txt").write_text("old")
    with new_folder(tmp_path / "x") as part:
        (part / "sub").mkdir()
        (part / "sub" / "new.txt").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    files = [path.relative_to(tmp_path / "x") for path in (tmp_path / "x").rglob("*.txt")]
    assert files == [Path("sub/new.txt")]


def test_new_folder_leaves_the_old_one_when_the_block_fails(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old.txt").write_text("old")

    def fail_midway() -> None:
        with new_folder(tmp_path / "x") as part:
            (part / "new.txt").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["old.txt"]


def test_new_folder_starts_empty_after_a_failed_one(tmp_path):
    (tmp_path / "x.part").mkdir()
    (tmp_path / "x.part" / "torn.txt").write_text("torn")
    with new_folder(tmp_path / "x"):
        pass
    assert list((tmp_path / "x").iterdir()) == []


def test_json_files_keep_korean_readable(tmp_path):
    write_json(tmp_path / "a.json", {"질문": "몇 개?"})
    assert "몇 개?" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"질문": "몇 개?"}


@pytest.mark.parametrize("below", [".", "data", "runs/data"])
def test_file_in_the_place_of_a_folder_is_refused_and_kept(tmp_path, below):
    (tmp_path / "thesis.txt").write_text("years of work")
    folder = tmp_path / "thesis.txt" / below
    with pytest.raises(RunError, match=r"thesis\.txt is a file"), new_folder(folder):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


# --- logs --------------------------------------------------------------------------------------


def log_of(path: Path, *batches: list[Example]) -> bytes:
    for batch in batches:
        JsonlLog(path, Example).append(batch)
    return path.read_bytes()


def test_log_appended_to_after_reopening_equals_one_written_at_once(tmp_path):
    apart = log_of(tmp_path / "a.jsonl", ROWS[:2], ROWS[2:3], ROWS[3:])
    assert apart == log_of(tmp_path / "b.jsonl", ROWS)


def test_reopened_log_knows_its_rows(tmp_path):
    log_of(tmp_path / "a.jsonl", ROWS[:3])
    assert JsonlLog(tmp_path / "a.jsonl", Example).rows == ROWS[:3]


@pytest.mark.parametrize("num_bytes", [1, 2, 30])
def test_torn_last_line_is_cut_off_and_written_again(tmp_path, num_bytes):
    whole = log_of(tmp_path / "a.jsonl", ROWS)
    os.truncate(tmp_path / "a.jsonl", len(whole) - num_bytes)
    assert read_log(tmp_path / "a.jsonl", Example) == ROWS[:4]
    log = JsonlLog(tmp_path / "a.jsonl", Example)
    assert log.rows == ROWS[:4]
    log.append(ROWS[4:])
    assert (tmp_path / "a.jsonl").read_bytes() == whole


@pytest.mark.parametrize("garbage", [b"\x00\xff\n", b'{"source": "a"}\n'])
def test_a_line_of_a_log_that_is_no_row_is_named_and_nothing_is_cut_off(tmp_path, garbage):
    good = log_of(tmp_path / "a.jsonl", ROWS[:2])
    (tmp_path / "a.jsonl").write_bytes(good + garbage + good)
    for read in (JsonlLog, read_log):
        with pytest.raises(DataError, match=r"a\.jsonl line 3"):
            read(tmp_path / "a.jsonl", Example)
    assert (tmp_path / "a.jsonl").read_bytes() == good + garbage + good


def test_a_log_reads_on_what_others_have_added(tmp_path):
    mine, other = (JsonlLog(tmp_path / "a.jsonl", Example) for _ in range(2))
    other.append(ROWS[:2])
    assert mine.has_changed
    assert mine.read_on() == ROWS[:2]
    mine.append(ROWS[2:3])
    assert not mine.has_changed
    assert other.read_on() == ROWS[2:3]
    assert mine.rows == other.rows == ROWS[:3]


def test_a_log_that_was_cut_is_an_error(tmp_path):
    log = JsonlLog(tmp_path / "a.jsonl", Example)
    log.append(ROWS)
    os.truncate(tmp_path / "a.jsonl", 10)
    with pytest.raises(DataError, match="shorter than it was"):
        log.read_on()


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["줄\u2028바꿈", "a\x85b", "a\x1cb", "가\r나", "a\nb", "\ufeff"])
def test_rows_with_any_line_break_in_a_text_survive_the_file(tmp_path, text):
    rows = [Example(source=text, target="1"), *ROWS]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "a.jsonl", Example) == rows


def test_rows_are_read_past_a_byte_order_mark_windows_line_ends_and_blank_lines(tmp_path):
    text = "\r\n\r\n".join(row.model_dump_json() for row in ROWS)
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_jsonl(tmp_path / "a.jsonl", Example) == ROWS


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"{", "line 3: the row: Invalid JSON"),
        (b'{"source": "a"}', "line 3: target: Field required"),
        (b'{"source": "a", "target": [7]}', "line 3: target: Input should be a valid string"),
        ('{"source": "가", "target": "나"}'.encode("cp949"), "line 3 is not UTF-8, but looks like"),
    ],
)
def test_bad_row_is_named_by_line_and_column(tmp_path, line, named):
    good = ROWS[0].model_dump_json().encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, good, line, good]))
    with pytest.raises(DataError) as raised:
        read_jsonl(tmp_path / "a.jsonl", Example)
    assert named in str(raised.value)


@pytest.mark.parametrize("torn", [b'{"source": "a", "tar', b'{"source": "a"}', b"\xb0\xa1"])
def test_a_stage_file_s_bad_line_is_a_data_error_once_it_is_reached(tmp_path, torn):
    path = tmp_path / "a.jsonl"
    path.write_bytes(ROWS[0].model_dump_json().encode() + b"\n" + torn)
    rows = iter_jsonl(path, Example)
    assert next(rows) == ROWS[0]
    with pytest.raises(DataError, match="line 2"):
        next(rows)


def test_missing_rows_are_a_data_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_jsonl(tmp_path / "a.jsonl", Example)


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"\xb0\xa1"])
def test_missing_or_torn_json_is_a_data_error(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError):
        read_json(tmp_path / "a.json")


# --- fingerprints ------------------------------------------------------------------------------


def test_hash_of_a_value_does_not_depend_on_the_order_of_keys():
    assert hash_value({"a": 1, "b": {"c": 2, "d": 3}}) == hash_value(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


def test_hash_of_a_value_depends_on_the_order_of_lists():
    assert hash_value([1, 2]) != hash_value([2, 1])


def test_hash_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "a") == expected


def test_hash_of_a_file_notices_new_content_of_the_same_size(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    before = hash_file(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"abd")
    os.utime(tmp_path / "a", ns=(1, 1))  # a later time, however coarse the clock
    assert hash_file(tmp_path / "a") != before


def test_hash_of_files_leaves_out_the_manifest_and_counts_names(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    before = hash_files(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"{}")
    assert hash_files(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert hash_files(tmp_path) != before
