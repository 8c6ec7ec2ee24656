from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kot_platypus.train.items import Encoded
from kot_platypus.train.loss import _LinearCrossEntropy, find_block, pack_loss
from kot_platypus.train.packing import assign_packs, pack_batch, share_examples


def gradients(model: torch.nn.Module) -> Tensor:
    flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return flat


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def reference(model: torch.nn.Module, batch: list[Encoded], weighting: str) -> tuple[float, Tensor]:
    """One plain forward pass an example, transformers' own logits, PyTorch's own loss."""
    all_targets = sum(example.num_labels for example in batch)
    total = 0.0
    for example in batch:
        ids = torch.tensor([example.ids])
        logits = model(ids).logits[0, example.prompt_len - 1 : -1]
        loss = F.cross_entropy(logits, ids[0, example.prompt_len :], reduction="sum")
        scale = 1 / all_targets if weighting == "token" else 1 / (len(batch) * example.num_labels)
        (loss * scale).backward()
        total += loss.item() * scale
    return total, gradients(model)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("weighting", ["example", "token"])
@pytest.mark.parametrize("max_tokens", [100, 100_000], ids=["some packs", "one pack"])
def test_packed_gradient_is_that_of_separate_passes(any_model, batch, weighting, max_tokens):
    expected_loss, expected = reference(any_model, batch, weighting)
    loss = 0.0
    for pack in pack_batch(batch, max_tokens, weighting):
        part = pack_loss(any_model, pack)
        part.backward()
        loss += part.item()
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert relative(gradients(any_model), expected) < 1e-5


@pytest.mark.parametrize("weighting", ["example", "token"])
def test_gradient_of_conversations_is_that_of_transformers_with_masked_labels(
    any_model, batch, weighting
):
    """Masked positions may lie anywhere after the prompt."""
    talks = [
        replace(
            item, masked=frozenset(range(item.prompt_len + 1 + i % 3, len(item.ids), 2 + i % 4))
        )
        for i, item in enumerate(batch)
    ]
    all_targets = sum(item.num_labels for item in talks)
    expected_loss = 0.0
    for item in talks:
        masked = set(range(item.prompt_len)) | item.masked
        labels = [-100 if i in masked else id_ for i, id_ in enumerate(item.ids)]
        mean = any_model(torch.tensor([item.ids]), labels=torch.tensor([labels])).loss
        scale = 1 / len(talks) if weighting == "example" else item.num_labels / all_targets
        (mean * scale).backward()
        expected_loss += mean.item() * scale
    expected = gradients(any_model)
    loss = sum(pack_loss(any_model, pack) for pack in pack_batch(talks, 300, weighting))
    loss.backward()
    assert loss.item() == pytest.approx(expected_loss, rel=1e-5)
    assert relative(gradients(any_model), expected) < 1e-5


def test_the_two_weightings_differ_much_so_the_tests_above_can_fail(any_model, batch):
    _, by_example = reference(any_model, batch, "example")
    _, by_token = reference(any_model, batch, "token")
    assert relative(by_example, by_token) > 0.05


def test_an_example_never_sees_its_neighbour(any_model, batch):
    first, second, other = batch[3], batch[7], batch[11]
    with torch.no_grad():
        for neighbours in itertools.permutations([first, second, other]):
            (pack,) = pack_batch(neighbours, 10_000, "example")
            hidden = any_model.base_model(
                input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False
            ).last_hidden_state[0]
            start = 0
            for example in neighbours:
                alone = any_model.base_model(torch.tensor([example.ids])).last_hidden_state[0]
                packed = hidden[start : start + len(example.ids)]
                torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)
                start += len(example.ids)


@pytest.mark.parametrize(
    "attention", ["eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.timeout(300)
def test_no_attention_backend_shows_an_example_its_neighbour(any_model, batch, attention):
    """Outputs, not gradients: on a CPU flex_attention has no backward pass."""
    with torch.no_grad():
        alone = sum(pack_loss(any_model, pack) for pack in pack_batch(batch, 1, "example"))
        any_model.set_attn_implementation(attention)
        assert any_model.config._attn_implementation == attention
        (pack,) = pack_batch(batch, 10_000, "example")
        torch.testing.assert_close(pack_loss(any_model, pack), alone, atol=0, rtol=1e-5)


def test_weights_of_a_batch_sum_to_one(batch):
    for weighting in ("example", "token"):
        packs = pack_batch(batch, 150, weighting)
        assert sum(pack.weights.sum().item() for pack in packs) == pytest.approx(1, abs=1e-6)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("weighting", ["example", "token"])
@pytest.mark.parametrize("num_processes", [2, 3, 17])  # with 17, one has no example
def test_gradients_of_all_processes_add_up_to_that_of_one(
    any_model, batch, weighting, num_processes
):
    expected_loss, expected = reference(any_model, batch, weighting)
    shares = [
        pack_batch(batch, 150, weighting, rank=rank, num_processes=num_processes)
        for rank in range(num_processes)
    ]
    assert len({len(packs) for packs in shares}) == 1, "a process would wait for ever"
    loss = sum(pack_loss(any_model, pack) for packs in shares for pack in packs)
    loss.backward()
    assert loss.item() == pytest.approx(expected_loss, rel=1e-5)
    assert relative(gradients(any_model), expected) < 1e-5


def test_shares_hold_every_example_once_and_differ_by_one_at_most():
    lengths = [5, 90, 33, 33, 33, 12, 100, 7, 250, 90]
    shares = share_examples(lengths, 3)
    assert sorted(itertools.chain(*shares)) == list(range(len(lengths)))
    tokens = [sum(lengths[i] for i in share) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths)
    assert share_examples(lengths, 1) == [list(range(len(lengths)))]


def test_every_example_is_in_exactly_one_pack_within_the_budget():
    lengths = [5, 90, 33, 33, 33, 12, 100, 7, 250]
    packs = assign_packs(lengths, 100)
    assert sorted(itertools.chain(*packs)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in pack) <= 100 or len(pack) == 1 for pack in packs)
    assert len(packs) == 5  # 250 | 100 | 90+7 | 33+33+33 | 12+5


def test_logit_softcapping_takes_the_plain_path_with_the_same_gradient(any_model, batch):
    """A model that caps its logits must not get the uncapped loss."""
    plain_loss, plain = reference(any_model, batch, "example")
    any_model.config.final_logit_softcapping = None
    any_model.config.logit_scale = 1.0  # any mark of changed logits
    loss = sum(pack_loss(any_model, pack) for pack in pack_batch(batch, 200, "example"))
    loss.backward()
    assert loss.item() == pytest.approx(plain_loss, rel=1e-5)
    assert relative(gradients(any_model), plain) < 1e-5


def test_float16_keeps_the_gradient_of_a_weight_next_to_nothing():
    """One target of an example of 500 in a batch of 64, as GradScaler has it."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(40, 32), torch.randn(2000, 32) * 0.1
    targets, weights = torch.arange(40), torch.full((40,), 1 / (64 * 500))
    found = {}
    for dtype in (torch.float32, torch.float16):
        rows = hidden.to(dtype, copy=True).requires_grad_()
        (_LinearCrossEntropy.apply(rows, weight.to(dtype), targets, weights) * 2**16).backward()
        found[dtype] = rows.grad.float()
    assert relative(found[torch.float16], found[torch.float32]) < 5e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2.5e-2)])
def test_blocks_of_the_vocabulary_give_the_loss_and_gradients_of_plain_cross_entropy(
    dtype, tolerance
):
    """Three blocks; half of the labels next to certain, where 1 - p is small."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(600, 64).to(dtype), torch.randn(5000, 64).to(dtype)
    labels = (hidden @ weight.T).argmax(1)
    labels[::2] = torch.randint(5000, (300,))
    weights = torch.rand(600) / 600
    assert len(range(0, 5000, find_block(600))) == 3

    rows, matrix = (each.double().requires_grad_() for each in (hidden, weight))
    expected = (F.cross_entropy(rows @ matrix.T, labels, reduction="none") * weights).sum()
    expected.backward()
    hidden.requires_grad_(), weight.requires_grad_()
    loss = _LinearCrossEntropy.apply(hidden, weight, labels, weights)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    assert relative(hidden.grad, rows.grad) < tolerance
    assert relative(weight.grad, matrix.grad) < tolerance
    certain = slice(1, None, 2)
    assert relative(hidden.grad[certain], rows.grad[certain]) < tolerance
