"""The page in a real browser: it works, and texts of data and models stay text."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kot_platypus.app.runs import open_runs
from kot_platypus.app.space import write_space
from kot_platypus.data.problems import make_problems
from kot_platypus.prompts import load_template
from kot_platypus.recipe import Recipe, dump_recipe

from .. import browser
from ..data.test_review import make_draft, read_log, write_queue
from ..report.run_builder import RECIPE, make_answer, write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HACK = "window.hacked = 1"
ATTACK = (
    f'<img src="x" onerror="{HACK}"><script>{HACK}</script>[열기](javascript:{HACK})'
    f"![](http://attacker.invalid/x) ${{{HACK}}} {{{{#with this}}}}"
)
TABS = ("대화 Chat", "결과 Results", "데이터 Data", "학습 Training")


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every text is an attack, with a tiny model to talk to."""
    base = shared / "models" / "tiny-llama-ko"
    folder = write_run(tmp_path_factory.mktemp("runs") / "<b>run")
    recipe = Recipe.model_validate({**RECIPE, "model": {"name": str(base), "device": "cpu"}})
    (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    rows = [row.model_dump() for row in make_problems(30, 1, "train", ("change",))]
    rows[0] |= {"source": ATTACK, "rationale": ATTACK, "task": ATTACK}
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for name in ("train", "heldout"):
        (folder / "data" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    for place, who in enumerate(("base", "cot", ATTACK.replace("/", ""))):
        answers = [make_answer(n, "base", place) for n in range(30)]
        answers[0] = answers[0].model_copy(
            update={"source": ATTACK, "output": ATTACK, "task": ATTACK}
        )
        file = folder / "evaluate" / who[:60] / "problems" / "answers.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(a.model_dump_json() + "\n" for a in answers), encoding="utf-8")
    shutil.copytree(base, folder / "merged", dirs_exist_ok=True)
    # Of a direct answer the page shows how its line begins, too: here a model's own text.
    template = load_template("kot").model_copy(update={"answer": ATTACK + ": {target}"})
    info = {"template": template.model_dump()}
    (folder / "merged" / "kot.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


@contextmanager
def serve(command: list[str], folder: Path, **variables: str) -> Iterator[str]:
    """The address of a page that a command serves."""
    settings = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "KOT_DTYPE": "float32"}
    environment = {**os.environ, **settings, **variables}
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder, env=environment)
    try:
        for _ in range(600):
            found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
            if found or process.poll() is not None:
                break
            time.sleep(0.1)
        assert found, log.read_text()
        yield found[0]
    finally:
        process.terminate()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def serve_app(run: Path, folder: Path, *options: str) -> AbstractContextManager[str]:
    command = [sys.executable, "-m", "kot_platypus", "app", str(run), "--port", "0", "--no-browser"]
    source = str(Path(__file__).parents[2] / "src")
    return serve([*command, *options], folder, PYTHONPATH=source)


@pytest.fixture(scope="module")
def address(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_app(run, tmp_path_factory.mktemp("server")) as address:
        yield address


@contextmanager
def open_page(address: str, *, width: int = 1280):
    """A page that has been filled. At the end there is no trace of an attack."""
    with browser.open_page(address, width=width) as page:
        page.locator("#whom label").first.wait_for()  # the run's own
        yield page
        assert page.evaluate("window.hacked") is None
        assert page.locator('a[href^="javascript:"]').count() == 0
        assert page.locator('img[src="x"]').count() == 0


def ask(page, question: str, *, mode: str | None = None) -> None:
    if mode:
        page.get_by_label(mode).check()
    page.fill("#question textarea", question)
    page.click("#ask")


def test_every_tab_opens_at_phone_width_without_scrolling_sideways(address):
    with open_page(address, width=390) as page:
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            page.wait_for_timeout(700)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, name


def test_texts_of_a_run_are_shown_as_they_are(address):
    with open_page(address) as page:
        page.get_by_role("tab", name="결과 Results").click()
        assert ATTACK in page.locator("#questions details").first.inner_text()
        page.locator("#model-after input").click()
        page.get_by_role("option").last.click()
        page.wait_for_timeout(700)
        page.get_by_role("tab", name="데이터 Data").click()
        assert ATTACK in page.locator("#rows details").first.inner_text()
        page.get_by_role("tab", name="대화 Chat").click()
        page.locator("#examples input").click()
        page.get_by_role("option").first.click()
        page.wait_for_function(
            "text => document.querySelector('#question textarea').value === text", arg=ATTACK
        )


def test_questions_are_filtered_and_paged(address):
    with open_page(address) as page:
        page.get_by_role("tab", name="결과 Results").click()
        rows, count = page.locator("#questions details"), page.locator("#questions-count")
        count.get_by_text("1~20 / 30").wait_for()
        page.click("#questions-next")
        count.get_by_text("21~30 / 30").wait_for()
        assert rows.count() == 10
        repaired = page.locator("#change label", has_text="고쳐짐")
        expected = int(re.search(r"\((\d+)\)", repaired.inner_text())[1])
        repaired.click()
        count.get_by_text(f"1~{expected} / {expected}").wait_for()
        assert all("✗→✓" in text for text in rows.locator("summary .marks").all_inner_texts())
        page.locator("#test label", has_text="KoBEST").click()
        page.get_by_text("해당하는 질문이 없습니다").wait_for()  # this run has no samples


def test_chat_streams_both_models_and_stops(address):
    with open_page(address) as page:
        said = page.locator("#now .said")
        ask(page, "3+4는? " + ATTACK)
        lengths = set()
        for _ in range(1200):
            texts = said.all_inner_texts()
            lengths.add(sum(map(len, texts)))
            if page.locator("#now .caret").count() == 0 and len(texts) == 2 and all(texts):
                break
            page.wait_for_timeout(50)
        assert len(lengths) > 3, "it came in one piece"
        assert ATTACK in page.locator("#now .asked").inner_text()

        tokens = page.locator("input[type=number]")
        tokens.fill("1024")
        tokens.press("Tab")
        ask(page, "끝이 없는 질문")
        page.locator("#before .asked", has_text="3+4는?").wait_for()
        page.locator("#now .caret").wait_for()
        page.click("#stop")
        page.locator("#now .note", has_text="멈춤").first.wait_for()
        ask(page, "다음 질문")  # the model is free again
        page.locator("#now .asked", has_text="다음 질문").wait_for()
        page.locator("#now .caret").wait_for()
        page.click("#stop")


def test_direct_answer_begins_with_the_models_own_line(address):
    with open_page(address) as page:
        ask(page, "3+4는?", mode="바로 답 (direct)")
        page.locator("#now .said", has_text="onerror").first.wait_for()
        assert page.locator("#now .said").last.inner_text().startswith(ATTACK)


def test_page_is_korean_with_a_local_font(address):
    with open_page(address) as page:
        assert page.evaluate("document.documentElement.lang") == "ko"
        family = page.evaluate(
            "getComputedStyle(document.querySelector('#question textarea')).fontFamily"
        )
        assert family.startswith("Pretendard")
        assert "Noto Sans CJK KR" in family


def test_training_is_watched_while_it_runs(address, run):
    live = run / "train" / "rationale" / "checkpoints" / "log.jsonl"
    live.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "step": 1,
        "loss": 2.5,
        "learning_rate": 1e-4,
        "max_steps": 99,
        "tokens_per_second": 321.0,
    }
    live.write_text(json.dumps(line) + "\n")
    with open_page(address) as page:
        page.get_by_role("tab", name="학습 Training").click()
        state = page.locator("#training-state")
        state.get_by_text("1 / 99").wait_for()
        with live.open("a") as file:
            file.write(json.dumps({**line, "step": 2}) + '\n{"step": 3, "lo')
        state.get_by_text("2 / 99").wait_for()
        page.locator("#curve-loss canvas, #curve-loss svg").first.wait_for()


def test_review_page_works_in_the_data_tab(run, tmp_path):
    folder = write_queue(tmp_path / "dataset", [make_draft(10)])
    with serve_app(run, tmp_path, "--data", str(folder)) as address, open_page(address) as page:
        page.get_by_role("tab", name="데이터 Data").click()
        frame = page.frame_locator("iframe.review")
        frame.get_by_text("나무 11그루는 몇 살입니까?").first.wait_for()
        frame.locator("body").press("a")
        frame.get_by_text("1 / 1").first.wait_for()
        deadline = time.monotonic() + 30  # the log follows the page, on a busy machine later
        while not read_log(folder) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert [decision.action for decision in read_log(folder)] == ["accept"]


def test_other_hosts_names_are_refused(address):
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(address, headers={"Host": "evil.example"}))


def test_space_starts_alone_and_answers(run, tmp_path):
    (opened,) = open_runs([run])
    space = tmp_path / "space"
    write_space(opened, space)
    environment = {"GRADIO_SERVER_PORT": "0", "PYTHONPATH": ""}
    with (
        serve([sys.executable, "app.py"], space, **environment) as address,
        open_page(address) as page,
    ):
        assert page.locator("#whom label").count() == 1  # its base model lies on this machine
        ask(page, "3+4는?")
        page.locator("#now .note", has_text="초").wait_for()
        assert page.locator("#now .said").inner_text()
