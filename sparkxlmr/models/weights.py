"""Weights of a Keras model as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from sparkxlmr.presets import tables

# What a layer's weights are called in Keras, and the end of their canonical name.
_PARTS: tuple[tuple[type, tuple[tuple[str, str], ...]], ...] = (
    (keras.layers.Dense, (("kernel", ".kernel"), ("bias", ".bias"))),
    (keras.layers.LayerNormalization, (("gamma", ".gamma"), ("beta", ".beta"))),
)
_TABLE = (("embeddings", ""),)


def variables_of(model: Any) -> dict[str, keras.Variable]:
    """The variables of a backbone or task of this package under their canonical names.

    The names are those of :mod:`sparkxlmr.presets.tables`, kernels (in, out).
    """
    found: dict[str, keras.Variable] = {}
    for name, layer in model.named_layers().items():
        parts = next((parts for kind, parts in _PARTS if isinstance(layer, kind)), _TABLE)
        for attribute, ending in parts:
            found[name + ending] = getattr(layer, attribute)
    return found


def state_of(model: Any) -> dict[str, np.ndarray]:
    """All weights of a backbone or task as arrays under their canonical names; float32 unless wider.

    Models of any backend and dtype give the same names and shapes, so that a state moves between them.
    """
    state = {}
    for name, variable in variables_of(model).items():
        array = variable.numpy()
        state[name] = array if array.dtype == np.float64 else array.astype(np.float32)
    return state


def assign(model: Any, state: Mapping[str, np.ndarray]) -> None:
    """Gives each variable of a backbone or task its array.

    Raises:
        WeightsError: an array is missing, unused or of another shape; then no variable was changed.
    """
    variables = variables_of(model)
    where = f"the given state for {type(model).__name__}"
    tables.refuse_names(variables.keys() - state.keys(), state.keys() - variables.keys(), where)
    for name, variable in variables.items():
        tables.refuse_shape(name, state[name].shape, tuple(variable.shape), where)
    for name, variable in variables.items():
        variable.assign(np.asarray(state[name], dtype=np.float32))


def assign_backbone(backbone: Any, state: Mapping[str, np.ndarray]) -> None:
    """Like :func:`assign` for an encoder alone, from a state that may hold a head's weights too."""
    names = variables_of(backbone).keys()
    heads = ("classifier.",)
    assign(backbone, {n: a for n, a in state.items() if n in names or not n.startswith(heads)})
