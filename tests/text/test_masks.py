"""Places to fill: found, packed, chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.masks import choose_masks, mask_positions, pack_positions, spelled_masks

SPECIAL, MASK, SIZE = frozenset({0, 1, 2, 3, 49}), 49, 50


def test_positions_are_found_and_packed():
    found = mask_positions([[0, 49, 9, 49, 2], [0, 2], [0, 49, 2]], 49)
    assert found == [[1, 3], [], [1]]
    positions, weights = pack_positions(found, 3)
    assert positions.tolist() == [[1, 3, 0], [0, 0, 0], [1, 0, 0]]
    assert weights.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert (positions.dtype, weights.dtype) == (np.int32, np.float32)
    with pytest.raises(SettingError):
        pack_positions(found, 1)
    assert pack_positions([])[0].shape == (0, 0)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    ids=st.lists(st.lists(st.integers(0, SIZE - 1), max_size=40), max_size=4),
    seed=st.integers(0, 9),
    rate=st.sampled_from([0.0, 0.15, 1.0]),
    length=st.sampled_from([None, 0, 1, 7]),
    shares=st.sampled_from([(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]),
)
def test_masking_hides_ordinary_tokens_and_nothing_else(ids, seed, rate, length, shares):
    rng = np.random.default_rng(seed)
    masked, positions, originals = choose_masks(ids, rng, SPECIAL, MASK, SIZE, rate, length, *shares)
    assert len(masked) == len(positions) == len(originals) == len(ids)
    for row, hidden, places, tokens in zip(ids, masked, positions, originals, strict=True):
        assert places == sorted(set(places))
        assert [row[at] for at in places] == tokens
        assert not SPECIAL.intersection(tokens)
        assert [t for at, t in enumerate(hidden) if at not in places] == [
            t for at, t in enumerate(row) if at not in places
        ]
        ordinary = sum(token not in SPECIAL for token in row)
        wanted = min(ordinary, max(1, round(rate * ordinary))) if rate else 0
        assert len(places) == (wanted if length is None else min(wanted, length))
        replaced = [hidden[at] for at in places]
        if shares == (1.0, 0.0):
            assert set(replaced) <= {MASK}
        elif shares == (0.0, 1.0):
            assert not SPECIAL.intersection(replaced)
        elif shares == (0.0, 0.0):
            assert hidden == row


def test_shares_are_kept_and_the_seed_decides():
    ids = [list(range(4, 49)) * 20] * 20
    masked, positions, originals = choose_masks(
        ids, np.random.default_rng(0), SPECIAL, MASK, SIZE, selection_length=None
    )
    now = np.array([[row[at] for at in places] for row, places in zip(masked, positions, strict=True)])
    before = np.array(originals)
    assert now.size == 20 * round(0.15 * 900)
    assert np.mean(now == MASK) == pytest.approx(0.8, abs=0.02)
    # a random token is the old one in 1 of 45 cases
    assert np.mean((now != MASK) & (now != before)) == pytest.approx(0.1 * 44 / 45, abs=0.02)
    assert set(now.ravel()) == {*range(4, 49), MASK}
    again = choose_masks(ids, np.random.default_rng(0), SPECIAL, MASK, SIZE, selection_length=None)
    assert again == (masked, positions, originals)
    other = choose_masks(ids, np.random.default_rng(1), SPECIAL, MASK, SIZE, selection_length=None)
    assert other != again


@pytest.mark.parametrize(
    "rates", [(-0.1, 0.8, 0.1), (0.15, 0.8, 0.3), (1.5, 0.8, 0.1), (0.15, float("nan"), 0)]
)
def test_rates_that_are_none_are_refused(rates):
    selection, mask, other = rates
    with pytest.raises(SettingError, match="rates"):
        choose_masks([[5]], np.random.default_rng(0), SPECIAL, MASK, SIZE, selection, 9, mask, other)


def test_masks_that_a_text_spells_are_told_from_those_its_normalisation_makes():
    text, parts = "A # B # # c", []

    def n_made(given):
        parts.extend(given)
        return [part.count("A") + part.count("B") for part in given]

    # Among the ids the masks are: made, spelled, made, spelled, spelled.
    assert spelled_masks(text, "#", [1, 3, 5, 7, 8], True, n_made) == [(2, 3), (6, 7), (8, 8)]
    assert parts == ["A ", " B ", " ", " c"]
    # Cut off behind the third, as many as the text spells are left: not those.
    assert spelled_masks(text, "#", [1, 3, 5], False, n_made) == [(2, 3)]
    assert spelled_masks("no mask", "#", [4], True, lambda given: [1]) == []
