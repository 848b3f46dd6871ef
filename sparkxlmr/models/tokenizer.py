"""Tokenizers with keras-hub's names, over the text floor."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, TypeVar

import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.models import families
from sparkxlmr.presets.preset import Preset
from sparkxlmr.text.packing import pack

T = TypeVar("T", bound="Tokenizer")


class Tokenizer:
    """Base of the tokenizers. ``Tokenizer.from_preset`` gives the right one for a preset.

    Args:
        proto: a SentencePiece model: the path of its file, its bytes, or those as base64 text (as configs
            keep them).
        sequence_length: pads or cuts every text to so many ids; None leaves each as long as it is.
        add_bos, add_eos: put the family's start and end token around each text.

    A family sets ``text_tokenizer_cls``: its rule on the text floor, at hand as :attr:`text`.
    """

    text_tokenizer_cls: ClassVar[Any]

    def __init__(
        self,
        proto: bytes | str | PathLike[str],
        sequence_length: int | None = None,
        add_bos: bool = False,
        add_eos: bool = False,
    ) -> None:
        self.text = self.text_tokenizer_cls(_proto(proto))
        self.sequence_length = sequence_length
        self.add_bos = add_bos
        self.add_eos = add_eos

    @classmethod
    def from_preset(cls: type[T], preset: str | PathLike[str], **kwargs: Any) -> T:
        """The tokenizer of a preset; ``kwargs`` go to the constructor.

        Raises:
            PresetNotFoundError, NotAPresetError: see :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        opened = Preset.open(preset)
        return families.class_for(cls, opened, "tokenizer")(proto=opened.vocabulary(), **kwargs)

    def __call__(self, inputs: str | Sequence[str]) -> Any:
        return self.tokenize(inputs)

    def tokenize(self, inputs: str | Sequence[str]) -> Any:
        """Ids of one text (a list) or of several (a list of lists).

        With ``sequence_length`` an int32 array: (length,) for one text, (n, length) for several.
        """
        if isinstance(inputs, str):
            return self.tokenize([inputs])[0]
        start = [self.text.bos_id] if self.add_bos else []
        end = [self.text.eos_id] if self.add_eos else []
        length = self.sequence_length
        room = None if length is None else max(length - len(start) - len(end), 0)
        ids = [[*start, *found[:room], *end] for found in self.text.tokenize(list(inputs))]
        if length is None:
            return ids
        return pack([row[:length] for row in ids], self.text.pad_id, length)[0]

    def detokenize(self, inputs: Any) -> Any:
        """The text of a sequence of ids, or the texts of several; special ids are left out."""
        rows = inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)
        if rows and isinstance(rows[0], (list, tuple, np.ndarray)):
            return [self.text.decode(row) for row in rows]
        return self.text.decode(rows)

    def vocabulary_size(self) -> int:
        return int(self.text.vocabulary_size)

    def get_vocabulary(self) -> list[str]:
        """All tokens in the order of their ids."""
        return [self.text.id_to_token(i) for i in range(self.vocabulary_size())]

    def id_to_token(self, id: int) -> str:
        return str(self.text.id_to_token(id))

    def token_to_id(self, token: str) -> int:
        return int(self.text.token_to_id(token))

    def get_config(self) -> dict[str, Any]:
        return {
            "proto": base64.b64encode(self.text.proto).decode("ascii"),
            "sequence_length": self.sequence_length,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
        }

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        return cls(**config)


def _proto(proto: bytes | str | PathLike[str]) -> bytes | str | PathLike[str]:
    # No path is as long as a vocabulary in base64, and none of the systems here allows one.
    if not isinstance(proto, str) or len(proto) < 4096:
        return proto
    try:
        return base64.b64decode(proto, validate=True)
    except ValueError as error:
        raise SettingError(
            f"proto is a text of {len(proto)} characters that is no base64",
            "the path or the bytes of a SentencePiece model",
            "pass the path of the file",
        ) from error
