"""Which pieces of the validation texts are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rows import Texts

UNK = 3


@dataclass(frozen=True)
class Asked:
    """Places in texts: piece `place[i]` of text `row[i]`, which is of part `part[i]`."""

    row: np.ndarray
    place: np.ndarray
    part: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


def sample(texts: Texts, pieces: list[np.ndarray], share: float, room: int, seed: int = 0) -> Asked:
    """A share of each text's pieces, at least one, without repeats.

    Only pieces that the vocabulary has can be answered, so unknown ones are not asked for; nor are pieces
    beyond the first `room`, which is what the model reads.
    """
    rng, row, place = np.random.default_rng(seed), [], []
    for i, text in enumerate(pieces):
        known = np.flatnonzero(text[:room] != UNK)
        n = min(len(known), max(1, round(share * len(known))))
        place.append(np.sort(rng.choice(known, n, replace=False)))
        row.append(np.full(n, i))
    rows = np.concatenate(row)
    return Asked(rows, np.concatenate(place), texts.part[rows])
