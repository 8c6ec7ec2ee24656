"""The verb that has a teacher write rationales: data reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from kot_platypus.benchmarks import KOBEST, load_benchmarks
from kot_platypus.cli.data import data
from kot_platypus.cli.data_audit import Against
from kot_platypus.cli.evaluation import (
    Backend,
    BaseUrl,
    GenKwargs,
    MaxNewTokens,
    NumConcurrent,
    Shots,
    Temperature,
    TemplateName,
    Think,
    choose_how,
    open_model,
)
from kot_platypus.cli.options import (
    Adapter,
    ColumnNames,
    Device,
    Dtype,
    KobestDir,
    Limit,
    ModelName,
    Out,
    TrustRemoteCode,
    example,
    hold_folder,
    read_columns,
)
from kot_platypus.errors import UsageError
from kot_platypus.progress import print_notice

if TYPE_CHECKING:
    from kot_platypus.evaluate.model_under_test import ModelUnderTest
    from kot_platypus.evaluate.prompting import Question
    from kot_platypus.evaluate.reasoning import Reasoning
    from kot_platypus.rationale_costs import Meter, Prices
    from kot_platypus.rationales import Selection

NumReplies = Annotated[int, typer.Option("--num-samples", min=1, help="Replies to each question.")]
KeepName = Annotated[
    Literal["shortest", "diverse", "all"],
    typer.Option(help="Of a question's right replies: one, those most unlike, or all."),
]
MaxPerQuestion = Annotated[int, typer.Option(min=1, help="For diverse and all.")]
MinKorean = Annotated[
    float, typer.Option(min=0, max=1, help="Share of Korean among a rationale's letters.")
]
MinPassRate = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out questions solved less often.")
]
MaxPassRate = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out questions solved more often.")
]
Rationalize = Annotated[
    bool, typer.Option("--rationalize", help="Ask the unsolved again, given the answer.")
]
VerifySteps = Annotated[
    bool,
    typer.Option("--verify-steps", help="Of generated problems: only where every step holds."),
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file of rows, problems (generated), korean-cot, hub:NAME:CONFIG@SPLIT, "
        "kobest or kobest/TASK (the train split).",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Of generated problems and of the draws.")]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Print what is to be asked, and its price; send nothing.")
]
Price = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="IN,OUT",
        help="US dollars for a million tokens that a server reads, and writes.",
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget", min=0, metavar="DOLLARS", help="The most that may be paid for OUT in all."
    ),
]


@data.command(
    "reason",
    epilog=example(
        "kot data reason mine.jsonl --model merged --num-samples 4 --out taught",
        "kot data reason mine.jsonl --backend openai --base-url http://localhost:8000/v1 "
        "--model NAME --template chat --price 0.15,0.6 --budget 5 --out taught",
        "kot data reason problems --limit 500 --model merged --against kobest --out taught",
    ),
)
def reason(
    source: Source,
    out: Out,
    model: ModelName = "gemma-3-270m",
    adapter: Adapter = None,
    limit: Limit = None,
    shots: Shots = None,
    template: TemplateName = None,
    num_samples: NumReplies = 4,
    temperature: Temperature = None,
    gen_kwargs: GenKwargs = None,
    think: Think = None,
    max_new_tokens: MaxNewTokens = 512,
    keep: KeepName = "shortest",
    max_per_question: MaxPerQuestion = 4,
    min_korean: MinKorean = 0.5,
    min_pass_rate: MinPassRate = 0.0,
    max_pass_rate: MaxPassRate = 1.0,
    rationalize: Rationalize = False,
    verify_steps: VerifySteps = False,
    against: Against = None,
    kobest_dir: KobestDir = None,
    seed: Seed = 42,
    estimate: Estimate = False,
    price: Price = None,
    budget: Budget = None,
    columns: ColumnNames = "",
    backend: Backend = "transformers",
    base_url: BaseUrl = None,
    num_concurrent: NumConcurrent = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Have a model write rationales for questions with answers; keep only what holds.

    Replies are kept as they come: after a kill, or with more --budget, the same command goes on.
    """
    from kot_platypus.rationales import Selection

    prices = _read_prices(price, budget, backend)
    held = (adapter, dtype, device, trust_remote_code)
    teacher, folder = open_model(model, backend, base_url, template, num_concurrent, *held)
    asked = (template, adapter or folder, think, shots)
    how = choose_how(*asked, max_new_tokens, num_samples, temperature, gen_kwargs, folder)
    chosen = (keep, max_per_question, min_korean, min_pass_rate, max_pass_rate, rationalize)
    selection = Selection(*chosen, verify_steps=verify_steps)
    questions = _Questions(source, limit, seed, against, kobest_dir, read_columns(columns))
    _teach(out, teacher, questions, how, selection, (prices, budget), estimate)


class _Questions(NamedTuple):
    """The options that decide what is asked."""

    source: str
    limit: int | None
    seed: int
    against: list[str] | None
    kobest_dir: str | None
    columns: dict[str, str]

    def load(self) -> list[Question]:
        from kot_platypus.rationale_sources import load_questions

        return load_questions(
            self.source,
            self.limit,
            kobest_dir=self.kobest_dir,
            seed=self.seed,
            columns=self.columns,
        )

    def load_benchmarks(self) -> dict[str, list[tuple[str, ...]]]:
        """What the rows are compared with. KoBEST's folder may be the questions' alone."""
        is_kobest = self.source.partition("/")[0] == KOBEST
        unused = is_kobest and KOBEST not in (self.against or ())
        return load_benchmarks(self.against or [], None if unused else self.kobest_dir)


def _teach(
    out: Path,
    teacher: ModelUnderTest,
    asked: _Questions,
    how: Reasoning,
    selection: Selection,
    purse: tuple[Prices | None, float | None],
    estimate: bool,
) -> None:
    from kot_platypus.rationale_costs import describe_cost, open_meter
    from kot_platypus.rationales import write_rationales

    questions, how = asked.load(), replace(how, seed=asked.seed)
    named = Path(asked.source).name if Path(asked.source).is_file() else asked.source
    with hold_folder(out), open_meter(teacher, out, *purse) as meter:
        if estimate:
            print(describe_cost(meter, questions, how, rationalize=selection.rationalize))
            return
        against = asked.load_benchmarks()
        write_rationales(out, meter, questions, how, selection, benchmarks=against, source=named)
        _print_result(out, meter)


def _read_prices(price: str | None, budget: float | None, backend: str) -> Prices | None:
    from kot_platypus.rationale_costs import parse_prices

    if budget is not None and price is None:
        raise UsageError(
            "--budget without --price", expected="both", hint="E.g. --price 0.15,0.6 --budget 5"
        )
    if price is not None and backend != "openai":
        raise UsageError(
            f"--price with --backend {backend}",
            expected="a server whose tokens are paid for",
            hint="Leave it out: a model of your own costs time alone.",
        )
    return None if price is None else parse_prices(price)


def _print_result(out: Path, meter: Meter) -> None:
    from kot_platypus.artifacts import read_manifest
    from kot_platypus.rationale_card import describe_result
    from kot_platypus.rationale_costs import describe_bill

    if meter.bill:
        print_notice(describe_bill(meter.bill))
    print_notice(describe_result(read_manifest(out)))
    print(*(out / name for name in ("README.md", "train.jsonl", "dropped.jsonl")), sep="\n")


@data.command(
    "pairs",
    epilog=example(
        "kot data pairs taught --out pairs",
        "kot data pairs taught --max-per-question 2 --unreadable --out pairs",
    ),
)
def pairs(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What kot data reason wrote with --out.")
    ],
    out: Out,
    max_per_question: Annotated[int, typer.Option(min=1, help="Pairs of one question.")] = 1,
    unreadable: Annotated[
        bool,
        typer.Option("--unreadable", help="Replies without an answer line count as wrong."),
    ] = False,
) -> None:
    """Pair kept rationales with wrong ones to the same question, for DPO and ORPO."""
    from kot_platypus.rationale_pairs import write_pairs

    with hold_folder(out):
        print_notice(
            write_pairs(folder, out, max_per_question=max_per_question, unreadable=unreadable)
        )
    print(out / "train.jsonl")
