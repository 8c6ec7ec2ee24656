"""The promise of the ledger, end to end: kill -9 at random moments changes nothing but the bill's
lost answers, and those are counted to the character."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kot_platypus.data.translation.ledger import Bill, open_ledger
from tests.data.deepl_server import DeepLService, serve_deepl
from tests.data.translation.test_translate import make_texts, translated

NUM_KILLS = 20
LATENCY_S = 0.15
TRANSLATE = """
import json, sys
from pathlib import Path
from kot_platypus.data.translation.deepl import DeepL
from kot_platypus.data.translation.ledger import open_ledger
from kot_platypus.data.translation.translate import translate_texts

url, folder = sys.argv[1], Path(sys.argv[2])
deepl = DeepL(server_url=url, settle_s=0.5, pause_s=0.01)
with open_ledger(folder / "ledger") as ledger:
    outcomes = translate_texts(json.loads((folder / "texts.json").read_text()), deepl, ledger)
(folder / "done.json").write_text(json.dumps([outcome.text for outcome in outcomes]))
"""


def start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", TRANSLATE, url, str(folder)])


def finish(url: str, folder: Path) -> tuple[list[str], Bill]:
    with start(url, folder) as process:
        assert process.wait(timeout=90) == 0
    with open_ledger(folder / "ledger") as ledger:
        return json.loads((folder / "done.json").read_text()), ledger.bill()


def kill_while_at_work(url: str, folder: Path, service: DeepLService, delay_s: float) -> bool:
    """Kill a run ``delay_s`` after its first request came in. False when it was done before."""
    seen = len(service.times)
    with start(url, folder) as process:
        while len(service.times) == seen and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delay_s)
        is_running = process.poll() is None
        process.kill()
    return is_running


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_at_random_moments_end_in_the_translations_and_the_bill_of_an_uninterrupted_run(
    tmp_path: Path,
):
    texts = make_texts(3000)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "texts.json").write_text(json.dumps(texts))
    with serve_deepl() as (url, service):
        whole, whole_bill = finish(url, tmp_path / "whole")
        assert whole == translated(texts)
        assert whole_bill == Bill(answered=service.bill, lost=0, in_doubt=0)

    rng = random.Random(11)
    with serve_deepl(latency_s=LATENCY_S) as (url, service):
        kills = sum(
            kill_while_at_work(url, tmp_path / "killed", service, rng.uniform(0, 2.5 * LATENCY_S))
            for _ in range(NUM_KILLS)
        )
        killed, bill = finish(url, tmp_path / "killed")
    assert kills >= 16, "the run ended before it could be killed often enough to mean anything"
    assert killed == whole
    assert bill == Bill(answered=whole_bill.answered, lost=service.twice, in_doubt=0)
    assert bill.total == service.bill
    assert bill.lost, "no answer was lost: the moments prove nothing"
