"""Outputs that are no numbers: which rows of a call hold NaN or infinity. One check for all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import NonFiniteOutputError


def non_finite_rows(outputs: NDArray[np.floating], n_used: int | None = None) -> NDArray[np.bool_]:
    """Return for each row of ``outputs`` whether it cannot be used.

    Args:
        outputs: (n, width) of any float dtype.
        n_used: columns from this one on belong to nothing (a padded vocabulary). There, minus infinity is
            allowed, since it adds nothing to a softmax.

    Returns:
        bool (n,): True where a row holds NaN or infinity.

    >>> non_finite_rows(np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, -np.inf]])).tolist()
    [False, True, True]
    >>> non_finite_rows(np.array([[1.0, -np.inf], [1.0, np.nan]]), n_used=1).tolist()
    [False, True]
    """
    outputs = np.asarray(outputs)
    bad: NDArray[np.bool_] = ~np.isfinite(outputs[:, :n_used]).all(axis=1)
    if n_used is not None and n_used < outputs.shape[1]:
        rest = outputs[:, n_used:]
        bad |= ~(np.isfinite(rest) | np.isneginf(rest)).all(axis=1)
    return bad


def check_finite(
    outputs: NDArray[np.floating], task: str, texts: Sequence[int] | NDArray[np.int64] | None = None
) -> None:
    """Raise NonFiniteOutputError where a row of ``outputs`` (n, width) holds NaN or infinity.

    Args:
        outputs: (n, width), the rows of one call.
        task: the kind of the model, for the message, for example ``"text_classifier"``.
        texts: the position of each row's text in the call; None: that of the row.
    """
    bad = np.flatnonzero(non_finite_rows(outputs)) if np.size(outputs) else np.zeros(0, np.int64)
    if len(bad):
        places = bad if texts is None else np.asarray(texts)[bad]
        raise NonFiniteOutputError(task, sorted(set(places.tolist())))


@contextmanager
def positions_of_rows(
    rows: Sequence[int] | NDArray[np.int64] | None = None, first: int = 0, where: str = "", unit: str = "row"
) -> Iterator[None]:
    """Give a NonFiniteOutputError raised inside the positions that the caller knows.

    Args:
        rows: the caller's position of each text or row of the call; None: the same ones.
        first: what is added to each position, where the call is a part of a longer one.
        where: what the positions are counted in, for example ``"of partition 3"``; empty keeps what is said.
        unit: what has these positions, ``"row"`` or ``"text"``.
    """
    try:
        yield
    except NonFiniteOutputError as error:
        moved = sorted({first + (at if rows is None else int(rows[at])) for at in error.rows})
        raise NonFiniteOutputError(error.task, moved, unit, where or error.where, error.stage) from None
