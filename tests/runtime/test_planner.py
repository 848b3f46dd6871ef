"""The planner: every row once, bounds kept, little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.planner import plan
from sparkxlmr.text.packing import WIDTHS, near_width, width_for

LENGTHS = st.lists(st.integers(1, 512), max_size=300)
ENGINES = st.sampled_from([None, WIDTHS, (100,)])


@given(LENGTHS, st.integers(1, 5000), st.none() | st.integers(1, 40), ENGINES, st.integers(0, 500))
def test_every_row_once_and_no_batch_over_a_bound(lengths, max_tokens, max_rows, widths, call_cost):
    batches = plan(lengths, max_tokens, max_rows, widths, call_cost)
    rows = [int(row) for batch in batches for row in batch.rows]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch.rows)
        assert batch.width == (near_width(longest) if widths is None else width_for(longest, widths=widths))
        assert len(batch.rows) == 1 or len(batch.rows) * batch.width <= max_tokens
        assert max_rows is None or len(batch.rows) <= max_rows


@given(LENGTHS, st.integers(1, 5000), ENGINES)
def test_never_dearer_than_one_call_a_text(lengths, max_tokens, widths):
    def cost(batches):
        return sum(len(batch.rows) * batch.width + 32 for batch in batches)

    assert cost(plan(lengths, max_tokens, widths=widths)) <= cost(plan(lengths, 1, widths=widths))


def typical_lengths(seed: int, texts: int = 1000) -> np.ndarray:
    lengths = np.random.default_rng(seed).lognormal(3.4, 0.6, texts)
    return np.clip(lengths.astype(int), 3, 128)


def test_padding_is_a_small_share_for_texts_as_they_come():
    lengths = typical_lengths(5)
    batches = plan(lengths)
    padding = 1 - lengths.sum() / sum(len(batch.rows) * batch.width for batch in batches)
    assert padding < 0.05
    assert len(batches) < 80


def test_the_same_few_shapes_come_again_and_again():
    """What an engine prepares for a shape it keeps: more and more of them would be a leak."""
    shapes = [
        {(len(batch.rows), batch.width) for batch in plan(typical_lengths(seed))} for seed in range(100)
    ]
    assert len(set().union(*shapes)) < 300
    new = set().union(*shapes[50:]) - set().union(*shapes[:50])
    assert len(new) < 30


@given(st.integers(1, 8192))
def test_a_near_width_holds_the_length_and_is_hardly_longer(length):
    assert length <= near_width(length) < length * 33 / 32


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
