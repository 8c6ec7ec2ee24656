"""kot env and kot cache, and what the shell completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kot_platypus import environment
from kot_platypus.cli import app
from kot_platypus.cli.environment import format_size
from kot_platypus.models.cache import KEPT, measure_cache


def kot(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with something of every kind, and a model that shares its weights' file."""
    monkeypatch.setenv("KOT_CACHE", str(tmp_path))
    sizes = {
        "scores/ab12/1.jsonl": 10,
        "scores/ab12/requests/2.jsonl": 20,
        "scores/ab12/texts/3.jsonl": 100,
        "scores/cd34/4.jsonl": 5,
        "weights/99aa/model.safetensors": 1000,
        "models/mine-77/config.json": 2,
        "tokenizers/55/tokenizer.json": 40,
        "translations/translations.sqlite": 7,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    shared = tmp_path / "models" / "mine-77" / "model.safetensors"
    os.link(tmp_path / "weights" / "99aa" / "model.safetensors", shared)
    (tmp_path / "models" / ".mine-77.lock").touch()
    return tmp_path


# --- env ---------------------------------------------------------------------------------------


def test_env_is_one_screen_that_tells_versions_device_dtype_and_cache(cache, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "bfloat16")
    lines = kot("env").stdout.splitlines()
    assert len(lines) <= 24
    told = {line.split()[0]: line for line in lines}
    assert version("kot-platypus") in told["kot"]
    assert f"torch {version('torch')}" in told["packages"]
    assert "auto is " in told["device"]
    assert told["dtype"].rstrip().endswith("auto is bfloat16")
    assert "1.2 kB" in " ".join(lines)
    assert "bfloat16" in told["$KOT_DTYPE"]


def test_env_as_json_holds_the_same(cache, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "float32")
    found = json.loads(kot("env", "--json").stdout)
    assert found["torch"] == version("torch")
    assert found["dtype"] == "float32"
    assert found["cache"] == str(cache)
    assert found["cache_bytes"] == sum(measure_cache().values())
    assert set(found["extras"]) >= {"app", "demo", "translate"}
    assert not set(found["extras"]) & {"dev", "docs"}


def test_env_names_a_dtype_that_there_is_not(monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "float8")
    result = kot("env")
    assert result.exit_code == 2
    assert result.stderr.startswith("kot: KOT_DTYPE is 'float8'")


def test_an_extra_is_whole_or_what_it_lacks_is_named(monkeypatch):
    wanted = ['pytest>=1; extra == "a"', 'nobody-has-this>=2; extra == "b"', "pytest>=999"]
    monkeypatch.setattr(environment, "requires", lambda _: wanted)
    assert environment.find_missing("a") == []
    assert environment.find_missing("b") == ["nobody-has-this>=2"]


# --- cache -------------------------------------------------------------------------------------


def test_cache_shows_each_kind_with_its_size_and_counts_a_shared_file_once(cache):
    assert measure_cache() == {
        "scores": 35,
        "texts": 100,
        "models": 1002,
        "weights": 0,
        "tokenizers": 40,
        "translations": 7,
    }
    shown = kot("cache").stdout
    assert all(name in shown for name in KEPT)
    assert "1.2 kB in all" in shown


def test_clearing_names_what_goes_and_asks(cache):
    before = measure_cache()
    refused = kot("cache", "clear", "scores", answer="n\n")
    assert f"Delete scores (35 B) in {cache}?" in refused.stdout
    assert refused.exit_code == 1
    assert measure_cache() == before
    assert kot("cache", "clear", "scores", answer="y\n").exit_code == 0
    assert measure_cache() == {**before, "scores": 0}
    assert [path.name for path in (cache / "scores").iterdir()] == ["ab12"]


def test_clearing_all_spares_what_was_paid_for(cache):
    result = kot("cache", "clear", "all", "--yes")
    assert "translations" not in result.stdout
    assert {name for name, size in measure_cache().items() if size} == {"translations"}
    assert "Deleted translations (7 B)." in kot("cache", "clear", "translations", "--yes").stdout
    assert "Nothing of that is kept" in kot("cache", "clear", "all", "translations").stdout


def test_clearing_what_the_cache_does_not_keep_is_one_line(cache):
    result = kot("cache", "clear", "models", "modles", "--yes")
    assert result.exit_code == 2
    assert "the cache keeps no 'modles'" in result.stderr
    assert measure_cache()["models"] == 1002


@pytest.mark.parametrize(
    ("size", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (1_105_987_361, "1.1 GB")]
)
def test_sizes_are_told_as_a_person_reads_them(size, told):
    assert format_size(size) == told


# --- completion --------------------------------------------------------------------------------


def test_the_shell_completes_verbs():
    code = "from kot_platypus.cli import app; app(prog_name='kot')"
    environment = {
        **os.environ,
        "_KOT_COMPLETE": "complete_bash",
        "COMP_WORDS": "kot re",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["recipes", "reason", "requests", "report"]
