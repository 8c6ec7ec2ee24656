"""``kot.json``, read in one place by all that ask a trained model."""

from __future__ import annotations

import pytest

from kot_platypus.artifacts import write_json
from kot_platypus.errors import DataError
from kot_platypus.models import (
    TRAINING_INFO,
    TrainingInfo,
    read_template,
    read_training_info,
)
from kot_platypus.prompts import load_template


def test_a_folder_of_another_program_says_nothing(tmp_path):
    assert read_training_info(tmp_path) == TrainingInfo()
    assert read_template(tmp_path, "alpaca-ko") == load_template("alpaca-ko")
    with pytest.raises(DataError, match="does not say which template"):
        read_template(tmp_path)


def test_older_files_and_those_to_come_are_read(tmp_path):
    template = load_template("alpaca-ko")
    write_json(tmp_path / TRAINING_INFO, {"template": template.model_dump(), "of tomorrow": 1})
    assert read_training_info(tmp_path) == TrainingInfo(template=template)
    assert read_template(tmp_path) == template


def test_a_broken_file_is_named(tmp_path):
    write_json(tmp_path / TRAINING_INFO, {"template": {"name": "kot"}})
    with pytest.raises(DataError, match=r"kot\.json: template\.description: Field required"):
        read_template(tmp_path)
