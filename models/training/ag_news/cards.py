"""What each model's `card.py` does: writes the model card from `metrics.json`."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .recipe import VIEWS, Recipe
from .rows import LABELS

METRICS = "metrics.json"
_BASELINES = {
    "logistic_regression": "logistic regression over TF-IDF of words and bigrams",
    "support_vectors": "support vectors over the same",
}


def main(
    folder: Path, recipe: Recipe, what: Callable[[dict[str, Any]], str], use: str, description: str
) -> None:
    """`what` says the model's shape from its `config.json`; `use` are lines of code."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", type=Path, default=folder)
    folder = parser.parse_args().preset
    found = json.loads((folder / METRICS).read_text())
    config = json.loads((folder / "config.json").read_text())["config"]
    (folder / "README.md").write_text(card(folder.name, found, what(config), use, recipe))


def counted(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def score(value: float) -> str:
    return f"{value:.4f}"


def results(name: str, found: dict[str, Any]) -> str:
    """The model beside its baselines, as a table."""
    rows = [(f"**{name}**", found["numbers"], found["whole"])]
    for key, title in _BASELINES.items():
        of = found["baselines"][key]
        rows.append((title, of["numbers"], of))
    lines = ["| | numbers | accuracy | macro F1 |", "|---|--:|--:|--:|"]
    for title, numbers, of in rows:
        cells = f"{numbers / 1e6:.2f} million | {score(of['accuracy'])} | {score(of['macro_f1'])}"
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def mistakes(found: dict[str, Any]) -> str:
    """What each class was taken for, and its F1."""
    lines = ["| | taken for " + " | ".join(LABELS) + " | F1 |", "|---|" + "--:|" * (len(LABELS) + 1)]
    for label, counts in zip(LABELS, found["confusions"], strict=True):
        cells = " | ".join(map(str, counts))
        lines.append(f"| {label} | {cells} | {score(found['f1'][label])} |")
    return "\n".join(lines)


def bundle(found: dict[str, Any]) -> str:
    of, size = found["bundle"], found["sizes"]["bundles"] / 1e6
    if of is None:
        return ""
    return f"""
The compiled bundle ({size:.1f} MB), which Spark's workers run, has accuracy {score(of["accuracy"])} on
the same rows; its logits are within {of["apart"]:.1g} of the classifier's.
"""


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 105, break_long_words=False, break_on_hyphens=False)


def looks(found: dict[str, Any]) -> str:
    """How often settings could have been fitted to the rows above."""
    *earlier, _ = (score(look["accuracy"]) for look in found["looks"])
    if not earlier:
        return "The validation part was looked at once, for the numbers above."
    n, had = len(earlier) + 1, ", ".join(earlier)
    return (
        f"The validation part was looked at once for each of {n} candidates, of which this is the last; "
        f"accuracy before: {had}."
    )


def card(name: str, found: dict[str, Any], what: str, use: str, recipe: Recipe) -> str:
    shares = ", ".join(f"{view} {share:.0%}" for view, share in zip(VIEWS, recipe.views, strict=True))
    chosen = f"""Settings were chosen on train rows held out (`train.py --hold-out 3000`). {looks(found)}"""
    first = f"""Names the topic of an English news text: {", ".join(LABELS)}. {what},
{found["numbers"] / 1e6:.2f} million numbers kept as float16. The preset takes
{found["sizes"]["preset"] / 1e6:.1f} MB."""
    return f"""# {name}

{_paragraph(first)}

{use}

## How good it is

On the {found["rows"]:,} rows of the validation part (every other row of the official test part of AG's News
Topic Classification Dataset; none was trained on), measured on the files as they ship. A row's text is its
title, a space, and its description. The baselines learned from the same {found["train_rows"]:,} rows.

{results(name, found)}

On the titles alone its accuracy is {score(found["titles"]["accuracy"])}.
{bundle(found)}
## What it takes for one another

{mistakes(found)}

## In narrower precisions

<!-- measured: written by docs/refresh.py from measured.json, which sparkxlmr measure writes -->
<!-- /measured -->

## What it must not be used for

- It has read short English news items, mostly of 2004. On other kinds of text, in other
  languages and on newer topics it is worse than the table says, and nobody has measured by how much.
- A text on none of the four topics still gets one of them.
- Letters' case is folded and characters are normalised (NFKC) before anything else. Of a text longer than
  {recipe.max_sequence_length} pieces only the beginning is read.

## Data and licence

Trained on a subset ({found["train_rows"]:,} rows) of AG's News Topic Classification Dataset, version 3 (Xiang
Zhang, Junbo Zhao, Yann LeCun, "Character-level Convolutional Networks for Text Classification", NIPS 2015),
made from AG's corpus of news articles, which is there for research and other non-commercial use. The same
holds for this model. None of the rows is in it.

## How it was trained

`train.py` beside this card does all of it again, from the data and a seed:

1. A SentencePiece vocabulary of {recipe.pieces:,} unigram pieces with folded case, trained on the rows.
2. Teachers: support vectors and naive Bayes over TF-IDF of words, pieces, and pairs of these. Each judges the
   rows of one part (of {recipe.n_folds}) of train after reading the other parts; a softmax regression weighs
   what they say. They also judge titles alone and descriptions alone.
3. The token embedding begins with what stands beside what: factors of the pieces' mutual information within
   {recipe.window} places of one another, counted on the rows.
4. The encoder learns {1 - recipe.own_label:.0%} the teachers' probabilities and {recipe.own_label:.0%}
   the row's own label in {recipe.epochs} epochs. It reads each row in one view at a time
   ({shares}), about {recipe.drop_pieces:.0%} of its pieces left out. A running mean of the weights is kept.

{_paragraph(chosen)}
`evaluate.py` measures the numbers into `metrics.json`; `card.py` writes this page from it.
"""
