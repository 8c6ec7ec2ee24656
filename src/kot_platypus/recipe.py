"""The one declarative object of a run, loaded from YAML and overridden with ``--set a.b=value``."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kot_platypus.columns import check_columns
from kot_platypus.methods import MethodName, Objective, check_adapter, check_objective
from kot_platypus.recipe_files import RECIPES, Epochs, Regex, Section, dump, list_names, load
from kot_platypus.records import Sparse


class ModelSection(Section):
    """Which model, and how to hold it."""

    name: str = "gemma-3-270m"
    """``gemma-3-270m`` (from PyPI), a local folder, or a Hub id."""
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """``auto``: ``$KOT_DTYPE`` if set; bfloat16 where the device computes it natively, else float32
    (on a GPU float16 for a model published in it that does not overflow)."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    trust_remote_code: bool = False


class SourceSection(Sparse, Section):
    """One source of training examples and how many rows to take of it (all when null)."""

    later = ("columns", "weight", "config", "split")

    name: Literal["korean-cot", "problems", "file", "hub"]
    path: str | None = None
    """``file``: a file of rows, a folder of such files, or a pattern (``rows/*.jsonl``).
    ``hub``: a dataset id. Rows as in ``formats``."""
    rows: int | None = Field(None, ge=1)
    families: tuple[str, ...] | None = None
    """``problems``: which families of problems (all when null)."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """The names of its columns where they are others: ``{source: question, target: answer}``."""
    weight: float = Field(1, gt=0)
    """How often each row is taken: 2 is twice, 0.5 half of them."""
    config: str | None = None
    """``hub``: of a dataset that has several."""
    split: str = "train"
    """``hub``: also a part of one, ``train[:500]``."""

    @model_validator(mode="after")
    def _check(self) -> SourceSection:
        if (self.name in ("file", "hub")) != (self.path is not None):
            raise ValueError("`path` belongs to the sources `file` and `hub`, and only to them")
        if self.name == "problems" and self.rows is None:
            raise ValueError("`problems` are made as asked for: say how many `rows`")
        if self.rows is not None and self.weight != 1:
            raise ValueError("`rows` or `weight`, not both")
        if self.columns and self.path is None:
            raise ValueError("`columns` belong to the sources `file` and `hub`")
        if self.name != "hub" and (self.config, self.split) != (None, "train"):
            raise ValueError("`config` and `split` belong to the source `hub`")
        check_columns(self.columns)
        return self


REWORDED = "-reworded"
"""Ends the name of a family whose problems say in other sentences what its stories say."""


class DataSection(Section):
    """What the model learns from, and the problems it is tested on."""

    sources: tuple[SourceSection, ...] = Field(min_length=1)
    questions: tuple[SourceSection, ...] = ()
    """Rows of which only question and answer are used: what ``self_taught`` reasons over."""
    heldout: str | None = None
    """A file of your own problems for the reasoning test: rows with source and target."""
    heldout_problems: int = Field(0, ge=0)
    """How many generated problems to keep for the reasoning test (unseen settings and names)."""
    heldout_families: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> DataSection:
        if self.heldout and self.heldout_problems:
            raise ValueError("either `heldout`, a file, or `heldout_problems` that are generated")
        return self

    @property
    def has_problems(self) -> bool:
        """Whether there is a reasoning test on held-out problems."""
        return bool(self.heldout or self.heldout_problems)

    def trains_on(self, family: str) -> bool:
        """Whether a family of generated problems is among the sources."""
        generated = (source for source in self.sources if source.name == "problems")
        return any(each.families is None or family in each.families for each in generated)


Target = Literal["rationale_answer", "rationale", "answer", "shuffled_rationale"]
"""``shuffled_rationale``: a control. Another row's rationale, and the row's own answer."""
LossWeighting = Literal["example", "token"]


class TrainSection(Section):
    """How the model is trained. Names follow Platypus and PEFT."""

    objective: Objective = "sft"
    """What is learnt: rows (``sft``), or of pairs of replies to prefer what is chosen, against the
    model that the training begins with (``dpo``) or while learning it (``orpo``)."""
    beta: float = Field(0.1, gt=0)
    """DPO: how closely the model keeps to what it was. ORPO: the weight of the odds ratio."""
    method: MethodName = "lora"
    """An adapter (LoRA; DoRA; LoRA on a base held in 4 bits), or all weights."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, the same gradient."""
    torch_compile: bool = False
    """Compile the decoder's layers: pays on a GPU, after a minute or so."""
    template: str = "kot"
    """A shipped template, or a YAML file of your own; its place is that beside the recipe."""
    enable_thinking: bool | None = None
    """The switch of chat templates that have one; null leaves it to them."""
    date: datetime.date | None = None
    """The day in place of today in a chat template that shows one; null: when training began."""
    target: Target = "rationale_answer"
    """What the model learns to write after the prompt."""
    baseline_targets: tuple[Target, ...] = ()
    """Further adapters, trained alike on these targets, for comparison in the report."""
    batch_size: int = Field(64, ge=1)
    """Examples per optimizer step."""
    max_tokens_per_pass: int = Field(4096, ge=1)
    """Token budget of one forward pass; an optimizer step makes as many passes as it needs."""
    num_epochs: Epochs = 1
    """Also a part of one: 0.5, 1.5."""
    max_steps: int | None = Field(None, ge=1)
    """Optimizer steps in place of ``num_epochs``, fewer or more."""
    learning_rate: float = Field(1e-5, gt=0)
    lr_scheduler: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = Field(0, ge=0)
    warmup_ratio: float = Field(0.0, ge=0, le=1)
    """The warm-up as a part of all steps, rounded up; in place of ``warmup_steps``."""
    optim: Literal["adamw_torch", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"] = (
        "adamw_torch"
    )
    """AdamW; bitsandbytes' with moments in 8 bits, or paged out to main memory (CUDA)."""
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    cutoff_len: int = Field(2048, ge=8)
    """Tokens per example; longer rationales are truncated, answers never."""
    loss_weighting: LossWeighting = "example"
    """``example``: every example weighs the same (2023's trainer); ``token``: every token."""
    last_batch: Literal["drop", "keep"] = "drop"
    """An epoch's last, smaller batch. ``drop``: as many steps as in 2023, whose trainer had these
    examples begin the next epoch's first batch; ``keep``: a step of its own, as today."""
    lora_r: int = Field(16, ge=1)
    lora_alpha: int = Field(16, ge=1)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    lora_target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    modules_to_save: tuple[str, ...] = ()
    """Modules by their names' ends that are trained in full beside the adapter, as PEFT has it."""
    new_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that become one token each, such as ``<think>``: their rows of the embeddings are
    added and trained."""
    rank_pattern: dict[Regex, Annotated[int, Field(ge=1)]] = Field({})
    """A module's name, or a regular expression of its end -> its rank in place of ``lora_r``."""
    alpha_pattern: dict[Regex, Annotated[int, Field(ge=1)]] = Field({})
    """The same in place of ``lora_alpha``."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) (Kalajdzievski 2023), not alpha / r."""
    init_lora_weights: Literal[True, "gaussian", "pissa", "pissa_niter_16", "olora"] = True
    """PEFT's. PiSSA and OLoRA begin with a part of the base; what is written fits the whole."""
    loraplus_lr_ratio: float | None = Field(None, gt=0)
    """LoRA+ (Hayou et al. 2024): how many times ``learning_rate`` the B matrices learn at."""
    neftune_noise_alpha: float | None = Field(None, gt=0)
    """Noise on the embeddings while training (Jain et al. 2023); 5 to 15 in the paper."""
    logging_steps: int = Field(1, ge=1)
    """Steps to a line of the log, which is their mean. Checkpoints, evaluations and the end write
    one too."""
    save_steps: int = Field(50, ge=1)
    save_total_limit: int | None = Field(None, ge=1)
    """Keep the adapters of the last N checkpoints beside the trained one (none when null)."""
    validation: float | str | None = None
    """Rows whose loss is followed and which are not learnt: a share of the rows such as 0.1, split
    off by question, or what ``--data`` takes: a file, a folder, a pattern, ``hub:ID@SPLIT``."""
    validation_columns: dict[str, str | None] | None = None
    """Which column of these is what, e.g. ``source: question``. Null: as in the training rows."""
    eval_steps: int | None = Field(None, ge=1)
    """Optimizer steps from one look at the validation rows to the next. Null: an epoch's."""
    load_best_model_at_end: bool = True
    """With ``validation`` the result is the weights of its lowest loss; false: the last weights."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """End the training when so many looks in a row have found no lower validation loss."""
    eval_generate_epochs: int | None = Field(None, ge=1)
    """Every so many epochs and after the last: answer validation rows in words (null: never)."""
    eval_generate_rows: int = Field(64, ge=1)
    """How many of them, from the first on."""
    eval_generate_tokens: int = Field(128, ge=1)
    """New tokens of an answer at most."""
    report_to: tuple[
        Literal["tensorboard", "wandb", "mlflow", "comet_ml", "clearml", "swanlab", "trackio"], ...
    ] = ()
    """HF Trainer integrations: tensorboard, wandb, mlflow, ..."""
    allow_contaminated: bool = False
    """Train on rows in which ``kot data contamination`` found text of a benchmark."""

    @field_validator("validation")
    @classmethod
    def _check_validation(cls, value: float | str | None) -> float | str | None:
        if value == "" or (isinstance(value, float) and not 0 < value < 1):
            raise ValueError("a share between 0 and 1, or a file of rows")
        return value

    @field_validator("new_tokens", "modules_to_save")
    @classmethod
    def _check_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each of them once")
        return value

    @field_validator("validation_columns")
    @classmethod
    def _check_columns(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        check_columns(value or {})
        return value

    @field_validator(
        "eval_steps", "early_stopping_patience", "eval_generate_epochs", "validation_columns"
    )
    @classmethod
    def _need_validation(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("validation") is None:
            raise ValueError("a `validation` beside it, or null")
        return value

    @model_validator(mode="after")
    def _check(self) -> TrainSection:
        targets = (self.target, *self.baseline_targets)
        if len(set(targets)) != len(targets):
            raise ValueError("baseline_targets that differ from target and from each other")
        if self.warmup_steps and self.warmup_ratio:
            raise ValueError("either `warmup_steps` or `warmup_ratio`, and 0 for the other")
        check_objective(self)
        check_adapter(self)
        return self

    @property
    def takes_pairs(self) -> bool:
        """Whether it learns from pairs of a chosen and a rejected reply."""
        return self.objective != "sft"

    @property
    def takes_from_base(self) -> bool:
        """Whether the adapter begins with a part of the base's weights."""
        return self.init_lora_weights not in (True, "gaussian")


class EvaluateSection(Section):
    """The KoBEST evaluation."""

    protocol: str = "polyglot"
    tasks: tuple[str, ...] = ("copa", "hellaswag", "boolq", "sentineg", "wic")
    num_fewshot: tuple[Annotated[int, Field(ge=0)], ...] = (0, 5, 10, 50)
    limit: int | None = Field(None, ge=1)
    """First N questions of each task in the protocol's order (all when null)."""
    kobest_dir: str | None = None
    """A folder of KoBEST's TSV files; ``mini`` is our own small set; null the Hub's."""
    max_batch_tokens: int | None = Field(None, ge=1)
    """Tokens of one forward pass. Null: 1024 on a CPU, 4096 on a GPU."""


class ReasonSection(Section):
    """The reasoning test on the held-out generated problems."""

    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(32, ge=1)
    base_num_fewshot: int = Field(3, ge=0, le=8)
    """Worked examples shown to the untrained base model, which cannot know the answer format."""
    at_once: bool = True
    """Also make the trained model answer without a rationale."""
    kobest: bool = False
    """Also answer KoBEST's questions with a rationale, beside direct answers: those that
    ``evaluate`` chooses. The base model sees its worked examples before them."""


class SelfTaughtSection(Section):
    """Rounds of self-teaching, as STaR's (Zelikman et al. 2022, arXiv 2203.14465).

    A model trained on the data samples rationales for ``data.questions``; what holds is trained on
    beside the data, from the base, and that model samples next.
    """

    rounds: int = Field(3, ge=1)
    num_samples: int = Field(4, ge=1)
    """Replies to each question."""
    temperature: float = Field(0.8, gt=0)
    keep: Literal["shortest", "diverse", "all"] = "shortest"
    """Of a question's right replies."""
    max_per_question: int = Field(1, ge=1)
    min_pass_rate: float = Field(0.0, ge=0, le=1)
    """The least share of right replies: above chance, or what is kept was guessed."""
    max_pass_rate: float = Field(1.0, ge=0, le=1)
    rationalize: bool = False
    """Ask again with the answer as a hint where nothing held."""
    verify_steps: bool = False
    """Of generated problems: keep only rationales whose every step holds."""


class Recipe(Section):
    """Everything that decides a run. Two equal recipes give equal results on one machine."""

    name: str = Field(min_length=1)
    description: str
    notes: str = ""
    """What is published of this recipe and what is assumed."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Of the data, of the shots, and of the training where ``seeds`` names none."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = ()
    """Of the training on the main target: one for each, the first the run's own model. What it is
    compared with is trained at the first."""
    model: ModelSection = ModelSection()
    data: DataSection
    train: TrainSection
    evaluate: EvaluateSection = EvaluateSection()
    reason: ReasonSection = ReasonSection()
    self_taught: SelfTaughtSection | None = None
    """Learn from the model's own rationales too."""

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("`seeds` that differ")
        if self.self_taught and len(self.seeds) > 1:
            raise ValueError("`self_taught` with one seed")
        if self.self_taught and self.train.target != "rationale_answer":
            raise ValueError("`self_taught` with train.target rationale_answer")
        if bool(self.self_taught) != bool(self.data.questions):
            raise ValueError("`self_taught` and `data.questions` together")
        return self

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """One for each training on the main target; without held-out problems the first alone."""
        seeds = self.seeds or (self.seed,)
        return seeds if self.data.has_problems else seeds[:1]


def replace_data(recipe: Recipe, sources: Sequence[SourceSection], heldout: Path | None) -> Recipe:
    """A recipe with rows (where ``sources`` are given) and held-out problems of your own.

    Its generated problems are of the families that it trains on, so other rows drop them too.
    """
    section = recipe.data.model_dump()
    if sources:
        section["sources"] = sources
    if sources or heldout is not None:
        own = str(heldout) if heldout is not None else None
        section |= {"heldout": own, "heldout_problems": 0, "heldout_families": None}
    return recipe.model_copy(update={"data": DataSection.model_validate(section)})


def list_recipes() -> list[str]:
    """The names of the shipped recipes, the demo first."""
    return list_names(RECIPES)


@cache
def load_shipped() -> tuple[Recipe, ...]:
    """The shipped recipes, the demo first."""
    return tuple(map(load_recipe, list_recipes()))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Load a shipped recipe by name or any by path. Raises as ``recipe_files.load`` does."""
    recipe = load(Recipe, RECIPES, name, overrides)
    beside = Path(name).parent / recipe.train.template
    if Path(name).is_file() and beside.suffix in (".yaml", ".yml") and beside.is_file():
        train = recipe.train.model_copy(update={"template": str(beside.resolve())})
        recipe = recipe.model_copy(update={"train": train})
    return recipe


dump_recipe = dump
