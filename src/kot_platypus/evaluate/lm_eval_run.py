"""The lm-eval stage: any of lm-eval's tasks with our engine, its results and samples as files."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.artifacts import MANIFEST, describe_machine, write_json, write_text
from kot_platypus.errors import DataError, ModelError, UsageError, require_extra
from kot_platypus.evaluate.keys import FORMAT
from kot_platypus.evaluate.model_under_test import TransformersModel
from kot_platypus.evaluate.store import RequestStore
from kot_platypus.evaluate.task_files import hash_task_files
from kot_platypus.evaluate.texts import split_settings
from kot_platypus.processes import is_main_process, share_all
from kot_platypus.progress import show_status
from kot_platypus.stages import Stage, open_stage

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

    from kot_platypus.evaluate.lm_eval_model import KotLM

RESULTS = "results.json"
TABLE = "table.md"


@dataclass(frozen=True)
class Selection:
    """What is asked of lm-eval's catalogue."""

    tasks: tuple[str, ...]
    """Names of tasks, groups or tags, patterns like ``kmmlu_*``, or YAML files."""
    num_fewshot: int | None = None
    """Shots of each question; None: what each task says."""
    limit: int | None = None
    """Keep the first N documents of each task."""
    apply_chat_template: bool = False
    include_path: Path | None = None
    """A folder with your own tasks."""
    gen_kwargs: str | None = None
    """Settings of generation in place of the tasks' own: ``temperature=0.6,top_p=0.95``."""
    system_instruction: str | None = None
    think_end_token: str | None = None
    """What ends a model's thoughts: answers are looked for behind it."""


def run_lm_eval(
    out: Path,
    model: TransformersModel,
    selection: Selection,
    *,
    max_batch_tokens: int | None = None,
) -> None:
    """Run tasks of lm-eval; write ``out/results.json``, ``table.md`` and ``samples_TASK.jsonl``.

    Scores are kept as they come (``RequestStore``): an interrupted ``out`` goes on with them, a
    finished one is left alone. Generated texts are not kept: those of an interrupted run are
    generated again. Under torchrun every process calls this and does its share; the main one
    writes.

    Args:
        out: The stage's folder.
        model: The model under test. Its dtype is part of the stage's identity once resolved.
        selection: Which tasks, and how.
        max_batch_tokens: Tokens of one scoring pass. [default: 1024 on a CPU, else 4096]

    Raises:
        KotError: anything wrong with the tasks, model or folder, or no lm-eval.
    """
    _require_files(selection)
    manager = None
    if not (out / MANIFEST).is_file():  # what is misspelt is said before torch is loaded
        manager = open_catalogue(selection.include_path)
        find_tasks(manager, selection.tasks)
    with _open_stage(out, selection, model) as stage:
        if stage.is_done:
            return
        manager = manager or open_catalogue(selection.include_path)
        tasks = load_tasks(manager, selection.tasks, selection.num_fewshot)

        from kot_platypus.evaluate.lm_eval_model import KotLM  # loads torch

        share_all(None)  # several processes meet before each takes its GPU
        lm = KotLM(
            model.model,
            model.tokenizer,
            max_batch_tokens=max_batch_tokens,
            batch_size=model.max_rows,
            store=RequestStore(model.key),
            think_end_token=selection.think_end_token,
        )
        results = _run_tasks(lm, manager, tasks, selection)
        if results is not None and is_main_process():
            facts = {
                "model": model.identity,
                "name": model.name,
                "dtype": model.resolved_dtype,
                "versions": describe_machine(),
                **({"one_by_one": True} if lm.scorer.obstacle else {}),
            }
            write_results(out, {**results, "kot": facts})


def _open_stage(
    out: Path, selection: Selection, model: TransformersModel
) -> AbstractContextManager[Stage]:
    later = ("gen_kwargs", "system_instruction", "think_end_token")
    asked = {k: v for k, v in asdict(selection).items() if v is not None or k not in later}
    folder = asked.pop("include_path")
    versions = {"lm_eval": version("lm_eval"), "format": FORMAT}
    config = {**asked, "dtype": model.resolved_dtype, **versions}
    inputs = {"model": model.identity, **hash_task_files(folder, selection.tasks)}
    return open_stage(out, "lm-eval", config=config, inputs=inputs)


def _require_files(selection: Selection) -> None:
    """Raise KotError unless lm-eval, the folder and the files of tasks are there."""
    for switch in ("TQDM_DISABLE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(switch, "1")  # read when they are first imported, with lm-eval
    require_extra("lm_eval", "lm-eval", "the tasks of lm-eval")
    folder = selection.include_path
    if folder is not None and not folder.is_dir():
        raise DataError(
            f"{folder} is no folder",
            expected="one with task files of lm-eval",
            hint="Check --include-path.",
        )
    if selection.gen_kwargs:
        _check_gen_kwargs(selection.gen_kwargs)
    for name in selection.tasks:
        if name.endswith((".yaml", ".yml")) and not Path(name).is_file():
            raise DataError(
                f"{name} does not exist", expected="that task's file", hint="Check --tasks."
            )


def _check_gen_kwargs(text: str) -> None:
    """Raise UsageError unless this is ``name=value,...`` with names that generation knows."""
    from transformers import GenerationConfig

    known = {*GenerationConfig().to_dict(), "until", "max_gen_toks", "do_sample"}
    for name, value in split_settings(text).items():
        if name in known:
            continue
        close = get_close_matches(name, known, 1)
        raise UsageError(
            f"--gen-kwargs {name}={value}",
            expected="NAME=VALUE,... with transformers' names",
            hint=f"{close[0]}=..." if close else "E.g. top_p=0.95",
        )


# --- tasks -------------------------------------------------------------------------------------


def open_catalogue(include_path: Path | None = None) -> TaskManager:
    """lm-eval's index of its tasks and of those in ``include_path``."""
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # its warnings are for its own users
    with show_status("Reading lm-eval's catalogue"):
        return TaskManager(include_path=include_path)


def load_tasks(
    manager: TaskManager, wanted: Sequence[str], num_fewshot: int | None = None
) -> list[Task | Group]:
    """The tasks and groups of that name with their data, none of them twice.

    Raises DataError: an unknown name, data that is not to be had, too few documents for the shots,
    or a task that cannot be run here.
    """
    names = find_tasks(manager, wanted)
    try:
        loaded = manager.load(names)
    except Exception as error:  # data sets, metrics and task files fail in many ways
        reason = str(error).strip().splitlines() or [""]
        raise DataError(
            f"{', '.join(wanted)}: lm-eval cannot load this "
            f"({type(error).__name__}: {reason[0][:200]})",
            expected="tasks whose data and metrics are here or on a reachable Hub",
            hint="Fix the task's file, the connection or HF_TOKEN, or install what it asks for.",
        ) from error
    for task in loaded["tasks"].values():
        _require_runnable(task)
        if shots := task.config.num_fewshot if num_fewshot is None else num_fewshot:
            _require_shots(task, shots)
    members = {name for children in loaded["group_map"].values() for name in children}
    everything = {**loaded["groups"], **loaded["tasks"]}
    return [item for name, item in everything.items() if name not in members]


def find_tasks(manager: TaskManager, wanted: Iterable[str]) -> list[str]:
    """The names that lm-eval knows for what was asked. Raises DataError when there are none."""
    found: list[str] = []
    for name in wanted:
        matches = [name] if Path(name).is_file() else manager.match_tasks([name])
        if not matches:
            close = get_close_matches(name, manager.all_tasks, n=1)
            raise DataError(
                f"lm-eval has no task {name!r}",
                expected="a task, group or tag of its catalogue, or a YAML file",
                hint=f"Did you mean {close[0]}?"
                if close
                else "List them: lm-eval ls tasks. Your own: --include-path.",
            )
        found += matches
    return list(dict.fromkeys(found))


def _require_runnable(task: Task) -> None:
    reasons = {
        "UNSAFE_CODE": "runs code that the model writes",
        "MULTIMODAL": "shows images or sound",
    }
    for attribute, reason in reasons.items():
        if getattr(task, attribute, False):
            raise DataError(
                f"the task {task.task_name} {reason}",
                expected="a task of text alone",
                hint="Run it with lm-eval itself, where you can confirm that.",
            )


def _require_shots(task: Task, num_fewshot: int) -> None:
    documents = task.fewshot_docs() if task.get_config("num_fewshot") != 0 else None
    if documents is not None and len(documents) < num_fewshot:
        raise DataError(
            f"{task.task_name} has {len(documents)} documents to draw shots from",
            expected=f"at least the {num_fewshot} asked for",
            hint="Ask for fewer shots.",
        )


def _run_tasks(
    lm: KotLM, manager: TaskManager, tasks: list[Task | Group], selection: Selection
) -> dict[str, Any] | None:
    """lm-eval's results; None where it leaves them to another process."""
    from lm_eval import simple_evaluate

    if selection.apply_chat_template and lm.tokenizer.chat_template is None:
        raise ModelError(
            "the model's tokenizer has no chat template",
            expected="one, as instruction-tuned models have",
            hint="Leave out --apply-chat-template.",
        )
    with _silence_git():
        results: dict[str, Any] | None = simple_evaluate(
            model=lm,
            tasks=tasks,
            task_manager=manager,
            num_fewshot=selection.num_fewshot,
            limit=selection.limit,
            apply_chat_template=selection.apply_chat_template,
            gen_kwargs=selection.gen_kwargs,
            system_instruction=selection.system_instruction,
        )
    return results


@contextmanager
def _silence_git() -> Iterator[None]:
    """Without git's complaint, on lm-eval's way to the commit of a folder that has none."""
    from lm_eval import evaluator
    from lm_eval.loggers.utils import get_commit_from_path

    ask_git = evaluator.get_git_commit_hash
    evaluator.get_git_commit_hash = lambda: get_commit_from_path(Path.cwd())
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = ask_git


# --- results -----------------------------------------------------------------------------------


def write_results(out: Path, results: dict[str, Any]) -> None:
    """Write lm-eval's results, a table of them, and its samples in the order of the documents."""
    for task, samples in results.pop("samples").items():
        ordered = sorted(samples, key=lambda sample: (sample["doc_id"], sample["filter"]))
        lines = (json.dumps(to_json(sample), ensure_ascii=False) for sample in ordered)
        write_text(out / f"samples_{task}.jsonl", "".join(line + "\n" for line in lines))
    write_text(out / TABLE, render_table(results))
    write_json(out / RESULTS, to_json(results))


def render_table(results: Mapping[str, Any]) -> str:
    """The metrics of all tasks, and of groups below them, as Markdown in lm-eval's columns.

    lm-eval's own ``make_table`` loses its header with old releases of pytablewriter, which is what
    pip takes where python-dateutil is new.
    """
    rows = [("Tasks", "Version", "Filter", "n-shot", "Metric", "Value", "Stderr")]
    for task, values in results["results"].items():
        about = (task, str(results["versions"].get(task)), str(results["n-shot"].get(task, "")))
        for key in sorted(values):
            metric, comma, chosen = key.partition(",")
            if comma and not metric.endswith("_stderr"):
                stderr = values.get(f"{metric}_stderr,{chosen}", "N/A")
                cells = (metric, _show_number(values[key]), _show_number(stderr))
                rows.append((*about[:2], chosen, about[2], *cells))
    rows.insert(1, ("---", "---", "---", "--:", "---", "--:", "--:"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(r, widths, strict=True)] for r in rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in padded)


def _show_number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def to_json(value: Any) -> Any:
    """``value`` in the terms of JSON, as lm-eval writes it; what is no number becomes None."""
    from lm_eval.utils import handle_non_serializable

    text = json.dumps(value, default=handle_non_serializable, ensure_ascii=False)
    return json.loads(text, parse_constant=lambda _: None)
