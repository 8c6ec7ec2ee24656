"""The house's plan, held: who may import whom, and how large a file or function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kot_platypus

SOURCE = Path(kot_platypus.__file__).parent
MODULES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}
STAGES = ("data", "train", "evaluate", "report", "publication", "app")
WHO_KNOWS_ALL_STAGES = (
    "run.py",
    "run_stages.py",
    "rationale",
    "rewards.py",
    "cli/",
    "benchmarks.py",
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50


def iter_imports(name: str) -> Iterator[str]:
    """Every module that ``name`` imports, inside functions too, with absolute names."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def list_stages(name: str) -> set[str]:
    """The stages that a module imports from."""
    parts = (imported.split(".") for imported in iter_imports(name))
    return {p[1] for p in parts if p[0] == "kot_platypus" and len(p) > 1 and p[1] in STAGES}


def test_walk_sees_imports_inside_functions():
    assert list_stages("run_stages.py") >= {"data", "train", "evaluate", "report"}


def test_no_stage_imports_another_and_only_run_and_cli_know_them():
    known = {name: list_stages(name) - {name.split("/")[0]} for name in MODULES}
    assert {name for name, stages in known.items() if stages} <= {
        name for name in MODULES if name.startswith(WHO_KNOWS_ALL_STAGES)
    }


def name_module(path: str) -> str:
    """``data/review/__init__.py`` to ``kot_platypus.data.review``."""
    parts = ("kot_platypus", *Path(path).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def test_no_module_imports_itself_by_a_detour():
    modules = {name_module(path): path for path in MODULES}
    graph = {
        name: {
            imported if imported in modules else imported.rpartition(".")[0]
            for imported in iter_imports(path)
        }
        for name, path in modules.items()
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, with the circle
    assert set(modules) <= set(order)


def test_report_names_no_torch():
    heavy = {"torch", "transformers", "peft", "accelerate"}
    pages = [name for name in MODULES if name.startswith("report/")]
    roots = {name: {i.split(".")[0] for i in iter_imports(name)} for name in pages}
    assert [name for name in pages if roots[name] & heavy] == []


def test_files_fit_a_head():
    lines = {name: (SOURCE / name).read_text(encoding="utf-8").count("\n") for name in MODULES}
    assert {name: n for name, n in lines.items() if n > MAX_FILE_LINES} == {}


def count_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring: explaining must not cost room."""
    docstring = node.body[0] if ast.get_docstring(node) else None
    explained = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return node.end_lineno - node.lineno + 1 - explained


def test_functions_fit_a_head():
    too_long = [
        f"{name}: {node.name}"
        for name, module in MODULES.items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if count_lines(node) > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_modules_and_public_functions_say_what_they_are():
    undescribed = [name for name, module in MODULES.items() if not ast.get_docstring(module)]
    undescribed += [
        f"{name}: {node.name}"
        for name, module in MODULES.items()
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert undescribed == []


def test_no_module_is_a_drawer_for_everything():
    stems = {Path(name).stem for name in MODULES}
    assert not stems & {"utils", "util", "helpers", "common", "misc"}


# --- what is loaded when -----------------------------------------------------------------------

HEAVY = ("torch", "transformers", "peft", "matplotlib", "scipy", "sklearn", "gradio", "datasets")


def list_loaded(code: str) -> set[str]:
    """The heavy packages in ``sys.modules`` after ``code`` in a fresh interpreter."""
    code += f"\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_command_line_recipe_and_plan_load_nothing_heavy():
    code = """
from pathlib import Path
import kot_platypus.cli
from kot_platypus import load_recipe
from kot_platypus.run import describe_plan
from kot_platypus.data.dataset_recipe import list_dataset_recipes, load_dataset_recipe
describe_plan(load_recipe("demo"), Path("nowhere"))
[load_dataset_recipe(name) for name in list_dataset_recipes()]
"""
    assert list_loaded(code) == set()


@pytest.mark.slow
def test_report_loads_no_torch():
    names = (name for name in MODULES if name.startswith("report/"))
    modules = (
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names
    )
    code = "import " + ", ".join(f"kot_platypus.{module}" for module in modules)
    assert not list_loaded(code) & {"torch", "transformers", "peft"}


# --- what is public ----------------------------------------------------------------------------


def test_public_names_are_a_dozen_at_most_and_all_there():
    assert len(kot_platypus.__all__) <= 12
    assert all(getattr(kot_platypus, name) for name in kot_platypus.__all__)


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kot_platypus.nothing
