"""Why a data set of the Hub is not there, as its client says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from kot_platypus.errors import DataError
from kot_platypus.hub import explain, iter_hub


@pytest.fixture
def copy(tmp_path: Path) -> str:
    """A copy of a data set with two configs of one split each."""
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"source": "a", "target": "b"}\n')
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: test, path: test.jsonl}\n"
        "- config_name: all\n  data_files:\n  - {split: train, path: train.jsonl}\n---\n"
    )
    return str(tmp_path)


@pytest.mark.parametrize(
    ("config", "split", "said"),
    [
        (None, "train", r"has several configs, and none was named; expected one of small, all"),
        ("tiny", "train", r"has no config 'tiny'; expected one of small, all"),
        ("small", "train[:5]", r"has no split 'train' in the config 'small'; expected one of test"),
    ],
)
def test_configs_and_splits_that_there_are_are_listed(copy: str, config, split: str, said: str):
    with pytest.raises(DataError, match=said):
        iter_hub(copy, config=config, split=split)


GATED = "Dataset 'a/b' is a gated dataset on the Hub. You must be authenticated to access it."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatasetNotFoundError(GATED), "is gated.*https://huggingface.co/datasets/a/b"),
        (
            DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."),
            "does not exist on the Hub, or is private",
        ),
        (
            DatasetNotFoundError("Revision 'v9' doesn't exist for dataset 'a/b' on the Hub."),
            "has no such revision",
        ),
        (
            ConnectionError("Couldn't reach 'a/b' on the Hub (LocalEntryNotFoundError)"),
            "the Hub is not reached",
        ),
        (OfflineModeIsEnabled("HF_HUB_OFFLINE is set"), "the Hub is not reached"),
        (LocalEntryNotFoundError("nothing in the cache"), "the Hub is not reached"),
        (RuntimeError("Dataset scripts are no longer supported"), "is a program"),
        (ValueError("Something [new] of 'its' own"), r"ValueError: Something \[new\] of 'its' own"),
    ],
)
def test_each_reason_is_told_from_the_others(error: Exception, said: str):
    with pytest.raises(DataError, match=rf"the data set 'a/b' .*{said}"):
        raise explain("a/b", None, "train", error)
