"""Reading a Hugging Face checkpoint folder of XLM-R (transformers 4 or 5; safetensors)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.config import (
    MOST_CLASSES,
    BackboneConfig,
    TaskConfig,
    TextClassifierConfig,
    check_count,
)
from sparkxlmr.presets.keras_hub import default_labels, read_json
from sparkxlmr.presets.tables import ARCHITECTURES, Entry, entries, refuse_names, refuse_shape

CONFIG, WEIGHTS, WEIGHTS_INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
VOCABULARY = "sentencepiece.bpe.model"
_BARE, _CLASSIFIER = "XLMRobertaModel", "XLMRobertaForSequenceClassification"


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face checkpoint in this package's words; ``weights`` under their canonical names."""

    config: BackboneConfig
    task: TaskConfig | None
    labels: tuple[str, ...]
    weights: dict[str, np.ndarray]
    proto_path: Path


def read_checkpoint(folder: str | PathLike[str]) -> Checkpoint:
    """Reads ``config.json``, ``model.safetensors`` (or its shards) and finds ``sentencepiece.bpe.model``.

    Architectures: ``XLMRobertaForSequenceClassification`` and the bare ``XLMRobertaModel``.

    Raises:
        NotAPresetError: another architecture, or no such checkpoint.
        DamagedModelError: a weights file is missing or cannot be read.
        WeightsError: a key is missing, unused or of another shape. A classifier must have its head.
    """
    path = Path(folder)
    config, task, labels = describe(path)
    return Checkpoint(config, task, labels, read_weights(path, entries(config, task)), path / VOCABULARY)


def is_checkpoint(document: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is Hugging Face's (keras-hub's has no ``model_type``)."""
    return "model_type" in document


def describe(folder: Path) -> tuple[BackboneConfig, TaskConfig | None, tuple[str, ...]]:
    """Encoder, head and label names that a checkpoint's ``config.json`` describes.

    Raises:
        NotAPresetError: another architecture, or a variant of it that is not known here.
    """
    path = folder / CONFIG
    document = read_json(path)
    architecture = (document.get("architectures") or [None])[0]
    if document.get("model_type") != "xlm-roberta" or architecture not in (_BARE, _CLASSIFIER):
        raise NotAPresetError(
            f"{path} describes {architecture!r} of type {document.get('model_type')!r}",
            f"{_CLASSIFIER} or {_BARE} of type 'xlm-roberta'",
            "use a checkpoint of XLM-R",
        )
    for key, wanted in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if document.get(key, wanted) != wanted:
            raise NotAPresetError(
                f"{path} has {key} {document[key]!r}", repr(wanted), "use a checkpoint of plain XLM-R"
            )
    try:
        config = BackboneConfig(
            vocabulary_size=document["vocab_size"],
            num_layers=document["num_hidden_layers"],
            num_heads=document["num_attention_heads"],
            hidden_dim=document["hidden_size"],
            intermediate_dim=document["intermediate_size"],
            dropout=document.get("hidden_dropout_prob", 0.1),
            max_sequence_length=document["max_position_embeddings"] - 2,
            layer_norm_epsilon=document.get("layer_norm_eps", 1e-12),
        )
    except (KeyError, TypeError) as error:
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the encoder: {error}",
            "the config of an XLM-R checkpoint",
            "fetch it again",
        ) from error
    if architecture == _BARE:
        return config, None, ()
    labels = _labels(document)
    dropout = document.get("classifier_dropout")
    task = TextClassifierConfig(
        num_classes=len(labels),
        hidden_dim=config.hidden_dim,
        dropout=config.dropout if dropout is None else dropout,
    )
    return config, task, labels


def _labels(document: Mapping[str, Any]) -> tuple[str, ...]:
    id2label = document.get("id2label")
    if not id2label:
        num_labels = document.get("num_labels", 2)
        check_count("num_labels", num_labels, MOST_CLASSES)
        return default_labels(num_labels)
    by_id = {int(i): str(label) for i, label in id2label.items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise NotAPresetError(
            f"id2label names the classes {sorted(by_id)[:10]}",
            "every class from 0 on, once",
            "mend the checkpoint's config.json",
        )
    return tuple(by_id[i] for i in range(len(by_id)))


def read_weights(folder: Path, expected: Iterable[Entry]) -> dict[str, np.ndarray]:
    """The weights of a checkpoint under their canonical names and shapes, in the dtype they are stored in.

    Raises:
        DamagedModelError, WeightsError: as :func:`read_checkpoint`.
    """
    arrays = _tensors(folder)
    architecture = ARCHITECTURES["xlm_roberta"]
    has_prefix = any(key.startswith(architecture.hf_prefix) for key in arrays)
    prefix = architecture.hf_prefix if has_prefix else ""
    expected = tuple(expected)
    wanted = {
        entry.name: [key if entry.hf_head else prefix + key for key in entry.hf_keys] for entry in expected
    }
    known = {key for keys in wanted.values() for key in keys}
    ignored = {prefix + key for key in architecture.hf_ignored}
    refuse_names(known - arrays.keys(), arrays.keys() - known - ignored, str(folder))
    result = {}
    for entry in expected:
        found = [arrays[key] for key in wanted[entry.name]]
        array = entry.from_hf(found)
        refuse_shape(entry.name, array.shape, entry.shape, str(folder))
        result[entry.name] = np.ascontiguousarray(array)
    return result


def weights_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: one, or the shards that its index lists."""
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        return [folder / WEIGHTS]
    shards = read_json(index).get("weight_map", {})
    return [folder / Path(name).name for name in sorted(set(map(str, shards.values())))]


def _tensors(folder: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    arrays: dict[str, np.ndarray] = {}
    for path in weights_files(folder):
        try:
            arrays.update(load_file(path))
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise DamagedModelError(
                f"The weights file {path} cannot be read: {error}",
                "a whole safetensors file of float32 or float16",
                "fetch the checkpoint again",
            ) from error
    return arrays
