"""The verbs about this machine: env, cache."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from kot_platypus.cli.app import app
from kot_platypus.cli.options import example, print_screen
from kot_platypus.errors import UsageError


@app.command(epilog=example("kot env", "kot env --json"))
def env(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, the device and dtype that `auto` picks, the cache and the extras."""
    from kot_platypus.environment import describe_environment

    found = describe_environment()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print_screen(_make_grid(_describe(found)))


def _describe(found: dict[str, Any]) -> dict[str, str]:
    """The environment as lines: a name and what is said of it."""
    packages = ("torch", "transformers", "peft", "accelerate")
    commit = f" (commit {found['commit'][:12]})" if found["commit"] else ""
    missing = {extra: packages for extra, packages in found["extras"].items() if packages}
    return {
        "kot": f"{found['kot-platypus']}{commit}",
        "Python": f"{found['python']} on {found['platform']}, {found['cpu_count']} processors",
        "packages": ", ".join(f"{name} {found[name]}" for name in packages),
        "device": f"auto is {found['device_name']}",
        "dtype": f"auto is {found['dtype']}",
        "cache": f"{found['cache']}, {format_size(found['cache_bytes'])}",
        "extras": ", ".join(extra for extra in found["extras"] if extra not in missing) or "none",
        **{f"- {extra}": f"lacks {', '.join(lacking)}" for extra, lacking in missing.items()},
        **{f"${name}": value for name, value in found["variables"].items()},
    }


cache = typer.Typer(no_args_is_help=False)
app.add_typer(cache, name="cache")


@cache.callback(
    invoke_without_command=True,
    epilog=example("kot cache", "kot cache clear scores texts", "kot cache clear all --yes"),
)
def show(context: typer.Context) -> None:
    """Show what is kept and how large it is, or clear it."""
    if context.invoked_subcommand:
        return
    from kot_platypus.models.cache import KEPT, cache_folder, measure_cache

    sizes = measure_cache()
    print(cache_folder())
    print_screen(
        _make_grid(
            {name: f"{format_size(sizes[name]):>9}  {KEPT[name].description}" for name in KEPT}
        )
    )
    print(f"{format_size(sum(sizes.values()))} in all. To clear: kot cache clear NAME...")


@cache.command(epilog=example("kot cache clear scores texts", "kot cache clear all --yes"))
def clear(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="As kot cache lists them; all: what is remade."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete what is kept. `all` spares translations, which were paid for."""
    from kot_platypus.models.cache import KEPT, cache_folder, clear_cache, measure_cache

    unknown = [name for name in names if name not in (*KEPT, "all")]
    if unknown:
        raise UsageError(
            f"the cache keeps no {unknown[0]!r}",
            expected=f"some of {', '.join(KEPT)}, all",
            hint="Run: kot cache",
        )
    free = [name for name, kept in KEPT.items() if not kept.is_paid] if "all" in names else []
    sizes = measure_cache()
    chosen = [name for name in KEPT if name in (*names, *free) and KEPT[name].list_paths()]
    if not chosen:
        print(f"Nothing of that is kept in {cache_folder()}.")
        return
    named = ", ".join(f"{name} ({format_size(sizes[name])})" for name in chosen)
    if not yes:
        typer.confirm(f"Delete {named} in {cache_folder()}?", abort=True)
    for name in chosen:
        clear_cache(name)
    print(f"Deleted {named}.")


def format_size(size: int) -> str:
    """Bytes as a person reads them, e.g. ``1.1 GB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} B"


def _make_grid(lines: dict[str, str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    for name, said in lines.items():
        grid.add_row(name, Text(said))
    return grid
