"""Keras layers that compute in Python: on raw texts and lists of ids, eagerly and inside TensorFlow graphs.

SentencePiece is a Python library. Where ``dataset.map`` or a traced model calls such a layer, the computation
becomes a ``tf.numpy_function`` whose outputs have their static shapes restored. TensorFlow is never imported
here; without it nothing is traced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError
from sparkxlmr.models.arguments import known_arguments, refuse_unknown

# A traced output: its NumPy dtype (``object`` for strings) and its static shape.
TensorType = tuple[Any, Sequence[int | None]]


class PreprocessingLayer(keras.layers.Layer):
    """Base of tokenizers, preprocessors and packers: a Keras layer without weights.

    Called with Python values, NumPy arrays or eager tensors it runs :meth:`call` at once and returns NumPy
    arrays or lists. ``dataset.map(layer)`` works on every backend, a ``keras.Sequential`` or functional model
    behind a ``keras.Input(shape=(), dtype="string")`` on TensorFlow.

    Args:
        name: of the layer; None takes the class's name in snake case.
        dtype: of the layer; see the subclass.
        trainable: without effect, since there are no weights.

    Raises:
        WrongTypeError: an argument that the constructor does not have.
    """

    def __init__(
        self, *, name: str | None = None, dtype: Any = None, trainable: bool = True, **unknown: Any
    ) -> None:
        if unknown:
            refuse_unknown(type(self), unknown, known_arguments(type(self), PreprocessingLayer))
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.supports_jit = False  # Python code inside a graph cannot be compiled by XLA
        self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else next(iter(kwargs.values()), None)
        if any(isinstance(part, keras.KerasTensor) for part in _parts(first)):
            return super().__call__(*args, **kwargs)
        # Keras' own call would walk through every text and id to look for tensors and masks. As it does, omit
        # what a model passes to all its layers.
        if not self._call_has_training_arg:
            kwargs.pop("training", None)
        if not self.built:
            self.build(None)
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None and any(map(is_traced, _parts(first))):
            call = tensorflow.autograph.experimental.do_not_convert(self.call)
            return call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments of this class's constructor."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Keras would pickle a whole model archive.
        return _restore, (type(self), self.get_config())


def _restore(cls: type[PreprocessingLayer], config: dict[str, Any]) -> Any:
    return cls.from_config(config)


def _parts(x: Any) -> list[Any]:
    """The inputs among which a tensor may be: ``x``, or the elements of a tuple or dict."""
    if isinstance(x, tuple):
        return [part for element in x for part in _parts(element)]
    return list(x.values()) if isinstance(x, dict) else [x]


def is_traced(x: Any) -> bool:
    """Whether ``x`` is a tensor of a TensorFlow graph, whose values come later."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return False
    return tensorflow.is_symbolic_tensor(x.flat_values if is_ragged(x) else x)


def is_ragged(x: Any) -> bool:
    """Whether ``x`` is a ``tf.RaggedTensor``."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(x, tensorflow.RaggedTensor)


def in_graph(function: Callable[[Any], Any], x: Any, outputs: Sequence[TensorType]) -> list[Any]:
    """Call ``function`` on the values of traced tensors when the graph runs.

    Args:
        function: receives ``x`` with arrays in place of tensors and lists of lists in place of ragged
            tensors; returns as many arrays as ``outputs`` has entries.
        x: traced tensors, ragged ones too, in any nesting of tuples and dicts.
        outputs: dtype and static shape of each array.

    Returns:
        A tensor per output, its static shape set.
    """
    tensorflow = sys.modules["tensorflow"]
    flat = keras.tree.flatten(x)
    given: list[Any] = []
    for tensor in flat:
        given += [tensor.flat_values, tensor.row_lengths()] if is_ragged(tensor) else [tensor]

    def run(*arrays: Any) -> list[Any]:
        values = iter(arrays)
        parts = [_split(next(values), next(values)) if is_ragged(tensor) else next(values) for tensor in flat]
        return [np.asarray(array) for array in function(keras.tree.pack_sequence_as(x, parts))]

    dtypes = [tensorflow.string if dtype is object else tensorflow.as_dtype(dtype) for dtype, _ in outputs]
    found = tensorflow.numpy_function(run, given, dtypes)
    for tensor, (_, shape) in zip(found, outputs, strict=True):
        tensor.set_shape(list(shape))
    return list(found)


def _split(values: np.ndarray, lengths: np.ndarray) -> list[list[Any]]:
    rows = iter(values.tolist())
    return [[next(rows) for _ in range(length)] for length in lengths]


def ragged_outputs(rows: list[list[Any]], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lists of values as ``(flat values, row lengths)``, the two arrays of a ragged tensor."""
    flat = [value.encode() if isinstance(value, str) else value for row in rows for value in row]
    return np.array(flat, dtype), np.array([len(row) for row in rows], np.int64)


def ragged_tensor(values: Any, lengths: Any) -> Any:
    """A ``tf.RaggedTensor`` of traced ``(flat values, row lengths)``."""
    return sys.modules["tensorflow"].RaggedTensor.from_row_lengths(values, lengths, validate=False)


def dense_tensor(values: Any, length: int) -> Any:
    """Traced flat values as a tensor (n, length); TensorFlow's own, whatever Keras' backend is."""
    return sys.modules["tensorflow"].reshape(values, (-1, length))


def as_rows(x: Any) -> tuple[list[list[Any]], bool]:
    """A list of ids, or several, as ``(lists, whether there were several)``.

    Lists, arrays, eager tensors of any backend and eager ragged tensors are accepted; bytes become text.

    Raises:
        InputError: something else.
    """
    if hasattr(x, "to_list"):
        x = x.to_list()  # a ragged tensor
    elif not isinstance(x, (list, tuple)):
        x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x).tolist()
    if not isinstance(x, (list, tuple)):
        raise InputError(f"The input is {x!r:.80}", "a list of ids, or several", "pass a list")
    x = [part.tolist() if hasattr(part, "tolist") else part for part in x]
    x = [part.numpy().tolist() if hasattr(part, "numpy") else part for part in x]
    several = bool(x) and isinstance(x[0], (list, tuple))
    return [[_plain(value) for value in row] for row in (x if several else [x])], several


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
