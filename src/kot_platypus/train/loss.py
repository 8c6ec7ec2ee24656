"""The weighted cross-entropy of a pack, without ever holding the logits of all its labels.

Only label positions get logits, of a part of the vocabulary at a time, small enough for a cache.
The softmax is corrected as larger logits come, and what it weighs (here rows of the output
matrix) is added up while a block exists, as in FlashAttention. So the output matrix is read once,
and nothing is kept but one gradient of the hidden states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kot_platypus.models.parts import find_decoder
from kot_platypus.recipe import LossWeighting
from kot_platypus.train.attention import Pack, describe_pack, find_product_dtype
from kot_platypus.train.items import Item, Pair
from kot_platypus.train.new_rows import find_layer, read_rows

CHUNK_ROWS = 256
"""Rows of hidden states whose logits exist at a time in validation and with pairs."""
_BLOCK_LOGITS, _MIN_BLOCK = 1 << 20, 2048
# Models that scale or cap their logits after the output layer; they take the plain path.
_LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling", "logits_soft_cap")


def weigh_items(batch: Sequence[Item], loss_weighting: LossWeighting) -> list[float]:
    """What each label of each example counts in the loss of an optimizer step; labels sum to 1.

    Of a pair the labels are those that are chosen.

    ``example``: each of B examples counts 1/B, each of its n labels 1/(B n), as with 2023's
    trainer at micro_batch_size 1. ``token``: every label of the batch counts the same, as today.
    """
    labels = [(i.chosen if isinstance(i, Pair) else i).num_labels for i in batch]
    if loss_weighting == "token":
        return [1 / sum(labels)] * len(batch)
    return [1 / (len(batch) * count) for count in labels]


def find_block(num_labels: int) -> int:
    """How many tokens of the vocabulary get logits at a time in training."""
    return max(_MIN_BLOCK, _BLOCK_LOGITS // num_labels)


def unwrap(model: Any) -> Any:
    """The transformers model, with or without an adapter in it."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def pack_loss(model: nn.Module, pack: Pack) -> Tensor:
    """The sum over a pack's targets of weight x cross-entropy (nats), a scalar with gradient."""
    inner = unwrap(model)
    if not _ends_in_product(inner):
        losses = F.cross_entropy(_compute_logits(inner, pack), pack.labels, reduction="none")
        return (losses * pack.weights).sum()
    head = inner.get_output_embeddings()
    weight = find_layer(head).weight
    hidden = _compute_hidden(inner, pack)
    loss: Tensor = _LinearCrossEntropy.apply(
        hidden, weight, pack.labels, pack.weights, *read_rows(head)
    )
    return loss


@torch.no_grad()  # type: ignore[untyped-decorator]
def score_pack(model: nn.Module, pack: Pack) -> Tensor:
    """A pack's loss as ``pack_loss`` has it, and its right labels weighted alike; shape (2,).

    A label is right where the model finds no token likelier.
    """
    inner = unwrap(model)
    total = torch.zeros(2, device=pack.weights.device)
    for part, logits in _iter_logits(inner, pack):
        losses = F.cross_entropy(logits, pack.labels[part], reduction="none")
        are_right = logits.argmax(1) == pack.labels[part]
        total += (torch.stack([losses, are_right.float()]) * pack.weights[part]).sum(1)
    return total


def label_logprobs(model: nn.Module, pack: Pack) -> Tensor:
    """The log-probability (nats) of each of a pack's labels, shape (N,), with gradient.

    For which a chunk's logits are computed again: they are never held all at once.
    """
    inner = unwrap(model)
    if not _ends_in_product(inner):
        return -F.cross_entropy(_compute_logits(inner, pack), pack.labels, reduction="none")
    hidden, head = _compute_hidden(inner, pack), inner.get_output_embeddings()
    matrix = _make_matrix(find_layer(head).weight, *read_rows(head))
    parts = zip(hidden.split(CHUNK_ROWS), pack.labels.split(CHUNK_ROWS), strict=True)
    again = {"use_reentrant": False, "preserve_rng_state": False}
    return torch.cat([checkpoint(_score_rows, rows, matrix, at, **again) for rows, at in parts])


def _score_rows(rows: Tensor, matrix: Tensor, labels: Tensor) -> Tensor:
    logits = (rows.to(matrix.dtype) @ matrix.T).float()
    return -F.cross_entropy(logits, labels, reduction="none")


def _iter_logits(inner: Any, pack: Pack) -> Iterator[tuple[slice, Tensor]]:
    """The logits of all labels in float32, as few at a time as the model allows."""
    if not _ends_in_product(inner):
        yield slice(None), _compute_logits(inner, pack)
        return
    hidden, head = _compute_hidden(inner, pack), inner.get_output_embeddings()
    matrix = _make_matrix(find_layer(head).weight, *read_rows(head))
    for start in range(0, len(hidden), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        yield part, (hidden[part].to(matrix.dtype) @ matrix.T).float()


def _ends_in_product(inner: Any) -> bool:
    """Whether logits are nothing but the last hidden states times a matrix that is here."""
    head = find_layer(inner.get_output_embeddings())
    configs = (inner.config, inner.config.get_text_config())
    changes_logits = any(getattr(each, n, None) for each in configs for n in _LOGIT_CHANGES)
    is_elsewhere = hasattr(head.weight, "ds_id")  # DeepSpeed ZeRO-3 brings it when it is called
    is_linear = type(head) is nn.Linear and head.bias is None
    return (
        find_decoder(inner) is not inner and is_linear and not changes_logits and not is_elsewhere
    )


def _make_matrix(weight: Tensor, rows: Tensor | None, tokens: Tensor | None) -> Tensor:
    """The output layer's matrix in the dtype of products, with the trained rows in place."""
    matrix = weight.to(find_product_dtype(weight))
    return matrix if rows is None else matrix.index_copy(0, tokens, rows.to(matrix.dtype))


def _compute_hidden(inner: Any, pack: Pack) -> Tensor:
    outputs = find_decoder(inner)(**describe_pack(inner.config, pack))
    hidden: Tensor = outputs.last_hidden_state[0, pack.predict_at]
    return hidden


def _compute_logits(inner: Any, pack: Pack) -> Tensor:
    # Not called as a module: with all weights trained it is the one whose hooks already run.
    arguments = describe_pack(inner.config, pack)
    logits: Tensor = inner.forward(**arguments, logits_to_keep=pack.predict_at).logits[0]
    return logits.float()


class _LinearCrossEntropy(torch.autograd.Function):  # type: ignore[misc]
    """``sum(weights * cross_entropy(hidden @ weight.T, labels))`` and its gradients.

    Shapes: hidden (N, H), weight (V, H), labels (N,), weights (N,); rows (R, H) are in the place of
    the weight's at tokens (R,), where there are such. Under autocast the products are in its dtype,
    the softmax in float32. A label's own logit is kept out of the blocks: where it is next to
    certain, 1 - p is a sum of what is small, exact in 16 bits too. The gradients are kept as for
    weights of at most 1: a weight of 1e-5 is next to nothing in float16.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        weights: Tensor,
        rows: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        unit = weights.amax().clamp(min=1e-30)
        scale = (weights / unit)[:, None]
        matrix = _make_matrix(weight.detach(), rows, tokens)  # once, not once a block
        here = hidden.to(matrix.dtype)
        own = matrix[labels].float()
        picked = (here.float() * own).sum(1, keepdim=True)
        # Of all other tokens, as exp(logit - top): the sum, and that of their rows of the matrix.
        top, others, drawn = picked, torch.zeros_like(picked), torch.zeros_like(own)
        for part, logits, _ in _iter_blocks(here, matrix, labels):
            higher = torch.maximum(top, logits.amax(1, keepdim=True))
            fade = (top - higher).exp_()
            odds = logits.sub_(higher).exp_()
            others = others * fade + odds.sum(1, keepdim=True)
            drawn = drawn.mul_(fade).add_(odds.to(matrix.dtype) @ matrix[part])
            top = higher
        total = others + (picked - top).exp()
        loss = ((total.log() + top - picked) * scale).sum() * unit
        # d loss / d logits = weight * (softmax - one_hot)
        scale = scale / total
        grad_hidden = drawn.sub_(others * own).mul_(scale).to(hidden.dtype)
        grad_weight = grad_rows = None
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight)
            for part, logits, at in _iter_blocks(here, matrix, labels):
                grad_logits = logits.sub_(top).exp_()
                grad_logits[at] = -others[at[0], 0]
                grad_weight[part] = grad_logits.mul_(scale).to(matrix.dtype).T @ here
        if rows is not None:
            odds = ((here @ matrix[tokens].T).float() - top).exp_()
            grad_logits = torch.where(labels[:, None] == tokens, -others, odds) * scale
            grad_rows = (grad_logits.to(matrix.dtype).T @ here).to(rows.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_rows, unit)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        grad_hidden, grad_weight, grad_rows, unit = ctx.saved_tensors
        grad = grad_outputs[0] * unit
        return (
            grad_hidden * grad,
            None if grad_weight is None else grad_weight * grad,
            None,
            None,
            None if grad_rows is None else grad_rows * grad,
            None,
        )


def _iter_blocks(
    hidden: Tensor, matrix: Tensor, labels: Tensor
) -> Iterator[tuple[slice, Tensor, tuple[Tensor, Tensor]]]:
    """The logits (N, block) in float32 of one part of the vocabulary after the other.

    -inf stands for each label's own; the last of the three is where they are.
    """
    width = find_block(len(hidden))
    for start in range(0, len(matrix), width):
        part = slice(start, start + width)
        logits = (hidden @ matrix[part].T).float()
        column = labels - start
        row = ((column >= 0) & (column < logits.shape[1])).nonzero()[:, 0]
        at = row, column[row]
        logits[at] = -torch.inf
        yield part, logits, at
