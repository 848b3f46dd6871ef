"""What an encoder computes, in Keras' operations over canonical weights: one function for every backend.

What differs from the Keras models of :mod:`sparkxlmr.models` is the work, never the result: queries, keys
and values are one product, attention is one operation, of the last layer only what is read is computed, and
nothing is kept for training. It is a pure function of weights and inputs, which JAX, torch and TensorFlow
each compile.

Shapes: b texts of l ids, h `hidden_dim`, n masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from sparkxlmr.presets.config import BackboneConfig, MaskedLMConfig, TaskConfig, TextClassifierConfig

Weights = Mapping[str, Any]
_PARTS = ("query", "key", "value")
# Small next to the rest, and rounding does most harm there: normalisations, and what makes the logits.
_EXACT = (".gamma", ".beta", "masked_lm.bias", "pooler.", "classifier.")
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
}


def graph_of(config: BackboneConfig, task: TaskConfig | None, precision: str) -> Graph:
    """The function of a model: called with weights on the device and int32 inputs by name it answers float32
    what :class:`sparkxlmr.runtime.engines.Runner` says, computed in `precision`."""
    return {"xlm_roberta": _XlmRoberta, "albert": _Albert}[config.family](config, task, precision)


class Graph:
    """A family: its embeddings, its classifier's head."""

    def __init__(self, config: BackboneConfig, task: TaskConfig | None, dtype: str) -> None:
        self.config, self.task, self.dtype = config, task, dtype

    def on_device(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Weights as the function takes them: in the precision, kernels of queries, keys and values side by
        side."""
        arrays = dict(arrays)
        for name in set(self.config.layer_names()):
            for part in ("kernel", "bias"):
                joined = [arrays.pop(f"{name}.attention.{which}.{part}") for which in _PARTS]
                arrays[f"{name}.attention.joined.{part}"] = np.concatenate(joined, axis=-1)
        # One by one, so that each is on this side only until it is on the other.
        return {name: self._on_device(name, arrays.pop(name)) for name in list(arrays)}

    def _on_device(self, name: str, array: NDArray[Any]) -> Any:
        exact = name.endswith(_EXACT[:3]) or name.startswith(_EXACT[3:])
        return ops.cast(ops.convert_to_tensor(array), "float32" if exact else self.dtype)

    def __call__(self, weights: Weights, inputs: Mapping[str, Any]) -> Any:
        if isinstance(self.task, MaskedLMConfig):
            return self._filled(weights, inputs, self.task)
        if isinstance(self.task, TextClassifierConfig):
            first = self._encoded(weights, inputs, first_only=True)[:, 0]
            return self.classifier(weights, ops.cast(first, "float32"))
        x = ops.cast(self._encoded(weights, inputs), "float32")
        counted = ops.cast(inputs["padding_mask"], "float32")[:, None]
        n_tokens = ops.maximum(ops.sum(counted, axis=2, keepdims=True), 1.0)
        return ops.concatenate([x[:, :1], ops.matmul(counted, x) / n_tokens], axis=1)

    # --- what a family says ---

    def embeddings(self, weights: Weights, inputs: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def classifier(self, weights: Weights, first: Any) -> Any:
        """Logits (b, classes) of the first rows (b, h)."""
        raise NotImplementedError

    # --- what families share ---

    def _encoded(
        self,
        weights: Weights,
        inputs: Mapping[str, Any],
        first_only: bool = False,
        at: Callable[[Any], Any] | None = None,
    ) -> Any:
        x = self.embeddings(weights, inputs)
        # In a row of nothing but padding the first place is seen, so that it gives numbers.
        mask = inputs["padding_mask"]
        seen = ops.logical_or(ops.equal(mask, 1), ops.arange(ops.shape(mask)[1]) == 0)[:, None, None]
        *names, last = self.config.layer_names()
        for name in names:
            x = self._layer(weights, x, seen, name)
        return self._layer(weights, x, seen, last, first_only, at)

    def _layer(
        self,
        weights: Weights,
        x: Any,
        seen: Any,
        name: str,
        first_only: bool = False,
        at: Callable[[Any], Any] | None = None,
    ) -> Any:
        """(b, l, h) to that; to (b, 1, h) with `first_only`; with `at` to the rows that it takes, (n, h)."""
        h = self.config.hidden_dim
        kernel, bias = (weights[f"{name}.attention.joined.{part}"] for part in ("kernel", "bias"))
        if first_only:
            read = x[:, :1]
            joined = ops.matmul(x, kernel[:, h:]) + bias[h:]
            query, key, value = ops.matmul(read, kernel[:, :h]) + bias[:h], joined[..., :h], joined[..., h:]
        else:
            read, joined = x, ops.matmul(x, kernel) + bias
            query, key, value = joined[..., :h], joined[..., h : 2 * h], joined[..., 2 * h :]
        # The scale is 1 / sqrt(size of a head), the operation's own default.
        mixed = ops.dot_product_attention(
            self._heads(query), self._heads(key), self._heads(value), mask=seen, flash_attention=False
        )
        mixed = ops.reshape(mixed, (-1, ops.shape(read)[1], h))
        if at is not None:
            read, mixed = at(read), at(mixed)
        x = self.norm(
            weights, read + self.dense(weights, mixed, f"{name}.attention.output"), f"{name}.attention.norm"
        )
        wide = _ACTIVATIONS[self.config.activation](self.dense(weights, x, f"{name}.feed_forward.up"))
        x = x + self.dense(weights, wide, f"{name}.feed_forward.down")
        return self.norm(weights, x, f"{name}.feed_forward.norm")

    def _heads(self, x: Any) -> Any:
        """(b, l, h) to (b, l, heads, size of a head)."""
        return ops.reshape(x, (-1, ops.shape(x)[1], self.config.num_heads, self.config.head_dim))

    def _filled(self, weights: Weights, inputs: Mapping[str, Any], task: MaskedLMConfig) -> Any:
        width = ops.shape(inputs["token_ids"])[1]
        places = inputs["mask_positions"][:, 0] * width + inputs["mask_positions"][:, 1]

        def at(x: Any) -> Any:
            return ops.take(ops.reshape(x, (-1, self.config.hidden_dim)), places, axis=0)

        x = self._encoded(weights, inputs, at=at)
        x = _ACTIVATIONS[task.activation](self.dense(weights, x, "masked_lm.dense"))
        x = self.norm(weights, x, "masked_lm.norm", task.layer_norm_epsilon)
        logits = ops.matmul(x, ops.transpose(weights["embeddings.token"]))
        return ops.cast(logits, "float32") + weights["masked_lm.bias"]

    def _added(self, weights: Weights, inputs: Mapping[str, Any]) -> Any:
        """The vectors of ids and places."""
        ids = inputs["token_ids"]
        places = weights["embeddings.position"][: ops.shape(ids)[1]]
        return ops.take(weights["embeddings.token"], ids, axis=0) + places

    @staticmethod
    def dense(weights: Weights, x: Any, name: str) -> Any:
        return ops.matmul(x, weights[f"{name}.kernel"]) + weights[f"{name}.bias"]

    def norm(self, weights: Weights, x: Any, name: str, epsilon: float | None = None) -> Any:
        """In float32 inside, whatever the precision."""
        epsilon = self.config.layer_norm_epsilon if epsilon is None else epsilon
        gamma, beta = weights[f"{name}.gamma"], weights[f"{name}.beta"]
        return ops.layer_normalization(x, gamma, beta, axis=-1, epsilon=epsilon)


class _XlmRoberta(Graph):
    def embeddings(self, weights: Weights, inputs: Mapping[str, Any]) -> Any:
        return self.norm(weights, self._added(weights, inputs), "embeddings.norm")

    def classifier(self, weights: Weights, first: Any) -> Any:
        return self.dense(
            weights, ops.tanh(self.dense(weights, first, "classifier.dense")), "classifier.logits"
        )


class _Albert(Graph):
    """Groups of layers, each run several times over; small embeddings, projected; a pooler."""

    def embeddings(self, weights: Weights, inputs: Mapping[str, Any]) -> Any:
        x = self._added(weights, inputs)
        x = x + ops.take(weights["embeddings.segment"], inputs["segment_ids"], axis=0)
        return self.dense(weights, self.norm(weights, x, "embeddings.norm"), "embeddings.projection")

    def classifier(self, weights: Weights, first: Any) -> Any:
        return self.dense(weights, ops.tanh(self.dense(weights, first, "pooler")), "classifier.logits")
