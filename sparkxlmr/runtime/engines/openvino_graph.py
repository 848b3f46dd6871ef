"""A text classifier as an OpenVINO graph, built from canonical weights. Needs openvino, not Keras.

What differs from the Keras model is the work, never the result: queries, keys and values are one product,
attention is one operation, and the last layer computes the `<s>` row only, since nothing reads the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from sparkxlmr.errors import WeightsError

Weights = Mapping[str, NDArray[np.float32]]

# Added to the scores of padding: far below every real score, yet finite, so that a row of nothing but padding
# gives numbers and not NaN.
_HIDDEN = -1e9


def classifier_graph(weights: Weights, num_layers: int, num_heads: int, epsilon: float) -> ov.Model:
    """The graph: `token_ids` and `padding_mask`, int32 (rows, width), to `logits`, float32 (rows, classes).

    - `weights`: canonical names to arrays, kernels as (in, out).
    - `epsilon`: of the layer norms, added to the variance (`layer_norm_eps` in Hugging Face's config).

    Both dimensions of the inputs are dynamic; a width beyond the position table is the caller's error. The
    graph of equal weights is the same to the byte, whatever else the process has built. Raises WeightsError
    where a name is missing.
    """
    return _Builder(weights, num_heads, epsilon).build(num_layers)


def write_graph(graph: ov.Model, graph_file: Path, half: bool) -> None:
    """Writes the graph and, beside it with the suffix `.bin`, its weights.

    `half`: keep weights as float16. OpenVINO reads each back as float32, but leaves the token table as it is
    mapped.
    """
    ov.save_model(graph, graph_file, compress_to_fp16=half)


def fits_float16(weights: Weights) -> bool:
    """Whether float16 holds every number exactly: so it is for a preset that was stored in float16."""
    # Beyond float16's range the cast gives infinity, which differs from the number: no warning is needed.
    with np.errstate(over="ignore"):
        return all(np.array_equal(array.astype(np.float16), array) for array in weights.values())


class _Builder:
    def __init__(self, weights: Weights, num_heads: int, epsilon: float) -> None:
        self.weights, self.num_heads, self.epsilon = weights, num_heads, epsilon
        self.hidden_dim = self.array("embeddings.token").shape[1]

    def build(self, num_layers: int) -> ov.Model:
        token_ids = op.parameter([-1, -1], np.int32, name="token_ids")
        padding_mask = op.parameter([-1, -1], np.int32, name="padding_mask")
        mask = self.attention_mask(padding_mask)
        x = self.embeddings(token_ids)
        for index in range(num_layers):
            x = self.layer(x, mask, f"layers.{index}", first_only=index == num_layers - 1)
        if not num_layers:
            x = self.first_row(x)
        x = op.squeeze(x, _ints(1))
        x = op.tanh(self.dense(x, "classifier.dense"))
        logits = self.dense(x, "classifier.logits")
        logits.output(0).set_names({"logits"})
        result = op.result(logits)
        for parameter, name in ((token_ids, "token_ids"), (padding_mask, "padding_mask")):
            parameter.output(0).set_names({name})
        model = ov.Model([result], [token_ids, padding_mask], "text_classifier")
        # The names OpenVINO gives count everything this process ever built; the file must not.
        for number, node in enumerate(model.get_ordered_ops()):
            node.set_friendly_name(f"{number}_{node.get_type_name()}")
        return model

    def array(self, name: str) -> NDArray[np.float32]:
        try:
            return np.asarray(self.weights[name], np.float32)
        except KeyError:
            raise WeightsError(
                f"There is no weight {name!r} among {len(self.weights)} weights",
                "the canonical names of an XLM-R text classifier",
                "convert the checkpoint again with its classifier head",
            ) from None

    def embeddings(self, token_ids: Any) -> Any:
        x = op.gather(_floats(self.array("embeddings.token")), token_ids, _ints(0))
        width = op.gather(op.shape_of(token_ids, "i32"), _ints([1]), _ints(0))
        table = _floats(self.array("embeddings.position"))
        positions = op.slice(table, _ints([0]), width, _ints([1]), _ints([0]))
        x = op.add(x, op.unsqueeze(positions, _ints(0)))
        return self.norm(x, "embeddings.norm")

    def attention_mask(self, padding_mask: Any) -> Any:
        """0 for a token, far below 0 for padding; float32 (rows, 1, 1, width), added to the scores."""
        hidden = op.multiply(op.subtract(_floats(1), op.convert(padding_mask, "f32")), _floats(_HIDDEN))
        return op.unsqueeze(hidden, _ints([1, 2]))

    def layer(self, x: Any, mask: Any, name: str, first_only: bool) -> Any:
        """Post-layer-norm encoder layer; with `first_only` its result is (rows, 1, hidden)."""
        if first_only:
            queries = self.dense(first := self.first_row(x), f"{name}.attention.query")
            keys, values = self.fused(x, name, ("key", "value"))
            x = first
        else:
            queries, keys, values = self.fused(x, name, ("query", "key", "value"))
        heads = [self.heads(part) for part in (queries, keys, values)]
        # The scale is 1 / sqrt(size of a head), the operation's own default.
        attended = op.scaled_dot_product_attention(*heads, mask)
        attended = op.reshape(
            op.transpose(attended, _ints([0, 2, 1, 3])), _ints([0, 0, self.hidden_dim]), True
        )
        x = self.norm(op.add(x, self.dense(attended, f"{name}.attention.output")), f"{name}.attention.norm")
        wide = op.gelu(self.dense(x, f"{name}.feed_forward.up"), "erf")
        x = op.add(x, self.dense(wide, f"{name}.feed_forward.down"))
        return self.norm(x, f"{name}.feed_forward.norm")

    def fused(self, x: Any, name: str, parts: tuple[str, ...]) -> list[Any]:
        """One product for several projections of the same rows."""
        kernels = [self.array(f"{name}.attention.{part}.kernel") for part in parts]
        biases = [self.array(f"{name}.attention.{part}.bias") for part in parts]
        product = self.affine(x, np.concatenate(kernels, axis=1), np.concatenate(biases))
        return list(op.split(product, _ints(-1), len(parts)).outputs())

    def heads(self, x: Any) -> Any:
        """(rows, width, hidden) to (rows, heads, width, size of a head)."""
        size = self.hidden_dim // self.num_heads
        return op.transpose(op.reshape(x, _ints([0, 0, self.num_heads, size]), True), _ints([0, 2, 1, 3]))

    def dense(self, x: Any, name: str) -> Any:
        return self.affine(x, self.array(f"{name}.kernel"), self.array(f"{name}.bias"))

    def affine(self, x: Any, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
        # Stored as (out, in): the form in which the CPU's products read it.
        stored = _floats(np.ascontiguousarray(kernel.T))
        return op.add(op.matmul(x, stored, False, True), _floats(bias))

    def norm(self, x: Any, name: str) -> Any:
        x = op.mvn(x, _ints([-1]), True, self.epsilon, "inside_sqrt")
        x = op.multiply(x, _floats(self.array(f"{name}.gamma")))
        return op.add(x, _floats(self.array(f"{name}.beta")))

    def first_row(self, x: Any) -> Any:
        """The `<s>` row, its dimension kept: (rows, 1, hidden)."""
        return op.slice(x, _ints([0]), _ints([1]), _ints([1]), _ints([1]))


def _floats(value: float | NDArray[np.float32]) -> Any:
    return op.constant(np.asarray(value, np.float32))


def _ints(value: int | list[int]) -> Any:
    return op.constant(np.asarray(value, np.int32))
