"""Writing a preset folder that keras-hub 0.32 reads too."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr import __version__
from sparkxlmr.errors import OutputError, SettingError
from sparkxlmr.presets import keras_hub, keras_hub_weights, tables
from sparkxlmr.presets.config import (
    HEAD_ACTIVATIONS,
    MaskedLMConfig,
    TextClassifierConfig,
    check_activation,
)
from sparkxlmr.presets.contents import Contents, KerasState, masking_of
from sparkxlmr.presets.disk import described
from sparkxlmr.presets.files import sha256_of, to_disk
from sparkxlmr.presets.tables import Architecture

_HUB_FORMAT = "0.32.0"  # the keras-hub release whose folder layout this module writes
_KERAS_FORMAT = "3.15.0"  # said where Keras itself is not installed: writing a preset needs h5py only
# keras-hub's tasks for an encoder, which it lists beside it.
_HUB_TASKS = {
    "xlm_roberta": ["MaskedLM", "TextClassifier", "TextEmbedder"],
    "albert": ["MaskedLM", "TextClassifier"],
}


def write_preset(
    folder: str | PathLike[str],
    contents: Contents,
    weights_dtype: str = "float32",
    max_shard_size: float | None = 10,
) -> Path:
    """Writes a model as a preset folder; what stood there under the same file names is replaced.

    Every file is complete before it takes its place. Other files of the folder (a card, ``bundles/``) stay.
    Label names, a tokenizer's settings, and numbers that keras-hub fixes stand at the top level of the JSON
    files, where keras-hub does not look.

    Args:
        weights_dtype: ``"float32"`` or ``"float16"``; keras-hub reads both into its own dtype.
        max_shard_size: an encoder larger than so many gigabytes (2**30 bytes) is written in shards; None
            writes one file whatever its size.

    Returns:
        The folder.

    Warns:
        UserWarning: a number is not the one that keras-hub computes with whatever a preset says.

    Raises:
        WeightsError: weights are missing, unused, of another shape, or too large for float16.
        SettingError: an unknown dtype, a shard too small for the largest weight, or a classifier with an
            activation of one's own.
        OutputError: the folder cannot be written.
    """
    if isinstance(contents.task, TextClassifierConfig) and contents.task.activation is not None:
        check_activation(contents.task.activation, HEAD_ACTIVATIONS)
    if weights_dtype not in ("float32", "float16"):
        raise SettingError(
            f"weights_dtype is {weights_dtype!r}", "'float32' or 'float16'", "pass one of them"
        )
    shard = float("inf") if max_shard_size is None else max_shard_size
    if not shard > 0:
        raise SettingError(f"max_shard_size is {max_shard_size!r}", "a number above 0", "10 is usual")
    tables.check(contents.weights, tables.entries(contents.config, contents.task), "the given model")
    _warn_of_differences(contents)

    def write(staging: Path) -> None:
        _write_jsons(staging, contents)
        keras_hub_weights.write_weights(staging, contents, np.dtype(weights_dtype), shard)
        write_json(staging / keras_hub.METADATA, _metadata(staging, contents))
        if contents.proto is not None:
            _write_vocabulary(staging, contents.proto)

    return write_whole(Path(folder), write, _OWNED)


def write_preprocessor(
    folder: str | PathLike[str],
    family: str,
    proto: bytes,
    tokenizer_settings: Mapping[str, Any],
    kind: str | None = None,
    **settings: Any,
) -> Path:
    """Writes a tokenizer, and a task's preprocessor, into a preset folder; an encoder there stays.

    Args:
        family: ``"xlm_roberta"`` or ``"albert"``.
        proto: the SentencePiece model.
        kind: of the task (``"text_classifier"``, ``"masked_lm"``); None writes the tokenizer alone.
        settings: the preprocessor's: ``sequence_length``, ``truncate``, and how pieces are hidden.

    Raises:
        OutputError: the folder cannot be written.
    """
    architecture = tables.ARCHITECTURES[family]

    def write(staging: Path) -> None:
        tokenizer = _write_tokenizer(staging, architecture, tokenizer_settings)
        _write_vocabulary(staging, proto)
        if kind is not None:
            document = _preprocessor(architecture, kind, tokenizer, settings)
            write_json(staging / keras_hub.PREPROCESSOR, document)

    return write_whole(Path(folder), write, ())


def _write_vocabulary(folder: Path, proto: bytes) -> None:
    vocabulary = folder / keras_hub.VOCABULARY
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_bytes(proto)


def write_whole(target: Path, write: Callable[[Path], None], owned: tuple[str, ...]) -> Path:
    """Lets ``write`` fill a folder beside, then moves its files to ``target`` when all of them are complete.

    Args:
        owned: patterns of file names; what lies in ``target`` under such a name and was not written anew is
            removed, so that a former model's head does not stay beside another encoder.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=target))
        try:
            write(staging)
            to_disk(staging)
            _move(staging, target, owned)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The model cannot be written to {target}: {described(error, target)}",
            "a folder with room that this user may write to",
            "make room there, or choose another folder",
        ) from error
    return target


def _move(staging: Path, target: Path, owned: tuple[str, ...]) -> None:
    written = {path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()}
    there = {path.name for path in target.iterdir() if path.is_file()}
    stale = {name for name in there if any(fnmatch(name, pattern) for pattern in owned)}
    for name in (stale | {name for name in owned if "*" not in name}) - written:
        (target / name).unlink(missing_ok=True)
    for name in sorted(written):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, target / name)


_OWNED = (
    keras_hub.CONFIG,
    keras_hub.TASK,
    keras_hub.PREPROCESSOR,
    keras_hub.TOKENIZER,
    keras_hub.METADATA,
    keras_hub.VOCABULARY,
    keras_hub_weights.MODEL,
    keras_hub_weights.TASK,
    keras_hub_weights.INDEX,
    keras_hub_weights.SHARDS,
)

# --- what keras-hub does not know ---


def _encoder_extras(contents: Contents) -> dict[str, Any]:
    """The encoder's numbers that are not those which keras-hub fixes for the family."""
    config = contents.config
    return {
        name: getattr(config, name)
        for name in keras_hub.ENCODER_EXTRAS
        if getattr(config, name) != getattr(type(config), name)
    }


def _layer_trainable(state: KerasState) -> dict[str, Any]:
    return {keras_hub.LAYER_TRAINABLE: dict(state.layer_trainable)} if state.layer_trainable else {}


def _head_extras(contents: Contents) -> dict[str, Any]:
    """The numbers of a masked language model's head that are not those which keras-hub fixes."""
    if not isinstance(contents.task, MaskedLMConfig):
        return {}
    standard = MaskedLMConfig.of_keras_hub(contents.config)
    return {
        name: getattr(contents.task, name)
        for name in keras_hub.HEAD_EXTRAS
        if getattr(contents.task, name) != getattr(standard, name)
    }


def _warn_of_differences(contents: Contents) -> None:
    extras = _encoder_extras(contents)
    fixed = {name: getattr(type(contents.config), name) for name in extras}
    head = _head_extras(contents)
    if head:
        standard = MaskedLMConfig.of_keras_hub(contents.config)
        extras |= {f"the head's {name}": value for name, value in head.items()}
        fixed |= {f"the head's {name}": getattr(standard, name) for name in head}
    for name, value in extras.items():
        computes = "the same dropout everywhere" if fixed[name] is None else fixed[name]
        warnings.warn(
            f"{name} is {value}: keras-hub reads this preset, but computes with {computes} and so does not "
            "answer the same. sparkxlmr computes with the preset's own.",
            stacklevel=3,
        )
    if contents.tokenizer_settings and contents.proto is not None:
        warnings.warn(
            "The tokenizer changes texts before SentencePiece reads them "
            f"({dict(contents.tokenizer_settings)}): keras-hub reads this preset, but tokenizes raw texts.",
            stacklevel=3,
        )


# --- JSON ---


def _write_jsons(folder: Path, contents: Contents) -> None:
    backbone = _backbone(contents)
    flags = _layer_trainable(contents.encoder_state)
    write_json(folder / keras_hub.CONFIG, {**backbone, **_encoder_extras(contents), **flags})
    preprocessor = None
    if contents.proto is not None:
        architecture = tables.of(contents.config)
        tokenizer = _write_tokenizer(folder, architecture, contents.tokenizer_settings)
        # An encoder without a head is mostly fine-tuned to classify.
        kind = TextClassifierConfig.kind if contents.task is None else contents.task.kind
        length, masking = contents.sequence_length, masking_of(contents.task, contents.masking)
        settings = {"sequence_length": length, "truncate": contents.truncate, **masking}
        preprocessor = _preprocessor(architecture, kind, tokenizer, settings)
        write_json(folder / keras_hub.PREPROCESSOR, preprocessor)
    if contents.task is not None:
        extras = {**_head_extras(contents), **_layer_trainable(contents.task_state)}
        if isinstance(contents.task, TextClassifierConfig) and contents.task.output_function is not None:
            extras[keras_hub.OUTPUT_FUNCTION] = contents.task.output_function
        if contents.labels is not None:
            extras[keras_hub.CLASSES] = [str(label) for label in contents.labels]
        write_json(folder / keras_hub.TASK, {**_task(contents, backbone, preprocessor), **extras})


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a JSON file as keras-hub does: indented, in UTF-8.

    Raises:
        SettingError: a text is no Unicode (a lone surrogate).
    """
    try:
        path.write_text(json.dumps(document, indent=4, ensure_ascii=False), encoding="utf-8")
    except UnicodeEncodeError as error:
        raise SettingError(
            f"{error.object[error.start : error.end]!r} cannot be written to {path.name}",
            "labels that are Unicode text",
            "pass other labels",
        ) from error


def _object(architecture: Architecture, part: str, ending: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What Keras writes of an object of a class: ``part`` names the module, ``ending`` the class."""
    name, class_name = f"{architecture.hub_name}_{part}", architecture.hub_class + ending
    return {
        "module": f"{architecture.hub_module}.{name}",
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": f"keras_hub>{class_name}",
    }


def _layer(dtype: str, trainable: bool = True) -> dict[str, Any]:
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": dtype},
        "registered_name": None,
    }
    return {"trainable": trainable, "dtype": policy}


def _backbone(contents: Contents) -> dict[str, Any]:
    numbers = contents.config.arguments()
    for name in keras_hub.ENCODER_EXTRAS:
        del numbers[name]  # keras-hub's class does not take it
    state = contents.encoder_state
    settings = {**_named(state), **_layer("float32", state.trainable), **numbers}
    return _object(tables.of(contents.config), "backbone", "Backbone", settings)


def _named(state: KerasState) -> dict[str, Any]:
    return {} if state.name is None else {"name": state.name}


def _write_tokenizer(folder: Path, architecture: Architecture, settings: Mapping[str, Any]) -> dict[str, Any]:
    config = {
        "config_file": keras_hub.TOKENIZER,
        "proto": None,
        "sequence_length": None,
        "add_bos": False,
        "add_eos": False,
    }
    tokenizer = _object(architecture, "tokenizer", "Tokenizer", {**_layer("int32"), **config})
    normalization = {keras_hub.NORMALIZATION: dict(settings)} if settings else {}
    write_json(folder / keras_hub.TOKENIZER, {**tokenizer, **normalization})
    return tokenizer


def _preprocessor(
    architecture: Architecture, kind: str, tokenizer: dict[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    config = {"tokenizer": tokenizer, "config_file": keras_hub.PREPROCESSOR, **settings}
    ending = f"{keras_hub.TASK_CLASSES[kind]}Preprocessor"
    return _object(architecture, f"{kind}_preprocessor", ending, {**_layer("float32"), **config})


def _task(
    contents: Contents, backbone: dict[str, Any], preprocessor: dict[str, Any] | None
) -> dict[str, Any]:
    task = contents.task
    assert task is not None
    document = _object(
        tables.of(contents.config),
        task.kind,
        keras_hub.TASK_CLASSES[task.kind],
        {**_named(contents.task_state), "backbone": backbone, "preprocessor": preprocessor},
    )
    config = document["config"]
    if not contents.task_state.trainable:  # keras-hub writes no True, but takes the argument
        config["trainable"] = False
    if isinstance(task, TextClassifierConfig):
        config |= {"num_classes": task.num_classes, "activation": task.activation or "linear"}
        if task.hidden_dim is not None:
            config["hidden_dim"] = task.hidden_dim
        config["dropout"] = task.dropout
    return document


def _metadata(folder: Path, contents: Contents) -> dict[str, Any]:
    weights = sorted([*folder.glob("*.h5"), *folder.glob(keras_hub_weights.INDEX)])
    return {
        "keras_version": _keras_version(),
        "keras_hub_version": _HUB_FORMAT,
        "parameter_count": sum(int(np.prod(entry.shape)) for entry in tables.entries(contents.config)),
        "date_saved": datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": _HUB_TASKS[contents.config.family],
        "sparkxlmr_version": __version__,
        keras_hub.RECORDED: {path.name: sha256_of(path) for path in weights},
    }


def _keras_version() -> str:
    try:
        return metadata.version("keras")
    except metadata.PackageNotFoundError:
        return _KERAS_FORMAT
