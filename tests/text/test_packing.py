"""Padding lists of ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.packing import pack, width_for


@given(st.lists(st.lists(st.integers(0, 250001), max_size=20), max_size=10), st.integers(0, 5))
def test_pack_keeps_every_id(ids, more):
    width = max(map(len, ids), default=0) + more
    token_ids, mask = pack(ids, 1, width)
    assert token_ids.shape == mask.shape == (len(ids), width)
    assert token_ids.dtype == mask.dtype == np.int32
    assert [row[kept == 1].tolist() for row, kept in zip(token_ids, mask, strict=True)] == ids
    assert (token_ids[mask == 0] == 1).all()


def test_pack_refuses_what_does_not_fit():
    with pytest.raises(SettingError, match="3 ids"):
        pack([[0, 5, 2]], 1, width=2)


def test_width_for():
    assert [width_for(n, 512) for n in (0, 1, 16, 17, 300, 512)] == [16, 16, 16, 32, 512, 512]
    assert width_for(513, 514) == 514
