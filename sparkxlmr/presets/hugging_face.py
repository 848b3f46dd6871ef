"""Hugging Face's checkpoint folder (transformers 4 and 5): what its JSON files say of XLM-R and ALBERT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.config import (
    MOST_CLASSES,
    AlbertConfig,
    BackboneConfig,
    MaskedLMConfig,
    TaskConfig,
    TextClassifierConfig,
    check_count,
)
from sparkxlmr.presets.contents import Description, check_labels, default_labels, masking_of
from sparkxlmr.presets.hugging_face_keys import (
    TASK_CLASSES,
    architecture_of,
    is_checkpoint,
    refuse_variants,
)
from sparkxlmr.presets.hugging_face_tokenizer import describe_tokenizer
from sparkxlmr.presets.keras_hub import read_json
from sparkxlmr.presets.tables import Architecture

__all__ = ["TASK_CLASSES", "describe", "is_checkpoint"]

CONFIG = "config.json"

# This package's names of numbers, and Hugging Face's.
ENCODER_NUMBERS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
    "activation": "hidden_act",
    "attention_dropout": "attention_probs_dropout_prob",
}
ALBERT_NUMBERS = {
    "embedding_dim": "embedding_size",
    "num_groups": "num_hidden_groups",
    "num_inner_repetitions": "inner_group_num",
    "num_segments": "type_vocab_size",
}
# What transformers takes where a config.json leaves a number out.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "xlm_roberta": {
        "dropout": 0.1,
        "layer_norm_epsilon": 1e-12,
        "activation": "gelu",
        "attention_dropout": 0.1,
    },
    "albert": {
        "dropout": 0.0,
        "layer_norm_epsilon": 1e-12,
        "activation": "gelu_new",
        "attention_dropout": 0.0,
        "num_groups": 1,
        "num_inner_repetitions": 1,
        "num_segments": 2,
    },
}
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
}
# Positions of XLM-R begin behind its pad id.
POSITION_OFFSET = {"xlm_roberta": 2, "albert": 0}
MULTI_LABEL = "multi_label_classification"
PROBLEM_TYPES = ("single_label_classification", MULTI_LABEL, "regression")


def describe(folder: Path) -> Description:
    """What ``config.json`` and the files of the tokenizer of a checkpoint say.

    ``problem_type`` ``multi_label_classification`` gives the activation ``"sigmoid"``, which is how
    transformers scores such a model; any other classifier answers logits.

    Raises:
        NotAPresetError: another architecture, or a variant of it or of its tokenizer that is not supported.
        SettingError: a number that no model can have.
    """
    path = folder / CONFIG
    document = read_json(path)
    architecture, kind = architecture_of(document, path)
    refuse_variants(document, architecture.family, kind, path)
    config = _encoder(document, architecture, path)
    task: TaskConfig | None = None
    labels: tuple[str, ...] = ()
    if kind == TextClassifierConfig.kind:
        labels = _labels(document, path)
        task = _classifier(document, config, len(labels), path)
    elif kind == MaskedLMConfig.kind:
        # XLM-R's head has the exact gelu whatever the encoder's activation is.
        activation = config.activation if isinstance(config, AlbertConfig) else "gelu"
        task = MaskedLMConfig(activation, config.layer_norm_epsilon)
    settings, length = describe_tokenizer(folder, architecture, config, document)
    return Description(
        config=config,
        task=task,
        labels=labels,
        sequence_length=length,
        tokenizer_settings=settings,
        masking=masking_of(task, {}),
    )


def _encoder(document: Mapping[str, Any], architecture: Architecture, path: Path) -> BackboneConfig:
    family = architecture.family
    is_albert = family == AlbertConfig.family
    names = {**ENCODER_NUMBERS, **(ALBERT_NUMBERS if is_albert else {})}
    told = {ours: document[theirs] for ours, theirs in names.items() if document.get(theirs) is not None}
    numbers = {**_DEFAULTS[family], **told}
    if numbers["activation"] not in _ACTIVATIONS:
        raise NotAPresetError(
            f"{path} has hidden_act {numbers['activation']!r}",
            f"one of {', '.join(map(repr, _ACTIVATIONS))}",
            f"use a checkpoint of plain {family}",
        )
    numbers["activation"] = _ACTIVATIONS[numbers["activation"]]
    if numbers["attention_dropout"] == numbers["dropout"]:
        numbers["attention_dropout"] = None
    try:
        numbers["max_sequence_length"] -= POSITION_OFFSET[family]
        return AlbertConfig(**numbers) if is_albert else BackboneConfig(**numbers)
    except (KeyError, TypeError) as error:
        lacking = [theirs for ours, theirs in names.items() if ours not in numbers]
        raise NotAPresetError(
            f"{path} lacks or spoils a number of the encoder: {', '.join(lacking) or error}",
            f"the config of an {architecture.hf_class} checkpoint",
            "fetch it again",
        ) from error


def _classifier(
    document: Mapping[str, Any], config: BackboneConfig, num_classes: int, path: Path
) -> TextClassifierConfig:
    problem = document.get("problem_type")
    if problem is not None and problem not in PROBLEM_TYPES:
        raise NotAPresetError(
            f"{path} has problem_type {problem!r}",
            f"one of {', '.join(map(repr, PROBLEM_TYPES))}",
            "mend the checkpoint's config.json",
        )
    pooled = isinstance(config, AlbertConfig)  # the pooler stands before the logits
    key, default = ("classifier_dropout_prob", 0.1) if pooled else ("classifier_dropout", config.dropout)
    dropout = document.get(key)
    try:
        return TextClassifierConfig(
            num_classes=num_classes,
            hidden_dim=None if pooled else config.hidden_dim,
            activation="sigmoid" if problem == MULTI_LABEL else None,
            dropout=default if dropout is None else dropout,
        )
    except TypeError as error:
        raise NotAPresetError(
            f"{path} has {key} {dropout!r}", "a number", "mend the checkpoint's config.json"
        ) from error


def _labels(document: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    id2label = document.get("id2label")
    if not id2label:
        num_labels = document.get("num_labels", 2)
        check_count("num_labels", num_labels, MOST_CLASSES)
        return default_labels(num_labels)
    by_id = {int(i): str(label) for i, label in id2label.items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise NotAPresetError(
            f"id2label of {path} names the classes {sorted(by_id)[:10]}",
            "every class from 0 on, once",
            "mend the checkpoint's config.json",
        )
    labels = tuple(by_id[i] for i in range(len(by_id)))
    check_labels(labels, f"id2label of {path}")
    return labels
