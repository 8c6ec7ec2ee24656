"""lm-eval's HF backend with our scorer: every task of lm-eval's catalogue, its numbers, less work.

``HFLM`` turns texts into tokens, cuts documents into windows, fills chat templates and generates;
all of that is inherited, so requests are lm-eval's to the token. What is replaced is the one method
that scores tokens:

    >>> from lm_eval import simple_evaluate
    >>> simple_evaluate(model=KotLM("path/to/model", dtype="float32"), tasks=["kmmlu"])

Once this module is imported, lm-eval also knows the class as ``model="kot"``.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import DataError, UsageError, require_extra
from kot_platypus.evaluate.encoding import EncodedRequest, truncate_request, warn_of_eos
from kot_platypus.evaluate.keys import make_request_key
from kot_platypus.evaluate.scoring import Scorer
from kot_platypus.evaluate.store import RequestScore, RequestStore
from kot_platypus.evaluate.workload import size_texts
from kot_platypus.models import load_model, load_tokenizer, resolve_model
from kot_platypus.processes import (
    count_processes,
    is_main_process,
    process_rank,
    share_all,
)
from kot_platypus.progress import Advance, console, show_progress

require_extra("lm_eval", "lm-eval", "the tasks of lm-eval")

from lm_eval.api.registry import register_model  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window  # noqa: E402

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TokenRequest = tuple[tuple[str, str] | None, list[int], list[int]]
"""What HFLM hands over: (context, continuation) as text where there is one, and their tokens."""

_HFLM_OPTIONS = {
    "add_bos_token",
    "batch_size",
    "chat_template_args",
    "enable_thinking",
    "max_batch_size",
    "max_length",
    "prefix_token_id",
    "think_end_token",
    "truncation",
}


@register_model("kot")
class KotLM(HFLM):  # type: ignore[misc]
    """A causal language model for ``lm_eval.simple_evaluate``.

    Under torchrun all processes make all requests, and each scores its share of the batches. To
    lm-eval they are one: where it deals out documents itself, the shots that it draws, and with
    them the results, depend on the number of processes. (Its ``use_cache`` is for one process, and
    is not keyed by the model: pass a ``store``.)

    Args:
        pretrained: A model folder, a Hub id, or a loaded transformers model.
        tokenizer: Where the model is loaded already: its tokenizer. [default: by its name]
        adapter: A PEFT folder to put on top of the model.
        revision: Of a Hub id.
        dtype: auto, float32, bfloat16 or float16. lm-eval's own default is the checkpoint's.
        device: auto, cpu, cuda or mps.
        trust_remote_code: Whether to run code that comes with the model.
        max_batch_tokens: Tokens of one pass. [default: 1024 on a CPU, else 4096]
        store: Keeps the scores as they come; what it holds already is not computed.
        options: HFLM's, where they do not concern loading: ``max_length``, ``add_bos_token``,
            ``prefix_token_id``; ``batch_size`` and ``truncation`` for generation; ...

    Raises:
        UsageError: an option of HFLM's that would have no effect here.
        ModelError: a model that does not load or cannot be scored.
    """

    def __init__(
        self,
        pretrained: str | Path | PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        adapter: str | Path | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        max_batch_tokens: int | None = None,
        store: RequestStore | None = None,
        **options: Any,
    ) -> None:
        _check_options(options)
        share_all(None)  # several processes meet before each takes its GPU
        if isinstance(pretrained, str | Path):
            folder, trust = resolve_model(str(pretrained), revision), trust_remote_code
            adapter = Path(adapter) if adapter is not None else None
            pretrained = load_model(
                folder, dtype=dtype, device=device, adapter=adapter, trust_remote_code=trust
            )
            bos = options.get("add_bos_token")
            tokenizer = tokenizer or load_tokenizer(
                folder, adapter=adapter, trust_remote_code=trust, add_bos_token=bos
            )
        self._encoded: dict[str, list[int]] = {}
        self._advance: Advance = lambda n: None
        with _silence_hflm():
            super().__init__(pretrained=pretrained, tokenizer=tokenizer, **options)
        if self.add_bos_token is not False:
            warn_of_eos(self.tokenizer)
        self.scorer = Scorer(self.model, self.tokenizer, max_batch_tokens=max_batch_tokens)
        self.store = store or RequestStore("")

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """(log-probability in nats, whether greedy decoding gives it) of each continuation."""
        pairs = [request.args for request in requests]
        # As TemplateLM._encode_pair asks for them: trailing spaces go to the continuation.
        texts = (text for a, b in pairs if a for text in (a.rstrip(), a + b))
        self._encoded = self._encode_all(list(dict.fromkeys(texts)))
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, True)
        self._encoded = {}
        return answers

    def _encode_all(self, texts: list[str]) -> dict[str, list[int]]:
        """HFLM's ``tok_encode`` of all texts at once, which a fast tokenizer does on all cores."""
        encoded: dict[str, list[int]] = {}
        bos = self.tokenizer.decode(self.prefix_token_id)
        default = {} if self.add_bos_token is None else {"add_special_tokens": self.add_bos_token}
        for begins, options in ((False, default), (True, {"add_special_tokens": False})):
            some = [text for text in texts if text.startswith(bos) == begins]
            if some:
                encoded |= zip(
                    some, self.tokenizer(some, verbose=False, **options)["input_ids"], strict=True
                )
        return encoded

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **options: Any
    ) -> list[int]:
        """HFLM's tokens of a text, from memory where it was encoded ahead."""
        if add_special_tokens is None and not options and string in self._encoded:
            return self._encoded[string]
        tokens: list[int] = super().tok_encode(string, add_special_tokens, **options)
        return tokens

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-probability (nats) of each text, of any length, from HFLM's own windows."""
        windows = [self._cut_windows(request.args[0]) for request in requests]
        flat: list[TokenRequest] = [(None, *window) for text in windows for window in text]
        scores = iter(self._loglikelihood_tokens(flat, disable_tqdm))
        totals = [sum(next(scores)[0] for _ in text) for text in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def _cut_windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def _loglikelihood_tokens(
        self,
        requests: list[TokenRequest],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy decoding gives it) of each request, in their order.

        Raises DataError for a continuation without tokens or longer than the model.
        """
        encoded = [self._cut(*request) for request in requests]
        self._report_cuts(requests, encoded)
        keys = [make_request_key(request) for request in encoded]
        texts: dict[str, list[tuple[str, str]]] = {key: [] for key in keys}
        for key, (text, _, _) in zip(keys, requests, strict=True):
            if text is not None:
                texts[key].append(text)
        todo = dict(zip(keys, encoded, strict=True))

        def score(missing: set[str]) -> Iterator[dict[str, RequestScore]]:
            for scores in self._score(todo, missing):
                for key, score in scores.items():
                    for text in texts[key]:  # for lm-eval's own cache, if it is used
                        self.cache_hook.add_partial("loglikelihood", text, _to_answer(score))
                yield scores

        budget = self.scorer.max_batch_tokens
        ordered = sorted(todo.items(), key=lambda item: item[1].ids)
        sizes = size_texts(((key, request.ids) for key, request in ordered), budget)
        self.store.complete(todo, score, budget, title="Scoring", unit="requests", sizes=sizes)
        return [_to_answer(self.store.known[key]) for key in keys]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the model writes after each context, as HFLM generates it."""
        num = count_processes()
        mine = requests[process_rank() :: num]
        with show_progress("Generating", len(requests), "texts") as self._advance:
            texts = share_all(super().generate_until(mine, True) if mine else [])
        return [texts[index % num][index // num] for index in range(len(requests))]

    def _model_generate(self, context: Any, *arguments: Any, **options: Any) -> Any:
        tokens = super()._model_generate(context, *arguments, **options)
        self._advance(len(context) * count_processes())
        return tokens

    def _cut(
        self, text: tuple[str, str] | None, context: list[int], continuation: list[int]
    ) -> EncodedRequest:
        if not context:
            raise DataError(
                f"the context {text[0]!r} has no tokens" if text else "a window has no context",
                expected="at least one, such as BOS",
                hint="Pass add_bos_token=True.",
            )
        where = f"the continuation {text[1]!r}" if text else "a window"
        return truncate_request(context, continuation, self.max_length, where)

    def _report_cuts(self, requests: list[TokenRequest], encoded: list[EncodedRequest]) -> None:
        pairs = zip(requests, encoded, strict=True)
        num_truncated = sum(len(context) > cut.start for (_, context, _), cut in pairs)
        if num_truncated and is_main_process():
            console.print(
                f"  {num_truncated} of {len(requests)} requests are longer than the model's "
                f"{self.max_length} tokens: the beginning of their context is cut off"
            )

    def _score(
        self, requests: Mapping[str, EncodedRequest], missing: set[str]
    ) -> Iterator[dict[str, RequestScore]]:
        """The missing scores that are this process's share, batch by batch."""
        batches = self.scorer.plan(group_requests(requests, self.scorer.max_batch_tokens))
        for batch, scores in self.scorer.score_my_share(batches, lambda g: g.select(missing)):
            yield {
                key: score
                for group, group_scores in zip(batch, scores, strict=True)
                for key, score in zip(group.by_key, group_scores, strict=True)
            }


@contextmanager
def _silence_hflm() -> Iterator[None]:
    """Without the warnings that a loaded model is for one process: here it is not."""
    logger = logging.getLogger(HFLM.__module__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _to_answer(score: RequestScore) -> tuple[float, bool]:
    return score.logprob, score.is_greedy


def _check_options(options: Mapping[str, Any]) -> None:
    unknown = sorted(options.keys() - _HFLM_OPTIONS)
    if unknown:
        raise UsageError(
            f"KotLM takes no {', '.join(unknown)}",
            expected=f"of HFLM's options {', '.join(sorted(_HFLM_OPTIONS))}",
            hint="Load the model as you like and pass it as `pretrained`.",
        )


# --- requests without a question ---------------------------------------------------------------


@dataclass(frozen=True)
class RequestGroup:
    """Requests with the same context, by their keys."""

    by_key: dict[str, EncodedRequest]

    @property
    def requests(self) -> list[EncodedRequest]:
        """In the order of the keys."""
        return list(self.by_key.values())

    def select(self, keys: Container[str]) -> RequestGroup | None:
        """Those with one of these keys, if there are any."""
        chosen = {key: request for key, request in self.by_key.items() if key in keys}
        return RequestGroup(chosen) if chosen else None


def group_requests(
    requests: Mapping[str, EncodedRequest], max_tokens: int
) -> Iterator[RequestGroup]:
    """Put together what shares its context, and next to each other what begins alike.

    lm-eval's requests come without their documents. Sorted by tokens, the choices of a document
    meet again, and so do documents that have the same shots. A context that very many requests
    have (nothing but BOS) makes several groups, each of at most ``max_tokens`` or of twice the
    context.
    """

    def split(item: tuple[str, EncodedRequest]) -> tuple[list[int], list[int]]:
        _, request = item
        return request.ids[: request.start], request.ids[request.start :]

    ordered = sorted(requests.items(), key=split)
    for context, same in groupby(ordered, key=lambda item: split(item)[0]):
        limit = max(max_tokens, 2 * len(context))
        group: dict[str, EncodedRequest] = {}
        num_tokens = len(context)
        for key, request in same:
            num_own = len(request.inputs) - len(context)
            if group and num_tokens + num_own > limit:
                yield RequestGroup(group)
                group, num_tokens = {}, len(context)
            group[key] = request
            num_tokens += num_own
        yield RequestGroup(group)
