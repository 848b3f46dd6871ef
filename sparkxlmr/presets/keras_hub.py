"""keras-hub's preset folder, as keras-hub 0.32 writes it: JSON configs and h5 weights, read and described."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError
from sparkxlmr.presets.config import BackboneConfig, TaskConfig, TextClassifierConfig, check_count
from sparkxlmr.presets.tables import Entry, refuse_names, refuse_shape

if TYPE_CHECKING:
    import h5py

CONFIG, TASK, PREPROCESSOR, TOKENIZER = "config.json", "task.json", "preprocessor.json", "tokenizer.json"
METADATA = "metadata.json"
MODEL_WEIGHTS, TASK_WEIGHTS = "model.weights.h5", "task.weights.h5"
VOCABULARY = "assets/tokenizer/vocabulary.spm"
WEIGHTS_FILES = {"model": MODEL_WEIGHTS, "task": TASK_WEIGHTS}
# Beyond keras-hub: metadata.json tells the sha256 of each weights file, so that damage shows.
RECORDED = "weights_sha256"
DEFAULT_SEQUENCE_LENGTH = 512
DEFAULT_TRUNCATE = "round_robin"


@dataclass(frozen=True)
class Description:
    """What the JSON files of a preset folder say."""

    config: BackboneConfig
    task: TaskConfig | None
    labels: tuple[str, ...]
    sequence_length: int
    truncate: str


def describe(folder: Path) -> Description:
    """Reads the JSON files of a keras-hub preset folder.

    Raises:
        NotAPresetError: a file is no JSON object of the expected kind, or describes another architecture.
        SettingError: a number that no model can have.
    """
    config = backbone_config(read_json(folder / CONFIG), folder / CONFIG)
    task: TaskConfig | None = None
    labels: tuple[str, ...] = ()
    if (folder / TASK).is_file():
        document = read_json(folder / TASK)
        task = classifier = _task_config(document, config, folder / TASK)
        labels = _labels(document.get("classes"), classifier.num_classes, folder / TASK)
    settings: Mapping[str, Any] = {}
    if (folder / PREPROCESSOR).is_file():
        settings = _inner(read_json(folder / PREPROCESSOR), folder / PREPROCESSOR)
    length = settings.get("sequence_length")
    length = DEFAULT_SEQUENCE_LENGTH if length is None else length
    check_count("sequence_length", length)
    return Description(
        config=config,
        task=task,
        labels=labels,
        sequence_length=min(length, config.max_sequence_length),
        truncate=str(settings.get("truncate") or DEFAULT_TRUNCATE),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        NotAPresetError: the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotAPresetError(
            f"{path} cannot be read: {error}", "a JSON file of a preset", "copy the preset again"
        ) from error
    if not isinstance(document, dict):
        raise NotAPresetError(f"{path} holds no JSON object", "a file of a preset", "copy the preset again")
    return document


def backbone_config(document: Mapping[str, Any], path: Path) -> BackboneConfig:
    """The encoder that a ``config.json`` describes; numbers keras-hub lacks stand beside its ``config``."""
    _expect_class(document, ("XLMRobertaBackbone",), path)
    inner = _inner(document, path)
    try:
        return BackboneConfig(
            vocabulary_size=inner["vocabulary_size"],
            num_layers=inner["num_layers"],
            num_heads=inner["num_heads"],
            hidden_dim=inner["hidden_dim"],
            intermediate_dim=inner["intermediate_dim"],
            dropout=inner.get("dropout", 0.1),
            max_sequence_length=inner.get("max_sequence_length", 512),
            layer_norm_epsilon=document.get("layer_norm_epsilon", 1e-5),
        )
    except (KeyError, TypeError) as error:
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the encoder: {error}",
            "the config of an XLMRobertaBackbone",
            "copy the preset again",
        ) from error


def _task_config(document: Mapping[str, Any], config: BackboneConfig, path: Path) -> TextClassifierConfig:
    _expect_class(document, ("XLMRobertaTextClassifier",), path)
    inner = _inner(document, path)
    activation = inner.get("activation")
    if isinstance(activation, Mapping):  # some Keras versions write a function as {"class_name": ..., ...}
        activation = activation.get("config")
    try:
        return TextClassifierConfig(
            num_classes=inner["num_classes"],
            hidden_dim=inner.get("hidden_dim") or config.hidden_dim,
            activation=None if activation in (None, "linear") else str(activation),
            dropout=inner.get("dropout", 0.0),
        )
    except (KeyError, TypeError) as error:
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the head: {error}",
            "the config of an XLMRobertaTextClassifier",
            "copy the preset again",
        ) from error


def _labels(classes: object, num_classes: int, path: Path) -> tuple[str, ...]:
    if classes is None:
        return default_labels(num_classes)
    if not isinstance(classes, list) or len(classes) != num_classes:
        found = f"{len(classes)} names" if isinstance(classes, list) else repr(classes)
        raise NotAPresetError(
            f"`classes` of {path} holds {found}",
            f"a list of {num_classes} label names, one a class",
            "save the preset again with all its classes",
        )
    return tuple(map(str, classes))


def default_labels(num_classes: int) -> tuple[str, ...]:
    """``LABEL_0``, ``LABEL_1``, ...: what Hugging Face calls classes without names."""
    return tuple(f"LABEL_{i}" for i in range(num_classes))


def _expect_class(document: Mapping[str, Any], names: tuple[str, ...], path: Path) -> None:
    if document.get("class_name") not in names:
        raise NotAPresetError(
            f"{path} describes {document.get('class_name')!r}", " or ".join(names), "use a preset of XLM-R"
        )


def _inner(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    inner = document.get("config")
    if not isinstance(inner, Mapping):
        raise NotAPresetError(f"{path} has no `config`", "a file of a keras-hub preset", "copy it again")
    return inner


# --- weights ---


def read_weights(folder: Path, expected: Iterable[Entry]) -> dict[str, np.ndarray]:
    """The weights of a folder under their canonical names and shapes, in the dtype they are stored in.

    Raises:
        DamagedModelError: a weights file is missing or cannot be read to its end.
        WeightsError: a weight is missing, unused or of another shape.
    """
    by_file: dict[str, list[Entry]] = {}
    for entry in expected:
        by_file.setdefault(WEIGHTS_FILES[entry.hub_file], []).append(entry)
    result: dict[str, np.ndarray] = {}
    for name, wanted in by_file.items():
        result.update(_read_file(folder / name, wanted))
    return result


def _read_file(path: Path, wanted: list[Entry]) -> dict[str, np.ndarray]:
    import h5py  # here, since a preset whose bundle is ready is opened without it

    try:
        with h5py.File(path, "r") as file:
            found = _datasets(file)
            places = {entry.hub_path for entry in wanted}
            refuse_names(places - found, {p for p in found - places if not _ignored(p)}, str(path))
            return {entry.name: _read(file[entry.hub_path], entry, path) for entry in wanted}
    except SparkxlmrError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if path.with_suffix(".json").is_file():
            raise NotAPresetError(
                f"The weights of {path.parent} are sharded over several files",
                f"one file {path.name}",
                "save it again in keras-hub with a max_shard_size above its size",
            ) from error
        raise DamagedModelError(
            f"The weights file {path} cannot be read: {error}",
            "a whole h5 file of weights",
            "copy or fetch the preset again",
        ) from error


def _read(dataset: h5py.Dataset, entry: Entry, path: Path) -> np.ndarray:
    refuse_shape(f"{entry.name} ({entry.hub_path})", dataset.shape, entry.hub_shape, str(path))
    if dataset.dtype.kind != "f":
        raise DamagedModelError(
            f"The weight {entry.hub_path} of {path} is stored as {dataset.dtype}",
            "float32, float16 or float64",
            "save the preset again from a model of dtype float32",
        )
    return np.asarray(dataset[()]).reshape(entry.shape)


def _datasets(file: h5py.File) -> set[str]:
    import h5py

    found: set[str] = set()

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(name)

    file.visititems(visit)
    return found


def _ignored(place: str) -> bool:
    # keras-hub keeps the optimizer's step count and learning rate of a compiled task; a model needs neither.
    return place.startswith("optimizer/")
