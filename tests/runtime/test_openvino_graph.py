"""The graph from canonical weights: equal to plain NumPy, whole under all padding, the same to the byte."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest

from sparkxlmr.errors import WeightsError
from sparkxlmr.runtime.engines.openvino_graph import classifier_graph, fits_float16, write_graph


def logits_of(graph, token_ids, padding_mask, hint="f32"):
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return compiled({"token_ids": token_ids, "padding_mask": padding_mask})["logits"]


@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_equals_numpy(tiny_weights, tiny_shape, numpy_logits, token_batch, epsilon):
    weights = tiny_weights(seed=1)
    graph = classifier_graph(weights, tiny_shape["layers"], tiny_shape["heads"], epsilon)
    np.testing.assert_allclose(
        logits_of(graph, *token_batch), numpy_logits(weights, *token_batch, epsilon), atol=2e-6
    )


def test_a_row_of_padding_alone_gives_numbers(tiny_weights, tiny_shape, token_batch):
    graph = classifier_graph(tiny_weights(), tiny_shape["layers"], tiny_shape["heads"], 1e-5)
    token_ids, padding_mask = token_batch
    for hint in ("f32", "bf16"):
        assert np.isfinite(logits_of(graph, token_ids, np.zeros_like(padding_mask), hint)).all()


def test_float16_weights_take_half_the_room_and_change_nothing(
    tiny_weights, tiny_shape, numpy_logits, token_batch, tmp_path
):
    weights = tiny_weights(half=True)
    assert fits_float16(weights)
    assert not fits_float16(tiny_weights())
    assert not fits_float16({"large": np.float32([1e6])})
    for name, half in (("half", True), ("full", False)):
        graph = classifier_graph(weights, tiny_shape["layers"], tiny_shape["heads"], 1e-5)
        write_graph(graph, tmp_path / f"{name}.xml", half)
    assert (tmp_path / "half.bin").stat().st_size < 0.52 * (tmp_path / "full.bin").stat().st_size
    logits = logits_of(ov.Core().read_model(tmp_path / "half.xml"), *token_batch)
    np.testing.assert_allclose(logits, numpy_logits(weights, *token_batch), atol=2e-6)


@pytest.mark.parametrize("half", [False, True])
def test_the_same_weights_give_the_same_bytes(tiny_weights, tiny_shape, tmp_path, half):
    """Though OpenVINO's own names count up with everything that the process builds."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        graph = classifier_graph(tiny_weights(half=half), tiny_shape["layers"], tiny_shape["heads"], 1e-5)
        write_graph(graph, tmp_path / name / "model.xml", half)
    for file in ("model.xml", "model.bin"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert str(tmp_path) not in (tmp_path / "first" / "model.xml").read_text()


def test_a_missing_weight_is_named(tiny_weights, tiny_shape):
    weights = tiny_weights()
    del weights["classifier.logits.bias"]
    with pytest.raises(WeightsError, match=r"classifier\.logits\.bias"):
        classifier_graph(weights, tiny_shape["layers"], tiny_shape["heads"], 1e-5)
