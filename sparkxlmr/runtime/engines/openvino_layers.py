"""The layers of an encoder as OpenVINO operations over canonical weights: what XLM-R and ALBERT share.

What differs from the Keras model is the work, never the result: of the last layer only what is read is
computed, and weights that several layers share are one constant that each of them reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import opset13 as op

from sparkxlmr.errors import WeightsError
from sparkxlmr.presets.config import BackboneConfig

Weights = Mapping[str, NDArray[np.float32]]

# Added to the scores of padding: far below every real score, yet finite, so that a row of nothing but padding
# gives numbers and not NaN.
_HIDDEN = -1e9
# Heads and width change places.
_SWAP = [0, 2, 1, 3]
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda x: op.gelu(x, "erf"),
    "gelu_tanh": lambda x: op.gelu(x, "tanh"),
    "relu": op.relu,
}


class Products:
    """How the graph's large products are computed: here in floats. Another way is a subclass.

    `side_by_side`: whether queries, keys and values are one product. In floats three run as fast, and nothing
    has to be cut apart again.
    """

    side_by_side = False

    def kernel(self, name: str, array: NDArray[np.float32]) -> Any:
        """The constant of a kernel (out, in), or of a table (rows, hidden) that is also multiplied with."""
        return floats(array)

    def incoming(self, x: Any, name: str) -> Any:
        """What comes into the product with the kernel of that name."""
        return x

    def rows(self, table: Any, ids: Any) -> Any:
        """Rows of a table that :meth:`kernel` made."""
        return op.gather(table, ids, ints(0))


class Layers:
    """Makes operations of weights. Raises WeightsError where a name is missing."""

    def __init__(self, weights: Weights, config: BackboneConfig, products: Products | None = None) -> None:
        self.weights, self.config = weights, config
        self.products = Products() if products is None else products
        self._constants: dict[str, Any] = {}

    def array(self, name: str) -> NDArray[np.float32]:
        try:
            return np.asarray(self.weights[name], np.float32)
        except KeyError:
            raise WeightsError(
                f"There is no weight {name!r} among {len(self.weights)} weights",
                f"the canonical names of a model of family {self.config.family!r}",
                "convert the checkpoint again with its head",
            ) from None

    def stored(self, name: str, make: Callable[[], NDArray[np.float32] | np.float32] | None = None) -> Any:
        """The constant of that name, made once: a weight that is used again is not stored again."""
        if name not in self._constants:
            self._constants[name] = floats(self.array(name) if make is None else make())
        return self._constants[name]

    def kernel(self, name: str, make: Callable[[], NDArray[np.float32]] | None = None) -> Any:
        """As :meth:`stored`, of what is multiplied with."""
        if name not in self._constants:
            array = self.array(name) if make is None else make()
            self._constants[name] = self.products.kernel(name, array)
        return self._constants[name]

    def product(self, x: Any, name: str, kernel: Any) -> Any:
        """x (..., in) with a kernel (out, in) of that name: (..., out)."""
        return op.matmul(self.products.incoming(x, name), kernel, False, True)

    def layer(
        self, x: Any, mask: Any, name: str, first_only: bool = False, at: Callable[[Any], Any] | None = None
    ) -> Any:
        """Post-layer-norm encoder layer over x (rows, width, hidden).

        The last one computes what is read of it: with `first_only` the first row alone, (rows, 1, hidden);
        with `at` the rows that this function takes, (n, hidden).
        """
        read = first_row(x) if first_only else x
        attended = self.attend(*self.projected(x, read, f"{name}.attention"), mask)
        if at is not None:
            read, attended = at(read), at(attended)
        x = op.add(read, self.dense(attended, f"{name}.attention.output"))
        x = self.norm(x, f"{name}.attention.norm")
        wide = self.activate(self.dense(x, f"{name}.feed_forward.up"), self.config.activation)
        x = op.add(x, self.dense(wide, f"{name}.feed_forward.down"))
        return self.norm(x, f"{name}.feed_forward.norm")

    def projected(self, x: Any, read: Any, name: str) -> tuple[Any, Any, Any]:
        """Queries of the rows `read`, keys and values of x: (rows, width, hidden) each."""
        query, *others = (f"{name}.{part}" for part in ("query", "key", "value"))
        if not self.products.side_by_side:
            keys, values = (self.dense(x, other) for other in others)
            return self.dense(read, query), keys, values
        # Products share a kernel only as a whole: a layer that came before keeps its one for all three.
        if read is x or self._kernel_name((query, *others)) in self._constants:
            queries, keys, values = self.split(x, (query, *others))
            return queries if read is x else first_row(queries), keys, values
        keys, values = self.split(x, tuple(others))
        return self.dense(read, query), keys, values

    def attend(self, queries: Any, keys: Any, values: Any, mask: Any) -> Any:
        """Attention of all heads: (rows, width of the queries, hidden).

        OpenVINO would make one operation of a plain attention, also of its own ScaledDotProductAttention. On
        the CPU that is slower than its parts: a tiny model as a whole by 5 to 13 % in bfloat16, XLM-R base by
        0 to 7 %, as its shapes are. Reshapes around the softmax, which cost nothing, keep them apart.
        """
        queries, keys, values = (self.heads(part) for part in (queries, keys, values))
        # Scaled behind the product, which does it in passing; before, it would change the kernel on loading.
        scale = self.stored("attention.scale", lambda: np.float32(self.config.head_dim**-0.5))
        scores = op.multiply(op.matmul(queries, keys, False, True), scale)
        weights = op.softmax(op.unsqueeze(op.add(scores, mask), ints(0)), -1)
        attended = op.transpose(op.matmul(op.squeeze(weights, ints(0)), values, False, False), ints(_SWAP))
        return op.reshape(attended, ints([0, 0, self.config.hidden_dim]), True)

    def heads(self, x: Any) -> Any:
        """(rows, width, hidden) to (rows, heads, width, size of a head)."""
        shape = ints([0, 0, self.config.num_heads, self.config.head_dim])
        return op.transpose(op.reshape(x, shape, True), ints(_SWAP))

    def split(self, x: Any, names: tuple[str, ...]) -> list[Any]:
        """The dense layers of the same rows, as one product."""
        return list(op.split(self.dense(x, *names), ints(-1), len(names)).outputs())

    def dense(self, x: Any, *names: str) -> Any:
        """The dense layer, or several side by side: kernels (in, out), and biases."""
        kernels = [f"{name}.kernel" for name in names]
        biases = [f"{name}.bias" for name in names]
        # Stored as (out, in): the form in which the CPU's products read it.
        name = self._kernel_name(names)
        kernel = self.kernel(
            name,
            lambda: np.ascontiguousarray(np.concatenate([self.array(n) for n in kernels], axis=1).T),
        )
        bias = self.stored("+".join(biases), lambda: np.concatenate([self.array(n) for n in biases]))
        return op.add(self.product(x, name, kernel), bias)

    def norm(self, x: Any, name: str, epsilon: float | None = None) -> Any:
        x = op.mvn(
            x, ints([-1]), True, self.config.layer_norm_epsilon if epsilon is None else epsilon, "inside_sqrt"
        )
        return op.add(op.multiply(x, self.stored(f"{name}.gamma")), self.stored(f"{name}.beta"))

    def activate(self, x: Any, activation: str) -> Any:
        return _ACTIVATIONS[activation](x)

    @staticmethod
    def _kernel_name(names: tuple[str, ...]) -> str:
        return "+".join(f"{name}.kernel" for name in names)


def attention_mask(padding_mask: Any) -> Any:
    """0 for a token, far below 0 for padding; float32 (rows, 1, 1, width), added to the scores."""
    hidden = op.multiply(op.subtract(floats(1), op.convert(padding_mask, "f32")), floats(_HIDDEN))
    return op.unsqueeze(hidden, ints([1, 2]))


def first_row(x: Any) -> Any:
    """The row of the first token, its dimension kept: (rows, 1, hidden)."""
    return op.slice(x, ints([0]), ints([1]), ints([1]), ints([1]))


def text_vectors(x: Any, padding_mask: Any) -> Any:
    """Two vectors a text of x (rows, width, hidden): the first token's, and the mean over all tokens, padding
    left out (zeros in a row of nothing but padding). (rows, 2, hidden)."""
    counted = op.convert(padding_mask, "f32")
    n_tokens = op.maximum(op.reduce_sum(counted, ints(1), True), floats(1))
    total = op.matmul(op.unsqueeze(counted, ints(1)), x, False, False)
    return op.concat([first_row(x), op.divide(total, op.unsqueeze(n_tokens, ints(1)))], 1)


def floats(value: float | np.float32 | NDArray[np.float32]) -> Any:
    return op.constant(np.asarray(value, np.float32))


def ints(value: int | list[int]) -> Any:
    return op.constant(np.asarray(value, np.int32))
