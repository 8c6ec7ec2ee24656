"""Planted secrets are found in every kind of file, named by kind, and never shown."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kot_platypus.errors import DataError, ModelError
from kot_platypus.publication.plan import Plan, plan_dataset, plan_model
from kot_platypus.publication.privacy import Finding, Rule, find_private, list_rules
from tests.publication.conftest import write_rows

UUID = "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f"
KEYS = {
    "a Hugging Face token": "hf_" + "aB3" * 11,
    "an OpenAI or Anthropic key": "sk-proj-" + "a1B2" * 10,
    "an AWS access key": "AKIA" + "ABCD1234" * 2,
    "an AWS secret key": "aws_secret_access_key = " + "aB3/" * 10,
    "a DeepL key": f"{UUID}:fx",
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a Google key": "AIza" + "a1B2_" * 7,
    "a Slack token": "xoxb-1234567890-abc",
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "a password in a URL": "postgresql://me:geheim@db/rows",
    "a bearer token": "Authorization: Bearer " + "a1B2" * 8,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
    "the value of the environment variable MY_API_KEY": "correct horse",
}
PRIVATE = {
    "an e-mail address": "kim@lab.ac.kr",
    "a path of this machine": None,
    "this machine's user": "minsu-kim",
    "this machine's name": "kims-tower",
}
SECRET = KEYS["a Hugging Face token"]


@pytest.fixture
def run(run: Path) -> Path:
    """With a short page: its pictures take most of a search, and there are many here."""
    (run / "report.html").write_text("<p>A run of data at /data/someone/kobest</p>")
    return run


def search(plan: Plan, rules: list[Rule], *allowed: str) -> list[Finding]:
    return find_private(plan.uploads, rules, allowed)


def name_kinds(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(each.file, each.what) for each in findings}


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_clean_run_and_data_set_hold_nothing(run: Path, dataset: Path, rules: list[Rule]) -> None:
    assert search(plan_model(run), rules) == []
    assert search(plan_dataset(dataset), rules) == []


@pytest.mark.parametrize("what", KEYS)
def test_a_key_is_found_in_every_file_and_not_shown(
    run: Path, rules: list[Rule], what: str
) -> None:
    lines = {}
    for name in ("README.md", "merged/tokenizer.json", "merged/NOTICE"):
        path = run / name
        lines[path.name] = path.read_text().count("\n") if path.is_file() else 0
        append(path, f"\nnote: {KEYS[what]}\n")
    findings = search(plan_model(run), rules)
    assert name_kinds(findings) == {(name, what) for name in lines}
    assert all(each.line - lines[each.file] in (1, 2) for each in findings)
    assert not any(KEYS[what] in str(each) for each in findings)
    assert search(plan_model(run), rules, "email", "path", "user", "host") == findings


@pytest.mark.parametrize("what", PRIVATE)
@pytest.mark.parametrize(
    "name", ["README.md", "evaluate/cot/problems/answers.jsonl", "train/cot/log.jsonl"]
)
def test_names_of_this_machine_and_persons_are_found(
    run: Path, rules: list[Rule], what: str, name: str
) -> None:
    text = PRIVATE[what] or f"{Path.home()}/runs"
    append(run / name, f"\nnote {text} there\n")
    kinds = {what for _, what in name_kinds(search(plan_model(run), rules))}
    assert what in kinds
    assert kinds <= {what, "a local path"}


@pytest.mark.parametrize(
    "text", ["http://kims-tower:8000/v1", "ssh me@kims-tower", "Kernel on kims-tower.lab.internal"]
)
def test_the_machines_name_is_found_in_addresses(run: Path, rules: list[Rule], text: str) -> None:
    append(run / "README.md", f"\n{text}\n")
    assert {each.kind for each in search(plan_model(run), rules)} >= {"host"}


def test_what_is_meant_for_others_can_pass(run: Path, rules: list[Rule]) -> None:
    append(run / "README.md", "\nWrite to kim@lab.ac.kr\n")
    assert [each.kind for each in search(plan_model(run), rules)] == ["email"]
    assert search(plan_model(run), rules, "email") == []


@pytest.mark.parametrize(
    "text",
    [
        "someone@example.com and a@b.example", "https://hub.org/home/kim", "user@host", "sk-learn",
        "risk-assessment-of-20-models-in-2024", "beomi/llama-2-ko-7b", "minsu/model", "</home/x>",
        "I/O and/or 1/2", "hf_hub_download", "the home/kim folder", "1:2:3@4", "f:\\mathbb{R}\\to",
    ],
)  # fmt: skip
def test_ordinary_text_is_no_secret(run: Path, rules: list[Rule], text: str) -> None:
    append(run / "README.md", f"\n{text}\n")
    assert search(plan_model(run), rules) == []


@pytest.mark.parametrize(
    "text",
    ["at /home/kim/x", "(/mnt/disk1/x)", '"C:\\Users\\kim\\x"', "file:///etc/x", "~/models",
     "path=/scratch/kim"],
)  # fmt: skip
def test_local_paths_are_found_in_what_programs_write(
    run: Path, rules: list[Rule], text: str
) -> None:
    append(run / "README.md", f"\n{text}\n")
    assert name_kinds(search(plan_model(run), rules)) == {("README.md", "a local path")}
    append(run / "evaluate" / "cot" / "problems" / "answers.jsonl", f"\n{text}\n")
    assert len(search(plan_model(run), rules)) == 1  # a question may be about a path


# --- every kind of file ------------------------------------------------------------------------


def test_weights_are_read_to_the_end_of_their_header(run: Path, rules: list[Rule]) -> None:
    tensors = {"w": torch.ones(2)}
    save_file(tensors, run / "merged" / "model.safetensors", {"format": "pt", "note": SECRET})
    adapter = run / "train" / "cot" / "adapter" / "adapter_model.safetensors"
    save_file({"at /home/kim/x": torch.ones(2)}, adapter)
    assert name_kinds(search(plan_model(run), rules)) == {
        ("model.safetensors", "a Hugging Face token"),
        ("adapter/adapter_model.safetensors", "a local path"),
    }


def test_a_secret_is_found_however_its_format_spells_it(run: Path, rules: list[Rule]) -> None:
    escaped = SECRET.replace("_", "\\u005f")
    append(run / "train" / "cot" / "log.jsonl", f'{{"note": "{escaped}"}}\n')
    append(run / "recipe.yaml", f'\nmore: ["{escaped}"]\n')
    append(run / "README.md", "\n" + SECRET.replace("_", "\\_") + "\n")
    append(run / "report.html", "\n" + "".join(f"&#{ord(c)};" for c in SECRET) + "\n")
    assert name_kinds(search(plan_model(run), rules)) == {
        (name, "a Hugging Face token")
        for name in ("training/log.jsonl", "recipe.yaml", "README.md", "report.html")
    }
    assert SECRET in html.unescape((run / "report.html").read_text())


@pytest.mark.parametrize("field", ["source", "id", "metadata"])
def test_rows_and_metadata_of_parquet_are_read(
    dataset: Path, rules: list[Rule], field: str
) -> None:
    row = {"source": "질문", "origin": {"id": "row 0"}}
    if field == "source":
        row["source"] = SECRET
    if field == "id":
        row["origin"] = {"id": f"at {SECRET}"}
    metadata = {"note": SECRET} if field == "metadata" else {}
    write_rows(dataset / "train.parquet", [row], **metadata)
    (finding,) = search(plan_dataset(dataset), rules)
    assert (finding.file, finding.line) == ("train.parquet", 1 if field == "metadata" else 2)


@pytest.mark.parametrize("name", ["train.jsonl", "dropped.jsonl"])
def test_rows_of_jsonl_are_read_line_by_line(dataset: Path, rules: list[Rule], name: str) -> None:
    rows = [{"source": "질문"}, {"source": f"전화 말고 {PRIVATE['an e-mail address']}로"}]
    (dataset / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(f.file, f.line, f.what) for f in search(plan_dataset(dataset), rules)] == [
        (name, 2, "an e-mail address")
    ]


def test_a_files_own_name_counts(run: Path, rules: list[Rule]) -> None:
    folder = run / "evaluate" / "minsu-kim" / "kobest"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    assert {each.what for each in search(plan_model(run), rules)} == {"this machine's user"}


def test_a_damaged_file_is_an_error_not_a_pass(run: Path, dataset: Path, rules: list[Rule]) -> None:
    (run / "merged" / "model.safetensors").write_bytes(b"\x00")
    with pytest.raises(ModelError, match="no safetensors file"):
        search(plan_model(run), rules)
    (dataset / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no Parquet file"):
        search(plan_dataset(dataset), rules)


def test_the_hubs_own_name_and_generic_accounts_are_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = lambda to: {rule.kind for rule in list_rules(to, {})}  # noqa: E731
    assert "user" in kinds("lab/model")
    assert "user" not in kinds("minsu-kim/model")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("HOME", "/root")
    assert "user" not in kinds("lab/model")
