"""The numbers that make a model: value types which check themselves at birth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sparkxlmr.errors import SettingError

# Far above any model's, and low enough that a spoilt number is refused before lists of that length are made.
MOST_CLASSES, MOST_LAYERS = 1_000_000, 1_000


@dataclass(frozen=True)
class BackboneConfig:
    """The shape of an encoder, in keras-hub's words.

    ``layer_norm_epsilon`` is Hugging Face's ``layer_norm_eps``; keras-hub fixes it at 1e-5 for XLM-R.

    Raises:
        SettingError: a count below 1, more than 1,000 layers, heads that do not divide ``hidden_dim``, a
            dropout outside [0, 1), an epsilon outside (0, 1).
    """

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    intermediate_dim: int
    dropout: float = 0.1
    max_sequence_length: int = 512
    layer_norm_epsilon: float = 1e-5
    family: str = "xlm_roberta"

    def __post_init__(self) -> None:
        for field in (
            "vocabulary_size",
            "num_layers",
            "num_heads",
            "hidden_dim",
            "intermediate_dim",
            "max_sequence_length",
        ):
            check_count(field, getattr(self, field), MOST_LAYERS if field == "num_layers" else None)
        if self.hidden_dim % self.num_heads:
            raise SettingError(
                f"hidden_dim is {self.hidden_dim} and num_heads is {self.num_heads}",
                "a hidden_dim that the heads divide",
                "change one of the two",
            )
        check_dropout(self.dropout)
        if not 0 < self.layer_norm_epsilon < 1:
            raise SettingError(
                f"layer_norm_epsilon is {self.layer_norm_epsilon}", "a small positive number", "1e-5 is usual"
            )

    @property
    def head_dim(self) -> int:
        return self.hidden_dim // self.num_heads

    def arguments(self) -> dict[str, Any]:
        """The numbers by name, as the family's backbone class takes them.

        >>> sorted(BackboneConfig(9, 1, 2, 4, 8).arguments().items())[:2]
        [('dropout', 0.1), ('hidden_dim', 4)]
        """
        return {name: value for name, value in asdict(self).items() if name != "family"}


@dataclass(frozen=True)
class TaskConfig:
    """The head on an encoder.

    ``hidden_dim`` is the width of the dense layer before the logits; ``activation`` is None where the model
    answers logits, as by default.

    Raises:
        SettingError: a count below 1, more than 1,000,000 classes, or a dropout outside [0, 1).
    """

    num_classes: int
    hidden_dim: int
    activation: str | None = None
    dropout: float = 0.0
    kind: str = "text_classifier"

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, MOST_CLASSES)
        check_count("hidden_dim", self.hidden_dim)
        check_dropout(self.dropout)


def check_count(name: str, value: object, most: int | None = None) -> None:
    """Raises SettingError where ``value`` is no whole number from 1 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} is {value!r}", "a whole number of at least 1", f"pass another {name}")
    if most is not None and value > most:
        raise SettingError(f"{name} is {value}", f"at most {most}", f"pass another {name}")


def check_dropout(value: float) -> None:
    if not 0 <= value < 1:
        raise SettingError(f"dropout is {value!r}", "a number from 0 to below 1", "0.1 is usual")
