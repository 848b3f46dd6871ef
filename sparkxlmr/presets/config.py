"""The numbers that make a model: value types which check themselves at birth."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from sparkxlmr.errors import SettingError, WrongTypeError
from sparkxlmr.presets.output_function import OUTPUT_FUNCTIONS

# Far above any model's, and low enough that a spoilt number is refused before lists of that length are made.
MOST_CLASSES, MOST_LAYERS = 1_000_000, 1_000
ACTIVATIONS = ("gelu", "gelu_tanh", "relu")
#: what may stand on the logits of a classifier that is kept in a preset, by Keras' names
HEAD_ACTIVATIONS = (
    "softmax", "log_softmax", "sparsemax", "sigmoid", "hard_sigmoid", "log_sigmoid", "tanh", "hard_tanh",
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "hard_silu", "hard_swish",
    "mish", "softplus", "softsign", "exponential",
)  # fmt: skip


@dataclass(frozen=True)
class BackboneConfig:
    """The shape of an encoder, in keras-hub's words; this class itself is XLM-R's.

    Where keras-hub fixes a number (``layer_norm_epsilon``, ``activation``, ``attention_dropout``), it is the
    default here: a preset that has another cannot be read by keras-hub with the same answers.

    Attributes:
        layer_norm_epsilon: Hugging Face's ``layer_norm_eps``.
        activation: of the feed-forward layers: ``"gelu"`` (exact), ``"gelu_tanh"`` (Hugging Face's
            ``gelu_new`` and ``gelu_pytorch_tanh``) or ``"relu"``.
        attention_dropout: of the attention's probabilities; None is the same as ``dropout``.

    Raises:
        SettingError: a count below 1, more than 1,000 layers, heads that do not divide ``hidden_dim``, a
            dropout outside [0, 1), an epsilon outside (0, 1), or an unknown activation.
    """

    family: ClassVar[str] = "xlm_roberta"

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    intermediate_dim: int
    dropout: float = 0.1
    max_sequence_length: int = 512
    layer_norm_epsilon: float = 1e-5
    activation: str = "gelu"
    attention_dropout: float | None = None

    def __post_init__(self) -> None:
        for name in (
            "vocabulary_size",
            "num_layers",
            "num_heads",
            "hidden_dim",
            "intermediate_dim",
            "max_sequence_length",
        ):
            self._count(name, MOST_LAYERS if name == "num_layers" else None)
        if self.hidden_dim % self.num_heads:
            raise SettingError(
                f"hidden_dim is {self.hidden_dim} and num_heads is {self.num_heads}",
                "a hidden_dim that the heads divide",
                "change one of the two",
            )
        object.__setattr__(self, "dropout", check_dropout(self.dropout))
        if self.attention_dropout is not None:
            object.__setattr__(self, "attention_dropout", check_dropout(self.attention_dropout))
        object.__setattr__(self, "layer_norm_epsilon", check_epsilon(self.layer_norm_epsilon))
        check_activation(self.activation)

    def _count(self, name: str, most: int | None = None) -> None:
        object.__setattr__(self, name, check_count(name, getattr(self, name), most))

    @property
    def head_dim(self) -> int:
        return self.hidden_dim // self.num_heads

    @property
    def token_dim(self) -> int:
        """The width of the token embedding, to which the masked language model's output is tied."""
        return self.hidden_dim

    def layer_names(self) -> Iterator[str]:
        """What the canonical names of the layers' weights begin with, in the order in which they are run.

        >>> list(BackboneConfig(9, 2, 2, 4, 8).layer_names())
        ['layers.0', 'layers.1']
        """
        return (f"layers.{index}" for index in range(self.num_layers))

    def arguments(self) -> dict[str, Any]:
        """The numbers by name, as the family's backbone class takes them.

        >>> sorted(BackboneConfig(9, 1, 2, 4, 8).arguments().items())[2:4]
        [('dropout', 0.1), ('hidden_dim', 4)]
        """
        return asdict(self)


@dataclass(frozen=True)
class AlbertConfig(BackboneConfig):
    """The shape of an ALBERT encoder (Lan et al. 2019).

    Attributes:
        embedding_dim: the width of the embeddings, projected to ``hidden_dim``.
        num_groups: how many groups of layers have weights of their own.
        num_inner_repetitions: layers of a group, each with its own weights; ``num_layers`` counts the passes
            through a group, so the text goes through ``num_layers * num_inner_repetitions`` layers.
        num_segments: rows of the segment embedding.

    Raises:
        SettingError: as :class:`BackboneConfig`, where ``num_layers * num_inner_repetitions`` counts, or
            groups that do not divide ``num_layers``.

    >>> AlbertConfig(9, 4, 2, 4, 8, embedding_dim=3, num_groups=2).activation
    'gelu_tanh'
    """

    family: ClassVar[str] = "albert"

    dropout: float = 0.0
    layer_norm_epsilon: float = 1e-12
    activation: str = "gelu_tanh"
    embedding_dim: int = field(kw_only=True)
    num_groups: int = 1
    num_inner_repetitions: int = 1
    num_segments: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._count("embedding_dim")
        self._count("num_segments")
        self._count("num_inner_repetitions")
        passes = self.num_layers * self.num_inner_repetitions
        check_count("num_layers * num_inner_repetitions", passes, MOST_LAYERS)
        self._count("num_groups")
        if self.num_layers % self.num_groups:
            raise SettingError(
                f"num_layers is {self.num_layers} and num_groups is {self.num_groups}",
                "a number of layers that the groups divide",
                "change one of the two",
            )

    @property
    def token_dim(self) -> int:
        return self.embedding_dim

    def layer_names(self) -> Iterator[str]:
        """As :meth:`BackboneConfig.layer_names`; a group's layers come as often as it is passed.

        >>> list(AlbertConfig(9, 4, 2, 4, 8, embedding_dim=3, num_groups=2).layer_names())[1:3]
        ['groups.0.layers.0', 'groups.1.layers.0']
        """
        passes = self.num_layers // self.num_groups
        for index in range(self.num_layers):
            for inner in range(self.num_inner_repetitions):
                yield f"groups.{index // passes}.layers.{inner}"


@dataclass(frozen=True)
class TaskConfig:
    """The head on an encoder; ``kind`` says which."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class TextClassifierConfig(TaskConfig):
    """A classification head.

    ``hidden_dim`` is the width of the dense layer before the logits, None where there is none (ALBERT's
    pooler takes its place); ``activation`` is None where the model answers logits, as by default.
    ``output_function`` is the function that turns these logits into scores (``"softmax"``, ``"sigmoid"`` or
    ``"identity"``) where the model states one, as regression models and cross-encoders do; None leaves it to
    :func:`sparkxlmr.presets.output_function.output_function`.

    Raises:
        SettingError: a count below 1, more than 1,000,000 classes, a dropout outside [0, 1), an unknown
            output function, or one beside an ``activation``.
    """

    kind: ClassVar[str] = "text_classifier"

    num_classes: int
    hidden_dim: int | None
    activation: str | None = None
    dropout: float = 0.0
    output_function: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_classes", check_count("num_classes", self.num_classes, MOST_CLASSES))
        if self.hidden_dim is not None:
            object.__setattr__(self, "hidden_dim", check_count("hidden_dim", self.hidden_dim))
        object.__setattr__(self, "dropout", check_dropout(self.dropout))
        check_output_function(self.output_function, self.activation)

    @property
    def stated_function(self) -> str | None:
        """The function that turns logits into scores as far as the model states one, else None."""
        return self.activation or self.output_function


@dataclass(frozen=True)
class MaskedLMConfig(TaskConfig):
    """The head of a masked language model: dense, ``activation``, layer norm, tied token matrix and bias.

    Raises:
        SettingError: an epsilon outside (0, 1), or an unknown activation.
    """

    kind: ClassVar[str] = "masked_lm"

    activation: str = "gelu"
    layer_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer_norm_epsilon", check_epsilon(self.layer_norm_epsilon))
        check_activation(self.activation)

    @classmethod
    def of_keras_hub(cls, config: BackboneConfig) -> MaskedLMConfig:
        """The head that keras-hub 0.32 puts on an encoder of this family, whatever the encoder's numbers.

        >>> MaskedLMConfig.of_keras_hub(AlbertConfig(9, 4, 2, 4, 8, embedding_dim=3))
        MaskedLMConfig(activation='gelu_tanh', layer_norm_epsilon=1e-05)
        """
        return cls(activation=type(config).activation)


def check_count(name: str, value: Any, most: int | None = None) -> int:
    """Return ``value`` as an int; NumPy's integers are taken too, as JSON files do not.

    Raises:
        SettingError: it is no whole number from 1 to ``most``.

    >>> import numpy as np
    >>> check_count("num_classes", np.int64(3))
    3
    """
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise SettingError(f"{name} is {value!r}", "a whole number of at least 1", f"pass another {name}")
    if most is not None and count > most:
        raise SettingError(f"{name} is {value}", f"at most {most}", f"pass another {name}")
    return count


def _check_number(name: str, value: Any, usual: str) -> None:
    """Raise WrongTypeError if ``value`` cannot be compared with numbers."""
    try:
        bool(value >= 0)
    except (TypeError, ValueError) as error:
        raise WrongTypeError(
            f"{name} is {value!r:.100} of type {type(value).__name__}", "a number", f"{usual} is usual"
        ) from error


def check_dropout(value: float) -> float:
    _check_number("dropout", value, "0.1")
    if not 0 <= value < 1:
        raise SettingError(f"dropout is {value!r}", "a number from 0 to below 1", "0.1 is usual")
    return value if isinstance(value, int) else float(value)


def check_epsilon(value: float) -> float:
    _check_number("layer_norm_epsilon", value, "1e-5")
    if not 0 < value < 1:
        raise SettingError(f"layer_norm_epsilon is {value}", "a small positive number", "1e-5 is usual")
    return float(value)


def check_activation(value: str, known: tuple[str, ...] = ACTIVATIONS) -> None:
    if value not in known:
        raise SettingError(
            f"activation is {value!r:.100}", f"one of {', '.join(map(repr, known))}", "pass one of them"
        )


def check_output_function(function: object, activation: object) -> None:
    """Raise SettingError for an unknown output function, or one beside a Keras ``activation``."""
    if function is None:
        return
    if function not in OUTPUT_FUNCTIONS:
        raise SettingError(
            f"output_function is {function!r:.100}",
            f"one of {', '.join(map(repr, OUTPUT_FUNCTIONS))}",
            "pass one of them, or None for the usual one",
        )
    if activation is not None:
        raise SettingError(
            f"activation is {activation!r:.100} and output_function is {function!r}",
            "one of the two: the model outputs either scores or logits",
            "leave activation out; the model then outputs logits",
        )
