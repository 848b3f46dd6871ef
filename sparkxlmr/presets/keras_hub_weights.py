"""keras-hub's weights files: named arrays in h5, the encoder's in one file or in shards with an index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SettingError, SparkxlmrError, WeightsError
from sparkxlmr.presets import tables
from sparkxlmr.presets.config import BackboneConfig, TaskConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.keras_hub import read_json
from sparkxlmr.presets.tables import Entry, refuse_names, refuse_shape

if TYPE_CHECKING:
    import h5py

MODEL, TASK = "model.weights.h5", "task.weights.h5"
INDEX = "model.weights.json"
SHARDS = "model_*.weights.h5"
_GIGABYTE = 1024**3
_LEARNING_RATE = 5e-5  # keras-hub's default for a text classifier; kept by it beside the head's weights


# --- reading ---


def weights_files(folder: Path, has_head: bool) -> list[Path]:
    """The h5 files that hold a preset's weights, and the index of shards where there is one.

    As in keras-hub, ``model.weights.h5`` goes before shards that lie beside it.

    Raises:
        NotAPresetError: the index names files outside of the folder, or is none.
    """
    head = [folder / TASK] if has_head else []
    if (folder / MODEL).is_file() or not (folder / INDEX).is_file():
        return [folder / MODEL, *head]
    return [folder / INDEX, *_shards(folder / INDEX), *head]


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    values = list(weight_map.values()) if isinstance(weight_map, dict) else []
    # One group of variables may lie in several shards.
    return plain_names(index, [name for value in values for name in _listed(value)])


def plain_names(index: Path, names: Sequence[object]) -> list[Path]:
    """The files beside an index of shards that it names, sorted.

    Raises:
        NotAPresetError: it names none, or something else than a file of its own folder.
    """
    wrong = [
        name
        for name in names
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & {"/", "\\", ":", "\0"}
    ]
    if wrong or not names:
        found = repr(wrong[0])[:200] if wrong else "no file"
        raise NotAPresetError(
            f"The index {index} names {found}",
            "the names of weights files in the same folder",
            "copy or fetch the preset again",
        )
    return [index.parent / name for name in sorted(set(map(str, names)))]


def read_weights(folder: Path, expected: Iterable[Entry]) -> dict[str, np.ndarray]:
    """The weights of a folder under their canonical names and shapes, in the dtype they are stored in.

    bfloat16, which NumPy has not, becomes float32.

    Raises:
        DamagedModelError: a weights file is missing or cannot be read to its end.
        WeightsError: a weight is missing, unused or of another shape.
        NotAPresetError: an index of shards is none.
    """
    by_kind: dict[str, list[Entry]] = {}
    for entry in expected:
        by_kind.setdefault(entry.hub_file, []).append(entry)
    result: dict[str, np.ndarray] = {}
    for kind, wanted in by_kind.items():
        files = [folder / TASK] if kind == "task" else weights_files(folder, has_head=False)
        result.update(read_arrays([path for path in files if path.suffix == ".h5"], wanted))
    return result


def read_arrays(paths: Sequence[Path], wanted: list[Entry]) -> dict[str, np.ndarray]:
    """The arrays of h5 files under the names of their entries; every dataset is one of them.

    Raises:
        DamagedModelError, WeightsError: as :func:`read_weights`.
    """
    import h5py  # here, since a preset whose bundle is ready is opened without it

    path = paths[0]
    try:
        with ExitStack() as stack:
            found: dict[str, h5py.Dataset] = {}
            for path in paths:
                for stored, dataset in _datasets(stack.enter_context(h5py.File(path, "r"))):
                    if (place := _today(stored)) in found and not _ignored(place):
                        raise WeightsError(
                            f"The weights of {path.parent} hold {place} twice",
                            "each weight once",
                            "copy or fetch the preset again",
                        )
                    found[place] = dataset
            where = str(path if len(paths) == 1 else path.parent)
            places = {entry.hub_path for entry in wanted}
            refuse_names(places - found.keys(), {p for p in found.keys() - places if not _ignored(p)}, where)
            return {entry.name: _read(found[entry.hub_path], entry, where) for entry in wanted}
    except SparkxlmrError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DamagedModelError(
            f"The weights file {path} cannot be read: {error}",
            "a whole h5 file of weights",
            "copy or fetch the preset again",
        ) from error


def _read(dataset: h5py.Dataset, entry: Entry, where: str) -> np.ndarray:
    refuse_shape(f"{entry.name} ({entry.hub_path})", dataset.shape, entry.hub_shape, where)
    if dataset.external or dataset.is_virtual:
        raise DamagedModelError(
            f"The weight {entry.hub_path} of {where} lies in another file",
            "weights in the file itself",
            "use a preset from a source that you trust",
        )
    # Keras writes bfloat16 as two bytes and says so beside them.
    if dataset.dtype == np.dtype("V2") and dataset.attrs.get("dtype") == "bfloat16":
        return bfloat16_to_float32(dataset[()].view(np.uint16)).reshape(entry.shape)
    if dataset.dtype.kind != "f":
        raise DamagedModelError(
            f"The weight {entry.hub_path} of {where} is stored as {dataset.dtype}",
            "float32, float16, bfloat16 or float64",
            "save the preset again from a model of dtype float32",
        )
    return np.asarray(dataset[()]).reshape(entry.shape)


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """The numbers whose bfloat16 bits (uint16) are given: the upper halves of float32.

    >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], np.uint16)).tolist()
    [1.0, -2.0]
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset of the file with its place; links, which may lead out of it, are not followed."""
    import h5py

    found: list[tuple[str, h5py.Dataset]] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((name, item))

    file.visititems(visit)
    yield from found


def _today(place: str) -> str:
    """What Keras calls the place now: files of its first releases have two other names in their paths.

    >>> _today("_layer_checkpoint_dependencies/transformer_encoder/_self_attention_layer/_key_dense/vars/0")
    'layers/transformer_encoder/_self_attention_layer/key_dense/vars/0'
    """
    first, *others = place.split("/")
    first = "layers" if first == "_layer_checkpoint_dependencies" else first
    return "/".join([first, *(_RENAMED.get(part, part) for part in others)])


_RENAMED = {f"_{part}_dense": f"{part}_dense" for part in ("query", "key", "value", "output")}


def _ignored(place: str) -> bool:
    # keras-hub keeps the optimizer's step count and learning rate of a compiled task; a model needs neither.
    return place.startswith("optimizer/")


# --- writing ---


def write_weights(folder: Path, contents: Contents, dtype: np.dtype[Any], max_shard_size: float) -> None:
    """Writes the weights of a model, the encoder's in shards where they are larger than ``max_shard_size``.

    Args:
        dtype: float32 or float16.
        max_shard_size: in gigabytes (2**30 bytes).

    Raises:
        WeightsError: a weight too large for float16.
        SettingError: a single weight larger than a shard.
    """
    architecture = tables.of(contents.config)
    table = tables.entries(contents.config, contents.task)
    encoder = [entry for entry in table if entry.hub_file == "model"]
    groups = architecture.encoder_groups(contents.config)
    size = sum(_size(entry, dtype) for entry in encoder)
    if size > max_shard_size * _GIGABYTE:
        _write_shards(folder, groups, encoder, contents.weights, dtype, max_shard_size)
    else:
        _write_file(folder / MODEL, groups, encoder, contents.weights, dtype)
    if contents.task is not None:
        write_head(folder / TASK, contents.config, contents.task, contents.weights, dtype)


def write_head(
    path: Path,
    config: BackboneConfig,
    task: TaskConfig,
    weights: Mapping[str, np.ndarray],
    dtype: np.dtype[Any],
) -> None:
    """Writes a head's weights alone, which is what ``task.weights.h5`` of a preset holds."""
    architecture = tables.of(config)
    name = f"{architecture.hub_name}_{task.kind}"
    groups = {
        "": name,
        **architecture.head_groups[task.kind],
        "optimizer": "adam",
        "preprocessor": f"{name}_preprocessor",
        "preprocessor/tokenizer": f"{architecture.hub_name}_tokenizer",
    }
    _write_file(path, groups, _head(config, task), weights, dtype, has_optimizer=True)


def read_head(path: Path, config: BackboneConfig, task: TaskConfig) -> dict[str, np.ndarray]:
    """What :func:`write_head`, or keras-hub, wrote, under canonical names.

    Raises:
        DamagedModelError, WeightsError: as :func:`read_weights`.
    """
    return read_arrays([path], _head(config, task))


def _head(config: BackboneConfig, task: TaskConfig) -> list[Entry]:
    return [entry for entry in tables.entries(config, task) if entry.hub_file == "task"]


def _size(entry: Entry, dtype: np.dtype[Any]) -> int:
    return int(np.prod(entry.shape)) * dtype.itemsize


def _write_file(
    path: Path,
    groups: Mapping[str, str],
    wanted: Sequence[Entry],
    weights: Mapping[str, np.ndarray],
    dtype: np.dtype[Any],
    has_optimizer: bool = False,
) -> None:
    import h5py

    try:
        with h5py.File(path, "w") as file:
            for place, layer_name in groups.items():
                file.create_group(f"{place}/vars" if place else "vars").attrs["name"] = layer_name
            for entry in wanted:
                array = _narrow(entry.name, weights[entry.name], dtype)
                file.create_dataset(entry.hub_path, data=array.reshape(entry.hub_shape))
            if has_optimizer:  # keras-hub compiles a task as it loads it, and then looks for these two
                file["optimizer/vars"].create_dataset("0", data=np.int64(0))
                file["optimizer/vars"].create_dataset("1", data=np.float32(_LEARNING_RATE))
    except RuntimeError as error:  # h5py's for a disk that is full as the file is closed
        raise OSError(str(error)) from error


def _write_shards(
    folder: Path,
    groups: Mapping[str, str],
    wanted: Sequence[Entry],
    weights: Mapping[str, np.ndarray],
    dtype: np.dtype[Any],
    max_shard_size: float,
) -> None:
    """As Keras' ``save_weights`` does: a shard is full where the next weight is too much for it."""
    most = max_shard_size * _GIGABYTE
    shards: list[list[Entry]] = []
    room = 0.0
    for entry in wanted:
        size = _size(entry, dtype)
        if size > most:
            raise SettingError(
                f"The weight {entry.name} has {size} bytes and max_shard_size is {max_shard_size} gigabytes",
                "shards that can hold the largest weight",
                f"pass a max_shard_size of at least {size / _GIGABYTE:.3g}",
            )
        if size > room:
            shards.append([])
            room = most
        shards[-1].append(entry)
        room -= size
    weight_map: dict[str, str | list[str]] = {}
    for i, part in enumerate(shards):
        name = SHARDS.replace("*", f"{i:05}")
        places = {entry.hub_path.rpartition("/")[0] for entry in part}
        inside = {place: layer for place, layer in groups.items() if f"{place}/vars" in places}
        _write_file(folder / name, inside, part, weights, dtype)
        for place in sorted(places):
            before = weight_map.get(f"/{place}")
            # A list where the variables of one layer lie in two shards.
            weight_map[f"/{place}"] = name if before is None else [*_listed(before), name]
    total = sum(_size(entry, dtype) for entry in wanted)
    index = {"metadata": {"total_size": float(total)}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=4), encoding="utf-8")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _narrow(name: str, array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, dtype=dtype)
    if np.isinf(narrow).any() and np.isfinite(array).all():
        raise WeightsError(
            f"The weight {name} reaches {float(np.abs(array).max()):.3g}",
            f"numbers that {dtype} can hold",
            "save it with weights_dtype='float32'",
        )
    return narrow
