"""The check of a model's outputs: which rows are not finite, and what the error carries."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from sparkxlmr.errors import NonFiniteOutputError
from sparkxlmr.text.finite import check_finite, non_finite_rows, positions_of_rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_non_finite_rows(value, dtype):
    outputs = np.zeros((4, 3), dtype)
    outputs[[1, 3], [2, 0]] = value
    assert non_finite_rows(outputs).tolist() == [False, True, False, True]
    with pytest.raises(NonFiniteOutputError) as caught:
        check_finite(outputs, "encoder", [5, 5, 6, 5])
    assert caught.value.rows == (5,)


def test_padding_of_the_vocabulary_may_be_minus_infinity():
    logits = np.zeros((3, 4), np.float32)
    logits[:, 2:] = [[-np.inf, -np.inf], [-np.inf, np.inf], [np.nan, 0]]
    assert non_finite_rows(logits, n_used=2).tolist() == [False, True, True]
    logits[0, 1] = -np.inf
    assert non_finite_rows(logits, n_used=2)[0]


def test_check_of_finite_outputs_and_of_none():
    check_finite(np.zeros((3, 2), np.float32), "encoder")
    check_finite(np.zeros((0, 0), np.float32), "encoder")


def test_error_keeps_its_positions():
    with pytest.raises(NonFiniteOutputError) as caught, positions_of_rows([7, 7, 9], 10, "of partition 2"):
        raise NonFiniteOutputError("masked_lm", [0, 1, 2])
    error = pickle.loads(pickle.dumps(caught.value))  # as a child process or Spark's worker sends it
    assert (error.task, error.rows, error.unit, error.where) == (
        "masked_lm", (17, 19), "row", "of partition 2",
    )  # fmt: skip
    assert "output of the masked lm is NaN or infinite for rows 17, 19 of partition 2" in str(error)
    assert "..." in str(NonFiniteOutputError("encoder", range(99)))
