"""A model with code of its own is one model with that code, and another without it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kot_platypus.cli import app
from kot_platypus.models import fingerprint_model
from kot_platypus.prompts import load_template

CODE = """
from pathlib import Path
from transformers import LlamaForCausalLM

class DoubledLlama(LlamaForCausalLM):
    def forward(self, *args, **options):
        output = super().forward(*args, **options)
        output.logits = 2 * output.logits
        return output
"""


@pytest.fixture
def doubled(shared: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(shared / "models" / "tiny-llama-ko", tmp_path / "doubled"))
    folder.chmod(0o755)
    (folder / "modeling_doubled.py").write_text(CODE, encoding="utf-8")
    config = folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    config.chmod(0o644)
    values["auto_map"] = {"AutoModelForCausalLM": "modeling_doubled.DoubledLlama"}
    config.write_text(json.dumps(values), encoding="utf-8")
    return folder


def read_scores(model: Path, out: Path, *options: str) -> tuple[list[float], str]:
    arguments = ["eval", "--model", str(model), "--out", str(out), "--dtype", "float32"]
    arguments += ["--device", "cpu", "--kobest-dir", "mini", "--tasks", "copa", *options]
    result = CliRunner().invoke(app, [*arguments, "--num-fewshot", "0", "--limit", "2"])
    assert result.exit_code == 0, result.output
    rows = (out / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    said = " ".join(result.output.split())
    return [value for row in rows for value in json.loads(row)["logprobs"]], said


def test_trusted_code_and_the_class_in_its_place_share_no_scores(doubled, shared, tmp_path):
    plain, _ = read_scores(shared / "models" / "tiny-llama-ko", tmp_path / "a")
    without, said = read_scores(doubled, tmp_path / "b")
    assert without == pytest.approx(plain, abs=1e-5)
    assert "has code of its own; without --trust-remote-code it is read as" in said
    trusted, said = read_scores(doubled, tmp_path / "c", "--trust-remote-code")
    assert "code of its own" not in said
    assert max(abs(a - b) for a, b in zip(trusted, plain, strict=True)) > 1
    again, _ = read_scores(doubled, tmp_path / "d")
    assert again == without


def test_chat_runs_the_models_own_code_where_it_is_trusted(doubled, monkeypatch):
    monkeypatch.setenv("KOT_DTYPE", "float32")
    template = load_template("kot").model_dump()
    (doubled / "kot.json").write_text(json.dumps({"template": template}), encoding="utf-8")
    ask = ["chat", str(doubled), "--ask", "3+4는?", "--max-new-tokens", "2"]
    note = "without --trust-remote-code it is read as"
    for options, is_said in (([], True), (["--trust-remote-code"], False)):
        result = CliRunner().invoke(app, [*ask, *options])
        assert result.exit_code == 0, result.output
        assert (note in " ".join(result.output.split())) == is_said


def test_trust_changes_no_identity_where_there_is_no_code(shared):
    folder = shared / "models" / "tiny-llama-ko"
    assert fingerprint_model(folder) == fingerprint_model(folder, trust_remote_code=True)
