"""The texts of the benchmarks: AG News where it is at hand, else made up ones of the same lengths.

    python benchmarks/texts.py [--rows 400] [--masks] [--output FILE.jsonl]

One ``{"text": ..., "label": ...}`` a line. AG News' validation texts are looked for in the folder that
``AG_NEWS`` names (``validation.csv`` with the columns title, description, label), by default in
``shared/data/ag_news`` beside the checkout. The record of a run says which it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import BUILD, ROOT

MASK = "<mask>"
AG_NEWS, GENERATED = "AG News", "generated"


@dataclass(frozen=True)
class Texts:
    """`source` says where they come from; `labels` are empty where nobody knows them."""

    source: str
    texts: list[str]
    labels: list[str]

    def write(self, file: Path) -> Path:
        """One JSON line a text."""
        rows = [{"text": text, "label": label} for text, label in zip(self.texts, self.labels, strict=True)]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        return file


def benchmark_texts(rows: int, masks: bool = False) -> Texts:
    """The first `rows` texts of AG News' validation part, or made up ones.

    With `masks` a word of each is hidden. Equal texts are left out: who computes a text once only would win
    by them alone.
    """
    found = _ag_news(Path(os.environ.get("AG_NEWS") or ROOT.parent / "shared" / "data" / "ag_news"), rows)
    if found is None or len(found.texts) < rows:
        found = generated(rows)
    return Texts(found.source, masked(found.texts), found.labels) if masks else found


def of_words(rows: int, words: int) -> Texts:
    """Different texts of so many words each: the benchmark's texts one after the other, cut anew."""
    found = benchmark_texts(400)
    pool = " ".join(found.texts).split(" ")
    # Each begins at a place of its own, so that none equals another.
    step = max(1, len(pool) // rows)
    texts = [" ".join((pool * 2)[row * step : row * step + words]) for row in range(rows)]
    return Texts(found.source, texts, [""] * rows)


def read_texts(file: Path) -> list[dict[str, str]]:
    """The lines of a file that :meth:`Texts.write` wrote."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def generated(rows: int, seed: int = 0) -> Texts:
    """Texts of made up words, from 12 to 66 of them: in tokens about as long as AG News'.

    >>> generated(2) == generated(2), len(set(generated(500).texts))
    (True, 500)
    """
    generator = random.Random(seed)
    syllables = ["".join(pair) for pair in zip("bdfgklmnprstvz" * 5, "aeiou" * 14, strict=True)]
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 3))) for _ in range(4000)]
    texts = [
        " ".join(generator.choices(words, k=generator.randint(12, 66))).capitalize() + f" {row}."
        for row in range(rows)
    ]
    return Texts(GENERATED, texts, [""] * rows)


def masked(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The texts, one word of each of the first 40 hidden (what stands there is read whatever is cut off).

    >>> masked(["The cat sat."]), masked(["One"])
    (['The <mask> sat.'], ['<mask>'])
    """
    generator = random.Random(seed)
    hidden = []
    for text in texts:
        words = text.split(" ")
        words[generator.randrange(min(len(words), 40))] = MASK
        hidden.append(" ".join(words))
    return hidden


def _ag_news(folder: Path, rows: int) -> Texts | None:
    file = folder / "validation.csv"
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", newline="") as source:
        found = {f"{row['title']} {row['description']}": row["label"] for row in csv.DictReader(source)}
    texts = list(found)[:rows]
    return Texts(AG_NEWS, texts, [found[text] for text in texts])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--masks", action="store_true")
    parser.add_argument("--output", type=Path, default=BUILD / "texts.jsonl")
    arguments = parser.parse_args()
    texts = benchmark_texts(arguments.rows, arguments.masks)
    print(texts.write(arguments.output), texts.source, len(texts.texts))


if __name__ == "__main__":
    main()
