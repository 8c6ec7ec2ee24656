"""What is taken of a repository on the Hub: one form of the weights, by the real client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.loopback import serve
from tests.models.folders import save_as_bin
from tests.models.hub_files import FilesHandler, Repository

RESOLVE = """
import sys
from kot_platypus.errors import KotError
from kot_platypus.models import fingerprint_model, resolve_model
try:
    folder = resolve_model("someone/model", weights=sys.argv[1] == "weights")
except KotError as error:
    sys.exit(str(error))
print(folder)
if sys.argv[1] == "weights":
    print(fingerprint_model(folder))
"""


def read_all(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def resolve(
    address: str, tmp_path: Path, what: str = "weights"
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub")}
    env |= {"KOT_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", RESOLVE, what]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)


def download(files: dict[str, bytes], tmp_path: Path, what: str = "weights") -> set[str]:
    """Resolve a repository of these files; the weights and others that were taken."""
    hub = Repository(files)
    with serve(FilesHandler, hub) as address:
        done = resolve(address, tmp_path, what)
    assert done.returncode == 0, done.stderr
    assert len(hub.taken) == len(set(hub.taken))
    return set(hub.taken)


@pytest.mark.slow
def test_bin_files_are_taken_where_there_is_nothing_better(base, tmp_path):
    files = read_all(save_as_bin(base, tmp_path / "m", 2))
    others = {"training_args.bin": b"x", "checkpoint-5/pytorch_model.bin": b"x", "a.gguf": b"x"}
    assert download(files | others, tmp_path) == files.keys()
    (made,) = (tmp_path / "cache" / "models").glob("*/model-00002-of-00002.safetensors")
    assert made.parent.name.startswith("model-")  # the repository's name, not the commit's


@pytest.mark.slow
def test_of_two_forms_only_safetensors_are_taken(base, tmp_path):
    files = read_all(base)
    others = {"pytorch_model.bin": b"x", "original/consolidated.safetensors": b"x"}
    others |= {"consolidated.safetensors": b"x", "model.fp16.safetensors": b"x"}
    assert download(files | others, tmp_path) == files.keys()


@pytest.mark.slow
def test_what_belongs_to_a_model_is_taken_too(base, tmp_path):
    """Code (which ``--trust-remote-code`` could not run otherwise), tokens, licence."""
    files = read_all(save_as_bin(base, tmp_path / "m"))
    more = ("modeling_mine.py", "mine.tiktoken", "LICENSE", "spiece.model")
    files |= {name: name.encode() for name in more}
    assert download(files | {"README.md": b"x"}, tmp_path) == files.keys()
    (made,) = (tmp_path / "cache" / "models").glob("model-*")
    assert {*more} < {file.name for file in made.iterdir()}


@pytest.mark.slow
def test_without_weights_none_are_taken(base, tmp_path):
    taken = download(read_all(base), tmp_path, "tokenizer")
    assert "tokenizer.model" in taken
    assert not [name for name in taken if name.endswith((".safetensors", ".bin"))]


@pytest.mark.slow
def test_cache_answers_when_the_hub_does_not(base, tmp_path):
    hub = Repository(read_all(save_as_bin(base, tmp_path / "m")))
    with serve(FilesHandler, hub) as address:
        online = resolve(address, tmp_path)
    offline = resolve(address, tmp_path)  # nobody listens there any more
    assert online.stdout == offline.stdout != ""


def test_unreachable_hub_is_one_line(tmp_path):
    done = resolve("http://127.0.0.1:9", tmp_path)
    assert "cannot get 'someone/model' from the Hub (ConnectError)" in done.stderr
    assert done.stderr.strip().count("\n") == 0
