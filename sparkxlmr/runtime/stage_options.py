"""From a stage's settings to the options of the pure functions: one rule for Spark and for LightPipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.output_function import SIGMOID, SOFTMAX, output_function
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.runtime.row_embedder import EmbedOptions
from sparkxlmr.runtime.row_mask_filler import FillOptions

# What stands around the two texts of a pair: 4 special pieces in XLM-R, 3 in ALBERT. One piece of each text
# has to fit beside them.
_SPECIAL, _SPECIAL_OF_PAIRS = 2, 4

#: Windows of a text that are read unless `maxWindows` says otherwise: at the usual 128 pieces with a quarter
#: of them shared about 48,000 pieces, a book of a hundred pages. A text of 5 MB can have 53,000 windows.
MAX_WINDOWS = 512


@dataclass(frozen=True)
class Chosen:
    """The settings of one stage, wherever they were kept.

    Attributes:
        values: what each setting is, its default where it was not set; one without either is absent or None.
        explicit: the names of those that were set.
        stage: the stage's class name, for messages.
        model: its model's name, for messages.

    >>> chosen = Chosen({"batchSize": 8, "threshold": 0.7}, frozenset({"threshold"}), "AStage", "a_model")
    >>> chosen.get("batchSize"), chosen.is_set("batchSize"), chosen.get("topScores")
    (8, False, None)
    """

    values: Mapping[str, Any]
    explicit: frozenset[str]
    stage: str = "the stage"
    model: str = "it was given"

    def get(self, name: str) -> Any:
        """The setting's value or default; None where it has neither."""
        return self.values.get(name)

    def is_set(self, name: str) -> bool:
        """Whether it was set, be it to its default."""
        return name in self.explicit


def text_length(chosen: Chosen, bundle: Bundle) -> int:
    """Pieces of a text that are read (`maxSentenceLength`), the special ones at its ends included.

    A default beyond what the model has, or beyond the length at which it truncates texts
    (`model_max_length` of a checkpoint), is lowered to that. Raises SettingError where more were asked for.
    """
    length = int(chosen.get("maxSentenceLength"))
    if not chosen.is_set("maxSentenceLength"):
        return min(length, bundle.max_length, bundle.manifest.text_length or length)
    if length > bundle.max_length:
        raise SettingError(
            f"{chosen.stage}: maxSentenceLength is {length}",
            f"at most {bundle.max_length}, what the model {chosen.model} allows",
            f"call setMaxSentenceLength({bundle.max_length})",
        )
    return length


def reading(chosen: Chosen) -> dict[str, Any]:
    """How texts are read, as fields of the options: `batch_size` and `lower_case`, None where nothing was
    set (defaults are Spark NLP's, and decide nothing)."""
    return {
        "batch_size": chosen.get("batchSize") if chosen.is_set("batchSize") else None,
        "lower_case": not chosen.get("caseSensitive") if chosen.is_set("caseSensitive") else None,
    }


def row_options(chosen: Chosen, bundle: Bundle) -> RowOptions:
    """A sequence classifier's options. Raises SettingError for a length or a stride that the model or the
    length does not allow."""
    length = text_length(chosen, bundle)
    least = _SPECIAL_OF_PAIRS + 2
    if chosen.get("pairCol") is not None and length < least:
        raise SettingError(
            f"{chosen.stage}: maxSentenceLength is {length}, and pairCol is set",
            f"at least {least}, so that a piece of each text fits beside the special ones",
            f"call setMaxSentenceLength({least}) or more",
        )
    stride = _stride(chosen, length) if chosen.get("longTextStrategy") == "windows" else None
    return RowOptions(
        max_length=length,
        activation=_activation(chosen, bundle),
        threshold=_threshold(chosen, bundle),
        coalesce=chosen.get("coalesceSentences"),
        top=chosen.get("topScores"),
        row_scores=bool(chosen.get("predictionCol") or chosen.get("probabilityCol")),
        row_logits=bool(chosen.get("rawPredictionCol")),
        pairs=chosen.get("pairCol") is not None,
        stride=stride,
        # Absent in what earlier releases saved.
        max_windows=None if stride is None else int(chosen.get("maxWindows") or MAX_WINDOWS),
        **reading(chosen),
    )


def _activation(chosen: Chosen, bundle: Bundle) -> str:
    """The output function that was set, by either of its two settings; else the model's own.

    Raises SettingError for a softmax over one class, or a model whose head has another activation.
    """
    n_classes = len(bundle.labels)
    stated = bundle.manifest.activation
    if chosen.get("multilabel"):
        stated = SIGMOID
    elif chosen.is_set("activation"):
        stated = chosen.get("activation")
    elif chosen.is_set("multilabel") and n_classes > 1:
        stated = SOFTMAX
    try:
        return output_function(n_classes, stated)
    except SettingError as error:
        raise SettingError(f"{chosen.stage}: {error.came}", error.expected, error.remedy) from None


def _threshold(chosen: Chosen, bundle: Bundle) -> float | None:
    """Score above which a label is given; None for a model of one class whose threshold was not set: its one
    score is always given."""
    if len(bundle.labels) == 1 and not chosen.is_set("threshold"):
        return None
    threshold = chosen.get("threshold")
    return None if threshold is None else float(threshold)


def fill_options(chosen: Chosen, bundle: Bundle) -> FillOptions:
    """A masked language model's options. Raises SettingError for a length that the model does not allow."""
    targets = chosen.get("targets")
    return FillOptions(
        max_length=text_length(chosen, bundle),
        top_k=chosen.get("topK"),
        targets=None if targets is None else tuple(targets),
        **reading(chosen),
    )


def embedding_options(chosen: Chosen, bundle: Bundle, dimension: int | None) -> EmbedOptions:
    """The options of sentence embeddings; `dimension`: numbers of a vector, as the model has them.

    Raises SettingError for a length that the model does not allow, or another `dimension` than the model's.
    """
    asked = chosen.get("dimension")
    if asked not in (None, dimension):
        raise SettingError(
            f"{chosen.stage}: dimension is {asked}",
            f"{dimension}, the width of the model {chosen.model}",
            "leave it unset, or take another model",
        )
    return EmbedOptions(
        max_length=text_length(chosen, bundle),
        pooling=chosen.get("poolingStrategy"),
        normalize=chosen.get("normalize"),
        **reading(chosen),
    )


def _stride(chosen: Chosen, length: int) -> int:
    """Pieces that neighbouring windows share; unless set, a quarter of the length.

    They must be fewer than a window holds, or the windows would stand still. A window of the first text of a
    pair holds at least half of what the special pieces leave.
    """
    room = length - _SPECIAL
    if chosen.get("pairCol") is not None:
        room = (length - _SPECIAL_OF_PAIRS + 1) // 2
    stride = chosen.get("stride")
    if stride is None:
        return max(0, min(length // 4, room - 1))
    if stride >= room:
        raise SettingError(
            f"{chosen.stage}: stride is {stride}, and a window has room for {room} pieces of the text",
            f"less than {room}, so that each window goes on from the one before",
            f"call setStride({max(0, room // 2)}), or set a larger maxSentenceLength",
        )
    return int(stride)
