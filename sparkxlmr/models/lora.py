"""LoRA (Hu et al. 2021) on an encoder: which layers have it, and their matrices in a file."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.models.weights import path_ending
from sparkxlmr.presets.lora_file import PARTS, lora_layers, read_lora, write_lora

_ENDING = ".lora.h5"


def enable(backbone: Any, rank: int, names: Iterable[str]) -> None:
    """Freezes the encoder and gives the layers of these canonical names matrices that are trained instead."""
    layers = backbone.named_layers()
    backbone.trainable = True
    for layer in backbone._flatten_layers(include_self=False):
        layer.trainable = False
    for name in names:
        layers[name].trainable = True
        layers[name].enable_lora(rank)
        layers[name].bias.trainable = False  # what is saved apart is then all that was trained


# What keras-hub calls the layers, and the end of their canonical name.
_KERAS_HUB_NAMES = {
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "output",
    "attention_output": "output",
    "feedforward_intermediate_dense": "up",
    "feedforward_output_dense": "down",
    "embedding_projection": "projection",
    "pooled_dense": "pooler",
}


def names_like(backbone: Any, names: Iterable[str]) -> list[str]:
    """The canonical names of the dense layers with these names, ours (``"query"``) or keras-hub's.

    Raises:
        SettingError: a name that no dense layer has.
    """
    names = [names] if isinstance(names, str) else list(names)
    endings = [_KERAS_HUB_NAMES.get(name, name) for name in names]
    layers = backbone.named_layers().items()
    dense = {name: name.rpartition(".")[2] for name, layer in layers if isinstance(layer, keras.layers.Dense)}
    unknown = [name for name, ending in zip(names, endings, strict=True) if ending not in dense.values()]
    if unknown or not names:
        raise SettingError(
            f"No layer of this encoder is called {' or '.join(map(repr, unknown))}"
            if unknown
            else "target_layer_names is empty",
            f"names of layers with a kernel: {', '.join(map(repr, dict.fromkeys(dense.values())))}",
            "leave target_layer_names out for query and value",
        )
    return [name for name, ending in dense.items() if ending in endings]


def save(backbone: Any, path: str | PathLike[str]) -> None:
    enabled = _enabled(backbone)
    if not enabled:
        raise SettingError("No layer of this encoder has LoRA", "one", "call enable_lora(rank) first")
    rank = next(iter(enabled.values())).lora_rank
    arrays = {name: matrix.numpy() for name, matrix in _matrices(enabled).items()}
    write_lora(path_ending(path, _ENDING), rank, arrays)


def load(backbone: Any, path: str | PathLike[str]) -> None:
    rank, names = lora_layers(path_ending(path, _ENDING))
    if not _enabled(backbone):
        layers = backbone.named_layers()
        strange = [name for name in names if not hasattr(layers.get(name), "enable_lora")]
        if strange:
            raise SettingError(
                f"{path} adds to {strange[0]!r}, which this encoder has not",
                f"LoRA weights of a {type(backbone).__name__} of this shape",
                "load them into the encoder that they were saved from",
            )
        enable(backbone, rank, names)
    matrices = _matrices(_enabled(backbone))
    arrays = read_lora(Path(path), {name: tuple(matrix.shape) for name, matrix in matrices.items()})
    for name, matrix in matrices.items():
        matrix.assign(np.asarray(arrays[name]))


def _enabled(backbone: Any) -> dict[str, Any]:
    layers = backbone.named_layers().items()
    return {name: layer for name, layer in layers if getattr(layer, "lora_enabled", False)}


def _matrices(enabled: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}/{part}": getattr(layer, part) for name, layer in enabled.items() for part in PARTS}

