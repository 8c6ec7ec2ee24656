"""The weighted cross-entropy of a pack, without ever holding the logits of all its labels.

Only label positions get logits, in chunks of rows. A chunk's gradient is computed in the forward
pass while its logits exist, so nothing is kept but one gradient of the hidden states (as
in Liger's fused linear cross-entropy, here in plain PyTorch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kot_platypus.recipe import LossWeighting
from kot_platypus.train.attention import Pack, describe_pack, find_product_dtype
from kot_platypus.train.encoding import Encoded

CHUNK_ROWS = 256
"""Rows of hidden states whose logits exist at a time."""
# Models that scale or cap their logits after the output layer; they take the plain path.
_LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling", "logits_soft_cap")


def weigh_examples(batch: Sequence[Encoded], loss_weighting: LossWeighting) -> list[float]:
    """What each label of each example counts in the loss of an optimizer step; labels sum to 1.

    ``example``: each of B examples counts 1/B, each of its n labels 1/(B n), as with 2023's
    trainer at micro_batch_size 1. ``token``: every label of the batch counts the same, as today.
    """
    if loss_weighting == "token":
        return [1 / sum(example.num_labels for example in batch)] * len(batch)
    return [1 / (len(batch) * example.num_labels) for example in batch]


def accept_packs(model: nn.Module) -> None:
    """From now on ``model(pack)`` is the pack's loss; every other call is answered as before.

    What spreads a model over processes (DDP, FSDP, DeepSpeed) wraps its forward and sees only
    what goes through it, so the loss has to.
    """
    answer = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Pack):
            return pack_loss(model, args[0])
        return answer(*args, **kwargs)

    model.forward = forward


def unwrap(model: Any) -> Any:
    """The transformers model, with or without an adapter in it."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def pack_loss(model: nn.Module, pack: Pack) -> Tensor:
    """The sum over a pack's targets of weight x cross-entropy (nats), a scalar with gradient."""
    inner = unwrap(model)
    head = inner.get_output_embeddings()
    changes_logits = any(getattr(inner.config, name, None) for name in _LOGIT_CHANGES)
    is_elsewhere = hasattr(head.weight, "ds_id")  # DeepSpeed ZeRO-3 brings it when it is called
    is_linear = type(head) is nn.Linear and head.bias is None
    if inner.base_model is inner or not is_linear or changes_logits or is_elsewhere:
        return _plain_loss(inner, pack)
    outputs = inner.base_model(**describe_pack(inner.config, pack))
    hidden = outputs.last_hidden_state[0, pack.predict_at]
    loss: Tensor = _LinearCrossEntropy.apply(hidden, head.weight, pack.labels, pack.weights)
    return loss


def _plain_loss(model: Any, pack: Pack) -> Tensor:
    # Not called as a module: with all weights trained it is the one whose hooks already run.
    arguments = describe_pack(model.config, pack)
    logits = model.forward(**arguments, logits_to_keep=pack.predict_at).logits[0]
    losses = F.cross_entropy(logits.float(), pack.labels, reduction="none")
    return (losses * pack.weights).sum()


class _LinearCrossEntropy(torch.autograd.Function):  # type: ignore[misc]
    """``sum(weights * cross_entropy(hidden @ weight.T, labels))`` and its gradients.

    Shapes: hidden (N, H), weight (V, H), labels (N,), weights (N,). Under autocast the products
    are in its dtype. The softmax is computed in float32; memory is ``CHUNK_ROWS`` x V beside the
    gradients, which are kept as for weights of at most 1: a weight of 1e-5 is next to nothing in
    float16.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, weights: Tensor
    ) -> Tensor:
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        unit = weights.amax().clamp(min=1e-30)
        matrix = weight.to(find_product_dtype(weight))  # once, not once a chunk
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            rows = hidden[part].to(matrix.dtype)
            probabilities = (rows @ matrix.T).float()
            picked = probabilities.gather(1, labels[part, None])
            top = probabilities.amax(1, keepdim=True)
            total = probabilities.sub_(top).exp_().sum(1, keepdim=True)
            scale = weights[part, None] / unit
            loss += ((total.log() + top - picked) * scale).sum() * unit
            # d loss / d logits = weight * (softmax - one_hot)
            grad_logits = probabilities.mul_(scale / total)
            grad_logits.scatter_add_(1, labels[part, None], -scale)
            grad_logits = grad_logits.to(matrix.dtype)
            grad_hidden[part] = grad_logits @ matrix
            if grad_weight is not None:
                grad_weight += grad_logits.T @ rows
        ctx.save_for_backward(grad_hidden, grad_weight, unit)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        grad_hidden, grad_weight, unit = ctx.saved_tensors
        grad = grad_outputs[0] * unit
        return (
            grad_hidden * grad,
            None if grad_weight is None else grad_weight * grad,
            None,
            None,
        )
