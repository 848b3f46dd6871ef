"""Scores and best labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.classification import sigmoid, softmax, top

LOGITS = arrays(
    np.float32, st.tuples(st.integers(0, 5), st.integers(1, 9)), elements=st.floats(-1e4, 1e4, width=32)
)


@given(LOGITS)
def test_softmax_sums_to_one_and_keeps_the_order(logits):
    scores = softmax(logits)
    assert scores.dtype == np.float32
    assert scores.shape == logits.shape
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    assert all(scores[row, logits[row].argmax()] == scores[row].max() for row in range(len(logits)))


@given(LOGITS)
def test_sigmoid_is_the_double_precision_one(logits):
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(sigmoid(logits), exact, atol=1e-6)
    assert sigmoid(logits).dtype == np.float32


@given(LOGITS, st.integers(1, 12))
def test_top_orders_by_score_and_ties_by_id(logits, n):
    scores = softmax(logits)
    ids, best = top(scores, n)
    assert (ids.dtype, best.dtype) == (np.int32, np.float32)
    for row in range(len(scores)):
        expected = sorted(range(scores.shape[1]), key=lambda label: (-scores[row, label], label))[:n]
        assert ids[row].tolist() == expected
        assert best[row].tolist() == [scores[row, label] for label in expected]


def test_top_of_none_is_refused():
    with pytest.raises(SettingError, match="at least 1"):
        top(np.zeros((1, 2), np.float32), 0)
