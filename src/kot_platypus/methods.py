"""Training methods: what of a model is trained, how its base is held, and what comes out.

To add one, write an entry in ``METHODS``. If it is more than options of LoRA,
``train.methods.make_trainable`` also has to know how to build it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

MethodName = Literal["lora", "dora", "qlora", "full"]
Objective = Literal["sft", "dpo", "orpo"]
"""What is learnt: rows, as ever; or which of two replies is better (``train.preferences``)."""


@dataclass(frozen=True)
class Method:
    """A way to train. Its name stands in recipes and ``kot.json``, its title in tables."""

    name: MethodName
    title: str
    lora: Mapping[str, Any] | None
    """Options of PEFT's LoraConfig beside the recipe's; None trains all weights, in float32."""
    quantization: Literal["nf4"] | None = None
    """How the base's linear layers are held while the adapter is trained."""

    @property
    def makes_adapter(self) -> bool:
        """Whether an adapter comes out, to be merged; else the whole model."""
        return self.lora is not None

    @property
    def result(self) -> str:
        """The folder of what comes out, in the train stage's own."""
        return "adapter" if self.makes_adapter else "model"

    @property
    def tag(self) -> str:
        """On the Hub."""
        return self.name if self.makes_adapter else "sft"

    def base_dtype(self, dtype: str) -> str:
        """The dtype that the base is held in to compute in ``dtype``.

        When all weights are trained it is float32: a step of 1e-5 is lost on a 16-bit weight.
        """
        return dtype if self.makes_adapter else "float32"

    def describe(self, lora_r: int) -> str:
        """The title, with the rank of the adapter."""
        return f"{self.title} r {lora_r}" if self.makes_adapter else self.title


METHODS = {
    method.name: method
    for method in (
        Method("lora", "LoRA", lora={}),
        Method("dora", "DoRA", lora={"use_dora": True}),
        Method("qlora", "QLoRA", lora={}, quantization="nf4"),
        Method("full", "all weights", lora=None),
    )
}
_ADAPTERS_OWN = (
    *("rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights", "loraplus_lr_ratio"),
    *("save_total_limit", "modules_to_save"),
)


def check_adapter(section: Any) -> None:
    """Raise ValueError for settings of a ``TrainSection`` that its adapter cannot have."""
    fields = type(section).model_fields
    unused = [name for name in _ADAPTERS_OWN if getattr(section, name) != fields[name].default]
    if unused and not METHODS[section.method].makes_adapter:
        raise ValueError(f"a method with an adapter beside `{unused[0]}`")
    if section.takes_from_base:
        if section.method != "lora":  # PEFT's conversion knows no magnitudes and no 4 bits
            raise ValueError(f"method lora with init_lora_weights {section.init_lora_weights}")
        if section.use_rslora and (section.rank_pattern or section.alpha_pattern):
            raise ValueError(
                f"init_lora_weights {section.init_lora_weights} with `use_rslora` or patterns, "
                "not both: PEFT cannot convert it"
            )
        if section.new_tokens or section.modules_to_save:  # its conversion would leave them out
            setting = "new_tokens" if section.new_tokens else "modules_to_save"
            raise ValueError(f"init_lora_weights true beside `{setting}`")


def check_objective(section: Any) -> None:
    """Raise ValueError for settings of a ``TrainSection`` that do not go with its objective."""
    objective = section.objective
    if objective == "sft":
        if section.beta != type(section).model_fields["beta"].default:
            raise ValueError("an objective of pairs (dpo, orpo) beside `beta`")
        return
    if objective == "dpo" and section.loss_weighting == "token":
        raise ValueError("loss_weighting example with objective dpo: all pairs count the same")
    if section.target == "shuffled_rationale":
        raise ValueError(f"objective sft with target shuffled_rationale, not {objective}")
    if section.neftune_noise_alpha:
        raise ValueError(f"objective sft with `neftune_noise_alpha`, not {objective}")
