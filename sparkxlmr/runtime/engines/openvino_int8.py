"""Products of int8 numbers in an OpenVINO graph, and the ranges that they need.

Weights are int8 for each output channel, symmetric, so that the file is a quarter of the float one. With a
calibration the graph says how what comes into a product is rounded; without, OpenVINO finds the range of each
token while running (its dynamic quantisation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from sparkxlmr.presets.calibration import Calibration
from sparkxlmr.presets.config import BackboneConfig, TaskConfig, TextClassifierConfig
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.engines.engine_io import engine_call
from sparkxlmr.runtime.engines.openvino_graph import task_graph
from sparkxlmr.runtime.engines.openvino_layers import Products, Weights, first_row, floats, ints
from sparkxlmr.runtime.engines.openvino_request import Request

# Symmetric, so without -128.
_MOST = 127
_LEVELS = 256
# Of SmoothQuant: how much of what reaches far is moved into the weights.
_SMOOTH, _LEAST = 0.8, np.float32(1e-5)
_TOKENS = "embeddings.token"
_FIRST_ONLY = ("attention.query", "attention.output", "feed_forward")
# Measured: a tenth faster in bfloat16 with 768 channels, no faster with 208.
_WIDE = 512
# Where OpenVINO looks for settings of its own in a graph.
_GROUP = ("runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE")
# Between the names of kernels that are one product.
_BESIDE = "+"
# The last layer of a masked language model reads its masks only: its products are the encoder's all the same.
_LAYERS = ("layers.", "groups.")


class Int8Products(Products):
    """Weights int8; what comes in is rounded to the ranges of a calibration, or as OpenVINO finds them.

    - `exact`: how the names of those kernels begin that stay floats.

    With a calibration channels that reach far are made smaller, and their weights larger by as much, so that
    they do not coarsen all others (SmoothQuant, Xiao et al., ICML 2023).
    """

    def __init__(self, calibration: Calibration | None, exact: tuple[str, ...] = ()) -> None:
        self.calibration, self.exact = calibration, exact
        self._factors: dict[str, NDArray[np.float32]] = {}

    def kernel(self, name: str, array: NDArray[np.float32]) -> Any:
        if name.startswith(self.exact):
            return super().kernel(name, array)
        if (ranges := self._ranges(name)) is not None:
            self._factors[name] = smoothing(ranges, array)
            array = array * self._factors[name]
        whole, scale = rounded(array)
        return op.multiply(op.convert(op.constant(whole), "f32"), floats(scale))

    def incoming(self, x: Any, name: str) -> Any:
        ranges = self._ranges(name)
        if ranges is None or name.startswith(self.exact):
            return x
        factors = self._factors[name]
        low, high = (floats(bound) for bound in bounds(ranges / factors))
        x = op.multiply(x, floats(np.float32(1) / factors))
        return op.fake_quantize(x, low, high, low, high, _LEVELS)

    def rows(self, table: Any, ids: Any) -> Any:
        # Only the rows that are looked up become floats.
        whole, scale = (table.input_value(0).get_node().input_value(0), table.input_value(1))
        return op.multiply(op.convert(op.gather(whole, ids, ints(0)), "f32"), op.gather(scale, ids, ints(0)))

    def _ranges(self, name: str) -> NDArray[np.float32] | None:
        # The token table is looked up, too: its rows stay as they are.
        if self.calibration is None or name == _TOKENS:
            return None
        # Products side by side read the same numbers: those of the first are those of all.
        return self.calibration.ranges.get(name.split(_BESIDE)[0])


class _Observed(Products):
    """Products of floats; what comes into each is remembered, by the name of its kernel."""

    def __init__(self) -> None:
        self.inputs: list[tuple[str, Any]] = []

    def incoming(self, x: Any, name: str) -> Any:
        self.inputs += [(one, x) for one in name.split(_BESIDE)]
        return x


def int8_graph(
    weights: Weights, config: BackboneConfig, task: TaskConfig | None, calibration: Calibration | None
) -> ov.Model:
    """As :func:`~.openvino_graph.task_graph`, its kernels and its token table as int8."""
    # What a classifier computes for the first token alone costs nothing, and its errors would reach the
    # labels whole. ALBERT's last layer is its others', too.
    last = f"layers.{config.num_layers - 1}."
    exact = ("classifier.", "pooler", *(last + part for part in _FIRST_ONLY))
    products = Int8Products(calibration, exact if isinstance(task, TextClassifierConfig) else ())
    graph = task_graph(weights, config, task, products)
    # So many numbers share a range that is found while running: all that come into most products. OpenVINO
    # would take 32, which is slower, and with more than there are it multiplies floats.
    graph.set_rt_info(str(config.hidden_dim), list(_GROUP))
    return graph


def smoothing(ranges: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """By what each channel of a product's input is divided, and its weights are multiplied: (in,), positive.

    - `ranges`: of the input, (2, in); `kernel`: (out, in).
    """
    reach = np.maximum(np.abs(ranges).max(axis=0), _LEAST)
    factors = reach**_SMOOTH / np.maximum(np.abs(kernel).max(axis=0), _LEAST) ** (1 - _SMOOTH)
    # Their mean is 1, on a scale of ratios.
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)


def is_wide(graph: ov.Model) -> bool:
    """Whether what is computed between the products of an int8 graph is enough to be worth fewer digits."""
    return bool(graph.has_rt_info(list(_GROUP))) and graph.get_rt_info(list(_GROUP)).astype(int) >= _WIDE


def rounded(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows (out, in) as int8, and the scale of each row (out, 1): their product is nearly the array.

    >>> rounded(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32))[0].tolist()
    [[64, -127], [0, 0]]
    """
    scale = np.abs(array).max(axis=1, keepdims=True) / np.float32(_MOST)
    # A row of zeros stays one, whatever its scale.
    scale[scale == 0] = 1
    return np.round(array / scale).astype(np.int8), scale


def bounds(ranges: NDArray[np.float32]) -> tuple[float, float]:
    """The range of a tensor, of those of its channels (2, channels); it holds 0, which is kept exact."""
    low, high = min(0.0, float(ranges[0].min())), max(0.0, float(ranges[1].max()))
    if low == high:
        return 0.0, 1.0
    if low == 0.0:
        return low, high
    # 0 has to be one of the levels: the lower bound is moved to make it so.
    step = (high - low) / (_LEVELS - 1)
    below = min(max(round(-low / step), 1), _LEVELS - 1)
    above = _LEVELS - 1 - below
    step = max(-low / below, high / above) if above else -low / below
    return -step * below, step * above


def observed_ranges(
    preset: Preset, inputs: Iterable[Mapping[str, NDArray[np.int32]]]
) -> dict[str, NDArray[np.float32]]:
    """The lowest and the highest number of each channel that comes into each product of a preset's model.

    - `inputs`: arrays as the model's engine gets them.

    Name of the product's kernel to float32 (2, channels), over all batches; empty without batches. Of the
    encoder every token counts, of the head what it reads; padding counts nowhere.
    """
    weights = preset.weights()
    tasks = [None] if preset.task is None else [None, preset.task]
    graphs = [_observing(weights, preset.config, task) for task in tasks]
    core, settings = ov.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    watched = [
        (
            names,
            [port.get_any_name() for port in graph.inputs],
            Request(partial(core.compile_model, graph, "CPU", settings)),
        )
        for names, graph in graphs
    ]
    found: dict[str, NDArray[np.float32]] = {}
    for arrays in inputs:
        for names, taken, request in watched:
            with engine_call("openvino", arrays):
                outputs = request.run({name: np.ascontiguousarray(arrays[name], np.int32) for name in taken})
            for index, name in enumerate(names):
                low, high = outputs[2 * index : 2 * index + 2]
                if name in found:
                    low, high = np.minimum(low, found[name][0]), np.maximum(high, found[name][1])
                found[name] = np.stack([low, high])
    return found


def _observing(
    weights: Weights, config: BackboneConfig, task: TaskConfig | None
) -> tuple[list[str], ov.Model]:
    """A graph that answers two vectors (channels,) for each name: of the encoder's products without a task,
    else of the head's."""
    seen = _Observed()
    graph = task_graph(weights, config, task, seen)
    parameters = graph.get_parameters()
    mask = next(node for node in parameters if "padding_mask" in node.output(0).get_names())
    is_token = op.unsqueeze(op.convert(mask, "boolean"), ints(2))
    results, names = [], []
    for name, x in seen.inputs:
        # What the head reads has no width.
        in_head = len(x.get_output_partial_shape(0)) == 2
        if in_head is (task is None) or (in_head and name.startswith(_LAYERS)):
            continue
        # Padding is given the numbers of its row's first token.
        counted = x if in_head else op.select(is_token, x, first_row(x))
        axes = ints([0] if in_head else [0, 1])
        results += [op.result(op.reduce_min(counted, axes)), op.result(op.reduce_max(counted, axes))]
        names.append(name)
    return names, ov.Model(results, parameters, "observed")
