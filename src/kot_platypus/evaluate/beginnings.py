"""Whether a model reads badly without BOS: a few sentences, scored with it and without.

Gemma 3 was never shown a text without BOS, and without it knows next to nothing. The `polyglot` and
`ko-harness` protocols give none, as in 2022: faithful, but a measurement of a broken model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kot_platypus.artifacts import hash_value
from kot_platypus.evaluate.encoding import EncodedRequest
from kot_platypus.evaluate.store import QuestionScores
from kot_platypus.models.tokens import encode_text
from kot_platypus.records import BosReading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from kot_platypus.evaluate.scoring import Scorer

_TEXTS = (
    "오늘 아침에는 비가 많이 와서 버스가 평소보다 늦게 도착했다.",
    "이 식당은 음식이 맛있고 직원들도 친절해서 자주 찾게 된다.",
    "서울은 대한민국의 수도이며 한강이 도시를 가로질러 흐른다.",
    "그는 책을 읽다가 잠이 들었고, 눈을 떴을 때는 이미 밤이었다.",
)
BOS_KEY = hash_value(["without BOS and with it", *_TEXTS])
"""Under which a store keeps what was measured, as if it were a question with two choices."""
_BAD_NATS = 0.5
"""A token. Gemma 3 270M reads the texts worse by 2.6 without BOS, models that can do without by
less than 0.1 (docs/decisions/0017-tokens.md)."""


@dataclass(frozen=True)
class _Texts:
    requests: list[EncodedRequest]


def measure_bos(scorer: Scorer, tokenizer: PreTrainedTokenizerBase) -> QuestionScores:
    """Nats a token of the texts without BOS and with it, negative; none without a BOS token.

    The first token of a text is not counted: without BOS nothing predicts it.
    """
    bos = tokenizer.bos_token_id
    texts = [encode_text(tokenizer, text, opens=False)[: scorer.max_length] for text in _TEXTS]
    texts = [ids for ids in texts if len(ids) > 1]
    if bos is None or not texts:
        return QuestionScores(logprobs=(), effective_shots=0)
    ways = [
        _Texts([EncodedRequest(ids, 1) for ids in texts]),
        _Texts([EncodedRequest([bos, *ids], 2) for ids in texts]),
    ]
    num_tokens = sum(len(ids) - 1 for ids in texts)
    sums = [sum(score.logprob for score in scorer.score([way])[0]) for way in ways]
    return QuestionScores(logprobs=tuple(s / num_tokens for s in sums), effective_shots=0)


def read_bos(scores: QuestionScores | None) -> BosReading | None:
    """What was measured, or None where nothing was or could be."""
    if scores is None or not scores.logprobs:
        return None
    without, with_bos = (-value for value in scores.logprobs)
    return BosReading(
        nats_without=without, nats_with=with_bos, reads_badly=without - with_bos > _BAD_NATS
    )
