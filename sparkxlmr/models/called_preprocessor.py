"""Preprocessors that a task can only call: functions, other layers, subclasses with their own ``call``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.masked_lm_preprocessor import MaskedLMPreprocessor
from sparkxlmr.models.preprocessor import Preprocessor
from sparkxlmr.models.texts import Texts

_OWN_CALLS = (Preprocessor.call, MaskedLMPreprocessor.call)


def check_callable(preprocessor: Any) -> None:
    """Raise SettingError unless ``preprocessor`` is None, a preprocessor or something that can be called."""
    if preprocessor is not None and not callable(preprocessor):
        raise SettingError(
            f"preprocessor is {preprocessor!r:.80} of type {type(preprocessor).__name__}",
            "a preprocessor, a function of texts, or None",
            "pass one of these",
        )


def is_called(preprocessor: Any) -> bool:
    """Whether tasks must call ``preprocessor`` instead of using the package's own methods."""
    return not isinstance(preprocessor, Preprocessor) or type(preprocessor).call not in _OWN_CALLS


def check_segments(texts: Texts, backbone: Any) -> None:
    """Raise InputError where samples have more segments than the encoder has rows to embed them."""
    most = getattr(backbone, "num_segments", len(texts))
    if len(texts) > most:
        raise InputError(
            f"The samples have {len(texts)} segments",
            f"at most {most}, the encoder's num_segments",
            "join segments, or use an encoder made with a larger num_segments",
        )


class LimitedPreprocessor:
    """The methods that tasks use, for an encoder that embeds a limited number of segments."""

    def __init__(self, preprocessor: Preprocessor, backbone: Any) -> None:
        self.preprocessor = preprocessor
        self.backbone = backbone

    def features(self, texts: Texts, width: int | None = None) -> Any:
        """As the preprocessor's own."""
        check_segments(texts, self.backbone)
        return self.preprocessor.features(texts, width)

    def samples(self, texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """As the preprocessor's own."""
        check_segments(texts, self.backbone)
        return self.preprocessor.samples(texts, y, sample_weight, rng)


class CalledPreprocessor:
    """The methods that tasks use, for a preprocessor that can only be called.

    As in keras-hub a :class:`Preprocessor` is called with texts, labels and weights, anything else with the
    texts of a batch alone: a NumPy array of strings, or a tuple of these for segments. It returns the
    encoder's inputs, or a tuple of these, labels and weights.
    """

    def __init__(self, preprocessor: Callable[..., Any]) -> None:
        self.preprocessor = preprocessor

    def features(self, texts: Texts, width: int | None = None) -> Any:
        """The model's inputs for these texts, as NumPy arrays."""
        return self.samples(texts, None, None, np.random.default_rng(0))[0]

    def samples(self, texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """``(x, y, sample_weight)`` for these texts, as NumPy arrays or None."""
        columns = tuple(np.array(column, dtype=object) for column in texts)
        x = columns if len(columns) > 1 else columns[0]
        if isinstance(self.preprocessor, Preprocessor):
            found = self.preprocessor(x, y=y, sample_weight=sample_weight)
        else:
            found = self.preprocessor(x)
            if not isinstance(found, tuple):
                found = (found, y, sample_weight)
        parts = keras.utils.unpack_x_y_sample_weight(found)
        return tuple(None if part is None else keras.tree.map_structure(_as_array, part) for part in parts)


def _as_array(value: Any) -> np.ndarray:
    array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)
    # Masks may be bool, which keras-hub's packers return; the encoders read int32.
    return array.astype(np.int32) if array.dtype == bool else array
