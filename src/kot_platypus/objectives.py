"""What a training learns: rows, or which of two replies is the better one."""

from __future__ import annotations

from typing import Any, Literal

Objective = Literal["sft", "dpo", "orpo"]
"""Rows, as ever; or pairs by DPO or ORPO (``train.preferences``)."""


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
