"""Reading the texts, holding some of the training texts out, and their pieces."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

PARTS = ("sib200", "ag_news")


@dataclass(frozen=True)
class Texts:
    """`part` are places in `PARTS`; `group` says which texts are translations of one another; `language`
    counts SIB-200's languages in the order of their codes, and the news as one more."""

    texts: list[str]
    part: np.ndarray
    group: np.ndarray
    language: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, chosen: np.ndarray) -> Texts:
        texts = [self.texts[i] for i in np.flatnonzero(chosen)]
        return Texts(texts, self.part[chosen], self.group[chosen], self.language[chosen])

    def pieces(self, tokenizer: XlmRobertaTokenizer) -> list[np.ndarray]:
        """The ids of each text, without `<s>` and `</s>`."""
        return [np.array(ids, np.int32) for ids in tokenizer.tokenize(self.texts)]


def read(data: Path, name: str) -> Texts:
    """`name` is `"train"` or `"validation"`: `data/sib200/<name>.parquet` and `data/ag_news/<name>.csv`.

    A text of AG News is its title, a space, and its description.
    """
    table = pq.read_table(data / "sib200" / f"{name}.parquet", columns=["index_id", "language", "text"])
    sib, sentence = table["text"].to_pylist(), np.array(table["index_id"].to_pylist(), np.int64)
    codes, language = np.unique(np.array(table["language"].to_pylist()), return_inverse=True)
    with (data / "ag_news" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        news = [f"{row['title'].strip()} {row['description'].strip()}" for row in csv.DictReader(file)]
    part = np.repeat(np.arange(2), [len(sib), len(news)])
    group = np.concatenate([sentence, sentence.max() + 1 + np.arange(len(news))])
    return Texts(sib + news, part, group, np.concatenate([language, np.full(len(news), len(codes))]))


def hold_out(texts: Texts, share: float) -> tuple[Texts, Texts]:
    """Splits both parts by group: SIB-200 is parallel, so a sentence's translations go with it."""
    rng, held = np.random.default_rng(0), np.zeros(len(texts), bool)
    for part in range(len(PARTS)):
        groups = rng.permutation(np.unique(texts.group[texts.part == part]))
        held |= np.isin(texts.group, groups[: round(share * len(groups))])
    return texts.where(~held), texts.where(held)
