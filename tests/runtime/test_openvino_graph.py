"""The graph from canonical weights: equal to plain NumPy, whole under all padding, the same to the byte."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import openvino as ov
import pytest

from sparkxlmr.errors import WeightsError
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.runtime.engines.openvino_graph import fits_float16, task_graph, write_graph


def answer_of(graph, inputs, hint="f32", name="vectors"):
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return compiled({parameter.any_name: inputs[parameter.any_name] for parameter in graph.inputs})[name]


def logits_of(graph, inputs, hint="f32"):
    return answer_of(graph, inputs, hint, "logits")


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 0.1])
@pytest.mark.parametrize("family", ["XLM_R", "ALBERT"])
@pytest.mark.parametrize("kind", ["text_classifier", "masked_lm"])
def test_equals_numpy(tiny, token_batch, kind, family, epsilon, activation):
    config = replace(getattr(tiny, family), layer_norm_epsilon=epsilon, activation=activation)
    # The numbers of the head are its own.
    masked = MaskedLMConfig(activation="relu" if activation == "gelu" else "gelu", layer_norm_epsilon=0.01)
    task = tiny.classifier_of(config) if kind == "text_classifier" else masked
    weights = tiny.weights(config, task, seed=1)
    graph = task_graph(weights, config, task)
    named = {parameter.any_name: token_batch[parameter.any_name] for parameter in graph.inputs}
    assert ("segment_ids" in named, "mask_positions" in named) == (family == "ALBERT", kind == "masked_lm")
    expected = tiny.Reference(weights, config, task).logits(**named)
    np.testing.assert_allclose(logits_of(graph, token_batch), expected, atol=5e-6)


@pytest.mark.parametrize("family", ["XLM_R", "ALBERT"])
def test_an_encoder_alone_answers_the_first_vector_and_the_mean(tiny, token_batch, family):
    config = getattr(tiny, family)
    weights = tiny.weights(config, seed=2)
    graph = task_graph(weights, config, None)
    assert "mask_positions" not in {parameter.any_name for parameter in graph.inputs}
    reference, expected = tiny.Reference(weights, config, None), []
    rows = (token_batch[name] for name in ("token_ids", "padding_mask", "segment_ids"))
    for ids, mask, segments in zip(*rows, strict=True):
        x = reference.encoded(ids[mask == 1], segments[mask == 1])
        expected.append([x[0], x.mean(0)])
    np.testing.assert_allclose(answer_of(graph, token_batch), expected, atol=5e-6)
    nothing = {**token_batch, "padding_mask": np.zeros_like(token_batch["padding_mask"])}
    assert np.isfinite(answer_of(graph, nothing, "bf16")).all()


def test_weights_that_layers_share_are_stored_once(tiny):
    for task in (tiny.classifier_of(tiny.ALBERT), MaskedLMConfig()):
        weights = tiny.weights(tiny.ALBERT, task)
        graph = task_graph(weights, tiny.ALBERT, task)
        constants = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Constant"]
        floats = [node for node in constants if node.get_element_type() == ov.Type.f32]
        n_scalars = 3  # of the attention's mask and scale
        stored = sum(int(np.prod(list(node.shape))) for node in floats) - n_scalars
        unread = sum(array.size for name, array in weights.items() if _unread(name, task))
        assert stored == sum(array.size for array in weights.values()) - unread


def _unread(name, task):
    """A masked language model reads no pooler."""
    return task.kind == "masked_lm" and name.startswith("pooler")


@pytest.mark.parametrize("family", ["XLM_R", "ALBERT"])
def test_what_is_executed(tiny, family):
    """Attention as its parts (as one operation it is slower), activations with the product before."""
    config = getattr(tiny, family)
    task = tiny.classifier_of(config)
    graph = task_graph(tiny.weights(config, task), config, task)
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = Counter(
        node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ops()
    )
    n_layers = config.num_layers * (config.num_inner_repetitions if family == "ALBERT" else 1)
    # The head has two products, and ALBERT projects its embeddings.
    assert kinds["FullyConnected"] == 6 * n_layers + (3 if family == "ALBERT" else 2)
    assert (kinds["MatMul"], kinds["Softmax"]) == (2 * n_layers, n_layers)
    assert not {"Subgraph", "ScaledDotProductAttention", "Split", "Gelu", "Reference"} & set(kinds)


def test_a_row_of_padding_alone_gives_numbers(tiny, token_batch):
    graph = task_graph(tiny.weights(), tiny.XLM_R, tiny.classifier_of(tiny.XLM_R))
    nothing = {**token_batch, "padding_mask": np.zeros_like(token_batch["padding_mask"])}
    for hint in ("f32", "bf16"):
        assert np.isfinite(logits_of(graph, nothing, hint)).all()


def test_float16_weights_take_half_the_room_and_change_nothing(tiny, token_batch, tmp_path):
    config, task = tiny.XLM_R, tiny.classifier_of(tiny.XLM_R)
    weights = tiny.weights(half=True)
    assert fits_float16(weights)
    assert not fits_float16(tiny.weights())
    assert not fits_float16({"large": np.float32([1e6])})
    for name, half in (("half", True), ("full", False)):
        write_graph(task_graph(weights, config, task), tmp_path / f"{name}.xml", half)
    assert (tmp_path / "half.bin").stat().st_size < 0.52 * (tmp_path / "full.bin").stat().st_size
    logits = logits_of(ov.Core().read_model(tmp_path / "half.xml"), token_batch)
    inputs = (token_batch["token_ids"], token_batch["padding_mask"])
    np.testing.assert_allclose(logits, tiny.Reference(weights, config, task).logits(*inputs), atol=2e-6)


@pytest.mark.parametrize("half", [False, True])
def test_the_same_weights_give_the_same_bytes(tiny, tmp_path, half):
    """Though OpenVINO's own names count up with everything that the process builds."""
    config, task = tiny.ALBERT, tiny.classifier_of(tiny.ALBERT)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        graph = task_graph(tiny.weights(config, half=half), config, task)
        write_graph(graph, tmp_path / name / "model.xml", half)
    for file in ("model.xml", "model.bin"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert str(tmp_path) not in (tmp_path / "first" / "model.xml").read_text()


def test_a_missing_weight_is_named(tiny):
    weights = tiny.weights()
    del weights["classifier.logits.bias"]
    with pytest.raises(WeightsError, match=r"classifier\.logits\.bias"):
        task_graph(weights, tiny.XLM_R, tiny.classifier_of(tiny.XLM_R))
