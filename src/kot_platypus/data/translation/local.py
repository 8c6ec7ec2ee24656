"""A transformers model on this machine: a chat model, or a translation model (NLLB, Marian, T5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from kot_platypus.artifacts import read_json
from kot_platypus.checks import SpeechLevel
from kot_platypus.data.translation.asking import Asking
from kot_platypus.data.translation.services import Answer, Flaw, Limits, read_output
from kot_platypus.errors import ModelError
from kot_platypus.models import (
    fingerprint_model,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
    resolve_model,
)
from kot_platypus.prompts import TranslationPrompt, find_stop_tokens, render_chat


class LocalModel:
    """English to Korean with a model folder or Hub id, by greedy decoding. It costs nothing.

    Args:
        model: A chat model, whose template asks for the translation, or an encoder-decoder, which
            is given the text alone.
        prompt: A name from ``prompts/translation.yaml``, for a chat model.
        speech: The speech level that a chat model is asked for; None: ``formal``.
        glossary: English terms and their Korean, of which it is told a text's own.
        languages: The tokens of source and target language of a model that knows several, e.g.
            ``("eng_Latn", "kor_Hang")`` for NLLB.
        batch_size: How many texts are translated at a time.
        max_new_tokens: The longest translation.
    """

    id = "local"
    price_per_char = 0.0

    def __init__(
        self,
        model: str,
        *,
        prompt: str | TranslationPrompt = "faithful",
        speech: SpeechLevel | None = None,
        glossary: Mapping[str, str] | None = None,
        languages: tuple[str, str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        max_new_tokens: int = 1024,
    ) -> None:
        self.model = model
        self._folder = resolve_model(model)
        self._asking = Asking(prompt, speech, glossary)
        self._languages = languages
        self._device = resolve_device(device)
        self._dtype = resolve_dtype(dtype, self._device, self._folder)
        self._max_new_tokens = max_new_tokens
        self._is_seq2seq = bool(
            read_json(self._folder / "config.json").get("is_encoder_decoder", False)
        )
        self.limits = Limits(batch_size, 1 << 30)
        self.parameters: Mapping[str, Any] = {
            "model": fingerprint_model(self._folder),
            "dtype": self._dtype,
            "max_new_tokens": max_new_tokens,
            **(
                {"languages": languages and list(languages)}
                if self._is_seq2seq
                else self._asking.parameters
            ),
        }

    def notes(self, text: str) -> Mapping[str, Any]:
        """What a chat model is told of this text alone."""
        return {} if self._is_seq2seq else self._asking.notes(text)

    def translate(self, batch: Sequence[str]) -> Answer:
        """Translate a batch, padded on the left for a chat model. Raises ModelError."""
        import torch

        tokenizer, model = self._loaded
        inputs = tokenizer(
            [self._render(text) for text in batch],
            return_tensors="pt",
            padding=True,
            add_special_tokens=self._is_seq2seq,  # a chat template writes its own
        ).to(self._device)
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                **self._choose_ends(tokenizer),
            )
        if not self._is_seq2seq:
            output = output[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(output, skip_special_tokens=True)
        stops = [tokenizer.eos_token_id] if self._is_seq2seq else find_stop_tokens(tokenizer)
        ends = {tokenizer.pad_token_id, *stops}
        flaws: dict[int, Flaw] = {
            place: "cut"
            for place, tokens in enumerate(output[:, self._is_seq2seq :].tolist())
            if ends.isdisjoint(tokens)  # after the first: an encoder-decoder begins with an end
        }
        return Answer([read_output(text) for text in texts], characters=0, flaws=flaws)

    def usage(self) -> int:
        """Nothing was ever paid, so a lost answer cost nothing."""
        return 0

    def _render(self, text: str) -> str:
        if self._is_seq2seq:
            return text
        return render_chat(self._loaded[0], self._asking.render(text), ask=True)

    def _choose_ends(self, tokenizer: Any) -> dict[str, Any]:
        if not self._is_seq2seq:
            return {"eos_token_id": find_stop_tokens(tokenizer)}
        if self._languages:
            # Multilingual models write the language of the first token.
            return {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(self._languages[1])}
        return {}

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The tokenizer and the model, loaded when first needed."""
        tokenizer = load_tokenizer(self._folder)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if self._is_seq2seq:
            if self._languages:
                tokenizer.src_lang = self._languages[0]
            return tokenizer, self._load_seq2seq()
        tokenizer.padding_side = "left"  # an answer follows its own last token
        return tokenizer, load_model(self._folder, dtype=self._dtype, device=self._device)

    def _load_seq2seq(self) -> Any:
        import torch
        from transformers import AutoModelForSeq2SeqLM

        try:
            model = AutoModelForSeq2SeqLM.from_pretrained(
                self._folder, dtype=getattr(torch, self._dtype), use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"{self._folder}: the model does not load ({str(error).strip()[:200]})",
                expected="a complete encoder-decoder with safetensors weights",
                hint="Download or write it again.",
            ) from error
        return model.to(self._device).eval()
