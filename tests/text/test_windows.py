"""Stretches around masks, and from one end of a text to the other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.windows import Window, check_stride, sliding_windows, windows_around


@given(st.integers(1, 300), st.integers(1, 60), st.data())
def test_each_position_is_in_one_window_with_company_on_both_sides(n_ids, width, data):
    positions = sorted(data.draw(st.sets(st.integers(0, n_ids - 1), max_size=20)))
    found = windows_around(positions, n_ids, width)
    assert [position for window in found for position in window.positions] == positions
    company = width // 4
    for window in found:
        assert window.stop - window.start == min(width, n_ids)
        assert 0 <= window.start <= window.stop <= n_ids
        for position in window.positions:
            assert position - window.start >= min(company, position)
            assert window.stop - 1 - position >= min(company, n_ids - 1 - position)


def test_a_text_that_fits_is_read_whole_and_a_long_one_from_its_beginning():
    assert windows_around([0, 7], 8, 8) == [Window(0, 8, (0, 7))]
    assert windows_around([5], 100, 8) == [Window(0, 8, (5,))]
    assert windows_around([], 100, 8) == []


def test_a_width_without_room():
    with pytest.raises(SettingError, match="width of a window is 0"):
        windows_around([1], 5, 0)


@given(st.integers(0, 300), st.integers(1, 60), st.data())
def test_windows_hold_every_id_and_neighbours_share_the_stride(n_ids, width, data):
    stride = data.draw(st.integers(0, width - 1))
    found = sliding_windows(n_ids, width, stride)
    assert found[0][0] == 0
    assert found[-1][1] == n_ids
    assert all(stop - start == width for start, stop in found[:-1])
    for (_, stop), (start, last) in itertools.pairwise(found):
        assert stop - start == stride
        assert last > stop  # no window that says nothing new


@pytest.mark.parametrize(("stride", "width"), [(5, 5), (-1, 5), (0, 0)])
def test_windows_that_would_stand_still(stride, width):
    with pytest.raises(SettingError, match=f"share {stride}"):
        check_stride(stride, width)
    with pytest.raises(SettingError, match=f"share {stride}"):
        sliding_windows(10, width, stride)
