"""What is misspelt is said before anything heavy is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = """
eval --model ./none --out o
eval --model MODEL --adapter none --out o --kobest-dir mini
eval --model MODEL --kobest-dir none --out o
eval --model MODEL --protocol none.yaml --out o
eval --model MODEL --protocol lost.yaml --out o
eval --model MODEL --kobest-dir mini --tasks none --out o
eval --model MODEL --kobest-dir mini --out rows.jsonl
reason --model MODEL --problems none.jsonl --out o
reason --model MODEL --problems rows.jsonl --shots none.jsonl --out o
reason --model MODEL --problems rows.jsonl --adapter none --out o
reason --model MODEL --kobest-dir none --out o
lm-eval --model ./none --tasks choice --out o
lm-eval --model MODEL --adapter none --tasks choice --out o
lm-eval --model MODEL --include-path none --tasks choice --out o
lm-eval --model MODEL --tasks none --out o
lm-eval --model MODEL --tasks none.yaml --out o
lm-eval --model MODEL --tasks choice --out rows.jsonl
requests --task copa --kobest-dir none
compare none none
train demo --data none.jsonl --out o
train demo --data rows.jsonl --out rows.jsonl
train demo --data rows.jsonl --out o --set model.name=./none
train demo --preview --data none.jsonl
train demo --dry-run --data none.jsonl
train demo --dry-run --set model.name=./none
train demo --dry-run --set model.name=kim/none
merge --adapter none --model MODEL --out o
merge --adapter adapter --model ./none --out o
run demo --out rows.jsonl
run demo --set model.name=./none --out r
run demo --set evaluate.kobest_dir=none --out s
run demo --set evaluate.protocol=lost.yaml --set evaluate.tasks=[q] --out t
report none
card none
chat none
leaderboard none
serve-check none --base-url http://127.0.0.1:1/v1
publish none --to a/b
app none
data build none.yaml --out o
data check rows.jsonl --against none.jsonl --out o
data duplicates none.jsonl --out o
data contamination rows.jsonl --kobest-dir none --out o
data review none
"""
LOST = """
base: polyglot
tasks: {q: {data: {test: none.jsonl}, context: "{a}", choices: [" {b}"]}}
"""
SCRIPT = """
import functools, json, shlex, sys
from typer.testing import CliRunner
import lm_eval.tasks
from kot_platypus.cli import app
# Its fourteen thousand tasks take ten seconds to index.
lm_eval.tasks.TaskManager = functools.partial(lm_eval.tasks.TaskManager, include_defaults=False)
for command in sys.stdin.read().split("\\n"):
    done = CliRunner().invoke(app, shlex.split(command))
    error = (done.stderr.splitlines() or [""])[-1]
    heavy = [name for name in ("torch", "transformers", "peft", "gradio") if name in sys.modules]
    print(json.dumps([command, done.exit_code, error, heavy]), flush=True)
    if heavy:
        break
"""


@pytest.mark.slow
def test_nothing_heavy_is_loaded_to_say_what_is_misspelt(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"source": "a", "target": "b"}\n')
    (tmp_path / "lost.yaml").write_text(LOST)
    (tmp_path / "adapter").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "adapter" / name).write_text("{}")
    model = str(shared / "models" / "tiny-llama-ko")
    commands = COMMANDS.strip().replace("MODEL", model)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=commands, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [command for command, _, _, heavy in found if heavy] == []
    assert len(found) == len(commands.splitlines())
    wrong = [each for each in found if each[1] not in (1, 2) or not each[2].startswith("kot: ")]
    assert wrong == []
