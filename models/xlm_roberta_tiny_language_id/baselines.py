"""What the model is compared with; none of it is shipped.

- `Pieces`: Naive Bayes over the pieces of the shipped vocabulary, the linear bag that the model starts from.
- `Trained`: the same bag trained with cross-entropy instead of counted: softmax regression on the mean of a
  sentence's pieces; also over vocabularies of other sizes, trained on all texts alike.
- `Ngrams`: Naive Bayes over characters, 1 to 5 of them within a word and its two spaces, hashed to 2**20
  rows: 215 million numbers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import sentencepiece
from evidence import log_evidence
from recipe import Recipe
from rows import Rows
from scipy.sparse import csr_matrix
from scipy.special import softmax
from vocabulary import train_vocabulary

#: pieces of the vocabularies that most would start with
PLAIN_VOCABULARIES = (16_000, 64_000)

_ORDERS = 5
_BITS = 20
_SPACE = ord(" ")
_SMOOTHING = 0.03
_SMOOTHING_OF_PIECES = 0.3
_EPOCHS = 5
_BATCH = 1_024
_RATE = 0.3  # of AdaGrad
_CHUNK = 2_000  # texts at a time


class Bag:
    """Naive Bayes over ids."""

    def __init__(self, rows: Rows, smoothing: float) -> None:
        n = len(rows.languages)
        counts = np.zeros((self.n_ids, n), np.float32)
        for start in range(0, len(rows), _CHUNK):
            ids, labels = self.ids(rows.texts[start : start + _CHUNK]), rows.labels[start : start + _CHUNK]
            for language in np.unique(labels):
                flat = np.concatenate([ids[i] for i in np.flatnonzero(labels == language)])
                counts[:, language] += np.bincount(flat, minlength=self.n_ids)
        self.table = log_evidence(counts, smoothing)

    n_ids: int

    def ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        raise NotImplementedError

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([int(self.table[ids].sum(0).argmax()) for ids in self.ids(texts)])


class Pieces(Bag):
    def __init__(self, rows: Rows, proto: bytes) -> None:
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        self.n_ids = self.processor.get_piece_size()
        super().__init__(rows, _SMOOTHING_OF_PIECES)
        self.table[0] = 0.0  # an unknown piece says nothing

    def ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.asarray(row, np.int64) for row in self.processor.encode(list(texts))]


class Trained(Pieces):
    def __init__(self, rows: Rows, proto: bytes) -> None:
        super().__init__(rows, proto)
        bags, rng = self._bags(rows.texts), np.random.default_rng(0)
        self.table = np.zeros_like(self.table)
        seen = np.full_like(self.table, 1e-8)
        for _ in range(_EPOCHS):
            for batch in np.array_split(rng.permutation(len(rows)), len(rows) // _BATCH):
                bag = bags[batch]
                slope = softmax(bag @ self.table, axis=1)
                slope[np.arange(len(batch)), rows.labels[batch]] -= 1
                used = np.unique(bag.indices)
                step = bag[:, used].T @ (slope / len(batch))
                seen[used] += step**2
                self.table[used] -= _RATE * step / np.sqrt(seen[used])

    def _bags(self, texts: Sequence[str]) -> csr_matrix:
        """Each row the mean of its pieces, (rows, pieces)."""
        ids = self.ids(texts)
        lengths = np.array([len(row) for row in ids])
        share = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
        place = np.repeat(np.arange(len(ids)), lengths)
        return csr_matrix((share, (place, np.concatenate(ids))), shape=(len(ids), self.n_ids))


def plain_vocabulary(texts: Sequence[str], n_pieces: int) -> bytes:
    """A SentencePiece model of all texts, as one would train it first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.spm"
        train_vocabulary(texts, replace(Recipe(), vocabulary_pieces=n_pieces, normalization="nmt_nfkc"), path)
        return path.read_bytes()


class Ngrams(Bag):
    def __init__(self, rows: Rows) -> None:
        self.n_ids = 1 << _BITS
        super().__init__(rows, _SMOOTHING)

    def ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.concatenate(list(_hashed(" ".join(text.casefold().split())))) for text in texts]


def _hashed(text: str) -> Iterator[np.ndarray]:
    """The rows of all n-grams that have no space inside, order by order."""
    points = np.array([_SPACE, *map(ord, text), _SPACE], np.uint64)
    space = points == _SPACE
    value, keep = np.zeros(len(points), np.uint64), np.ones(len(points), bool)
    for order in range(1, _ORDERS + 1):
        n = len(points) - order + 1
        if n <= 0:
            return
        value = value[:n] * np.uint64(1_000_003) + points[order - 1 :] + np.uint64(7)
        keep = keep[:n]
        if order >= 3:
            keep = keep & ~space[order - 2 : order - 2 + n]
        said = keep & ~space[:n] if order == 1 else keep
        mixed = (value[said] + np.uint64(order)) * np.uint64(0x9E37_79B9_7F4A_7C15)
        yield (mixed >> np.uint64(64 - _BITS)).astype(np.int64)
