"""SentencePiece's ``tokenizer.model``, where it comes alone, made into a ``tokenizer.json``.

Every tokenizer made so is held to SentencePiece itself on probes, and refused where one token
differs.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kot_platypus.artifacts import (
    hash_file,
    hash_value,
    read_json,
    write_json,
)
from kot_platypus.errors import ModelError
from kot_platypus.models.cache import cache_folder, keep_once

PIECES, TOKENIZER, SETTINGS = "tokenizer.model", "tokenizer.json", "tokenizer_config.json"
SPECIALS, ADDED = "special_tokens_map.json", "added_tokens.json"
_FILES = (PIECES, SETTINGS, SPECIALS, ADDED, "*.jinja")
_CLASSES = ("Llama", "CodeLlama", "Gemma", "PreTrained", "Tokenizers")
"""How the classes begin whose tokens are SentencePiece's own, by the same numbers."""
_FORMAT = 2
"""Counts up when the conversion changes: what was made before is not found again."""
_SPACE = "▁"
_PROBES = (
    " 부정",
    "3 더하기 4는 얼마인가?\n\n정답: 7 ",
    "  빈칸이   많은  글\t탭 ",
    "English, 한국어, 漢字, ㅋㅋㅋ, 각 (NFD), １２３ ﬁ 🙂👩‍👩‍👧",
    "def f(x):\n    return x ** 2  # 주석\r\n",
    "http://example.com/a_b?c=1&d=%20",
)


def prepare_tokenizer(folder: Path) -> Path:
    """``folder`` itself, or one in the cache with a ``tokenizer.json`` made of its pieces.

    Only ``tokenizer.model`` alone is converted. Raises ModelError for one that is damaged or
    whose tokens cannot be given exactly.
    """
    pieces = folder / PIECES
    if (folder / TOKENIZER).is_file() or not pieces.is_file():
        return folder
    settings = _read_settings(folder)
    kind = str(settings.get("tokenizer_class") or "Llama")
    if settings.get("auto_map") or not kind.startswith(_CLASSES):
        return folder  # code or a class that numbers or cuts otherwise; transformers knows how
    files = sorted({file for pattern in _FILES for file in folder.glob(pattern)})

    def write(part: Path) -> None:
        made, specials = convert_pieces(pieces, settings)
        for file in files:
            shutil.copyfile(file, part / file.name)
        made.save(str(part / TOKENIZER))
        # The class says where BOS and EOS are put (``tokens._place_ends``).
        write_json(part / SETTINGS, {**settings, **specials, "tokenizer_class": "LlamaTokenizer"})

    key = hash_value([_FORMAT, {file.name: hash_file(file) for file in files}])
    return keep_once(cache_folder() / "tokenizers" / key[:12], write)


def _read_settings(folder: Path) -> dict[str, Any]:
    """``tokenizer_config.json``, with what older folders keep in files of their own."""
    files = {name: folder / name for name in (SPECIALS, SETTINGS, ADDED)}
    found = {name: read_json(file) for name, file in files.items() if file.is_file()}
    settings: dict[str, Any] = found.get(SPECIALS, {}) | found.get(SETTINGS, {})
    added = {str(number): {"content": token} for token, number in found.get(ADDED, {}).items()}
    return settings | {"added_tokens_decoder": added | settings.get("added_tokens_decoder", {})}


def convert_pieces(pieces: Path, settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A ``tokenizers.Tokenizer`` with SentencePiece's tokens, and the names of its BOS, EOS, UNK.

    ``settings`` (of ``tokenizer_config.json``) say which those are, else the pieces do. Raises
    ModelError for a damaged file, or when a probe has other tokens.
    """
    from sentencepiece import SentencePieceProcessor
    from sentencepiece.sentencepiece_model_pb2 import ModelProto
    from tokenizers import AddedToken, Tokenizer

    try:
        original = SentencePieceProcessor(model_file=str(pieces))
        proto = ModelProto.FromString(pieces.read_bytes())
    except Exception as error:  # protobuf and SentencePiece each have their own kinds
        raise ModelError(
            f"{pieces} is no SentencePiece model",
            expected="a complete one",
            hint="Download it again.",
        ) from error
    made = Tokenizer(_build_model(proto))
    _add_whitespace(made, proto, is_legacy=settings.get("legacy") is not False)
    kinds = proto.SentencePiece
    # A user's symbol is cut out of a text first, as transformers does it; SentencePiece would put
    # its prefix before one at the beginning.
    for kind, special in (
        (kinds.UNKNOWN, True),
        (kinds.CONTROL, True),
        (kinds.USER_DEFINED, False),
    ):
        tokens = [piece.piece for piece in proto.pieces if piece.type == kind]
        made.add_tokens([AddedToken(t, normalized=False, special=special) for t in tokens])
    _compare(pieces, original, made, [p.piece for p in proto.pieces if p.type == kinds.NORMAL])
    _add_tokens(pieces, made, settings)
    ids = {"bos": original.bos_id(), "eos": original.eos_id(), "unk": original.unk_id()}
    own = {f"{key}_token": original.id_to_piece(i) for key, i in ids.items() if i >= 0}
    given = {key: settings[key] for key in own if key in settings}
    named = {key: t["content"] if isinstance(t, dict) else t for key, t in given.items()}
    return made, own | named


def _add_tokens(pieces: Path, made: Any, settings: Mapping[str, Any]) -> None:
    """Add what ``settings`` list beyond the pieces. Raises ModelError for numbers that collide."""
    from tokenizers import AddedToken

    added = {int(n): token for n, token in settings.get("added_tokens_decoder", {}).items()}
    for number, token in sorted(added.items()):
        if made.token_to_id(token["content"]) is None:
            made.add_tokens([AddedToken(**token)])
        if made.token_to_id(token["content"]) != number:
            raise ModelError(
                f"{pieces.parent} numbers the token {token['content']!r} {number}",
                expected=f"{made.token_to_id(token['content'])}, which follows the others",
                hint="Put a tokenizer.json beside it, made by the model's author.",
            )


def _build_model(proto: Any) -> Any:
    from tokenizers.models import BPE, Unigram

    bytes_too = bool(proto.trainer_spec.byte_fallback)
    if proto.trainer_spec.model_type == proto.trainer_spec.UNIGRAM:
        scores = [(piece.piece, piece.score) for piece in proto.pieces]
        return Unigram(scores, unk_id=proto.trainer_spec.unk_id, byte_fallback=bytes_too)
    vocab = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    unknown = proto.pieces[proto.trainer_spec.unk_id].piece
    return BPE(
        vocab, _list_merges(proto), unk_token=unknown, fuse_unk=True, byte_fallback=bytes_too
    )


def _list_merges(proto: Any) -> list[tuple[str, str]]:
    """All pairs that make a piece, in the order in which SentencePiece merges: best score first."""
    normal = {p.piece: p.score for p in proto.pieces if p.type == proto.SentencePiece.NORMAL}
    merges = []
    for piece in sorted(normal, key=lambda piece: -normal[piece]):
        halves = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        merges += [(left, right) for left, right in halves if left in normal and right in normal]
    return merges


def _add_whitespace(made: Any, proto: Any, *, is_legacy: bool) -> None:
    """What SentencePiece does to a text before it cuts it, and after it joins the pieces."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    spec = proto.normalizer_spec
    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix and is_legacy:
        steps.append(normalizers.Prepend(_SPACE))  # to what follows a special token, too
    steps.append(normalizers.Replace(" ", _SPACE))
    made.normalizer = normalizers.Sequence(steps)
    if spec.add_dummy_prefix and not is_legacy:
        # Metaspace alone puts none before a text that begins with a space. So its first pass
        # writes a blank, of which by now there is no other, and its second replaces that.
        passes = ((" ", "first"), (_SPACE, "never"))
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(sign, prepend_scheme=how, split=False)
                for sign, how in passes
            ]
        )
    ends = [decoders.Strip(" ", left=1)] if spec.add_dummy_prefix else []
    made.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *ends]
    )


def _compare(pieces: Path, original: Any, made: Any, vocabulary: list[str]) -> None:
    """Raise ModelError where a probe, or pieces drawn at random, have other tokens than before."""
    draw = random.Random(0)
    drawn = ["".join(draw.choices(vocabulary, k=6)).replace(_SPACE, " ") for _ in range(200)]
    for text in (*_PROBES, *drawn):
        found, expected = made.encode(text, add_special_tokens=False).ids, original.encode(text)
        if found != expected:
            raise ModelError(
                f"{pieces} gives {text!r} the tokens {expected[:8]}, and here they are {found[:8]}",
                expected="a SentencePiece model that tokenizers can follow exactly",
                hint="Put a tokenizer.json beside it, made by the model's author.",
            )
