"""Reading the sentences, and holding some of them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Rows:
    """`labels` are places in `languages`; `sentence` says which rows are translations of one another."""

    texts: list[str]
    labels: np.ndarray
    sentence: np.ndarray
    languages: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, chosen: np.ndarray) -> Rows:
        texts = [self.texts[i] for i in np.flatnonzero(chosen)]
        return Rows(texts, self.labels[chosen], self.sentence[chosen], self.languages)


def read(data: Path, part: str) -> Rows:
    """`part` is `"train"` or `"validation"`: `data/sib200/<part>.parquet` with SIB-200's columns."""
    table = pq.read_table(data / "sib200" / f"{part}.parquet", columns=["index_id", "language", "text"])
    language = np.array(table["language"].to_pylist())
    languages, labels = np.unique(language, return_inverse=True)
    sentence = np.array(table["index_id"].to_pylist())
    return Rows(table["text"].to_pylist(), labels.astype(np.int32), sentence, tuple(map(str, languages)))


def hold_out(rows: Rows, n_sentences: int) -> tuple[Rows, Rows]:
    """Splits by sentence, in all languages at once: rows are parallel, so a row's translations go with it."""
    sentences = np.random.default_rng(0).permutation(np.unique(rows.sentence))[:n_sentences]
    held = np.isin(rows.sentence, sentences)
    return rows.where(~held), rows.where(held)
