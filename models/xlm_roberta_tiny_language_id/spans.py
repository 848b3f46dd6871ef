"""Training texts: whole sentences, spans of them, and a few sentences joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from recipe import Recipe
from rows import Rows

_PARTS_OF_A_MIX = 3
_NEAR_A_WORD = 12  # characters that a span may move to start with a word


@dataclass(frozen=True)
class Spans:
    """Cuts texts out of rows; everything it draws comes from the generator that it is given."""

    rows: Rows
    part: np.ndarray
    recipe: Recipe

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, list[str]]:
        """Returns: the places of `n` rows, and a text of each."""
        chosen = rng.permutation(len(self.rows))[:n]
        return chosen, [self._text(rng, int(i)) for i in chosen]

    def _text(self, rng: np.random.Generator, i: int) -> str:
        kind = rng.random()
        if kind < self.recipe.joined:
            return self._joined(rng, i)
        if kind < self.recipe.joined + self.recipe.whole:
            return self.rows.texts[i]
        return self._span(rng, self.rows.texts[i])

    def _joined(self, rng: np.random.Generator, i: int) -> str:
        """Sentences of one language and one part: positions after a sentence's end are trained too."""
        alike = np.flatnonzero((self.rows.labels == self.rows.labels[i]) & (self.part == self.part[i]))
        others = rng.choice(alike, _PARTS_OF_A_MIX)
        return " ".join([self.rows.texts[i], *(self.rows.texts[j] for j in others)])

    def _span(self, rng: np.random.Generator, text: str) -> str:
        """A log-uniform number of characters, from the text's start or near a word's, ended anywhere."""
        shortest = self.recipe.shortest_span
        length = round(np.exp(rng.uniform(np.log(shortest), np.log(max(shortest + 1, len(text))))))
        start = 0
        if rng.random() < self.recipe.anywhere:
            start = int(rng.integers(0, max(1, len(text) - length + 1)))
            space = text.find(" ", start, start + _NEAR_A_WORD)
            start = start if space < 0 else space + 1
        return text[start : start + length].strip() or text
