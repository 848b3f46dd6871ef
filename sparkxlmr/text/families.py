"""From the name of a model family to its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from typing import Any

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.text.added_tokens import AddedToken
from sparkxlmr.text.albert import AlbertNormalization, AlbertTokenizer
from sparkxlmr.text.tokenizer import SentencePieceTokenizer
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

ADDED_TOKENS, TRUNCATION_SIDE = "added_tokens", "truncation_side"
#: names of the settings that are ALBERT's alone
NORMALIZATION = frozenset(field.name for field in fields(AlbertNormalization))

TOKENIZERS: dict[str, type[SentencePieceTokenizer]] = {
    "xlm_roberta": XlmRobertaTokenizer,
    "albert": AlbertTokenizer,
}


def tokenizer_for(
    family: str, proto: bytes | str | PathLike[str], settings: Mapping[str, Any] | None = None
) -> SentencePieceTokenizer:
    """The tokenizer of a family over a SentencePiece model.

    Args:
        family: ``"xlm_roberta"`` or ``"albert"``.
        proto: the SentencePiece model, as bytes or as the path of its file.
        settings: for ALBERT, attributes of :class:`AlbertNormalization`; without them the text is handed to
            SentencePiece as it is. For all families ``added_tokens``, a list of what
            :meth:`AddedToken.to_json` returns, and ``truncation_side``, ``"right"`` or ``"left"``.

    Raises:
        NotAPresetError: a family of another name, or a SentencePiece model of another family.
        SettingError: settings that the family has not.
        PresetNotFoundError, DamagedModelError: the SentencePiece model cannot be read.
    """
    if family not in TOKENIZERS:
        raise NotAPresetError(
            f"The tokenizer's family is {family!r}", f"one of {sorted(TOKENIZERS)}", "use a newer sparkxlmr"
        )
    settings = dict(settings or {})
    tokens = settings.pop(ADDED_TOKENS, [])
    side = settings.pop(TRUNCATION_SIDE, "right")
    known = NORMALIZATION if family == "albert" else frozenset()
    strange = {k: v for k, v in settings.items() if k not in known or not isinstance(v, bool)}
    if strange or not isinstance(tokens, list):
        raise SettingError(
            f"The tokenizer's settings hold {strange or tokens!r:.200}",
            f"{ADDED_TOKENS} (a list), {TRUNCATION_SIDE}"
            + (f", and True or False for {sorted(known)}" if known else f"; no other settings for {family}"),
            "check the tokenizer's settings in the preset",
        )
    added = [AddedToken.from_json(token) for token in tokens]
    if settings:
        return AlbertTokenizer(proto, AlbertNormalization(**settings), added, side)
    return TOKENIZERS[family](proto, added_tokens=added, truncation_side=side)
