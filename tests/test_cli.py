from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner, Result

from kot_platypus.artifacts import read_manifest, write_jsonl
from kot_platypus.cli import app
from kot_platypus.cli.app import RENAMED
from kot_platypus.cli.evaluation import choose_how
from kot_platypus.data.problems import make_problems
from kot_platypus.prompts import load_template

from .evaluation_builder import write_evaluation

VERBS = (
    *("run", "recipes", "data", "train", "merge", "export"),
    *(
        "eval",
        "reason",
        "suites",
        "lm-eval",
        "requests",
        "compare",
        "report",
        "card",
        "chat",
        "serve-check",
    ),
    *("leaderboard", "app", "publish", "env", "cache"),
)
SMALL = """
name: small
description: a recipe of a test
data: {sources: [{name: problems, rows: 4}], heldout_problems: 2}
train: {}
"""


def kot(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_one_line(result: Result, code: int, *named: str) -> None:
    """The error is one line on stderr that begins with kot: and names what was found."""
    assert "Traceback" not in result.output
    assert result.stderr.startswith("kot: ")
    assert result.stderr.count("\n") == 1
    assert [name for name in named if name not in result.stderr] == []
    assert result.exit_code == code


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


# --- help --------------------------------------------------------------------------------------


def strip_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_help_lists_every_verb():
    text = strip_styles(kot("--help").stdout)
    assert re.findall(r"^│ ([\w-]+) ", text, re.MULTILINE)[-len(VERBS) :] == list(VERBS)


def test_completion_goes_by_the_name_kot_however_it_was_called():
    command = [sys.executable, "-m", "kot_platypus", "--show-completion", "bash"]
    asked = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = subprocess.run(command, env=asked, capture_output=True, text=True, check=True).stdout
    assert script.endswith("complete -o default -F _kot_completion kot\n")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_shows_an_example_to_type(verb):
    text = strip_styles(kot(verb, "--help").stdout)
    assert f"kot {verb}" in text.partition("Examples:")[2]


def test_no_arguments_show_the_help():
    assert "Usage: kot" in strip_styles(kot().output)


def test_version_is_the_installed_one():
    import kot_platypus

    assert kot("--version").stdout.strip() == kot_platypus.__version__


# --- what the verbs print ----------------------------------------------------------------------


def test_recipes_lists_the_shipped_ones_with_their_description():
    lines = kot("recipes").stdout.splitlines()
    assert lines[0].startswith("demo ")
    assert "Gemma 3 270M" in lines[0]


def test_shown_recipe_can_be_run_again(tmp_path):
    (tmp_path / "mine.yaml").write_text(kot("recipes", "--show", "demo").stdout, encoding="utf-8")
    plan = kot("run", tmp_path / "mine.yaml", "--dry-run", "--out", "x").stdout
    assert plan == kot("run", "demo", "--dry-run", "--out", "x").stdout


def test_dry_run_shows_the_plan_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = kot("run", "demo", "--dry-run")
    assert result.exit_code == 0
    assert "Nothing was done" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["build", "duplicates", "contamination"])
def test_help_of_every_verb_of_data_shows_an_example_to_type(verb):
    text = strip_styles(kot("data", verb, "--help").stdout)
    assert f"kot data {verb}" in text.partition("Examples:")[2]


def test_data_without_a_verb_builds(recipe, tmp_path):
    kot("data", recipe, "--out", tmp_path / "short")
    kot("data", "build", recipe, "--out", tmp_path / "long")
    first, second = (tmp_path / name / "train.jsonl" for name in ("short", "long"))
    assert first.read_bytes() == second.read_bytes()


def test_duplicates_prints_clusters_and_where_the_rows_lie(tmp_path):
    data = tmp_path / "rows.jsonl"
    rows = [
        {"source": f"{word} 무엇인가?", "target": "답"} for word in ("하늘은", "바다는", "하늘은")
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = kot("data", "duplicates", data, "--out", tmp_path / "out", "--show", "1")
    lines = result.stdout.splitlines()
    assert lines[0] == "row 0  하늘은 무엇인가?"
    assert lines[2] == "3 rows: 2 kept, 1 dropped in 1 clusters"
    assert Path(lines[3]).read_text(encoding="utf-8").count("\n") == 2


def test_unknown_kind_of_duplicates_is_one_line(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    options = ("--out", tmp_path / "out", "--kind", "exact,close")
    result = kot("data", "duplicates", tmp_path / "rows.jsonl", *options)
    assert_one_line(result, 2, "--kind 'close'", "exact, near, semantic")


def test_contamination_against_kobest_and_a_file(tmp_path):
    from kot_platypus.evaluate.tasks import load_texts

    premise, *_ = load_texts("mini")["kobest-mini/copa/test"][0]
    item = load_texts("mini")["kobest-mini/boolq/test"][0][0]
    data, own = tmp_path / "rows.jsonl", tmp_path / "own.jsonl"
    data.write_text(json.dumps({"source": item, "target": "예"}) + "\n", encoding="utf-8")
    own.write_text(json.dumps({"text": premise}) + "\n", encoding="utf-8")
    against = ("--against", "kobest", "--kobest-dir", "mini", "--against", own)
    result = kot("data", "contamination", data, *against, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "**CONTAMINATED**: 1 of 1 row holds text of kobest-mini/boolq/test." in result.stdout
    assert "| own.jsonl | 1 | 0 | 0 |" in result.stdout


def test_data_prints_where_the_rows_lie(recipe, tmp_path):
    result = kot("data", recipe, "--out", tmp_path / "data", "--set", "seed=3")
    assert result.exit_code == 0
    printed = [Path(line) for line in result.stdout.splitlines()]
    assert {path.name for path in printed} >= {"train.jsonl", "heldout.jsonl"}
    assert all(path.is_file() for path in printed)


def test_requests_are_printed_as_json_lines():
    arguments = ("--task", "copa", "--num-fewshot", 1, "--kobest-dir", "mini", "--limit", 2)
    result = kot("requests", *arguments)
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["doc_id"], row["choice"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_compare_prints_the_verdict_and_writes_the_figures(tmp_path):
    a = write_evaluation(tmp_path / "a", {("copa", 0): [0, 1] * 20})
    b = write_evaluation(tmp_path / "b", {("copa", 0): [1, 0] * 20})
    result = kot("compare", a, b, "--metric", "acc", "--out", tmp_path / "new" / "ab.json")
    assert result.exit_code == 0
    assert "A is right more often than B on COPA (0 shots)" in " ".join(result.stdout.split())
    facts = json.loads((tmp_path / "new" / "ab.json").read_text())
    assert (facts["metric"], len(facts["rows"])) == ("acc", 1)


def test_compare_takes_the_trained_model_of_a_run(tmp_path):
    run = tmp_path / "run"
    write_evaluation(run / "evaluate" / "cot" / "kobest", {("copa", 0): [0, 1]})
    base = write_evaluation(run / "evaluate" / "base" / "kobest", {("copa", 0): [0, 0]})
    out = tmp_path / "ab.json"
    assert kot("compare", run, base, "--out", out).exit_code == 0
    facts = json.loads(out.read_text())
    assert facts["a"]["folder"] == str(run)
    (row,) = facts["rows"]  # the base model's macro F1 is 1/3
    assert row["values"] == {"a": 1.0, "b": pytest.approx(1 / 3)}


def test_compare_with_published_figures(tmp_path):
    run = write_evaluation(tmp_path / "a", {("copa", 0): [0, 1]})
    result = kot("compare", run, "--published", "KoT-platypus2-7B")
    assert result.exit_code == 0
    assert "0.7517" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_chat_takes_a_run_or_its_merged_model(shared, tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("KOT_DTYPE", dtype)
    merged = tmp_path / "merged"
    shutil.copytree(shared / "models" / "tiny-llama-ko", merged)
    merged.chmod(0o755)
    template = load_template("kot").model_dump_json()
    (merged / "kot.json").write_text(f'{{"template": {template}}}', encoding="utf-8")
    answers = [kot("chat", folder, "--ask", "3+4는?") for folder in (tmp_path, merged)]
    assert [answer.exit_code for answer in answers] == [0, 0]
    assert answers[0].stdout == answers[1].stdout != ""


# --- errors a user can act on ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["a"], 2, "one RUN alone"),
        (["a", "a", "--published", "all"], 2, "--published with RUN_B"),
        (["a", "--published", "all", "--metric", "acc"], 2, "--published with RUN_B or --metric"),
        (["a", "--published", "KoT-platypus"], 2, "Did you mean KoT-platypus2-7B?"),
        (["a", "a", "--metric", "f1"], 2, "'f1'"),
        (["a", "a", "--out", "a"], 2, "--out a is a folder"),
        (["a", "none"], 1, "none is no folder"),
        (["a", "empty"], 1, "empty has no results.json"),
    ],
)
def test_wrong_comparison_is_one_line(tmp_path, monkeypatch, arguments, code, named):
    monkeypatch.chdir(tmp_path)
    write_evaluation(tmp_path / "a", {("copa", 0): [0, 1]})
    (tmp_path / "empty").mkdir()
    assert_one_line(kot("compare", *arguments), code, named)


def test_unknown_recipe_is_one_line():
    assert_one_line(kot("run", "dmeo"), 2, "'dmeo'", "Did you mean demo?")


def test_misspelt_key_of_a_recipe_is_one_line(recipe, tmp_path):
    recipe.write_text(SMALL.replace("train: {}", "train: {batchsize: 3}"))
    result = kot("run", recipe, "--out", tmp_path / "run")
    assert_one_line(result, 1, "train.batchsize", "Did you mean 'batch_size'?")


def test_broken_yaml_is_one_line(recipe):
    recipe.write_text("name: [demo\ntrain: }")
    assert_one_line(kot("run", recipe), 1, "small.yaml is not YAML: line 2: ")


def test_value_out_of_range_is_one_line(recipe):
    result = kot("run", recipe, "--dry-run", "--set", "train.batch_size=0")
    assert_one_line(result, 1, "train.batch_size is 0")


def test_set_without_a_value_is_one_line(recipe):
    assert_one_line(kot("run", recipe, "--set", "seed"), 2, "--set 'seed'")


def test_missing_data_file_of_a_recipe_is_one_line(recipe, tmp_path):
    recipe.write_text(SMALL.replace("{name: problems, rows: 4}", "{name: file, path: none.jsonl}"))
    result = kot("data", recipe, "--out", tmp_path / "data")
    assert_one_line(result, 1, "none.jsonl does not exist")


def test_missing_data_file_of_an_option_is_one_line(recipe, tmp_path):
    result = kot("train", recipe, "--data", tmp_path / "none.jsonl", "--out", tmp_path / "out")
    assert_one_line(result, 1, "--data", "none.jsonl does not exist")


def test_bad_row_of_a_data_file_is_one_line(recipe, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"source": "a"}\n')
    path = tmp_path / "bad.jsonl"
    recipe.write_text(SMALL.replace("{name: problems, rows: 4}", f"{{name: file, path: {path}}}"))
    result = kot("data", recipe, "--out", tmp_path / "data")
    assert_one_line(result, 1, "bad.jsonl line 1", "target")


def evaluate(*arguments: object, out: Path) -> Result:
    options = ("--kobest-dir", "mini", "--num-fewshot", 0, "--limit", 2)
    return kot("eval", *options, "--device", "cpu", "--dtype", "float32", "--out", out, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--protocol", "poliglot", "'poliglot'"),
        ("--num-fewshot", "0,five", "'0,five'"),
        ("--dtype", "int8", "'int8'"),
        ("--device", "tpu", "'tpu'"),
    ],
)
def test_unknown_value_of_an_option_is_one_line(shared, tmp_path, option, value, named):
    model = shared / "models" / "tiny-llama-ko"
    result = evaluate("--model", model, option, value, out=tmp_path / "out")
    assert_one_line(result, 2, named)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("eval", "--mode", "cot", "--problems", "x"), ("--mode", "kot reason")),
        (("eval", "--samples", 3, "--mode", "cot"), ("--samples", "kot reason --num-samples")),
        (("reason", "--samples", 3), ("--samples", "--num-samples")),
        (("reason", "--at-once=3"), ("--at-once", "--num-concurrent")),
        (("reason", "--engine", "openai"), ("--engine", "--backend")),
        (("reason", "--num-fewshot", 3), ("--num-fewshot", "--shots")),
        (("eval",), ("Missing option '--out'", "kot eval --help")),
        (("eval", "--limti", 3), ("No such option: --limti", "--limit", "kot eval --help")),
        (("evl",), ("No such command 'evl'", "'eval'", "kot --help")),
    ],
)
def test_former_and_misspelt_options_are_one_line(arguments, named):
    assert_one_line(kot(*arguments), 2, *named)


@pytest.mark.slow
def test_every_option_that_a_former_one_names_exists():
    for command, options in RENAMED.items():
        for successor in options.values():
            found = re.search(r"(?:kot (\S+) )?(--[\w-]+)", successor)
            if found and "mode" not in found[2]:
                assert found[2] in strip_styles(kot(*command.split(), "--help").stdout) or (
                    found[1] and found[2] in strip_styles(kot(found[1], "--help").stdout)
                )


def test_missing_kobest_folder_is_one_line(shared, tmp_path):
    model = shared / "models" / "tiny-llama-ko"
    result = evaluate("--model", model, "--kobest-dir", tmp_path / "none", out=tmp_path / "out")
    assert_one_line(result, 1, "none")


@pytest.fixture(params=["garbage weights", "no weights"])
def broken_model(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in (shared / "models" / "tiny-llama-ko").glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    if request.param == "garbage weights":
        (folder / "model.safetensors").write_bytes(b"garbage" * 1000)
    return folder


def test_model_that_does_not_load_is_one_line(broken_model, tmp_path):
    result = evaluate("--model", broken_model, "--tasks", "copa", out=tmp_path / "out")
    assert_one_line(result, 1, str(broken_model), "safetensors")


def test_unknown_task_is_one_line(shared, tmp_path):
    model = shared / "models" / "tiny-llama-ko"
    result = evaluate("--model", model, "--tasks", "copa,wicc", out=tmp_path / "out")
    assert_one_line(result, 1, "'wicc'", "Did you mean wic?")


def test_folder_that_is_no_model_is_one_line(tmp_path):
    result = evaluate("--model", tmp_path, "--tasks", "copa", out=tmp_path / "out")
    assert_one_line(result, 1, "no config.json")


@pytest.mark.parametrize("verb", ["eval", "merge"])
def test_missing_adapter_is_one_line(shared, tmp_path, verb):
    model = shared / "models" / "tiny-llama-ko"
    options = ("--kobest-dir", "mini", "--dtype", "float32") if verb == "eval" else ()
    arguments = ("--model", model, "--adapter", tmp_path / "none", "--out", tmp_path / "out")
    result = kot(verb, *options, *arguments)
    assert_one_line(result, 1, "none")


def test_run_folder_of_other_settings_is_one_line(recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(kot("recipes", "--show", "demo").stdout)
    kot("data", "demo", "--out", tmp_path / "run" / "data")
    result = kot("run", recipe, "--out", tmp_path / "run")
    assert_one_line(result, 1, "run of other settings", "--out")


def test_data_folder_of_other_settings_is_one_line(recipe, tmp_path):
    kot("data", recipe, "--out", tmp_path / "data")
    result = kot("data", recipe, "--out", tmp_path / "data", "--set", "seed=7")
    assert_one_line(result, 1, "config.seed is 42, not 7")


@pytest.mark.parametrize("verb", ["report", "card", "chat"])
def test_folder_that_is_no_run_is_one_line(verb, tmp_path):
    assert_one_line(kot(verb, tmp_path), 1, str(tmp_path))


def test_chat_with_an_adapter_says_how_to_merge_it(tmp_path):
    (tmp_path / "adapter").mkdir()
    for name in ("adapter_config.json", "kot.json"):
        (tmp_path / "adapter" / name).write_text("{}")
    for folder in (tmp_path, tmp_path / "adapter"):
        result = kot("chat", folder)
        assert_one_line(
            result, 1, f"kot merge --adapter {tmp_path / 'adapter'} --model BASE --out merged"
        )


def test_unknown_option_is_wrong_usage_without_a_traceback():
    result = kot("run", "demo", "--lr", "3")
    assert result.exit_code == 2
    assert "--lr" in strip_styles(result.stderr)
    assert "Traceback" not in result.stderr


# --- bugs, interruptions, full disks -----------------------------------------------------------


def patch_stage(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("kot_platypus.data.build.build_data", fail)


def test_interruption_says_how_to_go_on(recipe, tmp_path, monkeypatch):
    patch_stage(monkeypatch, KeyboardInterrupt())
    result = kot("data", recipe, "--out", tmp_path / "data")
    assert result.exit_code == 130
    assert "Run the same command again to resume" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
    ],
    ids=["os", "torch"],
)
def test_full_disk_is_one_line_that_says_what_is_kept(recipe, tmp_path, monkeypatch, error):
    patch_stage(monkeypatch, error)
    result = kot("data", recipe, "--out", tmp_path / "data")
    assert_one_line(result, 1, "disk is full", "finished work is kept")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_really_full_device_is_one_line_and_leaves_no_result(tmp_path):
    run = write_evaluation(tmp_path / "a", {("copa", 0): [0, 1]})
    (tmp_path / "aa.json.part").symlink_to("/dev/full")
    result = kot("compare", run, run, "--out", tmp_path / "aa.json")
    assert_one_line(result, 1, "disk is full")
    assert not (tmp_path / "aa.json").exists()


BUG = """
import sys
import kot_platypus.recipe
def broken(*_):
    raise RuntimeError("a planted bug")
kot_platypus.recipe.load_recipe = broken
sys.argv = ["kot", "run", "demo", "--dry-run"]
from kot_platypus.cli import main
main()
"""


@pytest.mark.slow
def test_bug_keeps_its_traceback():
    done = subprocess.run([sys.executable, "-c", BUG], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "in broken" in done.stderr
    assert done.stderr.endswith("RuntimeError: a planted bug\n")


INTERRUPTED = """
import signal, sys
from kot_platypus.cli import main
from kot_platypus.data import build
# A shell that starts tests in the background leaves SIGINT ignored; a user's terminal does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["kot", "data", sys.argv[1], "--out", "data"]
print("begun", flush=True)
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_real_interrupt_ends_with_130_and_no_traceback(recipe, tmp_path):
    recipe.write_text(SMALL.replace("rows: 4", "rows: 5000000"))  # minutes of work
    command = [sys.executable, "-c", INTERRUPTED, str(recipe)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert stderr == "Stopped. Run the same command again to resume.\n"


def test_run_on_own_rows_says_that_the_recipes_test_is_left_out(tmp_path):
    rows = tmp_path / "mine.jsonl"
    rows.write_text('{"source": "3+4는?", "target": "7", "rationale": "더한다."}\n', "utf-8")
    plan = ["run", "demo", "--dry-run", "--data", str(rows), "--out", str(tmp_path / "run")]
    assert "No reasoning test" in kot(*plan).stderr
    tested = kot(*plan, "--heldout", str(rows))
    assert "No reasoning test" not in tested.stderr
    assert f"{rows} held-out problems" in tested.stdout


SHORT = {"--out": "-o", "--model": "-m", "--set": "-s", "--limit": "-l", "--tasks": "-t"}


def test_the_usual_options_have_a_short_form_that_is_the_same_everywhere():
    wanting = [
        f"{' '.join(words)} {parameter.opts}"
        for words, command in iter_commands(typer.main.get_command(app), ())
        for parameter in command.params
        for long, short in SHORT.items()
        if (long in parameter.opts) != (short in parameter.opts)
    ]
    assert wanting == []


def iter_commands(command, words):
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from iter_commands(below, (*words, name))


def test_scores_that_are_no_run_are_shown_the_way(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    for verb in ("report", "card"):
        assert_one_line(kot(verb, tmp_path), 1, "scores, of no run", f"kot leaderboard {tmp_path}")
        assert_one_line(kot(verb, tmp_path / "x"), 1, "has no recipe.yaml", "Check the path")


def test_a_folder_in_place_of_rows_is_called_one(tmp_path):
    result = kot("data", "duplicates", tmp_path, "--out", tmp_path / "out")
    assert_one_line(result, 1, "ROWS", f"{tmp_path} holds no file of rows")


@pytest.mark.slow
@pytest.mark.parametrize(("given", "seed"), [("seeds=[7, 8]", 7), ("seed=9", 9)])
def test_train_alone_has_the_seed_that_was_given_or_that_a_run_trains_its_model_at(
    given, seed, shared, tmp_path
):
    data = tmp_path / "rows.jsonl"
    write_jsonl(data, make_problems(2, 1, "train", ("chain",)))
    settings = ["train.batch_size=2", f"model.name={shared / 'models' / 'tiny-llama-ko'}"]
    settings += [given, "model.dtype=float32", "model.device=cpu"]
    chosen = [word for setting in settings for word in ("--set", setting)]
    result = kot("train", "demo", "--data", data, "--out", tmp_path / "out", *chosen)
    assert result.exit_code == 0, result.output
    assert read_manifest(tmp_path / "out")["config"]["seed"] == seed


@pytest.mark.parametrize(
    "template",
    [
        {"tokenizer_config.json": '{"chat_template": "{{ messages }}"}'},
        {"chat_template.jinja": "{{ messages }}"},
    ],
)
def test_chat_model_asked_in_plain_text_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], template: dict[str, str]
) -> None:
    def choose(name: str | None) -> str:
        choose_how(name, tmp_path, None, None, 8, 1, None, None, None)
        return capsys.readouterr().err

    assert "chat template" not in choose(None)
    for file, content in template.items():
        (tmp_path / file).write_text(content, encoding="utf-8")
    assert "--template chat" in choose(None)
    assert "--template chat" not in choose("kot")
