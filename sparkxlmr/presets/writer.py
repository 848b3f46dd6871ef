"""Writing a preset folder that keras-hub 0.32 reads too."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr import __version__
from sparkxlmr.errors import OutputError, SettingError, WeightsError
from sparkxlmr.presets import keras_hub, tables
from sparkxlmr.presets.config import BackboneConfig, TaskConfig, TextClassifierConfig, check_count
from sparkxlmr.presets.files import sha256_of, to_disk
from sparkxlmr.presets.tables import Entry, check, entries

_HUB = "keras_hub.src.models.xlm_roberta"
_HUB_FORMAT = "0.32.0"  # the keras-hub release whose folder layout this module writes
_KERAS_FORMAT = "3.15.0"  # said where Keras itself is not installed: writing a preset needs h5py only
_HUB_EPSILON = 1e-5  # keras-hub's XLM-R knows no other
_LEARNING_RATE = 5e-5  # keras-hub's default for a text classifier; kept by it beside the head's weights


def write_preset(
    folder: str | PathLike[str],
    config: BackboneConfig,
    task: TaskConfig | None,
    labels: Sequence[str] | None,
    weights: Mapping[str, np.ndarray],
    proto: bytes | str | PathLike[str] | None,
    sequence_length: int,
    weights_dtype: str = "float32",
    truncate: str = keras_hub.DEFAULT_TRUNCATE,
) -> Path:
    """Writes a model as a preset folder; what stood there under the same file names is replaced.

    Every file is complete before it takes its place. Other files of the folder (a card, ``bundles/``) stay.

    Args:
        labels: one name a class, kept as ``classes`` at the top level of ``task.json``; None keeps none.
        weights: canonical names to arrays (see :mod:`sparkxlmr.presets.tables`).
        proto: the SentencePiece model, as bytes or path; None writes no tokenizer and no preprocessor.
        sequence_length: how many ids the preprocessor keeps of a text.
        weights_dtype: ``"float32"`` or ``"float16"``; keras-hub reads both into its own dtype.

    Returns:
        The folder.

    Warns:
        UserWarning: ``layer_norm_epsilon`` is not 1e-5, which keras-hub computes with whatever a preset says.

    Raises:
        WeightsError: weights are missing, unused, of another shape, or too large for float16.
        SettingError: labels that are not one a class, or an unknown dtype.
        OutputError: the folder cannot be written.
    """
    if weights_dtype not in ("float32", "float16"):
        raise SettingError(
            f"weights_dtype is {weights_dtype!r}", "'float32' or 'float16'", "pass one of them"
        )
    _check_labels(labels, task)
    check_count("sequence_length", sequence_length)
    table = entries(config, task)
    check(weights, table, "the given model")
    if config.layer_norm_epsilon != _HUB_EPSILON:
        warnings.warn(
            f"layer_norm_epsilon is {config.layer_norm_epsilon}: keras-hub reads this preset, but computes "
            f"with {_HUB_EPSILON} and answers other numbers. sparkxlmr computes with the preset's own.",
            stacklevel=2,
        )
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=target))
        try:
            _write_jsons(staging, config, task, labels, proto is not None, sequence_length, truncate)
            _write_h5(staging, config, task, table, weights, np.dtype(weights_dtype))
            _write_json(staging / keras_hub.METADATA, _metadata(staging, config))
            if proto is not None:
                vocabulary = staging / keras_hub.VOCABULARY
                vocabulary.parent.mkdir(parents=True)
                vocabulary.write_bytes(proto if isinstance(proto, bytes) else Path(proto).read_bytes())
            to_disk(staging)
            _move(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The preset cannot be written to {target}: {error}",
            "a folder with room",
            "choose another folder",
        ) from error
    return target


def _check_labels(labels: Sequence[str] | None, task: TaskConfig | None) -> None:
    if labels is None:
        return
    num_classes = task.num_classes if isinstance(task, TextClassifierConfig) else 0
    if len(labels) != num_classes:
        raise SettingError(
            f"There are {len(labels)} label names for {num_classes} classes",
            "one name a class",
            "pass them in the order of the classes",
        )


def _move(staging: Path, target: Path) -> None:
    written = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    for name in _OWNED - {path.as_posix() for path in written}:
        (target / name).unlink(missing_ok=True)  # a former preset's head must not stay beside another encoder
    for path in written:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / path, target / path)


_OWNED = {
    keras_hub.CONFIG,
    keras_hub.TASK,
    keras_hub.PREPROCESSOR,
    keras_hub.TOKENIZER,
    keras_hub.METADATA,
    keras_hub.MODEL_WEIGHTS,
    keras_hub.TASK_WEIGHTS,
    keras_hub.VOCABULARY,
}

# --- JSON ---


def _write_jsons(
    folder: Path,
    config: BackboneConfig,
    task: TaskConfig | None,
    labels: Sequence[str] | None,
    has_tokenizer: bool,
    sequence_length: int,
    truncate: str,
) -> None:
    backbone = _backbone(config)
    top: dict[str, Any] = dict(backbone)
    if config.layer_norm_epsilon != _HUB_EPSILON:
        top["layer_norm_epsilon"] = config.layer_norm_epsilon
    _write_json(folder / keras_hub.CONFIG, top)
    preprocessor = _preprocessor(sequence_length, truncate) if has_tokenizer else None
    if preprocessor is not None:
        _write_json(folder / keras_hub.TOKENIZER, preprocessor["config"]["tokenizer"])
        _write_json(folder / keras_hub.PREPROCESSOR, preprocessor)
    if task is not None:
        document = _task(task, backbone, preprocessor)
        if labels is not None:
            document["classes"] = [str(label) for label in labels]
        _write_json(folder / keras_hub.TASK, document)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=4, ensure_ascii=False), encoding="utf-8")


def _object(module: str, class_name: str, name: str, dtype: str, config: Mapping[str, Any]) -> dict[str, Any]:
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": dtype},
        "registered_name": None,
    }
    return {
        "module": f"{_HUB}.{module}",
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": policy, **config},
        "registered_name": f"keras_hub>{class_name}",
    }


def _backbone(config: BackboneConfig) -> dict[str, Any]:
    numbers = config.arguments()
    for name in ("layer_norm_epsilon", "activation", "attention_dropout"):
        del numbers[name]  # keras-hub's class does not take it
    return _object("xlm_roberta_backbone", "XLMRobertaBackbone", "xlm_roberta_backbone", "float32", numbers)


def _preprocessor(sequence_length: int, truncate: str) -> dict[str, Any]:
    tokenizer = _object(
        "xlm_roberta_tokenizer",
        "XLMRobertaTokenizer",
        "xlm_roberta_tokenizer",
        "int32",
        {
            "config_file": keras_hub.TOKENIZER,
            "proto": None,
            "sequence_length": None,
            "add_bos": False,
            "add_eos": False,
        },
    )
    return _object(
        "xlm_roberta_text_classifier_preprocessor",
        "XLMRobertaTextClassifierPreprocessor",
        "xlm_roberta_text_classifier_preprocessor",
        "float32",
        {
            "tokenizer": tokenizer,
            "config_file": keras_hub.PREPROCESSOR,
            "sequence_length": sequence_length,
            "truncate": truncate,
        },
    )


def _task(task: TaskConfig, backbone: dict[str, Any], preprocessor: dict[str, Any] | None) -> dict[str, Any]:
    document = _object(
        "xlm_roberta_text_classifier",
        "XLMRobertaTextClassifier",
        "xlm_roberta_text_classifier",
        "float32",
        {},
    )
    assert isinstance(task, TextClassifierConfig)
    document["config"] = {
        "backbone": backbone,
        "preprocessor": preprocessor,
        "name": "xlm_roberta_text_classifier",
        "num_classes": task.num_classes,
        "activation": task.activation or "linear",
        "hidden_dim": task.hidden_dim,
        "dropout": task.dropout,
    }
    return document


def _metadata(folder: Path, config: BackboneConfig) -> dict[str, Any]:
    return {
        "keras_version": _keras_version(),
        "keras_hub_version": _HUB_FORMAT,
        "parameter_count": sum(int(np.prod(entry.shape)) for entry in entries(config)),
        "date_saved": datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": ["MaskedLM", "TextClassifier", "TextEmbedder"],
        "sparkxlmr_version": __version__,
        keras_hub.RECORDED: {path.name: sha256_of(path) for path in sorted(folder.glob("*.h5"))},
    }


def _keras_version() -> str:
    try:
        return metadata.version("keras")
    except metadata.PackageNotFoundError:
        return _KERAS_FORMAT


# --- h5 ---


def _write_h5(
    folder: Path,
    config: BackboneConfig,
    task: TaskConfig | None,
    table: Sequence[Entry],
    weights: Mapping[str, np.ndarray],
    dtype: np.dtype[Any],
) -> None:
    import h5py

    architecture = tables.of(config)
    groups = {"model": architecture.encoder_groups(config)}
    if task is not None:
        groups["task"] = {
            "": "xlm_roberta_text_classifier",
            **architecture.head_groups[task.kind],
            "optimizer": "adam",
            "preprocessor": "xlm_roberta_text_classifier_preprocessor",
            "preprocessor/tokenizer": "xlm_roberta_tokenizer",
        }
    for kind, names in groups.items():
        with h5py.File(folder / keras_hub.WEIGHTS_FILES[kind], "w") as file:
            for place, layer_name in names.items():
                file.create_group(f"{place}/vars" if place else "vars").attrs["name"] = layer_name
            for entry in table:
                if entry.hub_file == kind:
                    array = _narrow(entry.name, weights[entry.name], dtype)
                    file.create_dataset(entry.hub_path, data=array.reshape(entry.hub_shape))
            if kind == "task":  # keras-hub compiles a task as it loads it, and then looks for these two
                file["optimizer/vars"].create_dataset("0", data=np.int64(0))
                file["optimizer/vars"].create_dataset("1", data=np.float32(_LEARNING_RATE))


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
