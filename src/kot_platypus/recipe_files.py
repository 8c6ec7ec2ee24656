"""Recipes, suites, protocols: YAML files, shipped ones by name, any by path; ``--set`` on top."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from kot_platypus.artifacts import read_text
from kot_platypus.errors import RecipeError, UsageError
from kot_platypus.synonyms import explain_synonym
from kot_platypus.yaml_files import YamlError, parse_yaml

RECIPES = files("kot_platypus") / "recipes"
COMMANDS = {
    "recipe": "kot recipes --show demo",
    "suite": "kot suites --show NAME",
    "protocol": "kot eval --help",
}
"""A kind of file -> what tells of the shipped ones."""


def _check_regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return text


Regex = Annotated[str, AfterValidator(_check_regex)]
Epochs = Annotated[
    float,
    Field(gt=0),
    PlainSerializer(lambda epochs: int(epochs) if epochs == int(epochs) else epochs),
]
"""In files whole ones are an int, as they always were."""


class Section(BaseModel):
    """A part of a recipe. Unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    read_before: ClassVar[tuple[str, ...]] = ()
    """Keys that its file may have, and that are gone once the file is read."""


S = TypeVar("S", bound=Section)


def list_names(folder: Traversable) -> list[str]:
    """The names of the recipes in a shipped folder, the demo first."""
    names = (file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    return sorted((name.removesuffix(".yaml") for name in names), key=lambda n: (n != "demo", n))


def load(
    model: type[S],
    folder: Traversable,
    name: str,
    overrides: Iterable[str] = (),
    *,
    kind: str = "recipe",
) -> S:
    """A recipe of ``folder`` by name or any by path, with ``key.sub=value`` overrides applied.

    ``kind`` is what errors call it, one of ``COMMANDS``.

    Raises:
        UsageError: no such recipe, or an override that is not ``key=value``.
        RecipeError: YAML that does not parse, a key that does not exist, a value out of range.
    """
    where, values = read_values(folder, name, tuple(model.model_fields), kind)
    for override in overrides:
        _apply_override(values, override)
    return validate(model, values, where, kind)


def validate(model: type[S], values: Any, where: str, kind: str) -> S:
    """The values that were found ``where`` as a section. Raises RecipeError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(model, error, where, kind) from error


def dump(recipe: Section) -> str:
    """The resolved recipe as YAML that ``load`` reads back."""
    values = recipe.model_dump(mode="json")
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=100)


def parse_section(model: type[S], text: str, option: str, example: str) -> S:
    """A section of a recipe that is the value of an ``option``, as YAML. Raises UsageError."""
    found, expected = (
        f"{option} {text!r}",
        f"a mapping with the keys {', '.join(model.model_fields)}",
    )
    try:
        values = parse_yaml(text)
        if isinstance(values, dict):
            return model.model_validate(values)
    except YamlError:
        pass
    except ValidationError as error:
        explained = _explain(model, error, option, "recipe")
        found, expected = explained.found, explained.expected
    raise UsageError(found, expected=expected, hint=f"E.g. {option} '{example}'")


def read_values(
    folder: Traversable, name: str, keys: tuple[str, ...], kind: str = "recipe"
) -> tuple[str, Any]:
    """Where a recipe was found, and its mapping. Raises as ``load`` does."""
    where, text = _read(folder, name, kind)
    try:
        values = parse_yaml(text)
    except YamlError as error:
        raise RecipeError(
            f"{where} is not YAML: {error}", expected=f"a {kind}", hint="Fix that line."
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"{where} holds {type(values).__name__}",
            expected=f"a mapping with the keys {', '.join(keys)}",
            hint=f"See a shipped one: {COMMANDS[kind]}",
        )
    return where, values


def _read(folder: Traversable, name: str, kind: str) -> tuple[str, str]:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return str(path), read_text(path, RecipeError)
    names = list_names(folder)
    if name in names:
        return f"{name}.yaml", (folder / f"{name}.yaml").read_text(encoding="utf-8")
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError(
            f"{path} does not exist",
            expected=f"a {kind}",
            hint=f"Check the path, or: {COMMANDS[kind]}",
        )
    close = get_close_matches(name, names, n=1)
    raise UsageError(
        f"no {kind} {name!r}",
        expected=f"a YAML file or one of {', '.join(names)}",
        hint=f"Did you mean {close[0]}?" if close else f"Run: {COMMANDS[kind]}",
    )


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UsageError(
            f"--set {override!r}", expected="key=value", hint="E.g. --set train.learning_rate=2e-5"
        )
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise UsageError(
                f"--set {key}: {parent} is a value", expected="a section", hint="Run: kot recipes"
            )
    try:
        section[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(
            f"--set {override!r} is not YAML", expected="key=value", hint="Quote the value."
        ) from error


def _explain(model: type[Section], error: ValidationError, where: str, kind: str) -> RecipeError:
    """The first problem of a recipe in one line, with the nearest key for a misspelt one."""
    errors = error.errors()
    # A misspelt key that must be there is two errors: unknown and missing. The first helps more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, first["loc"][:-1])
        return RecipeError(
            f"{where} has an unknown key {key!r}",
            expected=f"one of {', '.join(fields)}",
            hint=_suggest(model, first["loc"], fields, kind),
        )
    if first["type"] == "missing":
        found = f"{key} is missing"
    elif first["type"] == "value_error" and isinstance(first["input"], Mapping):
        found = f"settings of {key or f'the {kind}'} do not go together"
    else:
        found = f"{key} is {first['input']!r}"
    wanted = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return RecipeError(
        f"{where}: {found}",
        expected=wanted.replace("a valid tuple", "a list, such as [a, b]"),
        hint=f"Fix the {kind}{', or the --set that changed it' if kind == 'recipe' else ''}.",
    )


def _suggest(
    model: type[Section], location: tuple[int | str, ...], fields: list[str], kind: str
) -> str:
    """What an unknown key was to be: another trainer's name, elsewhere, or misspelt."""
    name, is_in_list = str(location[-1]), any(isinstance(part, int) for part in location)
    if kind == "recipe" and not is_in_list and (synonym := explain_synonym(name)):
        return synonym
    keys = [] if is_in_list else _list_keys(model)
    elsewhere = [key for key in keys if key.rpartition(".")[2] == name]
    close = elsewhere[:1] or get_close_matches(name, fields, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Run: {COMMANDS[kind]}"


def _list_keys(model: type[Section]) -> list[str]:
    """The keys of a recipe and of its sections, but for those of lists."""
    keys = list(model.model_fields)
    for name, field in model.model_fields.items():
        if section := _find_section(field.annotation):
            keys += [f"{name}.{key}" for key in section.model_fields]
    return keys


def _fields_at(model: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """The keys that a recipe may have at a place, e.g. ``("data", "sources", 0)``."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _find_section(model.model_fields[part].annotation) or model
    return [*model.read_before, *model.model_fields]


def _find_section(annotation: Any) -> type[Section] | None:
    """The section in an annotation such as ``tuple[SourceSection, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_find_section, get_args(annotation))), None)
