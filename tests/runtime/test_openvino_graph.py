"""The graph from canonical weights: equal to plain NumPy, whole under all padding, the same to the byte."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest

from sparkxlmr.errors import WeightsError
from sparkxlmr.runtime.engines.openvino_graph import classifier_graph


def logits_of(graph, token_ids, padding_mask, hint="f32"):
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return compiled({"token_ids": token_ids, "padding_mask": padding_mask})["logits"]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_equals_numpy(tiny_weights, tiny_shape, numpy_logits, token_batch, half, epsilon):
    weights = tiny_weights(seed=1, half=half)
    graph = classifier_graph(weights, tiny_shape["layers"], tiny_shape["heads"], epsilon)
    logits = logits_of(graph, *token_batch)
    np.testing.assert_allclose(logits, numpy_logits(weights, *token_batch, epsilon), atol=2e-6)


def test_a_row_of_padding_alone_gives_numbers(tiny_weights, tiny_shape, token_batch):
    graph = classifier_graph(tiny_weights(), tiny_shape["layers"], tiny_shape["heads"], 1e-5)
    token_ids, padding_mask = token_batch
    for hint in ("f32", "bf16"):
        assert np.isfinite(logits_of(graph, token_ids, np.zeros_like(padding_mask), hint)).all()


def test_float16_weights_take_half_the_room_and_change_nothing(
    tiny_weights, tiny_shape, token_batch, tmp_path
):
    weights = tiny_weights(half=True)
    shape = tiny_shape["layers"], tiny_shape["heads"], 1e-5
    ov.serialize(classifier_graph(weights, *shape), tmp_path / "half.xml", tmp_path / "half.bin")
    # One number beyond float16 in each large array keeps them all in float32.
    full = {
        name: array + np.float32(1e-4) * (array.ndim == 2) * (np.arange(array.size).reshape(array.shape) == 0)
        for name, array in weights.items()
    }
    ov.serialize(classifier_graph(full, *shape), tmp_path / "full.xml", tmp_path / "full.bin")
    assert (tmp_path / "half.bin").stat().st_size < 0.6 * (tmp_path / "full.bin").stat().st_size


def test_the_same_weights_give_the_same_bytes(tiny_weights, tiny_shape, tmp_path):
    """Though OpenVINO's own names count up with everything that the process builds."""
    shape = tiny_shape["layers"], tiny_shape["heads"], 1e-5
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        graph = classifier_graph(tiny_weights(), *shape)
        ov.serialize(graph, tmp_path / name / "model.xml", tmp_path / name / "model.bin")
    for file in ("model.xml", "model.bin"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert str(tmp_path) not in (tmp_path / "first" / "model.xml").read_text()


def test_a_missing_weight_is_named(tiny_weights, tiny_shape):
    weights = tiny_weights()
    del weights["classifier.logits.bias"]
    with pytest.raises(WeightsError, match=r"classifier\.logits\.bias"):
        classifier_graph(weights, tiny_shape["layers"], tiny_shape["heads"], 1e-5)
