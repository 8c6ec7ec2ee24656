"""A trained model that answers questions piece by piece, in the template it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

from kot_platypus.models import load_model, load_tokenizer, read_template
from kot_platypus.models.tokens import encode_text
from kot_platypus.prompts import ReplyDecoder, Template, find_stop_tokens, render_question
from kot_platypus.thoughts import cut_answer, find_opening

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Mode = Literal["cot", "direct"]
"""``cot``: the rationale, then the answer. ``direct``: the answer at once."""
_LONGEST_WAIT_S = 300.0


@dataclass(frozen=True)
class Speaker:
    """A model, its tokenizer, and the template that frames a question."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template

    def stream(
        self, question: str, *, mode: Mode = "cot", max_new_tokens: int = 256
    ) -> Iterator[str]:
        """The answer to one question, greedily, in pieces as they come.

        It ends at the model's end of sequence, after a complete answer line, or after
        ``max_new_tokens``. A caller that stops asking for pieces stops the model.
        """
        import torch
        from transformers import TextIteratorStreamer

        is_direct, template = mode == "direct", self.template
        text = render_question(template, self.tokenizer, question, direct=is_direct)
        tokens = encode_text(self.tokenizer, text, opens=not template.chat)
        ids = torch.tensor([tokens], device=self.model.device)
        ends = {"eos_token_id": find_stop_tokens(self.tokenizer)} if template.chat else {}
        opening = find_opening(text) if template.chat else ""
        reader: Any = ReplyDecoder(self.tokenizer)
        streamer = TextIteratorStreamer(reader, skip_prompt=True, timeout=_LONGEST_WAIT_S)
        stopped, failures = Event(), list[BaseException]()
        stop_line = "" if is_direct else template.answer_prefix or None

        def is_over(written: Any, _scores: Any, **_: Any) -> Any:
            said = opening + reader.decode(written[0, len(tokens) :].tolist())
            is_complete = cut_answer(said.lstrip() if is_direct else said, stop_line) is not None
            return torch.tensor([stopped.is_set() or is_complete], device=written.device)

        def generate() -> None:
            try:
                with torch.inference_mode():
                    self.model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        **ends,
                        max_new_tokens=max_new_tokens,
                        do_sample=False,
                        stopping_criteria=[is_over],
                        streamer=streamer,
                    )
            except BaseException as error:
                failures.append(error)
                streamer.end()

        thread = Thread(target=generate, daemon=True)
        thread.start()
        try:
            yield from (piece for piece in chain([opening], streamer) if piece)
        finally:
            stopped.set()
            thread.join()
        if failures:
            raise failures[0]


def load_speaker(
    model_folder: Path, template: Template | None = None, *, trust_remote_code: bool = False
) -> Speaker:
    """A model to talk to. A base model takes the ``template`` of the one it is compared with."""
    return Speaker(
        load_model(model_folder, trust_remote_code=trust_remote_code),
        load_tokenizer(model_folder, trust_remote_code=trust_remote_code),
        template or read_template(model_folder),
    )
