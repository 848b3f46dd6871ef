"""Texts to vectors: tokenise, plan, pack, run, pool, and put everything back in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.reader import Distinct, Reader
from sparkxlmr.text.finite import check_finite

#: Ways to make one vector of a text, by their place in what an engine answers.
POOLINGS = ("cls", "mean")


@dataclass(frozen=True)
class Embedding:
    """`vectors` float32 (texts, hidden); `truncated` bool (texts,): the text was longer than `max_length`."""

    vectors: NDArray[np.float32]
    truncated: NDArray[np.bool_]


class Embedder(Reader):
    """An encoder's bundle that is open; arguments and errors are the base's."""

    task = "encoder"

    def embed(
        self,
        texts: Sequence[str],
        max_length: int,
        pooling: str = "mean",
        normalize: bool = False,
        batch_size: int | None = None,
        lower_case: bool | None = None,
    ) -> Embedding:
        """One vector for each text, in the order of the texts.

        - `max_length`: tokens of a text at most, the special ones at its ends included; the rest is cut off.
        - `pooling`: `"mean"` of the last layer's vectors of all tokens, the special ones included, as
          sentence-transformers takes it; `"cls"`, that of the first token (`<s>`, `[CLS]`). No pooler is
          applied: XLM-R has no trained one.
        - `normalize`: to length 1.
        - `batch_size`: texts of one engine call at most; None leaves it to the token budget.
        - `lower_case`: whether texts are lower-cased first; None as the preset says.

        Equal texts are computed once. Raises SettingError where `max_length` is beyond the model's or below
        2, or `pooling` is another; NonFiniteOutputError, which has the positions of all such texts, where a
        vector has NaN or infinity.
        """
        self._check_length(max_length)
        if pooling not in POOLINGS:
            raise SettingError(f"pooling is {pooling!r}", f"one of {POOLINGS}", "'mean' is usual")
        if not texts:
            return Embedding(np.zeros((0, 0), np.float32), np.zeros(0, bool))
        distinct = Distinct.of(texts)
        encoded = self._encode(distinct.texts, max_length, lower_case)
        vectors = np.zeros((0, 0), np.float32)
        for batch, inputs in self._batches(encoded, batch_size):
            pooled = self._runner.run(inputs)[:, POOLINGS.index(pooling)]
            if not vectors.size:
                vectors = np.zeros((len(distinct.texts), pooled.shape[1]), np.float32)
            vectors[batch.rows] = pooled
        check_finite(vectors[distinct.rows], self.task)
        if normalize:
            vectors = unit_length(vectors)
        return Embedding(vectors[distinct.rows], encoded.truncated[distinct.rows])


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, width) scaled to Euclidean length 1; one of zeros stays.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
