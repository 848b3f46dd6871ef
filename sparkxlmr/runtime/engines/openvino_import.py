"""A compiled model of another library (ONNX, SavedModel, IR) as an OpenVINO graph with a bundle's names.

OpenVINO only translates such files: it runs nothing of them, and knows no operators but its own, for no
library of others is ever loaded.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from sparkxlmr.errors import NotAPresetError, SparkxlmrError, WeightsError
from sparkxlmr.presets.saved_graph import (
    CLASSIFIER,
    ENCODER,
    TENSORFLOW,
    SavedGraph,
    too_small_tables,
    wrong_outputs,
)
from sparkxlmr.runtime.engines.openvino_layers import text_vectors
from sparkxlmr.runtime.engines.openvino_request import Request
from sparkxlmr.runtime.engines.openvino_tables import Tables, table_sizes
from sparkxlmr.text.packing import pack

# Texts of unlike length: a graph that was exported for one shape, or that forgets its mask, is found out.
_SAMPLE = ("a", "a b c d e f")
# Float16 weights, and graphs that were quantised, round.
_TOLERANCE = 0.05


def imported_graph(model: SavedGraph) -> ov.Model:
    """The graph with the inputs and the output of :func:`~.openvino_graph.task_graph`.

    Raises NotAPresetError where OpenVINO cannot read the file, or the graph does not take batches of texts of
    any length; WeightsError where a text's answer depends on the padding beside it.
    """
    try:
        graph = ov.Core().read_model(str(model.path if model.format == TENSORFLOW else model.graph_path))
        inputs, output = _ends(graph, model)
        graph.reshape({port: ov.PartialShape([-1, -1]) for port in inputs.values()})
        imported = _renamed(model, inputs, output)
        _try(imported, model)
    except SparkxlmrError:
        raise
    # Names that are no UTF-8 come as UnicodeDecodeError, inputs that are called otherwise as StopIteration.
    except (RuntimeError, ValueError, TypeError, StopIteration) as error:
        said = ["?", *(line.strip() for line in str(error).splitlines() if line.strip())][-1]
        raise NotAPresetError(
            f"OpenVINO {ov.__version__} cannot read {model.graph_path}: {said[-300:]!r}",
            f"a {model.task_kind} for batches of any size and texts of any length",
            "export the model again, with open dimensions and operators that OpenVINO knows",
        ) from error
    return imported


def _ends(graph: ov.Model, model: SavedGraph) -> tuple[dict[str, Any], Any]:
    """The graph's inputs by the bundle's names, and its output; a format's reader may have changed names."""
    inputs: dict[str, Any] = {}
    for ours, theirs in model.inputs.items():
        inputs[ours] = next(port for port in graph.inputs if _is_called(port, theirs))
    found = [port for port in graph.outputs if _is_called(port, model.output)]
    return inputs, found[0] if found else graph.outputs[0]


def _is_called(port: Any, name: str) -> bool:
    return name in port.get_names() or port.get_node().get_friendly_name() == name


def _renamed(model: SavedGraph, inputs: dict[str, Any], output: Any) -> ov.Model:
    """The same computation between inputs of int32 and an output of float32, under the bundle's names."""
    names = ("token_ids", "padding_mask", *(("segment_ids",) if model.family == "albert" else ()))
    made = {name: op.parameter([-1, -1], np.int32, name=name) for name in names}
    for name, parameter in made.items():
        parameter.output(0).set_names({name})
    for name, port in inputs.items():
        # XLM-R has no segments, but some exports of it ask for them: all are the first.
        given = made.get(name) or op.multiply(made["token_ids"], op.constant(np.zeros((), np.int32)))
        cast = op.convert(given, port.get_element_type().get_type_name())
        for reader in port.get_target_inputs():
            reader.replace_source_output(cast.output(0))
    answer = op.convert(output.get_node().input_value(0), "f32")
    if model.task_kind == ENCODER:
        answer = text_vectors(answer, made["padding_mask"])
    answer.output(0).set_names({"vectors" if model.task_kind == ENCODER else "logits"})
    imported = ov.Model([op.result(answer)], list(made.values()), model.task_kind)
    # The names that OpenVINO gives count everything this process ever built; the file must not.
    for number, node in enumerate(imported.get_ordered_ops()):
        node.set_friendly_name(f"{number}_{node.get_type_name()}")
    return imported


def _try(graph: ov.Model, model: SavedGraph) -> None:
    """Reads two texts of unlike length together and the shorter one alone: its answer has to be the same."""
    tokenizer = model.text_tokenizer()
    found = table_sizes(graph, model.family)
    needed = Tables(tokenizer.vocabulary_size, model.max_length)
    if not found.hold(needed):
        raise too_small_tables(model, found.vocabulary_size, found.positions)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = Request(partial(ov.Core().compile_model, graph, "CPU", settings))
    encoded = tokenizer.encode(list(_SAMPLE), model.max_length)

    def answers(ids: list[Any], segments: list[Any] | None) -> Any:
        token_ids, padding_mask = pack(ids, tokenizer.pad_id)
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        if segments is not None:
            inputs["segment_ids"], _ = pack(segments, 0)
        return request.run(inputs)[0]

    # The longest text that the model is said to read.
    longest = [tokenizer.vocabulary_size - 1] * model.max_length
    answers([longest], None if encoded.segment_ids is None else [[0] * model.max_length])
    segments = encoded.segment_ids
    together = answers(encoded.ids, segments)
    if model.task_kind == CLASSIFIER and together.shape != (len(_SAMPLE), len(model.labels)):
        raise wrong_outputs(model.path, together.shape, len(model.labels))
    alone = answers(encoded.ids[:1], None if segments is None else segments[:1])
    if not np.allclose(together[:1], alone, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise WeightsError(
            f"The graph of {model.path} answers otherwise where a longer text stands beside",
            "a graph that leaves out what its attention_mask hides",
            "export the model again",
        )
