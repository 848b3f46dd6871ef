"""Labels and encoder inputs that a backend would misread: errors before anything is computed.

Backends differ: for a label or an id out of range TensorFlow raises on a CPU, JAX computes with zeros, NaN or
another row. The rules here hold on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError


def as_labels(values: Any, what: str = "labels", any_dtype: bool = False) -> Any:
    """Labels or weights as an array of numbers; None stays None.

    Args:
        values: a list or array.
        what: the name in messages.
        any_dtype: whether text is allowed, for a preprocessor that converts labels itself.

    Raises:
        InputError: a container without an order, text, or rows of different lengths.
    """
    if values is None:
        return None
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"The {what} are no array: {error}", "rows of one length", "pad them") from error
    if array.ndim == 0:
        raise InputError(
            f"The {what} are {values!r:.80} of type {type(values).__name__}",
            f"a list or array of {what}",
            "pass one for each sample",
        )
    if array.dtype.kind in "OSU" and not any_dtype:
        raise InputError(
            f"The {what} are of dtype {array.dtype}",
            "numbers, without missing values",
            "pass each label's place in classes: [classes.index(name) for name in names]",
        )
    return array


def reads_class_indices(loss: Any) -> tuple[bool, int | None]:
    """Return whether a compiled loss reads labels as class indices, and the index that it ignores.

    >>> import keras
    >>> reads_class_indices(keras.losses.SparseCategoricalCrossentropy(ignore_class=-1))
    (True, -1)
    >>> reads_class_indices("mse")
    (False, None)
    """
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        return True, getattr(loss, "ignore_class", None)
    names = ("sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy)
    return any(loss is name or (isinstance(loss, str) and loss == name) for name in names), None


def check_class_indices(y: np.ndarray, output_shape: tuple[Any, ...], ignored: int | None = None) -> None:
    """Check labels that a sparse categorical loss compares with outputs of the shape (..., classes).

    Args:
        y: labels of the shape (...), or (..., 1).
        output_shape: of the model.
        ignored: a label that the loss leaves out.

    Raises:
        InputError: another shape, a label that is no class index, or one that no class has.
    """
    n_classes, rank = int(output_shape[-1]), len(output_shape) - 1
    if y.ndim != rank and not (y.ndim == rank + 1 and y.shape[-1] == 1):
        one_hot = y.ndim == rank + 1 and y.shape[-1] == n_classes
        raise InputError(
            f"The labels have the shape {y.shape}" + (", as one-hot rows have" if one_hot else ""),
            f"class indices of the shape {(len(y), *[None] * (rank - 1))}, which the loss reads",
            "pass labels.argmax(-1), or compile with loss=keras.losses.CategoricalCrossentropy(...)"
            if one_hot
            else "pass one class index for each output",
        )
    wrong = (y < 0) | (y >= n_classes)
    if y.dtype.kind == "f":
        wrong |= ~np.isfinite(y) | (y != np.floor(y))
    if ignored is not None:
        wrong &= y != ignored
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Label {first[0] if len(first) == 1 else first} is {y[first]}",
            f"class indices from 0 to {n_classes - 1}, since the model has {n_classes} classes",
            "pass each label's place in classes, or make the model with more num_classes",
        )


def check_same_length(n: int, **columns: Any) -> None:
    """Raise InputError where labels or weights are not as many as the ``n`` texts."""
    for what, values in columns.items():
        if values is not None and len(values) != n:
            what = what.replace("_", " ")
            raise InputError(
                f"There are {n} texts and {len(values)} {what}", f"as many {what} as texts", "check both"
            )


def check_features(x: Mapping[str, Any], names: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    """Check the arrays of a dict that an encoder is fed with; symbolic tensors are passed over.

    Args:
        x: arrays (n, length) by name.
        names: the inputs that the model has; ``x`` may have others, which it does not read.
        limits: the largest value and one, by name, and ``"length"``: the most columns.

    Raises:
        InputError: a name is missing, an array is ragged or sparse, has another shape, is longer than the
            encoder has positions for, or holds an id that it has no embedding for.
    """
    missing = [name for name in names if name not in x]
    if missing:
        raise InputError(
            f"The inputs are a {type(x).__name__} with the keys {list(map(str, x))!r:.200}",
            f"the keys {list(names)}",
            "pass what the preprocessor returns; texts are passed as a list, not in a dict",
        )
    widths = {}
    for name in names:
        array = _concrete(name, x[name])
        if array is None:
            continue
        if array.dtype.kind not in "iub" and not (
            array.dtype.kind == "f" and (array == np.round(array)).all()
        ):
            raise InputError(f"{name} is of dtype {array.dtype}", "whole numbers", "pass int32 arrays")
        if array.ndim != 2:
            raise InputError(f"{name} has the shape {array.shape}", "(n, length)", "pass a batch")
        widths[name] = array.shape[1]
        _check_range(name, array, limits.get(name))
    length = widths.get("token_ids")
    if length is None:
        return
    if length > limits["length"]:
        raise InputError(
            f"token_ids has {length} columns",
            f"at most {limits['length']}, the encoder's max_sequence_length",
            "cut the texts to that length",
        )
    for name, width in widths.items():
        if width != length and name != "mask_positions":
            raise InputError(
                f"{name} has {width} columns, and token_ids {length}", "as many", "pad them alike"
            )
    if "mask_positions" in widths:
        _check_range("mask_positions", _concrete("mask_positions", x["mask_positions"]), length)


def check_size(name: str, value: Any) -> None:
    """Raise SettingError where a number of samples is given and is no whole number of at least 1."""
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise SettingError(f"{name} is {value!r}", "a whole number of at least 1", "32 is usual")


def _check_range(name: str, array: Any, limit: int | None) -> None:
    if limit is None or not array.size:
        return
    low, high = array.min(), array.max()
    if low < 0 or high >= limit:
        raise InputError(
            f"{name} holds {int(low if low < 0 else high)}",
            f"numbers from 0 to {limit - 1}",
            "use the tokenizer that the encoder was trained with",
        )


def _concrete(name: str, value: Any) -> np.ndarray | None:
    """The array of a value; None for a tensor without values, as in a traced function."""
    if type(value).__name__ in ("RaggedTensor", "SparseTensor"):
        raise InputError(f"{name} is a {type(value).__name__}", "a dense array", f"pass {name}.to_tensor()")
    try:
        return np.asarray(value)
    except Exception:  # each backend raises its own
        if isinstance(value, (list, tuple)):
            raise InputError(f"The rows of {name} differ in length", "a dense array", "pad them") from None
        return None
