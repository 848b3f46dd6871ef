"""What a folder of a model says and holds, whoever's layout it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.presets.config import (
    BackboneConfig,
    MaskedLMConfig,
    TaskConfig,
    TextClassifierConfig,
    check_count,
)

DEFAULT_SEQUENCE_LENGTH = 512
TRUNCATIONS = ("round_robin", "waterfall")
DEFAULT_TRUNCATE = "round_robin"
# keras-hub's: which share of a text's pieces is hidden, how many at most, and what stands there instead.
DEFAULT_MASKING = {
    "mask_selection_rate": 0.15,
    "mask_selection_length": 96,
    "mask_token_rate": 0.8,
    "random_token_rate": 0.1,
}


@dataclass(frozen=True)
class KerasState:
    """What a preset keeps of a Keras model beside its parameters and weights.

    Attributes:
        name: its name in Keras, or None for the default of its class.
        trainable: False where the whole model is frozen.
        layer_trainable: flags of layers that differ from the enclosing layer's, by path; see
            :mod:`sparkxlmr.models.trainable`.
    """

    name: str | None = None
    trainable: bool = True
    layer_trainable: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the JSON files of a model folder say.

    Attributes:
        config: the encoder.
        task: the head, or None for a bare encoder.
        labels: one name a class in id order; empty where there are no classes.
        sequence_length: how many ids of a text the model is meant to read.
        truncate: how a pair that is too long is shortened (``"round_robin"`` or ``"waterfall"``).
        tokenizer_settings: what the family's tokenizer does to a text before SentencePiece reads it; ALBERT's
            ``do_lower_case``, ``keep_accents`` and ``remove_space``, and of any family ``added_tokens`` and
            ``truncation_side``. Empty: nothing.
        masking: how a masked language model hides pieces in training, with keras-hub's four names; empty for
            other models.
        encoder_state, task_state: name and frozen layers of the encoder, and of the whole task.
    """

    config: BackboneConfig
    task: TaskConfig | None = None
    labels: tuple[str, ...] = ()
    sequence_length: int = DEFAULT_SEQUENCE_LENGTH
    truncate: str = DEFAULT_TRUNCATE
    tokenizer_settings: Mapping[str, Any] = field(default_factory=dict)
    masking: Mapping[str, Any] = field(default_factory=dict)
    encoder_state: KerasState = field(default_factory=KerasState)
    task_state: KerasState = field(default_factory=KerasState)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that makes a model, at hand: what is written to a folder.

    Attributes:
        config: the encoder.
        weights: canonical names to arrays (see :mod:`sparkxlmr.presets.tables`).
        task: the head, or None for a bare encoder.
        labels: one name a class in id order, or None where the classes have no names.
        proto: the SentencePiece model, or None for a model that is fed with integers.
        sequence_length, truncate, tokenizer_settings, masking, encoder_state, task_state: as
            :class:`Description`; a masked language model without ``masking`` gets keras-hub's.

    Raises:
        SettingError: labels that are not one a class, or a sequence length that is no count.
    """

    config: BackboneConfig
    weights: Mapping[str, np.ndarray]
    task: TaskConfig | None = None
    labels: Sequence[str] | None = None
    proto: bytes | None = None
    sequence_length: int = DEFAULT_SEQUENCE_LENGTH
    truncate: str = DEFAULT_TRUNCATE
    tokenizer_settings: Mapping[str, Any] = field(default_factory=dict)
    masking: Mapping[str, Any] = field(default_factory=dict)
    encoder_state: KerasState = field(default_factory=KerasState)
    task_state: KerasState = field(default_factory=KerasState)

    def __post_init__(self) -> None:
        check_count("sequence_length", self.sequence_length)
        num_classes = self.task.num_classes if isinstance(self.task, TextClassifierConfig) else 0
        if self.labels is not None:
            label_names(self.labels, num_classes)


def label_names(labels: Any, num_classes: int) -> tuple[str, ...]:
    """Return label names in id order, one a class.

    Raises:
        SettingError: as many as there are classes are needed, in a container that has an order: the names of
            a set, or the keys of a dict, would be given to other classes than their own.

    >>> label_names(["no", "yes"], 2)
    ('no', 'yes')
    """
    kind = type(labels)
    if isinstance(labels, (str, bytes, Set, Mapping)) or hasattr(kind, "columns"):
        raise SettingError(
            f"The label names are {labels!r:.80} of type {kind.__name__}",
            "a list of names in the order of the classes",
            "pass [names[i] for i in range(num_classes)]",
        )
    names = tuple(map(str, labels))
    if len(names) != num_classes:
        raise SettingError(
            f"There are {len(names)} label names for {num_classes} classes",
            "one name a class",
            "pass them in the order of the classes",
        )
    return names


def default_labels(num_classes: int) -> tuple[str, ...]:
    """``LABEL_0``, ``LABEL_1``, ...: what Hugging Face calls classes without names."""
    return tuple(f"LABEL_{i}" for i in range(num_classes))


def check_labels(labels: Sequence[str], where: str) -> None:
    """Check that each class has a name of its own, by which stages and label names in Keras identify it.

    Raises:
        NotAPresetError: two have the same.
    """
    if len(set(labels)) == len(labels):
        return
    twice = [label for label, count in Counter(labels).items() if count > 1][:3]
    ids = [[i for i, label in enumerate(labels) if label == name] for name in twice]
    names = ", ".join(twice)
    raise NotAPresetError(
        f"{where} gives the classes {', '.join(map(str, ids)):.200} the same name ({names:.200})",
        "a name of its own for each class",
        "rename them there, in a copy of the model",
    )


def masking_of(task: TaskConfig | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """How a model of this task hides pieces: what is given, and keras-hub's defaults for the rest.

    >>> masking_of(MaskedLMConfig(), {"mask_selection_length": 8})["mask_selection_length"]
    8
    """
    if not isinstance(task, MaskedLMConfig):
        return {}
    return {name: found.get(name, value) for name, value in DEFAULT_MASKING.items()}
