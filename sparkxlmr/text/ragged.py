"""Rows of unlike length as two flat arrays: what many short lists cost is paid once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ragged:
    """n rows of numbers.

    - `values`: of all rows, those of the first one first.
    - `offsets`: int64 (n + 1,); row i is ``values[offsets[i]:offsets[i + 1]]``.

    >>> rows = Ragged.of([[5, 6], [], [7]])
    >>> rows.values.tolist(), rows.offsets.tolist(), rows[2].tolist(), rows.lists()
    ([5, 6, 7], [0, 2, 2, 3], [7], [[5, 6], [], [7]])
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]], dtype: Any = np.int32) -> Ragged:
        """The same rows, given as lists."""
        offsets = offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))
        return cls(np.fromiter(chain.from_iterable(rows), dtype, int(offsets[-1])), offsets)

    @classmethod
    def sized(cls, values: NDArray[Any], lengths: NDArray[np.integer[Any]]) -> Ragged:
        """Rows of these lengths, out of their values one after the other."""
        return cls(values, offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        """A view of one row."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """int64 (values,): the row of each value."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def lists(self) -> list[list[Any]]:
        """The rows as lists of Python's own numbers."""
        values, offsets = self.values.tolist(), self.offsets.tolist()
        return [values[start:stop] for start, stop in pairwise(offsets)]

    def first(self, most: int) -> Ragged:
        """Each row's first `most` values."""
        lengths = self.lengths
        if lengths.max(initial=0) <= most:
            return self
        within = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], lengths)
        return Ragged.sized(self.values[within < most], np.minimum(lengths, most))

    def last(self, most: int) -> Ragged:
        """Each row's last `most` values.

        >>> Ragged.of([[5, 6, 7], [8]]).last(2).lists()
        [[6, 7], [8]]
        """
        lengths = self.lengths
        if lengths.max(initial=0) <= most:
            return self
        behind = np.repeat(self.offsets[1:], lengths) - np.arange(len(self.values))
        return Ragged.sized(self.values[behind <= most], np.minimum(lengths, most))

    def between(self, before: int, after: int) -> Ragged:
        """Each row with one value before and one after it.

        >>> Ragged.of([[5], []]).between(0, 2).lists()
        [[0, 5, 2], [0, 2]]
        """
        offsets = self.offsets + 2 * np.arange(len(self) + 1)
        values = np.empty(len(self.values) + 2 * len(self), self.values.dtype)
        inner = np.ones(len(values), bool)
        inner[offsets[:-1]] = inner[offsets[1:] - 1] = False
        values[inner] = self.values
        values[offsets[:-1]], values[offsets[1:] - 1] = before, after
        return Ragged(values, offsets)

    def with_rows(self, rows: Mapping[int, Any]) -> Ragged:
        """The same with some rows replaced, by their numbers."""
        if not rows:
            return self
        changed: list[Any] = [self[row] for row in range(len(self))]
        for row, values in rows.items():
            changed[row] = np.asarray(values, self.values.dtype)
        lengths = np.fromiter(map(len, changed), np.int64, len(changed))
        return Ragged.sized(np.concatenate(changed), lengths)

    def padded(
        self, rows: NDArray[np.integer[Any]], width: int, padding: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Some rows as a matrix (len(rows), width), each followed by `padding`, and where none of it stands.

        No row is longer than `width`.

        >>> matrix, filled = Ragged.of([[5, 6], [7]]).padded(np.array([1, 0]), 3, 1)
        >>> matrix.tolist(), filled.tolist()
        ([[7, 1, 1], [5, 6, 1]], [[True, False, False], [True, True, False]])
        """
        columns = np.arange(width)
        starts = self.offsets[rows]
        filled = columns < (self.offsets[rows + 1] - starts)[:, None]
        matrix = np.full((len(rows), width), padding, self.values.dtype)
        matrix[filled] = self.values[(starts[:, None] + columns)[filled]]
        return matrix, filled


def offsets_of(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Where rows of these lengths begin, and where the last one ends.

    >>> offsets_of(np.array([2, 0, 1])).tolist()
    [0, 2, 2, 3]
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
