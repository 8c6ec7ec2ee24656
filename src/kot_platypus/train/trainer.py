"""HF's Trainer with our batches and passes; everything else about it stays its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from peft.optimizers import create_loraplus_optimizer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, RandomSampler
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerState,
)

from kot_platypus.artifacts import write_lines
from kot_platypus.errors import ModelError, RunError
from kot_platypus.models.limits import infinite_error
from kot_platypus.processes import ask_main, share_all
from kot_platypus.progress import count_work, show_progress
from kot_platypus.train.attention import Pack
from kot_platypus.train.checkpoints import is_intact, seal_checkpoint
from kot_platypus.train.exam import Exam, describe_exam
from kot_platypus.train.noise import EmbeddingNoise
from kot_platypus.train.packing import PairPack
from kot_platypus.train.preferences import REWARDS
from kot_platypus.train.validation import EVALUATED

LIVE_LOG = "log.jsonl"
FORWARD = 1 / 3
"""What a pass costs that is not followed by one backward."""


class PackingTrainer(Trainer):  # type: ignore[misc]
    """HF's Trainer, whose batch is an optimizer step's examples and whose passes are packs.

    A batch is ``packs`` (this process's), and ``num_examples`` and ``num_tokens`` of all processes.
    """

    iter_validation: Callable[[], Iterator[Pack | PairPack]]
    """The packs to evaluate on: this process's, their weights those of one batch."""
    noise: EmbeddingNoise | None = None
    exam: Exam | None = None
    loraplus_lr_ratio: float | None = None
    _num_examples = _num_tokens = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rewards: list[list[float]] = []
        """Of each step since the last line of the log."""

    def create_optimizer(self, *model: nn.Module | None) -> torch.optim.Optimizer:
        """HF's, or PEFT's LoRA+ of the same kind, whose matrices B learn at another rate.

        Newer versions of transformers name the ``model``.
        """
        if self.loraplus_lr_ratio is None:
            return super().create_optimizer(*model)
        trained = next((each for each in model if each is not None), self.model)
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
        self.optimizer: torch.optim.Optimizer = create_loraplus_optimizer(
            trained,
            kind,
            loraplus_lr_ratio=self.loraplus_lr_ratio,
            loraplus_weight_decay=self.args.weight_decay,
            **options,
        )
        return self.optimizer

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The whole batches, the same ones in every process: each packs its own share of them."""
        loader = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size,
            sampler=RandomSampler(self.train_dataset),
            collate_fn=self.data_collator,
            drop_last=self.args.dataloader_drop_last,
        )
        return prepare_data_loader(
            loader, num_processes=1, process_index=0, put_on_device=False, use_seedable_sampler=True
        )

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """One forward and backward pass for each pack; their losses sum to the step's loss."""
        model.train()
        packs = inputs["packs"]
        total = torch.zeros((), device=self.args.device)
        for number, pack in enumerate(packs, start=1):
            is_last = number == len(packs)
            with self._share_gradients(model, when=is_last), self._add_noise(pack):
                # What shares gradients averages them, and so does the log with losses.
                found = model(pack.to(self.args.device)) * self.args.world_size
                total = total + found.detach()
                if is_last:  # before its backward pass, in which DeepSpeed takes the step
                    self._require_finite("loss", total)
                self.accelerator.backward(found.flatten()[0])
            count_work(pack.num_tokens)
        self._num_examples += inputs["num_examples"]
        self._num_tokens += inputs["num_tokens"]
        loss, *rewards = total.flatten()
        if rewards:  # of pairs
            self._rewards.append(total[1:].tolist())
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Loss and token accuracy of the validation's packs, logged. No random state is used."""
        model = self.model_wrapped.eval()
        total = torch.zeros((), device=self.args.device)
        with torch.no_grad():
            for pack in self.iter_validation():
                total = total + model(pack.to(self.args.device), scored=True)
                count_work(pack.num_tokens * FORWARD)
        loss, *found = map(sum, zip(*share_all(total.tolist()), strict=True))
        self._require_finite("validation loss", loss)
        names = REWARDS if len(found) > 1 else ("token_accuracy",)
        metrics: dict[str, float] = {"eval_loss": loss}
        metrics |= {f"eval_{name}": value for name, value in zip(names, found, strict=True)}
        if self.exam and self.exam.is_due(self.state.global_step, self.state.max_steps):
            with torch.no_grad(), self.compute_loss_context_manager():
                metrics |= self.exam.take(self.model)
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        is_best: bool = super()._determine_best_metric(metrics, trial)
        if is_best:
            self.control.should_save = True
        return is_best

    def load_best(self) -> None:
        """Take back the weights of the best evaluation. Raises RunError if they were damaged."""
        best = Path(self.args.output_dir) / f"checkpoint-{self.state.best_global_step}"
        if not ask_main(lambda: is_intact(best)):
            raise RunError(
                f"{best}, with the lowest validation loss, is damaged or gone",
                expected="what the training wrote",
                hint="Start the same command again: it goes back to a checkpoint before.",
            )
        self.state.best_model_checkpoint = str(best)
        self._load_best_model()

    def _add_noise(self, pack: Pack) -> AbstractContextManager[None]:
        step = self.state.global_step
        return self.noise.added_to(pack, step) if self.noise else nullcontext()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        scaler = self.accelerator.scaler
        # GradScaler begins with a scale that is too large, leaves out the steps that show it and
        # halves it. A gradient that does not fit unscaled is no matter of the scale.
        if norm is not None and (scaler is None or scaler.get_scale() < 1):
            self._require_finite("gradient", norm)
        return norm

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._require_finite("weights", *self._trained_weights())
        super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # A checkpoint is read back by the names in memory; published ones may be older, and what
        # has another name would be passed over in silence.
        save = self.model.save_pretrained
        if not hasattr(self.model, "peft_config"):
            self.model.save_pretrained = partial(save, save_original_format=False)
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.model.save_pretrained = save

    def _trained_weights(self) -> Iterator[Tensor]:
        """What is trained: this process's own part, where it is spread."""
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                yield parameter.to_local() if isinstance(parameter, DTensor) else parameter

    def _require_finite(self, what: str, *found: Tensor | float) -> None:
        """Raise ModelError in all processes when one of them found what is no number."""
        are_finite = (bool(torch.as_tensor(each).isfinite().all()) for each in found)
        if not all(share_all(all(are_finite))):
            # All else is looked at after the step was counted.
            step = self.state.global_step + (what in ("loss", "gradient"))
            dtype = "bfloat16" if self.args.bf16 else "float16" if self.args.fp16 else None
            raise overflow_error(
                f"at step {step} the training's {what} became", dtype or self.model.dtype
            )

    def _share_gradients(self, model: nn.Module, *, when: bool) -> Any:
        # DeepSpeed takes its step at the backward pass that is marked so; DDP adds up what it has
        # at the one that is not held back. FSDP adds up after each, which saves it memory.
        self.accelerator.gradient_state._set_sync_gradients(when)
        is_held = isinstance(model, DistributedDataParallel) and not when
        return model.no_sync() if is_held else nullcontext()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the speed since the start of this process, and the rewards of pairs."""
        if "loss" in logs and start_time is not None:
            seconds = time.time() - start_time
            logs["examples_per_second"] = self._num_examples / seconds
            logs["tokens_per_second"] = self._num_tokens / seconds
        if "loss" in logs and self._rewards:
            found = share_all(torch.tensor(self._rewards).mean(0).tolist())
            logs.update(zip(REWARDS, torch.tensor(found).mean(0).tolist(), strict=True))
            self._rewards.clear()
        super().log(logs, start_time)

    def gather_weights(self) -> dict[str, Tensor] | None:
        """All weights, where FSDP or DeepSpeed spreads them over the processes, which all call it.

        None elsewhere: the model has them.
        """
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            weights: dict[str, Tensor] = self.accelerator.get_state_dict(self.model_wrapped)
            return weights
        return None


def overflow_error(what: str, dtype: torch.dtype | str) -> ModelError:
    """The error of a training that met infinities or NaNs: it would go on to learn nothing."""
    advice = "Lower train.learning_rate (the last checkpoint is kept)"
    return infinite_error(what, dtype, advice=advice, setting="model.dtype=")


class ShowProgress(TrainerCallback):  # type: ignore[misc]
    """Our progress line in place of the trainer's.

    ``count_tokens`` are those that so many steps read, evaluations included.
    """

    def __init__(self, title: str, count_tokens: Callable[[int], float]) -> None:
        self._title, self._count_tokens = title, count_tokens
        self._said = self._found = ""
        self._stack = ExitStack()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Open the line."""
        self._step = state.global_step
        size = self._count_tokens(state.max_steps) - self._count_tokens(self._step)
        line = show_progress(
            self._title,
            state.max_steps,
            "steps",
            done=self._step,
            left=lambda _, work, under_way: size - work,
        )
        self._advance = self._stack.enter_context(line)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: object) -> None:
        """Bring the line up to date."""
        if logs and "loss" in logs:
            self._said = describe_step(logs)
            self._advance(state.global_step - self._step, self._said + self._found)
            self._step = state.global_step
        elif logs and "eval_loss" in logs:
            self._found = describe_evaluation(logs)
            self._advance(0, self._said + self._found)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Close the line."""
        self._stack.close()


class KeepLog(TrainerCallback):  # type: ignore[misc]
    """Writes the log as it comes, to watch a training: ``LIVE_LOG`` in the checkpoints.

    Only for watching: the stage's log is written when the training is done, from the trainer's
    state, and then this one goes with the checkpoints.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Begin with the steps up to the checkpoint that the training goes on from."""
        self._path = Path(args.output_dir) / LIVE_LOG
        if state.is_world_process_zero:
            self._write(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Have a line written before each checkpoint and evaluation, and at the end.

        A mean that begins before a checkpoint would be lost to a training that goes on from it, and
        an evaluation may ask for one.
        """
        asked = control.should_save or control.should_evaluate
        if asked or state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: object) -> None:
        """Add a step, or to the last one what validation found."""
        if not state.is_world_process_zero or not logs:
            return
        if "loss" in logs:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(self._format({**logs, "step": state.global_step}, state))
        elif "eval_loss" in logs:
            self._write(state)

    def _write(self, state: TrainerState) -> None:
        write_lines(self._path, (self._format(line, state) for line in list_steps(state)))

    @staticmethod
    def _format(entry: dict[str, float], state: TrainerState) -> str:
        return json.dumps({**entry, "max_steps": state.max_steps}) + "\n"


def list_steps(state: TrainerState) -> list[dict[str, Any]]:
    """What was logged, a dict a step: the training's, and what validation found after it."""
    found = {
        entry["step"]: {key: entry[key] for key in EVALUATED if key in entry}
        for entry in state.log_history
        if "eval_loss" in entry
    }
    steps = (entry for entry in state.log_history if "loss" in entry)
    return [{**entry, **found.get(entry["step"], {})} for entry in steps]


def describe_step(logs: dict[str, float]) -> str:
    """A step's log in one line, without the time left, which the bar knows."""
    pairs = f"pairs right {logs[REWARDS[0]]:.0%}  " if REWARDS[0] in logs else ""
    return (
        f"loss {logs['loss']:.3f}  {pairs}lr {logs['learning_rate']:.1e}  "
        f"{logs['examples_per_second']:.1f} examples/s  {logs['tokens_per_second']:.0f} tokens/s"
    )


def describe_evaluation(logs: dict[str, float]) -> str:
    """What validation found, to stand behind a step's log."""
    loss, accuracy, what = logs["eval_loss"], logs.get("eval_token_accuracy"), "tokens"
    if accuracy is None:
        accuracy, what = logs[f"eval_{REWARDS[0]}"], "pairs"
    found = f"  validation loss {loss:.3f}, {accuracy:.1%} of {what} right"
    return found + describe_exam(logs)


class SealCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Writes each new checkpoint's file hashes last. A checkpoint without them is not one."""

    def on_save(self, args: Any, state: Any, control: Any, **_: object) -> None:
        """Flush and seal the checkpoint that the trainer has just written."""
        share_all(None)  # every process writes its random state
        if state.is_world_process_zero:
            seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")
