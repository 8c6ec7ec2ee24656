"""The promise of the pipeline, end to end: kill -9 changes neither the data set nor the bill."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kot_platypus.artifacts import hash_file
from kot_platypus.data.translation.ledger import Bill, open_ledger
from tests.data.deepl_server import DeepLService, serve_deepl
from tests.data.pipeline.apples import make_rows, translate, write_keyed
from tests.killing import draw_times, run_with_kills

NUM_KILLS = 20
LATENCY_S = 0.2


def spoil_some(service: DeepLService) -> None:
    """Some translations fail a check, and some of those fail it twice."""

    def answer(xml: str) -> str:
        korean = translate(xml)
        is_first = service.bodies[-1]["formality"] == "prefer_more"
        if "xxx" in xml or ("xx" in xml and is_first):
            return korean.replace("지금", "只今")
        return korean

    service.translation = answer


def write_recipe(folder: Path, url: str) -> Path:
    rows = make_rows(400)
    for number, row in enumerate(rows):  # texts that differ, so that there are many requests
        row["source"] += f" ({'x' * (number % 97)})"
    options = {"server_url": url, "settle_s": 0.5, "pause_s": 0.01}
    recipe = {
        "kind": "dataset",
        "name": "apples",
        "description": "apples",
        "license": "cc-by-4.0",
        "sources": [{"file": str(write_keyed(folder / "cot.json", rows))}],
        "sample": {"rows": 300},
        "translate": {
            "service": "deepl",
            "options": options,
            "retry": {"formality": "prefer_less"},
        },
        "decontaminate": {"against": ["kobest"], "kobest_dir": "mini"},
    }
    path = folder / "apples.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def command(folder: Path) -> list[str]:
    arguments = [folder / "apples.yaml", "--out", folder / "out", "--ledger", folder / "ledger"]
    return [sys.executable, "-m", "kot_platypus", "data", "build", *map(str, arguments)]


def read_result(folder: Path) -> tuple[dict[str, str], Bill]:
    """Hashes of the data set's files; the card and the Parquet file are among them."""
    files = sorted((folder / "out" / "dataset").iterdir())
    account = str((folder / "out").absolute())
    with open_ledger(folder / "ledger", account) as ledger:
        bill = ledger.bill()
    return {file.name: hash_file(file) for file in files if file.name != "manifest.json"}, bill


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_random_moments_end_in_the_data_set_and_the_bill_of_an_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = tmp_path / "whole"
    whole.mkdir()
    with serve_deepl(latency_s=LATENCY_S) as (url, service):
        spoil_some(service)
        recipe = write_recipe(whole, url).read_text(encoding="utf-8")
        started = time.monotonic()
        subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL)
        duration_s = time.monotonic() - started
        expected, whole_bill = read_result(whole)
        assert whole_bill == Bill(answered=service.bill, lost=0, in_doubt=0)
        assert "waiting for review" in (whole / "out/dataset/dropped.jsonl").read_text()

        moments = draw_times(5, 0.2 * 0.7 * duration_s, 0.7 * duration_s)
        kills = lost = builds = 0
        while kills < NUM_KILLS:
            builds += 1  # one may get through without a kill
            folder = tmp_path / f"killed-{builds}"
            folder.mkdir()
            service.bill = 0
            write_recipe(folder, url).write_text(
                recipe.replace(str(whole), str(folder)), encoding="utf-8"
            )
            kills += run_with_kills(command(folder), moments)
            result, bill = read_result(folder)
            assert result == expected
            paid_in_vain = service.bill - whole_bill.answered
            assert bill == Bill(whole_bill.answered, lost=paid_in_vain, in_doubt=0)
            lost += bill.lost
            assert not list((folder / "out").rglob("*.part")), "half-written files are left"
    assert lost, "no answer was lost: the moments prove nothing"
