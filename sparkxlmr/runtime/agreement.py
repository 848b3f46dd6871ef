"""How far a model's answers in one precision are those of another: what ``sparkxlmr measure`` counts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.presets.output_function import SIGMOID, output_function, scores
from sparkxlmr.runtime.embedder import Embedder, unit_length
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.runtime.predictor import Predictor
from sparkxlmr.runtime.reader import Reader
from sparkxlmr.text.finite import positions_of_rows

# Texts of one call: sorted by length they fill the engine's batches.
_AT_ONCE = 2048
_FEW_WORDS = 4


#: How far two scores of a model with one class may differ and count as equal, as a share of the range.
VALUE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Answers:
    """What a model says about n things: `best` (n,) of the label's id or of the filled-in token, of an
    encoder `vectors` float32 (n, hidden) of length 1, or of a model with one class `values` float32 (n,), its
    scores, which lie in a range that is `bounded` to 0 to 1 (sigmoid) or not (identity)."""

    best: NDArray[Any] | None = None
    vectors: NDArray[np.float32] | None = None
    values: NDArray[np.float32] | None = None
    bounded: bool = True


@dataclass(frozen=True)
class Agreement:
    """`share` of equal answers, or of an encoder the mean cosine, whose `least` is the lowest one."""

    answers: int
    share: float
    least: float | None = None


def answers_of(reader: Reader, texts: Sequence[str], max_length: int = 128) -> Answers:
    """A model's answers: a classifier's label of each text, or its score where it has one class; a masked
    language model's token at each mask; an encoder's vector (the mean of a text's tokens). `max_length`: as
    the readers take it, at most the model's. Raises NonFiniteOutputError with the positions of texts whose
    output is NaN or infinite.
    """
    length = min(max_length, reader.bundle.max_length)
    if isinstance(reader, Predictor):
        logits = np.concatenate([found.logits for found in _in_parts(reader.logits, texts, length)])
        if logits.shape[1] > 1:
            return Answers(best=logits.argmax(1))
        function = output_function(1, reader.bundle.manifest.activation)
        return Answers(values=scores(logits, function)[:, 0], bounded=function == SIGMOID)
    if isinstance(reader, MaskFiller):
        texts_masks = (masks for part in _in_parts(reader.fill, texts, length, 1) for masks in part)
        tokens = [mask.filled[0].token for masks in texts_masks for mask in masks]
        return Answers(best=np.asarray(tokens, object))
    assert isinstance(reader, Embedder)
    vectors = [unit_length(found.vectors) for found in _in_parts(reader.embed, texts, length)]
    return Answers(vectors=np.concatenate(vectors))


def _in_parts(call: Callable[..., Any], texts: Sequence[str], *arguments: Any) -> Iterator[Any]:
    """What `call(part, *arguments)` returns for each part; positions in errors are those in `texts`."""
    for start in range(0, len(texts), _AT_ONCE):
        with positions_of_rows(first=start, unit="text"):
            yield call(texts[start : start + _AT_ONCE], *arguments)


def agreement(answers: Answers, reference: Answers) -> Agreement:
    """How far the answers are those of `reference`, which are of the same texts.

    Scores of a model with one class agree where they differ by at most :data:`VALUE_TOLERANCE` of the range:
    0 to 1 of a sigmoid, else from the lowest to the highest score of the reference.

    >>> agreement(Answers(best=np.array([1, 2, 2, 0])), Answers(best=np.array([1, 2, 1, 0]))).share
    0.75
    """
    if answers.vectors is not None and reference.vectors is not None:
        cosines = np.einsum("nh,nh->n", answers.vectors, reference.vectors, dtype=np.float64).clip(-1, 1)
        return Agreement(len(cosines), float(cosines.mean()), float(cosines.min()))
    if answers.values is not None and reference.values is not None:
        span = 1.0 if reference.bounded else float(np.ptp(reference.values))
        near = np.abs(answers.values - reference.values) <= VALUE_TOLERANCE * span
        return Agreement(len(near), float(near.mean()))
    assert answers.best is not None
    return Agreement(len(answers.best), float(np.mean(answers.best == reference.best)))


def share_right(answers: Answers, right: Sequence[int]) -> float:
    """The share of a classifier's answers that are the ids in `right`, one for each."""
    return float(np.mean(answers.best == np.asarray(right)))


def with_masks(texts: Sequence[str], mask: str) -> Iterator[str]:
    """Each text with a mask: its own, else in the place of one word that its bytes choose; of a text of few
    words, which may be one in a script without spaces, in the place of one character. An empty text becomes
    the mask alone.

    >>> list(with_masks(["Bread, butter and jam.", "雨が降る", "a <mask>", ""], "<mask>"))
    ['Bread, butter <mask> jam.', '雨が<mask>る', 'a <mask>', '<mask>']
    """
    for text in texts:
        if mask in text or not text:
            yield text or mask
            continue
        chosen, words = zlib.crc32(text.encode("utf-8", "surrogatepass")), text.split()
        if len(words) >= _FEW_WORDS:
            words[chosen % len(words)] = mask
            yield " ".join(words)
        else:
            at = chosen % len(text)
            yield text[:at] + mask + text[at + 1 :]
