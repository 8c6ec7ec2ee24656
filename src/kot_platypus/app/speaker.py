"""A trained model that answers questions piece by piece, in the template it was trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

from kot_platypus.models import load_model, load_tokenizer, read_template
from kot_platypus.models.tokens import encode_text
from kot_platypus.prompts import ReplyDecoder, Template, find_stop_tokens, render_opening
from kot_platypus.records import Message
from kot_platypus.thoughts import find_opening

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

        text = self.render(question, mode)
        tokens = encode_text(self.tokenizer, text, opens=not self.template.chat)
        ids = torch.tensor([tokens], device=self.model.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        opening = find_opening(text) if self.template.chat else ""
        width = len(tokens)
        reader: Any = ReplyDecoder(self.tokenizer)
        streamer = TextIteratorStreamer(reader, skip_prompt=True, timeout=_LONGEST_WAIT_S)
        stopped, failures = Event(), list[BaseException]()

        def is_complete(written: list[int]) -> bool:
            said = opening + reader.decode(written)
            return self.template.is_complete(said, direct=mode == "direct")

        def generate() -> None:
            try:
                self._generate(inputs, width, is_complete, max_new_tokens, streamer, stopped)
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

    def render(self, question: str, mode: Mode) -> str:
        """What the model is given: the prompt, and of a direct answer how its line begins."""
        template, text = self.template, self.template.render_prompt(question)
        # No space at the end: tokens hold the one before a word.
        begun = template.no_thoughts + template.answer_prefix.rstrip(" ")
        opening = begun if mode == "direct" else ""
        if not template.chat:
            return text + opening
        asked = [Message(role="user", content=text)]
        return render_opening(self.tokenizer, asked, opening, template.enable_thinking)

    def _generate(
        self,
        inputs: Any,
        width: int,
        is_complete: Callable[[list[int]], bool],
        max_new_tokens: int,
        streamer: Any,
        stopped: Event,
    ) -> None:
        import torch

        def is_over(ids: Any, _scores: Any, **_: Any) -> Any:
            done = stopped.is_set() or is_complete(ids[0, width:].tolist())
            return torch.tensor([done], device=ids.device)

        ends = {"eos_token_id": find_stop_tokens(self.tokenizer)} if self.template.chat else {}
        with torch.inference_mode():
            self.model.generate(
                **inputs,
                **ends,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                stopping_criteria=[is_over],
                streamer=streamer,
            )


def load_speaker(
    model_folder: Path, template: Template | None = None, *, trust_remote_code: bool = False
) -> Speaker:
    """A model to talk to. A base model takes the ``template`` of the one it is compared with."""
    return Speaker(
        load_model(model_folder, trust_remote_code=trust_remote_code),
        load_tokenizer(model_folder, trust_remote_code=trust_remote_code),
        template or read_template(model_folder),
    )
