"""Weights of a Keras model as named arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.models.masked_lm_head import MaskedLMHead
from sparkxlmr.presets import tables

# What a layer's weights are called in Keras, and the end of their canonical name.
_PARTS: tuple[tuple[type, tuple[tuple[str, str], ...]], ...] = (
    (keras.layers.Dense, (("kernel", ".kernel"), ("bias", ".bias"))),
    (keras.layers.LayerNormalization, (("gamma", ".gamma"), ("beta", ".beta"))),
    (MaskedLMHead, (("bias", ".bias"),)),
)
_TABLE = (("embeddings", ""),)


def variables_of(model: Any, head_only: bool = False) -> dict[str, keras.Variable]:
    """The variables of a backbone or task of this package under their canonical names.

    The names are those of :mod:`sparkxlmr.presets.tables`, kernels (in, out). Where LoRA adds to a variable,
    it is the one below. ``head_only`` leaves a task's encoder out.
    """
    return {
        name: getattr(layer, attribute if getattr(layer, f"_{attribute}", None) is None else f"_{attribute}")
        for name, layer, attribute in _places(model, head_only)
    }


def state_of(model: Any, head_only: bool = False) -> dict[str, np.ndarray]:
    """All weights of a backbone or task as arrays under their canonical names; float32 unless wider.

    Models of any backend and dtype give the same names and shapes, so that a state moves between them. What
    LoRA adds is merged in. ``head_only`` leaves a task's encoder out.

    Raises:
        SettingError: the model was quantized, so that its weights are no longer there.
    """
    state = {}
    for name, layer, attribute in _places(model, head_only):
        if layer.quantization_mode is not None:
            raise SettingError(
                f"{type(model).__name__} was quantized to {layer.quantization_mode}",
                "a model with its weights whole",
                "save it before quantizing it, or as a .keras file with save(...)",
            )
        value = getattr(layer, attribute)
        array = value.numpy() if isinstance(value, keras.Variable) else keras.ops.convert_to_numpy(value)
        state[name] = array if array.dtype == np.float64 else array.astype(np.float32)
    return state


def assign(model: Any, state: Mapping[str, np.ndarray], head_only: bool = False) -> None:
    """Gives each variable of a backbone or task its array; ``head_only`` leaves a task's encoder as it is.

    Raises:
        WeightsError: an array is missing, unused or of another shape; then no variable was changed.
    """
    variables = variables_of(model, head_only)
    where = f"the given state for {type(model).__name__}"
    tables.refuse_names(variables.keys() - state.keys(), state.keys() - variables.keys(), where)
    for name, variable in variables.items():
        tables.refuse_shape(name, state[name].shape, tuple(variable.shape), where)
    for name, variable in variables.items():
        variable.assign(np.asarray(state[name], dtype=np.float32))


def path_ending(path: str | PathLike[str], ending: str) -> Path:
    """The path of a weights file, whose name must end as Keras and keras-hub ask for.

    Raises:
        SettingError: it ends otherwise.
    """
    if not str(path).endswith(ending):
        raise SettingError(f"The file is called {str(path)!r}", f"a name that ends in {ending}", "rename it")
    return Path(path)


def _places(model: Any, head_only: bool) -> Iterator[tuple[str, Any, str]]:
    """(canonical name, layer, its attribute) of each weight."""
    layers = model.head_layers() if head_only else model.named_layers()
    for name, layer in layers.items():
        for attribute, ending in next((parts for kind, parts in _PARTS if isinstance(layer, kind)), _TABLE):
            yield name + ending, layer, attribute
