"""The planner: every row once, bounds kept, little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.planner import plan
from sparkxlmr.text.packing import WIDTHS, width_for

LENGTHS = st.lists(st.integers(1, 512), max_size=300)
ENGINES = st.sampled_from([None, WIDTHS, (100,)])


@given(LENGTHS, st.integers(1, 5000), st.none() | st.integers(1, 40), ENGINES, st.integers(0, 500))
def test_every_row_once_and_no_batch_over_a_bound(lengths, max_tokens, max_rows, widths, call_cost):
    batches = plan(lengths, max_tokens, max_rows, widths, call_cost)
    rows = [int(row) for batch in batches for row in batch.rows]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch.rows)
        assert batch.width == (longest if widths is None else width_for(longest, widths=widths))
        assert len(batch.rows) == 1 or len(batch.rows) * batch.width <= max_tokens
        assert max_rows is None or len(batch.rows) <= max_rows


@given(LENGTHS, st.integers(1, 5000))
def test_never_dearer_than_one_call_a_text_or_batches_in_sorted_order(lengths, max_tokens):
    """The plan costs no more than two plain ways of doing it."""

    def cost(batches: list[tuple[int, int]]) -> int:
        return sum(rows * width + 32 for rows, width in batches)

    planned = cost([(len(batch.rows), batch.width) for batch in plan(lengths, max_tokens)])
    assert planned <= cost([(1, length) for length in lengths])
    in_order = sorted(lengths, reverse=True)
    greedy, start = [], 0
    while start < len(in_order):
        # Whole runs of one length at the cap, as the plan's own unit is a run of equal lengths.
        width = in_order[start]
        stop = start + sum(length == width for length in in_order[start:])
        step = max(1, max_tokens // width)
        greedy += [(len(in_order[at : min(at + step, stop)]), width) for at in range(start, stop, step)]
        start = stop
    assert planned <= cost(greedy)


def test_padding_is_a_small_share_for_texts_as_they_come():
    lengths = np.clip(np.random.default_rng(5).lognormal(3.4, 0.6, 1000).astype(int), 3, 128)
    batches = plan(lengths)
    padding = 1 - lengths.sum() / sum(len(batch.rows) * batch.width for batch in batches)
    assert padding < 0.05
    assert len(batches) < 80


def test_no_width_is_beyond_the_models_own():
    assert [batch.width for batch in plan([513], widths=WIDTHS)] == [1024]
    assert [batch.width for batch in plan([513, 20], widths=WIDTHS, max_width=514)] == [514, 32]


def test_nothing_gives_no_batches():
    assert plan([]) == []


def test_order_is_the_same_every_time():
    lengths = [5, 7, 5, 7, 5] * 9
    first, second = plan(lengths), plan(np.array(lengths))
    assert [batch.rows.tolist() for batch in first] == [batch.rows.tolist() for batch in second]


@pytest.mark.parametrize("bounds", [{"max_tokens": 0}, {"max_rows": 0}])
def test_a_bound_below_one_is_refused(bounds):
    with pytest.raises(SettingError, match="at least 1"):
        plan([3], **bounds)
