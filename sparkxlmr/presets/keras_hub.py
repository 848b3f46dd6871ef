"""keras-hub's preset folder, as keras-hub 0.32 writes it: what its JSON files say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.config import (
    ACTIVATIONS,
    HEAD_ACTIVATIONS,
    AlbertConfig,
    BackboneConfig,
    MaskedLMConfig,
    TaskConfig,
    TextClassifierConfig,
    check_count,
)
from sparkxlmr.presets.contents import (
    DEFAULT_MASKING,
    DEFAULT_SEQUENCE_LENGTH,
    DEFAULT_TRUNCATE,
    TRUNCATIONS,
    Description,
    KerasState,
    check_labels,
    default_labels,
    masking_of,
)
from sparkxlmr.presets.output_function import OUTPUT_FUNCTIONS
from sparkxlmr.presets.tables import ARCHITECTURES, Architecture
from sparkxlmr.text.families import ADDED_TOKENS, TRUNCATION_SIDE

CONFIG, TASK, PREPROCESSOR, TOKENIZER = "config.json", "task.json", "preprocessor.json", "tokenizer.json"
METADATA = "metadata.json"
VOCABULARY = "assets/tokenizer/vocabulary.spm"
# Beyond keras-hub: metadata.json tells the sha256 of each weights file, so that damage shows.
RECORDED = "weights_sha256"
# Beyond keras-hub: numbers that it fixes stand at the top level of config.json and task.json where they
# differ from its own, label names in task.json, a tokenizer's settings in tokenizer.json.
ENCODER_EXTRAS = ("layer_norm_epsilon", "activation", "attention_dropout")
HEAD_EXTRAS = ("activation", "layer_norm_epsilon")
OUTPUT_FUNCTION = "output_function"  # of a classifier, at the top level of task.json
CLASSES, NORMALIZATION = "classes", "normalization"
# Beyond keras-hub: which layers are frozen, at the top level of config.json and task.json.
LAYER_TRAINABLE = "layer_trainable"

TASK_CLASSES = {"text_classifier": "TextClassifier", "masked_lm": "MaskedLM"}
# keras-nlp's name of text classifiers, in presets that were saved before it became keras-hub.
_OLD_CLASSIFIER = "Classifier"
_CONFIGS: dict[str, type[BackboneConfig]] = {"xlm_roberta": BackboneConfig, "albert": AlbertConfig}


def describe(folder: Path) -> Description:
    """Reads the JSON files of a keras-hub preset folder.

    Raises:
        NotAPresetError: a file is no JSON object of the expected kind, describes another architecture, or
            names an activation or a truncation that is not known.
        SettingError: a number that no model can have.
    """
    document = read_json(folder / CONFIG)
    architecture = _architecture(document, folder / CONFIG)
    config = _backbone_config(document, architecture, folder / CONFIG)
    encoder_state = _keras_state(document, folder / CONFIG, architecture, "backbone")
    task_state = KerasState()
    task: TaskConfig | None = None
    labels: tuple[str, ...] = ()
    if (folder / TASK).is_file():
        document = read_json(folder / TASK)
        # An embedder has no weights of its own: its preset is that of an encoder.
        if document.get("class_name") != f"{architecture.hub_class}TextEmbedder":
            task = _task_config(document, config, architecture, folder / TASK)
            task_state = _keras_state(document, folder / TASK, architecture, task.kind)
        if isinstance(task, TextClassifierConfig):
            labels = _labels(document.get(CLASSES), task.num_classes, folder / TASK)
    told: Mapping[str, Any] = {}
    if (folder / PREPROCESSOR).is_file():
        told = _inner(read_json(folder / PREPROCESSOR), folder / PREPROCESSOR)
    length = told.get("sequence_length")
    length = DEFAULT_SEQUENCE_LENGTH if length is None else length
    check_count("sequence_length", length)
    return Description(
        config=config,
        task=task,
        labels=labels,
        sequence_length=min(length, config.max_sequence_length),
        truncate=_known(
            "truncate", told.get("truncate") or DEFAULT_TRUNCATE, TRUNCATIONS, folder / PREPROCESSOR
        ),
        tokenizer_settings=_tokenizer_settings(folder / TOKENIZER),
        masking=masking_of(task, _masking(told, folder / PREPROCESSOR)),
        encoder_state=encoder_state,
        task_state=task_state,
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


def _architecture(document: Mapping[str, Any], path: Path) -> Architecture:
    classes = {f"{table.hub_class}Backbone": table for table in ARCHITECTURES.values()}
    found = document.get("class_name")
    if not isinstance(found, str) or found not in classes:
        raise NotAPresetError(
            f"{path} describes {found!r}", " or ".join(classes), "use a preset of XLM-R or ALBERT"
        )
    return classes[found]


def _backbone_config(document: Mapping[str, Any], architecture: Architecture, path: Path) -> BackboneConfig:
    """The encoder that a ``config.json`` describes; numbers keras-hub lacks stand beside its ``config``."""
    inner = _inner(document, path)
    made = _CONFIGS[architecture.family]
    names = {field.name for field in fields(made)}.difference(ENCODER_EXTRAS)
    numbers = {name: inner[name] for name in names if name in inner}
    numbers |= {name: document[name] for name in ENCODER_EXTRAS if name in document}
    if "activation" in numbers:
        _known("activation", numbers["activation"], ACTIVATIONS, path)
    try:
        return made(**numbers)
    except TypeError as error:
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the encoder: {error}",
            f"the config of an {architecture.hub_class}Backbone",
            "copy the preset again",
        ) from error


def _task_config(
    document: Mapping[str, Any], config: BackboneConfig, architecture: Architecture, path: Path
) -> TaskConfig:
    classes = {architecture.hub_class + name: kind for kind, name in TASK_CLASSES.items()}
    found = document.get("class_name")
    if found == architecture.hub_class + _OLD_CLASSIFIER:
        found = architecture.hub_class + TASK_CLASSES[TextClassifierConfig.kind]
    if not isinstance(found, str) or found not in classes:
        raise NotAPresetError(
            f"{path} describes {found!r}",
            " or ".join(classes),
            f"use a preset of such a task, or remove {TASK} from a copy to load its encoder alone",
        )
    try:
        if classes[found] == MaskedLMConfig.kind:
            given = {name: document[name] for name in HEAD_EXTRAS if name in document}
            if "activation" in given:
                _known("activation", given["activation"], ACTIVATIONS, path)
            standard = MaskedLMConfig.of_keras_hub(config)
            return MaskedLMConfig(**{**{name: getattr(standard, name) for name in HEAD_EXTRAS}, **given})
        return _classifier_config(_inner(document, path), document.get(OUTPUT_FUNCTION), config, path)
    except (KeyError, TypeError) as error:
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the head: {error}",
            f"the config of an {found}",
            "copy the preset again",
        ) from error


def _classifier_config(
    inner: Mapping[str, Any], function: Any, config: BackboneConfig, path: Path
) -> TextClassifierConfig:
    activation = inner.get("activation")
    if isinstance(activation, Mapping):  # some Keras versions write a function as {"class_name": ..., ...}
        activation = activation.get("config")
    if activation in (None, "linear"):
        activation = None
    else:
        _known("activation", activation, HEAD_ACTIVATIONS, path)
    if function is not None:
        _known(OUTPUT_FUNCTION, function, OUTPUT_FUNCTIONS, path)
    pooled = isinstance(config, AlbertConfig)  # the pooler stands before the logits
    return TextClassifierConfig(
        num_classes=inner["num_classes"],
        hidden_dim=None if pooled else inner.get("hidden_dim") or config.hidden_dim,
        activation=activation,
        dropout=inner.get("dropout", 0.1 if pooled else 0.0),
        output_function=function,
    )


def _keras_state(
    document: Mapping[str, Any], path: Path, architecture: Architecture, kind: str
) -> KerasState:
    """Return the name and the frozen layers that a ``config.json`` or ``task.json`` describes."""
    inner = _inner(document, path)
    name, trainable = inner.get("name"), inner.get("trainable", True)
    flags = document.get(LAYER_TRAINABLE, {})
    if name is not None and (not isinstance(name, str) or not name or "/" in name):
        raise NotAPresetError(f"{path} has the name {name!r:.100}", "a name of a layer", "copy it again")
    values = (trainable, *flags.values()) if isinstance(flags, dict) else ()
    if not values or not all(isinstance(flag, bool) for flag in values):
        raise NotAPresetError(
            f"{path} has trainable {trainable!r:.100} and {LAYER_TRAINABLE} {flags!r:.200}",
            "true or false, and an object of layer paths with true or false",
            "save the preset again",
        )
    # Keras numbers the default name of a process' later models; a loaded model is found by the plain one.
    is_default = re.fullmatch(rf"{architecture.hub_name}_{kind}(_\d+)?", name or "") is not None
    return KerasState(None if is_default else name, trainable, flags)


def _labels(classes: object, num_classes: int, path: Path) -> tuple[str, ...]:
    if classes is None:
        return default_labels(num_classes)
    if not isinstance(classes, list) or len(classes) != num_classes:
        found = f"{len(classes)} names" if isinstance(classes, list) else repr(classes)
        raise NotAPresetError(
            f"`{CLASSES}` of {path} holds {found}",
            f"a list of {num_classes} label names, one a class",
            "save the preset again with all its classes",
        )
    labels = tuple(map(str, classes))
    check_labels(labels, f"`{CLASSES}` of {path}")
    return labels


def _tokenizer_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    settings = read_json(path).get(NORMALIZATION)
    if settings is None:
        return {}
    # Tokens and the truncation side are in the same object, so that releases which lack them refuse it.
    kinds = {ADDED_TOKENS: list, TRUNCATION_SIDE: str}
    if not isinstance(settings, dict) or not all(
        isinstance(value, kinds.get(name, bool)) for name, value in settings.items()
    ):
        raise NotAPresetError(
            f"`{NORMALIZATION}` of {path} holds {settings!r:.200}",
            "an object of names with true or false",
            "save the preset again",
        )
    return settings


def _masking(told: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = {name: told[name] for name in DEFAULT_MASKING if name in told}
    for name, value in found.items():
        if name == "mask_selection_length":
            check_count(name, value)
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise NotAPresetError(
                f"{path} has {name} {value!r}", "a number from 0 to 1", "save the preset again"
            )
    return found


def _known(what: str, name: Any, known: tuple[str, ...], path: Path) -> str:
    if not isinstance(name, str) or name not in known:
        raise NotAPresetError(
            f"{path} has {what} {name!r:.100}",
            f"one of {', '.join(map(repr, known))}",
            "save the preset again",
        )
    return name


def _inner(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    inner = document.get("config")
    if not isinstance(inner, Mapping):
        raise NotAPresetError(f"{path} has no `config`", "a file of a keras-hub preset", "copy it again")
    return inner
