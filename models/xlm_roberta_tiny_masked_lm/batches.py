"""What a training step reads: groups of texts of one language each, and pieces to tell the true ones from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from recipe import Recipe

BOS, PAD, EOS, UNK = 0, 1, 2, 3
WIDTHS = (32, 48, 64, 80, 96, 128, 192, 256)
_OWN, _COMMON = 0.85, 0.1  # where candidates come from: the language, all languages, and the rest evenly


@dataclass(frozen=True)
class Batch:
    """`ids` (rows, width) as they are; `shown`, the same with some pieces hidden behind `<mask>`;
    `candidates` (languages, n) with `log_weights`, minus the logarithm of the chance that each was drawn."""

    ids: np.ndarray
    shown: np.ndarray
    candidates: np.ndarray
    log_weights: np.ndarray


def packed(rows: list[np.ndarray]) -> np.ndarray:
    """`<s> pieces </s>` of each row, cut and padded to the next of a few widths: few shapes to compile."""
    longest = max(map(len, rows)) + 2
    width = next((w for w in WIDTHS if longest <= w), WIDTHS[-1])
    out = np.full((len(rows), width), PAD, np.int32)
    for to, row in zip(out, rows, strict=True):
        n = min(len(row), width - 2)
        to[0], to[1 : n + 1], to[n + 1] = BOS, row[:n], EOS
    return out


class Batches:
    """Draws batches; the same ones for the same step, whatever was drawn before."""

    def __init__(self, texts: list[np.ndarray], language: np.ndarray, size: int, recipe: Recipe) -> None:
        self.texts, self.language, self.size, self.recipe = texts, language, size, recipe
        self.lengths = np.array(list(map(len, texts)))
        self.of = [np.flatnonzero(language == k) for k in range(language.max() + 1)]
        counts = [np.bincount(np.concatenate([texts[i] for i in of]), minlength=size) for of in self.of]
        self.chances = _chances(np.array(counts, np.float64), recipe.candidates)

    def after(self, done: int) -> Iterator[Batch]:
        """The batches that follow the first `done`, without end."""
        passed, epoch = 0, 0
        while True:
            steps = self._epoch(epoch)
            for k in range(max(0, done - passed), len(steps)):
                yield self._batch(steps[k], np.random.default_rng([self.recipe.seed, 4, passed + k]))
            passed, epoch = passed + len(steps), epoch + 1

    def _epoch(self, epoch: int) -> np.ndarray:
        """Rows, (steps, languages, texts): a group's texts are of one language and alike long, and so are a
        step's groups, so that little is padded."""
        rng, recipe = np.random.default_rng([self.recipe.seed, 3, epoch]), self.recipe
        groups = []
        for rows in self.of:
            rows = rng.permutation(rows)[len(rows) % recipe.texts :]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            groups.append(rows.reshape(-1, recipe.texts))
        chosen = np.concatenate(groups)
        chosen = chosen[rng.permutation(len(chosen))[len(chosen) % recipe.languages :]]
        longest = self.lengths[chosen].max(1) + 3 * rng.random(len(chosen))
        steps = chosen[np.argsort(longest, kind="stable")].reshape(-1, recipe.languages, recipe.texts)
        return steps[rng.permutation(len(steps))]

    def _batch(self, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        languages = self.language[chosen[:, 0]]
        rows = [self.texts[i] for i in chosen.ravel()]
        if rng.random() < self.recipe.joined:
            rows = [self._joined(language, rng) for language in languages]
        ids = packed(rows)
        hide = rng.random(ids.shape) < self.recipe.hidden_share * (rng.random((len(ids), 1)) < 0.5)
        shown = np.where(hide & (ids > UNK), self.size - 1, ids).astype(np.int32)
        return Batch(ids, shown, *self._candidates(languages, rng))

    def _joined(self, language: int, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.choice(self.of[language], self.recipe.joined_texts)
        return np.concatenate([self.texts[i] for i in chosen])

    def _candidates(self, languages: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n = self.recipe.candidates
        candidates = np.zeros((len(languages), n), np.int32)
        log_weights = np.full((len(languages), n), -1e9, np.float32)
        for k, language in enumerate(languages):
            chance = self.chances[language]
            drawn = np.flatnonzero(rng.random(self.size, dtype=np.float32) < chance)
            drawn = rng.permutation(drawn)[:n]
            candidates[k, : len(drawn)], log_weights[k, : len(drawn)] = drawn, -np.log(chance[drawn])
        return candidates, log_weights


def _chances(counts: np.ndarray, n: int) -> np.ndarray:
    """The chance of each piece to be a candidate in each language: 1 for its frequent ones; about `n` are."""
    own, common = counts / counts.sum(1, keepdims=True), counts.sum(0) / counts.sum()
    wanted = _OWN * own + _COMMON * common + (1 - _OWN - _COMMON) / counts.shape[1]
    room = 0.94 * n  # the number drawn varies; few draws exceed n
    factor = np.full((len(counts), 1), room)
    for _ in range(30):
        factor *= room / np.minimum(1.0, factor * wanted).sum(1, keepdims=True)
    return np.minimum(1.0, factor * wanted).astype(np.float32)
