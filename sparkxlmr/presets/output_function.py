"""The output function of a classification head: which function turns logits into scores, and the functions.

The rule is the one of transformers' text-classification pipeline and of sentence-transformers' CrossEncoder.
Keras models, Spark stages, LightPipeline, the command line and the checkpoint writers all use it from here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError

SOFTMAX, SIGMOID, IDENTITY = "softmax", "sigmoid", "identity"
#: the names that ``setActivation`` and ``output_function`` accept
OUTPUT_FUNCTIONS = (SOFTMAX, SIGMOID, IDENTITY)
Floats = NDArray[np.float32]


def output_function(num_classes: int, stated: str | None = None) -> str:
    """Return the name of the function that turns a head's logits into scores.

    Args:
        num_classes: the number of logits.
        stated: the function that the user, the checkpoint or the head's Keras activation names; None where
            none does (``"linear"`` is None).

    Returns:
        ``stated``; else ``"sigmoid"`` for one logit and ``"softmax"`` for several.

    Raises:
        SettingError: a softmax over one class, which is 1.0 for every text, or a function that is not one of
            :data:`OUTPUT_FUNCTIONS`.

    >>> output_function(4), output_function(1), output_function(1, "identity"), output_function(4, "sigmoid")
    ('softmax', 'sigmoid', 'identity', 'sigmoid')
    """
    if stated in (None, "linear"):
        return SIGMOID if num_classes == 1 else SOFTMAX
    if stated not in OUTPUT_FUNCTIONS:
        raise SettingError(
            f"The classification head has the activation {stated!r:.100}",
            f"one of {', '.join(map(repr, OUTPUT_FUNCTIONS))}",
            "choose the function with setActivation(...), or use the model's Keras class",
        )
    if stated == SOFTMAX and num_classes == 1:
        raise SettingError(
            "The output function is softmax, and the model has one class: every score would be 1.0",
            "'sigmoid' or 'identity' for a model with one logit",
            "call setActivation('sigmoid') for a score from 0 to 1, or setActivation('identity') for the "
            "logit itself (in Keras: output_function=...)",
        )
    return str(stated)


def scores(logits: Floats, function: str) -> Floats:
    """Return float32 scores of the shape of ``logits``, (..., classes).

    Args:
        logits: float32 (..., classes).
        function: one of :data:`OUTPUT_FUNCTIONS`.

    >>> scores(np.array([[0.0]], np.float32), "sigmoid").tolist()
    [[0.5]]
    """
    return _FUNCTIONS[function](logits)


def softmax(logits: Floats) -> Floats:
    """Scores that sum to 1 over the last axis; the largest logit is subtracted first, so nothing overflows.

    `logits` is float32 of shape (..., classes); so is the result.

    >>> softmax(np.array([[1000.0, 1000.0]], np.float32)).tolist()
    [[0.5, 0.5]]
    """
    logits = np.asarray(logits, np.float32)
    if logits.size == 0:
        return logits.copy()
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """A score between 0 and 1 for every label on its own (multi-label models); float32 in, float32 out.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    logits = np.asarray(logits, np.float32)
    # exp of a number that is never positive: no overflow on either side.
    small = np.exp(-np.abs(logits))
    return (np.where(logits >= 0, 1, small) / (1 + small)).astype(np.float32)


def identity(logits: Floats) -> Floats:
    """The logits themselves, as float32.

    >>> identity(np.array([[-0.5]])).tolist()
    [[-0.5]]
    """
    return np.asarray(logits, np.float32)


_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {SOFTMAX: softmax, SIGMOID: sigmoid, IDENTITY: identity}
