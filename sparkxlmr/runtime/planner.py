"""Which texts are run together. Pure: lengths in, lists of row numbers out.

A batch is padded to its longest text, so a call costs `rows * width` tokens whatever the texts hold, and a
fixed amount on top. The plan sorts texts by length and cuts the sorted list where the sum of both is least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.text.packing import width_for

Rows = NDArray[np.int64]


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
    """Batches that hold every row exactly once, longest texts first, with the fewest tokens computed.

    - `lengths`: tokens of each text, at least 1 each.
    - `max_tokens`: no batch computes more than this, padding included, unless one row alone is longer.
    - `max_rows`: no batch holds more rows (Spark NLP's `batchSize`); None: no bound.
    - `widths`: the few widths of an engine that compiles for each shape, as `text.packing.width_for` takes
      them; None pads to the batch's longest.
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
    if not len(sizes):
        return []
    order = np.argsort(-sizes, kind="stable")
    distinct, counts = np.unique(sizes, return_counts=True)
    # From here on longest first, as `order`.
    distinct = distinct[::-1]
    ends = np.concatenate([[0], np.cumsum(counts[::-1])])
    padded = np.array([_padded(int(length), widths, max_width) for length in distinct])
    rows_a_call = np.maximum(1, max_tokens // padded)
    if max_rows is not None:
        rows_a_call = np.minimum(rows_a_call, max_rows)
    batches: list[Batch] = []
    for first, last in _cuts(padded, ends, rows_a_call, call_cost):
        segment = order[ends[first] : ends[last]]
        n_calls = -(-len(segment) // int(rows_a_call[first]))
        # As near to equal as can be, the longer ones first.
        each, longer = divmod(len(segment), n_calls)
        stop = 0
        for call in range(n_calls):
            start, stop = stop, stop + each + (call < longer)
            rows = segment[start:stop]
            batches.append(Batch(rows, _padded(int(sizes[rows[0]]), widths, max_width)))
    return batches


def _padded(length: int, widths: Sequence[int] | None, max_width: int | None) -> int:
    return length if widths is None else width_for(length, max_width, widths)


def _cuts(
    padded: NDArray[np.int64], ends: NDArray[np.int64], rows_a_call: NDArray[np.int64], call_cost: int
) -> list[tuple[int, int]]:
    """The cheapest way to cut the distinct lengths into segments that share a width; shortest path, exact.

    Segment (i, j) holds the distinct lengths i to j-1 and is padded to the first, the longest: its cost is
    the padded tokens of its rows and `call_cost` for each call that the bounds make of it.
    """
    n = len(padded)
    cheapest = np.zeros(n + 1)
    came_from = np.zeros(n + 1, np.int64)
    for stop in range(1, n + 1):
        rows = ends[stop] - ends[:stop]
        cost = cheapest[:stop] + rows * padded[:stop] + -(-rows // rows_a_call[:stop]) * call_cost
        best = int(np.argmin(cost))
        cheapest[stop], came_from[stop] = cost[best], best
    cuts: list[tuple[int, int]] = []
    stop = n
    while stop:
        cuts.append((int(came_from[stop]), stop))
        stop = int(came_from[stop])
    return cuts[::-1]
