"""A Hugging Face checkpoint's weights: which files, which keys, and from each key to its canonical weight."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sparkxlmr.errors import DamagedModelError, WeightsError
from sparkxlmr.presets import tables
from sparkxlmr.presets.config import BackboneConfig, TaskConfig
from sparkxlmr.presets.keras_hub import read_json
from sparkxlmr.presets.keras_hub_weights import plain_names
from sparkxlmr.presets.safetensors_file import stored_tensors
from sparkxlmr.presets.tables import Entry, refuse_names, refuse_shape

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# What checkpoints that were converted from TensorFlow call a normalisation's two weights.
_WRAPPERS = ("module.", "model.", "_orig_mod.")
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True)
class _Stored:
    """A tensor of a checkpoint: its own key there, its shape, and how to get it."""

    key: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def weights_files(folder: Path) -> list[Path]:
    """The weights files of a checkpoint; in front the index where they are shards.

    As in transformers, safetensors go before PyTorch's files, and one file before shards.

    Raises:
        NotAPresetError: an index names files outside of the folder, or is none.
    """
    for single, index in ((WEIGHTS, INDEX), (TORCH, TORCH_INDEX)):
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            weight_map = read_json(folder / index).get("weight_map")
            names = list(weight_map.values()) if isinstance(weight_map, dict) else []
            return [folder / index, *plain_names(folder / index, names)]
    return [folder / WEIGHTS]


def read_weights(
    folder: Path, config: BackboneConfig, task: TaskConfig | None, head: bool = True
) -> dict[str, np.ndarray]:
    """The weights under their canonical names and shapes, in the dtype they are stored in.

    bfloat16, which NumPy has not, becomes float32. A key may have the family's prefix or not, and a
    normalisation's weights their old names. Where an ALBERT checkpoint has no pooler, a masked language model
    and an encoder get the identity in its place: ``pooled_output`` is the tanh of the first token's vector.

    Args:
        task: the head that the checkpoint is said to have.
        head: False reads the encoder alone, whether the head is there or not.

    Warns:
        UserWarning: an ALBERT encoder without pooler.

    Raises:
        DamagedModelError: a weights file is missing or cannot be read.
        WeightsError: a key is missing, unused, of another shape, or a tied copy that differs. A head must be
            there as the checkpoint's architecture says.
    """
    architecture, where = tables.of(config), str(folder)
    stored = _plain_keys(_stored(folder), architecture.hf_prefix, where)
    table = tables.entries(config, task if head else None)
    optional = [entry for entry in table if entry.hf_absent]
    if any(key in stored for entry in optional for key in entry.hf_keys):
        optional = []
    absent = {entry.name for entry in optional}
    keys = {entry.name: _keys_of(entry, stored) for entry in table if entry.name not in absent}
    missing = {key for used in keys.values() for key in used} - stored.keys()
    known = {key for e in (*table, *tables.entries(config, task)) for key in (*e.hf_keys, *e.hf_copies)}
    known |= {*architecture.hf_ignored, *architecture.hf_ignored_heads}
    _refuse_missing_parts(missing, table, where)
    refuse_names(missing, {tensor.key for key, tensor in stored.items() if key not in known}, where)
    if absent and not (head and task is not None):
        warnings.warn(
            f"The checkpoint {folder} has no pooler: pooled_output is the tanh of the first token's vector.",
            stacklevel=2,
        )
    return {
        entry.name: entry.default() if entry.name in absent else _read(entry, keys[entry.name], stored, where)
        for entry in table
    }


def _keys_of(entry: Entry, stored: Mapping[str, _Stored]) -> tuple[str, ...]:
    """The keys to read a weight from: its own, or where they are missing a copy that is there."""
    if all(key in stored for key in entry.hf_keys):
        return entry.hf_keys
    copies = [key for key in entry.hf_copies if key in stored]
    return (copies[0],) if copies else entry.hf_keys


def _refuse_missing_parts(missing: set[str], table: Sequence[Entry], where: str) -> None:
    """Says it in words where what is missing is a whole head, or the pooler that a head reads."""
    head = {key for entry in table if entry.hf_head for key in entry.hf_keys}
    if head and head <= missing:
        raise WeightsError(
            f"The checkpoint {where} has no head: {', '.join(sorted(head))} are missing",
            "the head that its config.json names",
            "pass num_classes=... for a new classification head, or load the encoder alone",
        )
    pooler = {key for key in missing if key.startswith("pooler.")}
    if pooler:
        raise WeightsError(
            f"The checkpoint {where} has no pooler ({', '.join(sorted(pooler))}), which its classifier reads",
            "an ALBERT classifier with its pooler",
            "save it again with its pooler, or pass num_classes=... for a new head on its encoder",
        )


def _read(entry: Entry, keys: Sequence[str], stored: Mapping[str, _Stored], where: str) -> np.ndarray:
    for key, shape in zip(keys, entry.hf_shapes, strict=True):
        refuse_shape(f"{entry.name} ({stored[key].key})", stored[key].shape, shape, where)
    arrays = [stored[key].read() for key in keys]
    for copy in entry.hf_copies:
        if copy in stored and copy not in keys:
            twin = stored[copy]
            if twin.shape != arrays[0].shape or not np.array_equal(twin.read(), arrays[0], equal_nan=True):
                raise WeightsError(
                    f"The weight {twin.key} of {where} is not the same as {stored[keys[0]].key}",
                    "one matrix for both, as these models have it",
                    "use a checkpoint with tied weights",
                )
    return np.ascontiguousarray(entry.from_hf(arrays))


def _plain_keys(stored: Mapping[str, _Stored], prefix: str, where: str) -> dict[str, _Stored]:
    """The tensors by their keys without prefix, a normalisation's weights under today's names."""
    plain: dict[str, _Stored] = {}
    for key, tensor in stored.items():
        name = _without_wrappers(key).removeprefix(prefix)
        for old, new in _OLD_NAMES.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in plain:
            raise WeightsError(
                f"The weights of {where} hold {plain[name].key} and {key}",
                "each weight once",
                "remove one of the two",
            )
        plain[name] = tensor
    return plain


def _without_wrappers(key: str) -> str:
    """A key without what DataParallel, torch.compile and modules that hold the model put in front of it."""
    while (wrapper := next((w for w in _WRAPPERS if key.startswith(w)), None)) is not None:
        key = key.removeprefix(wrapper)
    return key


def head_keys(folder: Path, architecture: tables.Architecture) -> dict[str, tuple[int, ...]]:
    """The keys of a checkpoint without prefixes, and the shapes of their tensors.

    Raises:
        DamagedModelError: a weights file is missing or cannot be read.
    """
    stored = _plain_keys(_stored(folder), architecture.hf_prefix, str(folder))
    return {key: tensor.shape for key, tensor in stored.items()}


def _stored(folder: Path) -> dict[str, _Stored]:
    result: dict[str, _Stored] = {}
    for path in weights_files(folder):
        if path.suffix == ".json":
            continue
        for key, tensor in _tensors(path).items():
            if key in result:
                raise DamagedModelError(
                    f"Two weights files of {folder} hold {key!r:.100}", "each weight once", "fetch it again"
                )
            result[key] = tensor
    return result


def _tensors(path: Path) -> dict[str, _Stored]:
    if path.suffix == ".bin":
        from sparkxlmr.presets.torch_file import read_torch_file

        arrays = read_torch_file(path)
        return {key: _Stored(key, a.shape, partial(_floats, path, key, a)) for key, a in arrays.items()}
    return {key: _Stored(key, told.shape, told.read) for key, told in stored_tensors(path).items()}


def _floats(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        raise DamagedModelError(
            f"The weight {key} of {path} is stored as {array.dtype}",
            "floating point numbers",
            "fetch the checkpoint again",
        )
    return array
