"""What the logits of a classifier become: scores, and the best labels. Pure functions over float32 arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.output_function import sigmoid, softmax

__all__ = ["sigmoid", "softmax", "top"]

Floats = NDArray[np.float32]
#: so many best labels are looked for one after the other
_FEW = 8


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
