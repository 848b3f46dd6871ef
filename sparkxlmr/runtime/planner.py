"""Which texts are run together. Pure: lengths in, lists of row numbers out.

A batch is padded to its longest text, so a call costs `rows * width` tokens whatever the texts hold, and a
fixed amount on top. An engine also prepares itself for each shape that it meets and keeps what it made: of
XLM-R base OpenVINO 3 MB and 20 ms a shape, and a tiny model is half as fast on shapes that are new. So texts
are sorted by length, and batches are cut such that the same few shapes come again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.text.packing import near_width, width_for

Rows = NDArray[np.int64]
#: rows of a batch that is not full: 1, 2, 3, 4, 6, 8, 12, 16, ...
SIZES = np.array([1, *(many << doubled for doubled in range(20) for many in (2, 3))])


@dataclass(frozen=True)
class Batch:
    """Rows that are run in one call, and the width they are padded to.

    `rows` int64 (n,): positions in the list of lengths that was planned; `width`: tokens a row.
    """

    rows: Rows
    width: int


def plan(
    lengths: Sequence[int] | NDArray[np.integer],
    max_tokens: int = 1024,
    max_rows: int | None = None,
    widths: Sequence[int] | None = None,
    call_cost: int = 32,
    max_width: int | None = None,
) -> list[Batch]:
    """Batches that hold every row exactly once, longest texts first.

    A batch takes as many rows as a call may have, or as many of :data:`SIZES` as do not cost more padding
    than another call would.

    - `lengths`: tokens of each text, at least 1 each.
    - `max_tokens`: no batch computes more than this, padding included, unless one row alone is longer.
    - `max_rows`: no batch holds more rows (Spark NLP's `batchSize`); None: no bound.
    - `widths`: the few widths of an engine that compiles for each shape, as `text.packing.width_for` takes
      them; None: `text.packing.near_width`.
    - `max_width`: no batch is padded beyond it: the model's position table ends there. No text is longer.
    - `call_cost`: what one more call costs, in tokens; larger values give fewer batches with more padding.

    Raises SettingError where a bound is less than 1.

    >>> [(batch.rows.tolist(), batch.width) for batch in plan([3, 100, 4, 100], max_tokens=256)]
    [([1, 3], 100), ([2, 0], 4)]
    """
    for name, bound in (("max_tokens", max_tokens), ("max_rows", max_rows)):
        if bound is not None and bound < 1:
            raise SettingError(f"{name} is {bound}", "at least 1", "leave it out for the default")
    sizes = np.maximum(np.asarray(lengths, np.int64), 1)
    order = np.argsort(-sizes, kind="stable")
    padded = _padded(sizes, widths, max_width)[order]
    before = np.concatenate([[0], np.cumsum(padded)])
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        width = int(padded[start])
        most = max(1, max_tokens // width)
        if max_rows is not None:
            most = min(most, max_rows)
        counts = np.append(SIZES[most > SIZES], most)
        counts = counts[counts <= len(order) - start]
        # What the rows would take if each had a batch of its own width is no padding of this one.
        padding = counts * width - (before[start + counts] - before[start])
        stop = start + int(counts[padding <= call_cost][-1])
        batches.append(Batch(order[start:stop], width))
        start = stop
    return batches


def _padded(
    sizes: NDArray[np.int64], widths: Sequence[int] | None, max_width: int | None
) -> NDArray[np.int64]:
    """What each length is padded to."""
    distinct, places = np.unique(sizes, return_inverse=True)
    if widths is None:
        wide = [near_width(int(length), max_width) for length in distinct]
    else:
        wide = [width_for(int(length), max_width, widths) for length in distinct]
    return np.array(wide, np.int64)[places]
