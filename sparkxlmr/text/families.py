"""From the name of a model family to its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from typing import Any

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.text.albert import AlbertNormalization, AlbertTokenizer
from sparkxlmr.text.tokenizer import SentencePieceTokenizer
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

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
        settings: for ALBERT, attributes of :class:`AlbertNormalization`; empty or None hands the text to
            SentencePiece as it is. XLM-R has none.

    Raises:
        NotAPresetError: a family of another name, or a SentencePiece model of another family.
        SettingError: settings that the family has not.
        PresetNotFoundError, DamagedModelError: the SentencePiece model cannot be read.
    """
    if family not in TOKENIZERS:
        raise NotAPresetError(
            f"The tokenizer's family is {family!r}", f"one of {sorted(TOKENIZERS)}", "use a newer sparkxlmr"
        )
    if not settings:
        return TOKENIZERS[family](proto)
    known = {field.name for field in fields(AlbertNormalization)} if family == "albert" else set()
    strange = {k: v for k, v in settings.items() if k not in known or not isinstance(v, bool)}
    if strange:
        raise SettingError(
            f"The tokenizer's settings hold {strange}",
            f"True or False for {sorted(known)}" if known else f"no settings for {family}",
            "check the tokenizer's settings in the preset",
        )
    return AlbertTokenizer(proto, AlbertNormalization(**settings))
