"""Preprocessors that a task can only call: functions, other layers, subclasses with their own ``call``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def check_fits(preprocessor: Preprocessor, backbone: Any) -> None:
    """Raise SettingError for a preprocessor of another family or of longer texts than the encoder reads."""
    if preprocessor.tokenizer.family != backbone.family:
        raise SettingError(
            f"The preprocessor is a {type(preprocessor).__name__} with a "
            f"{type(preprocessor.tokenizer).__name__}",
            f"one for a {type(backbone).__name__}",
            "set the preprocessor of the encoder's family",
        )
    kept, most = preprocessor.sequence_length, backbone.max_sequence_length
    if kept > most:
        raise SettingError(
            f"The preprocessor keeps {kept} ids of a text (sequence_length)",
            f"at most {most}, the encoder's max_sequence_length",
            f"set preprocessor.sequence_length = {most}",
        )


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

    Args:
        preprocessor: it.
        check: receives the number of texts and what the preprocessor returned: inputs, labels and weights,
            or inputs alone for prediction; and ``needs_labels``. It returns the three after its checks.
        needs_labels: whether samples without labels are refused.
    """

    def __init__(
        self,
        preprocessor: Callable[..., Any],
        check: Callable[..., tuple[Any, Any, Any]],
        needs_labels: bool = True,
    ) -> None:
        self.preprocessor = preprocessor
        self.check = check
        self.needs_labels = needs_labels

    def features(self, texts: Texts, width: int | None = None) -> Any:
        """The model's inputs for these texts, as NumPy arrays."""
        x, _, _ = self._called(texts, None, None)
        return self.check(len(texts[0]), x, needs_labels=False)[0]

    def samples(self, texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """``(x, y, sample_weight)`` for these texts, as NumPy arrays or None."""
        parts = self._called(texts, y, sample_weight)
        return self.check(len(texts[0]), *parts, needs_labels=self.needs_labels)

    def _called(self, texts: Texts, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        columns = tuple(np.array(column, dtype=object) for column in texts)
        x = columns if len(columns) > 1 else columns[0]
        if isinstance(self.preprocessor, Preprocessor):
            found = self.preprocessor(x, y=y, sample_weight=sample_weight)
        else:
            found = self.preprocessor(x)
            if not isinstance(found, tuple):
                found = (found, y, sample_weight)
        made, y, sample_weight = keras.utils.unpack_x_y_sample_weight(found)
        if isinstance(made, Mapping):
            made = {name: _as_array(part) for name, part in made.items()}
        return made, _as_array(y), _as_array(sample_weight)


def _as_array(value: Any) -> Any:
    if value is None:
        return None
    try:
        array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)
    except ValueError:  # rows of different lengths, which the check refuses
        return value
    # Masks may be bool, which keras-hub's packers return; the encoders read int32.
    return array.astype(np.int32) if array.dtype == bool else array
