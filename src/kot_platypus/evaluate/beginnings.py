"""Whether a model reads badly without BOS: a few sentences, scored with it and without.

Gemma 3 was never shown a text without BOS, and without it knows next to nothing. The `polyglot` and
`ko-harness` protocols give none, as in 2022: faithful, but a measurement of a broken model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kot_platypus.evaluate.keys import make_bos_key
from kot_platypus.evaluate.store import QuestionScores
from kot_platypus.models.tokens import encode_text
from kot_platypus.records import BosReading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TEXTS = (
    "오늘 아침에는 비가 많이 와서 버스가 평소보다 늦게 도착했다.",
    "이 식당은 음식이 맛있고 직원들도 친절해서 자주 찾게 된다.",
    "서울은 대한민국의 수도이며 한강이 도시를 가로질러 흐른다.",
    "그는 책을 읽다가 잠이 들었고, 눈을 떴을 때는 이미 밤이었다.",
)
BOS_KEY = make_bos_key(_TEXTS)
"""Under which a store keeps what was measured, as if it were a question with two choices."""
_BAD_NATS = 0.5
"""A token. Gemma 3 270M reads the texts worse by 4.4 without BOS, models trained without one by
less than 0.1 (docs/decisions/0017-tokens-as-published.md)."""


def measure_bos(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> QuestionScores:
    """Nats a token of the texts without BOS and with it, negative; none without a BOS token.

    The first token of a text is not counted: without BOS nothing predicts it.
    """
    bos = tokenizer.bos_token_id
    texts = [encode_text(tokenizer, text, opens=False)[: max_length - 1] for text in _TEXTS]
    texts = [ids for ids in texts if len(ids) > 1]
    if bos is None or not texts:
        return QuestionScores(logprobs=(), effective_shots=0)
    num_tokens = sum(len(ids) - 1 for ids in texts)
    sums = (
        sum(_score_end(model, [*start, *ids], len(start)) for ids in texts) for start in ([], [bos])
    )
    return QuestionScores(logprobs=tuple(s / num_tokens for s in sums), effective_shots=0)


def _score_end(model: PreTrainedModel, ids: list[int], first: int) -> float:
    """The log-probability (nats) of all tokens after ``ids[first]``, read by themselves."""
    import torch

    tokens = torch.tensor([ids], device=model.device)
    with torch.inference_mode():
        logprobs = model(tokens).logits[0, first:-1].float().log_softmax(-1)
        return float(logprobs.gather(1, tokens[0, first + 1 :, None]).sum())


def read_bos(scores: QuestionScores | None) -> BosReading | None:
    """What was measured, or None where nothing was or could be."""
    if scores is None or not scores.logprobs:
        return None
    without, with_bos = (-value for value in scores.logprobs)
    return BosReading(
        nats_without=without, nats_with=with_bos, reads_badly=without - with_bos > _BAD_NATS
    )
