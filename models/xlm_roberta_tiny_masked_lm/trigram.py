"""What the model is measured against: n-gram models over the same pieces, counted on the same texts.

`JelinekMercer` and `KneserNey` are trigram models: they guess a piece from the two before it. `BothSides` is
no language model, but sees what stands right next to a mask: the piece before and the piece after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOS, EOS, UNK = 0, 2, 3
_CLASSES = 20  # of contexts, by the logarithm of how often each was seen
_ROUNDS = 12
_FLOOR = 0.1  # added to each piece's count, so that none is impossible
_BIGRAM, _ENOUGH = 0.85, 4.0


@dataclass(frozen=True)
class Windows:
    """Pieces and what is around them: `<s>` where the text has not begun, `</s>` where it is over."""

    before: np.ndarray
    left: np.ndarray
    piece: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, texts: list[np.ndarray]) -> Windows:
        row = np.concatenate([np.r_[BOS, BOS, text, EOS] for text in texts]).astype(np.int64)
        inner = np.concatenate([np.r_[False, False, np.ones(len(text), bool), False] for text in texts])
        at = np.flatnonzero(inner)
        return cls(row[at - 2], row[at - 1], row[at], row[at + 1])

    @classmethod
    def at(cls, texts: list[np.ndarray], row: np.ndarray, place: np.ndarray) -> Windows:
        """Those of `texts[row][place]`."""
        first = np.cumsum([0, *map(len, texts)])[row] + place
        every = cls.of(texts)
        return cls(every.before[first], every.left[first], every.piece[first], every.right[first])

    def with_(self, more: Windows) -> Windows:
        return Windows(*(np.concatenate(pair) for pair in zip(self._all(), more._all(), strict=True)))

    def _all(self) -> tuple[np.ndarray, ...]:
        return self.before, self.left, self.piece, self.right


class Counts:
    """How often each piece was seen in each context, as rows of a sparse matrix."""

    def __init__(self, context: np.ndarray, piece: np.ndarray, size: int) -> None:
        self.size = size
        self.key, count = np.unique(context * size + piece, return_counts=True)
        self.piece, self.count = self.key % size, count.astype(np.float64)
        self.contexts, self.first, self.kinds = np.unique(
            self.key // size, return_index=True, return_counts=True
        )
        self.total = np.add.reduceat(self.count, self.first)
        self.share = self.count / np.repeat(self.total, self.kinds)

    def find(self, context: np.ndarray) -> np.ndarray:
        """Places among the contexts, -1 where one was never seen."""
        at = np.minimum(np.searchsorted(self.contexts, context), len(self.contexts) - 1)
        return np.where(self.contexts[at] == context, at, -1)

    def share_of(self, context: np.ndarray, piece: np.ndarray) -> np.ndarray:
        key = context * self.size + piece
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[at] == key, self.share[at], 0.0)

    def classes(self, place: np.ndarray) -> np.ndarray:
        """0 for contexts never seen, else more for contexts seen more often."""
        exact = 1 + np.floor(2 * np.log2(self.total[place])).astype(int)
        return np.where(place < 0, 0, np.minimum(exact, _CLASSES - 1))

    def discount(self) -> None:
        """Takes from each count what Ney's absolute discount takes."""
        once, twice = (int((self.count == k).sum()) for k in (1, 2))
        self.discounted = once / (once + 2 * twice)
        self.share = (self.count - self.discounted) / np.repeat(self.total, self.kinds)

    def add(self, to: np.ndarray, place: int, factor: float) -> None:
        if place >= 0:
            row = slice(self.first[place], self.first[place] + self.kinds[place])
            to[self.piece[row]] += factor * self.share[row]


class _Trigram:
    """What both trigram models share: counts `two` and `three` with shares, `one` share of each piece."""

    one: np.ndarray
    two: Counts
    three: Counts

    def ranks(self, asked: Windows) -> np.ndarray:
        """How many pieces are likelier than the true one; of equals the smaller id goes first."""
        place_2 = self.two.find(asked.left)
        place_3 = self.three.find(asked.before * len(self.one) + asked.left)
        (own_2, below_2), (own_3, below_3) = self._factors(place_2, place_3)
        found = np.empty(len(asked.piece), np.int64)
        for i, true in enumerate(asked.piece):
            score = below_3[i] * below_2[i] * self.one
            self.two.add(score, place_2[i], below_3[i] * own_2[i])
            self.three.add(score, place_3[i], own_3[i])
            found[i] = rank(score, true)
        return found

    def _factors(self, place_2: np.ndarray, place_3: np.ndarray) -> tuple[tuple, tuple]:
        """For bigram and trigram, the factors of the own shares and of what the lower order says."""
        raise NotImplementedError


def rank(score: np.ndarray, true: int) -> int:
    return int((score > score[true]).sum() + (score[:true] == score[true]).sum())


class JelinekMercer(_Trigram):
    """Trigram, bigram and unigram shares interpolated (Jelinek and Mercer 1980).

    The weights depend on how often the context was seen (Chen and Goodman 1999) and are fitted by expectation
    maximization on texts held out of the counts; then those are counted too.
    """

    def __init__(self, counted: Windows, tuned: Windows, size: int) -> None:
        self._count(counted, size)
        self._fit(tuned)
        self._count(counted.with_(tuned), size)

    def _count(self, seen: Windows, size: int) -> None:
        self.three = Counts(seen.before * size + seen.left, seen.piece, size)
        self.two = Counts(seen.left, seen.piece, size)
        ones = np.bincount(seen.piece, minlength=size) + _FLOOR
        self.one = ones / ones.sum()

    def _fit(self, tuned: Windows) -> None:
        context = tuned.before * len(self.one) + tuned.left
        of_3, of_2 = self.three.classes(self.three.find(context)), self.two.classes(self.two.find(tuned.left))
        share_3 = self.three.share_of(context, tuned.piece)
        share_2 = self.two.share_of(tuned.left, tuned.piece)
        self.weight_3 = self.weight_2 = np.r_[0.0, np.full(_CLASSES - 1, 0.5)]
        for _ in range(_ROUNDS):
            w3, w2 = self.weight_3[of_3], self.weight_2[of_2]
            from_2, from_1 = (1 - w3) * w2 * share_2, (1 - w3) * (1 - w2) * self.one[tuned.piece]
            whole = w3 * share_3 + from_2 + from_1
            self.weight_3 = _mean(of_3, w3 * share_3 / whole, np.ones(len(whole)))
            self.weight_2 = _mean(of_2, from_2 / whole, (from_2 + from_1) / whole)

    def _factors(self, place_2: np.ndarray, place_3: np.ndarray) -> tuple[tuple, tuple]:
        w2, w3 = self.weight_2[self.two.classes(place_2)], self.weight_3[self.three.classes(place_3)]
        return (w2, 1 - w2), (w3, 1 - w3)


def _mean(of: np.ndarray, values: np.ndarray, parts: np.ndarray) -> np.ndarray:
    sums, weights = np.bincount(of, values, _CLASSES), np.bincount(of, parts, _CLASSES)
    return np.where(weights > 0, sums / np.maximum(weights, 1e-9), 0.0)


class KneserNey(_Trigram):
    """Absolute discounting, interpolated; lower orders count distinct contexts (Kneser and Ney 1995)."""

    def __init__(self, seen: Windows, size: int) -> None:
        self.three = Counts(seen.before * size + seen.left, seen.piece, size)
        left, piece = self.three.contexts % size, self.three.piece
        self.two = Counts(np.repeat(left, self.three.kinds), piece, size)
        for counts in (self.three, self.two):
            counts.discount()
        ones = np.bincount(self.two.piece, minlength=size) + _FLOOR
        self.one = ones / ones.sum()

    def _factors(self, place_2: np.ndarray, place_3: np.ndarray) -> tuple[tuple, tuple]:
        return _discounted(self.two, place_2), _discounted(self.three, place_3)


def _discounted(counts: Counts, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    below = counts.discounted * counts.kinds[place] / counts.total[place]
    return np.ones(len(place)), np.where(place < 0, 1.0, below)


class BothSides:
    """The product of what the left and the right neighbour say, and counts of pieces seen between just them.

    Its two constants are plain guesses: bigram shares count 0.85, and a pair of neighbours seen four times is
    believed half.
    """

    def __init__(self, seen: Windows, size: int) -> None:
        self.left, self.right = Counts(seen.left, seen.piece, size), Counts(seen.right, seen.piece, size)
        self.between = Counts(seen.left * size + seen.right, seen.piece, size)
        ones = np.bincount(seen.piece, minlength=size) + _FLOOR
        self.one = ones / ones.sum()

    def ranks(self, asked: Windows) -> np.ndarray:
        sides = [(self.left, self.left.find(asked.left)), (self.right, self.right.find(asked.right))]
        between = self.between.find(asked.left * len(self.one) + asked.right)
        found = np.empty(len(asked.piece), np.int64)
        for i, true in enumerate(asked.piece):
            score = 1 / self.one
            for counts, place in sides:
                share = (1 - _BIGRAM) * self.one
                counts.add(share, place[i], _BIGRAM)
                score = score * share
            seen = self.between.total[between[i]] if between[i] >= 0 else 0.0
            believed = seen / (seen + _ENOUGH)
            score *= (1 - believed) / score.sum()
            self.between.add(score, between[i], believed)
            found[i] = rank(score, true)
        return found
