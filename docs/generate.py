"""Writes the pages of the site that come from the code, into docs/: `make docs` runs it.

The command line from typer's app, recipes as they are in the package, the list of decisions, and
the pages that GitHub's readers find at the root of the repository. None of them is committed.
"""

from __future__ import annotations

import ast
import datetime
import html
import inspect
import os
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer.main
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kot_platypus import records
from kot_platypus.cli import app
from kot_platypus.data.dataset_recipe import DATASETS, DatasetRecipe, list_dataset_recipes
from kot_platypus.recipe import Recipe, list_recipes
from kot_platypus.recipe_files import RECIPES, Section

DOCS = Path(__file__).parent
ROOT = DOCS.parent
FOLDER = DOCS / "generated"
COPIED = {
    "README.md": "../index.md",
    "README.ko.md": "ko.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def main() -> None:
    """Write every generated page anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, text in render_pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def render_pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {
        "commands.md": render_commands(typer.main.get_command(app)),
        "recipes.md": render_recipes(),
        "settings.md": render_settings(),
        "rows.md": render_rows(),
        "decisions.md": render_decisions(),
        **{target: copy_page(source) for source, target in COPIED.items()},
    }


# --- the command line --------------------------------------------------------------------------


def render_commands(group: Any) -> str:
    """A page with every command: what it does, how it is called, its options, its examples."""
    parts = ["# Command line", _escape(group.help), "```\nkot COMMAND --help\n```"]
    for words, command in iter_commands(group, ("kot",)):
        parts.append(render_command(words, command))
    return "\n\n".join(parts) + "\n"


def iter_commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command below ``group`` with the words that call it, in the help's order."""
    context = group.context_class(group, info_name=words[-1])
    for name in group.list_commands(context):
        command = group.commands[name]
        yield (*words, name), command
        if hasattr(command, "commands"):
            yield from iter_commands(command, (*words, name))


def render_command(words: tuple[str, ...], command: Any) -> str:
    """One command's section."""
    name = " ".join(words)
    context = command.context_class(command, info_name=name)
    parameters = [each for each in command.params if each.name != "help"]
    parts = [f"{'#' * len(words)} {name}", _escape(command.help)]
    if not hasattr(command, "commands"):
        parts.append(f"```\n{_render_usage(name, parameters)}\n```")
    if parameters:
        rows = "\n".join(_render_parameter(each, context) for each in parameters)
        parts.append(f"| | | default |\n|---|---|---|\n{rows}")
    if examples := list_examples(command):
        parts.append("For example:\n\n```\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(parts)


def _render_usage(name: str, parameters: list[Any]) -> str:
    words = [name]
    for each in parameters:
        if each.param_type_name == "argument":
            words.append(_name_argument(each) if each.required else f"[{_name_argument(each)}]")
        elif each.required:
            words.append(f"{each.opts[0]} {each.name.upper()}")
    return " ".join([*words, "[OPTIONS]"])


def _name_argument(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def list_examples(command: Any) -> list[str]:
    """The commands in a help page's last line (see ``cli.options.example``)."""
    return re.findall(r"\[cyan\](.*?)\[/cyan\]", command.epilog or "")


def _render_parameter(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "argument":
        form = _name_argument(parameter)
    else:
        form = parameter.get_help_record(context)[0].replace("<int range>", "<int>")
        form = form.replace(", -", "`, `-")
    default = parameter.default
    if parameter.required:
        shown = "*required*"
    elif default is None or isinstance(default, bool) or default == "":
        shown = parameter.opts[0] if default is True else ""
    else:
        shown = str(default)
    shown = f"`{shown}`" if shown and not parameter.required else shown
    return f"| `{form}` | {_escape(parameter.help or '')} | {shown} |"


def _escape(text: str) -> str:
    """Help as Markdown: its code stays code, and nothing else is markup."""
    paragraphs = (" ".join(each.split()) for each in (text or "").replace("``", "`").split("\n\n"))
    pieces = re.split(r"(`[^`]*`)", "\n\n".join(paragraphs))
    pieces[::2] = [
        re.sub(r"([*_|\[\]])", r"\\\1", html.escape(p, quote=False)) for p in pieces[::2]
    ]
    return "".join(pieces).strip()


# --- settings and rows -------------------------------------------------------------------------

_TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    dict: "mapping",
    datetime.date: "date",
}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}


def render_settings() -> str:
    """A page with every key of both kinds of recipe."""
    parts = [
        "# Settings",
        "Every key of a recipe. On the command line, write a key with its section: "
        "`--set train.learning_rate=2e-5`. Unknown keys are refused, with the nearest known one.",
        "## Runs\n\n`kot recipes --show demo` prints all of them.",
        *_render_sections(Recipe, ""),
        "## Data sets\n\n`kot recipes --show kocot-2000` prints all of them.",
        *_render_sections(DatasetRecipe, ""),
    ]
    return "\n\n".join(parts) + "\n"


def render_rows() -> str:
    """A page with every kind of row that stages exchange."""
    kinds = [each for each in vars(records).values() if isinstance(each, type)]
    models = [each for each in kinds if issubclass(each, records.Record)][1:]
    parts = ["# Rows", "The lines of a run's `.jsonl` files."]
    for model in models:
        parts += [f"## {model.__name__}", _describe(model), render_fields(model)]
    return "\n\n".join(parts) + "\n"


def _render_sections(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A recipe's own keys, then section after section."""
    if prefix:
        yield f"### {prefix}"
    yield _describe(model)
    yield render_fields(model)
    for name, field in model.model_fields.items():
        if section := _find_model(field.annotation):
            yield from _render_sections(section, f"{prefix}.{name}" if prefix else name)


def render_fields(model: type[BaseModel]) -> str:
    """A table of a pydantic model's fields: type, default, the text below each in the code."""
    texts = _read_field_texts(model)
    rows = [
        f"| `{name}` | {_describe_type(field.annotation)}{_describe_bounds(field)} | "
        f"{_describe_default(field)} | {_escape(texts.get(name, '')).replace(chr(10), ' ')} |"
        for name, field in model.model_fields.items()
    ]
    return "| key | | default | |\n|---|---|---|---|\n" + "\n".join(rows)


def _read_field_texts(model: type[BaseModel]) -> dict[str, str]:
    """What stands as a string below each field."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _describe(model: type[BaseModel]) -> str:
    return _escape(inspect.cleandoc(model.__doc__ or ""))


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_find_model, get_args(annotation))), None)


def _describe_type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join("null" if a is NoneType else _describe_type(a) for a in arguments)
    if origin is Annotated:
        return _describe_type(arguments[0])
    if origin is tuple:
        return f"list of {_describe_type(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section" if issubclass(annotation, Section) else annotation.__name__
    return _TYPES[origin or annotation]


def _describe_bounds(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(each, name):,}"
        for each in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(each, name, None) is not None
    ]
    return ", " + ", ".join(bounds) if bounds else ""


def _describe_default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return ""
    value = list(default) if isinstance(default, tuple) else default
    return f"`{yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}`"


# --- recipes and decisions ---------------------------------------------------------------------


def render_recipes() -> str:
    """A page with every shipped recipe, word for word."""
    parts = [
        "# Recipes",
        "The shipped recipes, word for word. `kot recipes --show NAME` also writes out every "
        "default; [settings](settings.md) says what each key means.",
        "## Runs\n\nFor `kot run NAME`, `kot train NAME` and `kot data build NAME`.",
        *(_render_recipe(RECIPES / f"{name}.yaml", name) for name in list_recipes()),
        "## Data sets\n\nFor `kot data build NAME`.",
        *(_render_recipe(DATASETS / f"{name}.yaml", name) for name in list_dataset_recipes()),
    ]
    return "\n\n".join(parts) + "\n"


def _render_recipe(file: Any, name: str) -> str:
    text = file.read_text(encoding="utf-8").rstrip()
    description = _escape(yaml.safe_load(text)["description"])
    return f"### {name}\n\n{description}.\n\n```yaml\n{text}\n```"


def render_decisions() -> str:
    """A page that lists docs/decisions."""
    parts = ["# Decisions", "Choices that are hard to undo, and the reasons for them."]
    lines = []
    for page in sorted((DOCS / "decisions").glob("*.md")):
        number, _, title = page.read_text(encoding="utf-8").splitlines()[0].partition(". ")
        lines.append(f"{number.lstrip('# ')}. [{title}](../decisions/{page.name})")
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


# --- pages of the repository's root ------------------------------------------------------------


def copy_page(source: str) -> str:
    """A Markdown file of the root, its links as they are from its place below docs/."""
    text = (ROOT / source).read_text(encoding="utf-8")
    folder = (FOLDER / COPIED[source]).resolve().parent

    def move(match: re.Match[str]) -> str:
        return _move_link(match, folder)

    images = os.path.relpath(DOCS / "images", folder)
    text = re.sub(r"\]\(docs/images/", f"]({images}/", _LINK.sub(move, text))
    return f'<div lang="ko" markdown>\n\n{text}\n</div>\n' if ".ko." in source else text


def _move_link(match: re.Match[str], folder: Path) -> str:
    """A link to a page of the site, or only its words where the site has no such page."""
    words, address = match.groups()
    path, hash_sign, anchor = address.partition("#")
    if path in COPIED:
        path = os.path.relpath((FOLDER / COPIED[path]).resolve(), folder)
    elif path == "docs/decisions":
        path = os.path.relpath(FOLDER / "decisions.md", folder)
    elif path.startswith("docs/"):
        path = os.path.relpath(ROOT / path, folder)
    elif path and not path.startswith("https:"):
        return words
    return f"[{words}]({path}{hash_sign}{anchor})"


if __name__ == "__main__":
    main()
