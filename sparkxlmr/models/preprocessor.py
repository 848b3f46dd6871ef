"""Raw texts to what an encoder reads, with keras-hub's names. Needs numpy only, no tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models import families
from sparkxlmr.models.tokenizer import Tokenizer
from sparkxlmr.presets.preset import Preset
from sparkxlmr.text.packing import pack, width_for

P = TypeVar("P", bound="TextClassifierPreprocessor")


class TextClassifierPreprocessor:
    """Turns texts, or pairs of texts, into ``{"token_ids", "padding_mask"}``.

    Args:
        tokenizer: a tokenizer of the same family.
        sequence_length: how many ids are kept of a text, start and end token included.
        truncate: how a pair that is too long is shortened: ``"round_robin"`` or ``"waterfall"``.

    Called with one text or a list of texts, or with a tuple of two of these for pairs; answers int32 arrays
    of ``sequence_length`` columns, as keras-hub's. Tasks use :meth:`features`, which pads no wider than
    needed.

    Raises:
        SettingError: a ``sequence_length`` below 4, or an unknown ``truncate``.
    """

    tokenizer_cls: ClassVar[type[Tokenizer]]

    def __init__(
        self, tokenizer: Tokenizer, sequence_length: int = 512, truncate: str = "round_robin"
    ) -> None:
        if sequence_length < 4:
            raise SettingError(
                f"sequence_length is {sequence_length}",
                "at least 4, the special tokens of a pair",
                "pass a larger number",
            )
        if truncate not in ("round_robin", "waterfall"):
            raise SettingError(
                f"truncate is {truncate!r}", "'round_robin' or 'waterfall'", "pass one of the two"
            )
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.truncate = truncate

    @classmethod
    def from_preset(cls: type[P], preset: str | PathLike[str], **kwargs: Any) -> P:
        """The preprocessor of a preset; ``kwargs`` (``sequence_length``, ``truncate``) replace its settings.

        Raises:
            PresetNotFoundError, NotAPresetError: see :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        return cls.from_opened(Preset.open(preset), **kwargs)

    @classmethod
    def from_opened(cls: type[P], preset: Preset, **kwargs: Any) -> P:
        """The same for a preset that is open already."""
        made: Any = families.class_for(cls, preset, "text_classifier_preprocessor")
        settings = {"sequence_length": preset.sequence_length, "truncate": preset.truncate, **kwargs}
        return made(made.tokenizer_cls(preset.vocabulary()), **settings)

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        features = self.features(as_texts(x), self.sequence_length)
        if _is_one(x):
            features = {name: array[0] for name, array in features.items()}
        return keras.utils.pack_x_y_sample_weight(features, y, sample_weight)

    def features(self, texts: tuple[list[str], ...], width: int | None = None) -> dict[str, np.ndarray]:
        """The arrays of some texts (see :func:`as_texts`), int32 of shape (n, width).

        ``width`` None takes the next of a few widths that holds the longest, so that compilers meet few
        shapes.
        """
        if len(texts) == 1:
            ids = self.tokenizer.text.encode(texts[0], self.sequence_length).ids
        else:
            pairs = list(zip(*texts, strict=True))
            ids = self.tokenizer.text.encode_pairs(pairs, self.sequence_length, self.truncate).ids
        if width is None:
            width = width_for(max(map(len, ids), default=0), self.sequence_length)
        token_ids, padding_mask = pack(ids, self.tokenizer.text.pad_id, width)
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def get_config(self) -> dict[str, Any]:
        return {
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "sequence_length": self.sequence_length,
            "truncate": self.truncate,
        }

    @classmethod
    def from_config(cls: type[P], config: dict[str, Any]) -> P:
        tokenizer = keras.saving.deserialize_keras_object(config["tokenizer"])
        return cls(**{**config, "tokenizer": tokenizer})


def as_texts(x: Any) -> tuple[list[str], ...]:
    """Raw inputs as a tuple of one list of texts, or of two equally long ones for pairs.

    Raises:
        InputError: something that is no text, or columns of different length.
    """
    columns = tuple(_column(part) for part in x) if isinstance(x, tuple) else (_column(x),)
    if len(columns) > 2 or len({len(column) for column in columns}) > 1:
        raise InputError(
            f"The input has {len(columns)} columns of {[len(column) for column in columns]} texts",
            "a list of texts, or a tuple of two equally long lists",
            "pass pairs as (first_texts, second_texts)",
        )
    return columns


def _column(part: Any) -> list[str]:
    if isinstance(part, (str, bytes)):
        part = [part]
    elif hasattr(part, "tolist"):
        part = part.tolist()  # numpy, pandas, and tensors of backends that hold text
    elif hasattr(part, "numpy"):
        part = part.numpy().tolist()
    if not isinstance(part, Sequence):
        part = list(part)
    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in part]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"Input {i} is {text!r} of type {type(text).__name__}",
                "text",
                "feed strings; a model without a preprocessor takes {'token_ids', 'padding_mask'}",
            )
    return texts


def _is_one(x: Any) -> bool:
    first = x[0] if isinstance(x, tuple) and x else x
    return isinstance(first, (str, bytes))
