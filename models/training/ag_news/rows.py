"""Reading AG News, and holding some of it out."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABELS = ("World", "Sports", "Business", "Sci/Tech")


@dataclass(frozen=True)
class Rows:
    """`labels` are places in `LABELS`."""

    titles: list[str]
    descriptions: list[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.titles)

    def where(self, chosen: np.ndarray) -> Rows:
        """The rows at these places, in their order."""
        titles, descriptions = ([of[i] for i in chosen] for of in (self.titles, self.descriptions))
        return Rows(titles, descriptions, self.labels[chosen])

    @property
    def texts(self) -> list[str]:
        """What the models read."""
        return [joined(t, d) for t, d in zip(self.titles, self.descriptions, strict=True)]


def joined(title: str, description: str) -> str:
    """A row as one text: the title, a space, the description."""
    return f"{title.strip()} {description.strip()}"


def read(data: Path, part: str) -> Rows:
    """`part` is `"train"` or `"validation"`: `data/ag_news/<part>.csv`, columns label, title, description."""
    with (data / "ag_news" / f"{part}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([LABELS.index(row["label"]) for row in rows], np.int32)
    return Rows([row["title"] for row in rows], [row["description"] for row in rows], labels)


def hold_out(rows: Rows, n: int) -> tuple[Rows, Rows]:
    """The rows without `n` of them, and these; always the same ones."""
    shuffled = np.random.default_rng(7).permutation(len(rows))
    return rows.where(np.sort(shuffled[n:])), rows.where(np.sort(shuffled[:n]))
