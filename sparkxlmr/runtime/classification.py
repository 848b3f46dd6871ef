"""What the logits of a classifier become: scores, and the best labels. Pure functions over float32 arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError

Floats = NDArray[np.float32]
#: so many best labels are looked for one after the other
_FEW = 8


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


def top(
    scores: Floats, n: int, first: Sequence[int] | NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int32], Floats]:
    """The `n` best labels of every row: ids int32 (rows, n) and their scores float32 (rows, n).

    Ordered by falling score; of equal scores the smaller id comes first. `first` names for each row a label
    that comes before all others, whatever its score. An `n` beyond the number of classes gives all of them.
    Raises SettingError where `n` is less than 1.

    >>> ids, best = top(np.array([[0.2, 0.5, 0.2, 0.1]], np.float32), 3)
    >>> ids.tolist()
    [[1, 0, 2]]
    >>> top(np.array([[0.2, 0.5, 0.2, 0.1]], np.float32), 2, first=[3])[0].tolist()
    [[3, 1]]
    """
    if n < 1:
        raise SettingError(f"The number of best labels is {n}", "at least 1", "ask for 1 or more")
    scores = np.asarray(scores, np.float32)
    rows, n = np.arange(len(scores)), min(n, scores.shape[-1])
    order = -scores
    if first is not None:
        order[rows, first] = -np.inf
    if n > _FEW:
        ids = np.argsort(order, axis=-1, kind="stable")[:, :n].astype(np.int32)
    else:
        # The least, then the least of the others: of hundreds of labels quicker than to sort them all.
        ids = np.empty((len(scores), n), np.int32)
        for place in range(n):
            ids[:, place] = order.argmin(axis=-1) if order.size else 0
            order[rows, ids[:, place]] = np.inf
    return ids, np.take_along_axis(scores, ids, axis=-1)
