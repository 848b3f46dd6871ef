"""Writes the model card, `README.md`, and its picture; every measured number comes from `metrics.json`.

    python card.py [--preset FOLDER]

Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from recipe import Recipe

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PICTURE = "confused.png"
_COLUMNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().preset
    found = json.loads((folder / "metrics.json").read_text())
    config = json.loads((folder / "config.json").read_text())["config"]
    picture(found["confused"], folder / PICTURE)
    (folder / "README.md").write_text(card(found, config))


def picture(confused: list[dict[str, Any]], path: Path) -> None:
    """The most confused pairs, both ways of each."""
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(confused) + 1.2), layout="constrained")
    places = np.arange(len(confused))
    one, other = (np.array([pair["counts"][k] for pair in confused]) for k in (0, 1))
    axes.barh(places, one, color="#2a6f97", label="the first taken for the second")
    axes.barh(places, other, left=one, color="#e09f3e", label="the second taken for the first")
    names = [" – ".join(pair["languages"]) for pair in confused]
    axes.set_yticks(places, names, family="monospace", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("sentences, of 99 in each language")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _number(value: float) -> str:
    return f"{value:.3f}"


def results(found: dict[str, Any]) -> str:
    """The model beside its baselines, as a table."""
    named = [
        ("**this model**", found),
        ("Naive Bayes over this model's pieces", found["baselines"]["pieces"]),
        ("softmax regression over this model's pieces", found["baselines"]["trained"]),
        *_plain(found["baselines"]),
        ("Naive Bayes over 1 to 5 characters", found["baselines"]["ngrams"]),
    ]
    lines = [
        "| | numbers | sentences: macro F1 | accuracy | first sixths: macro F1 | accuracy |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, of in named:
        cells = [of[part][score] for part in ("whole", "short") for score in ("macro_f1", "accuracy")]
        size = f"{of['numbers'] / 1e6:.1f} million"
        lines.append(f"| {name} | {size} | " + " | ".join(map(_number, cells)) + " |")
    return "\n".join(lines)


def _plain(baselines: dict[str, Any]) -> list[tuple[str, Any]]:
    """The trained bags over vocabularies of other sizes, smallest first."""
    sizes = sorted(int(name.split("_")[1]) for name in baselines if name.startswith("trained_"))
    return [(f"softmax regression over {size:,} pieces", baselines[f"trained_{size}"]) for size in sizes]


def languages(f1: dict[str, float]) -> str:
    """F1 of each language, several beside each other."""
    cells = [f"`{name}` | {_number(value)}" for name, value in sorted(f1.items())]
    cells += [" | "] * (-len(cells) % _COLUMNS)
    rows = len(cells) // _COLUMNS
    head = ["| " + " | ".join(["language | F1"] * _COLUMNS) + " |", "|" + "---|--:|" * _COLUMNS]
    return "\n".join(head + ["| " + " | ".join(cells[i::rows]) + " |" for i in range(rows)])


def card(found: dict[str, Any], config: dict[str, Any]) -> str:
    recipe, speed, sizes = Recipe(), found["speed"], found["sizes"]
    per_language, learned = (found[n] // found["languages"] for n in ("rows", "train_rows"))
    return f"""# xlm_roberta_tiny_language_id

Names the language of a text: {found["languages"]} languages and scripts, written as FLORES-200 writes them
(`arb_Arab`, `zho_Hans`, ...). A small XLM-RoBERTa made for this package: {config["num_layers"]} layer,
width {config["hidden_dim"]}, {config["vocabulary_size"]:,} ids, {found["numbers"] / 1e6:.1f} million
numbers kept as float16. The preset takes {sizes["preset"] / 1e6:.1f} MB, its compiled bundle
{sizes["bundles"] / 1e6:.1f} MB.

```python
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification

language = (
    XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
    .setInputCols(["document", "token"])
    .setOutputCol("language")
)
```

## How good it is

On the {found["rows"]:,} sentences of SIB-200's validation part ({per_language} in each language; none was
trained on), and on each sentence's *first sixth*: the first sixth, rounded up, of its pieces, on average
{found["short"]["characters"]:.0f} characters. Measured on the files as they ship, through the compiled
bundle.

{results(found)}

Speed: {speed["sentences_a_second"]:,.0f} such sentences a second in one process on {speed["cores"]}
{speed["machine"]} core(s), tokenizing included.

## What it takes for one another

![The pairs of languages that are confused most often]({PICTURE})

## F1 of each language

{languages(found["f1"])}

## In narrower precisions

<!-- measured: written by docs/refresh.py from measured.json, which sparkxlmr measure writes -->
<!-- /measured -->

## What it must not be used for

- It has read one kind of text: sentences of news, encyclopaedia and travel guides, written by translators.
  On chat, poetry, names, lists, code or transcribed speech it is worse than the table says, and nobody has
  measured by how much.
- A text in none of these languages still gets one of them: the score is no test of whether the language is
  known. A text of several languages gets one label.
- Do not decide about people with it. The language somebody writes is no evidence of origin, and close
  varieties (the picture above) cannot be told apart reliably.
- Letters' case is folded and characters are normalised (NFKC) before anything else: what differs in nothing
  else is the same to it. Of a text longer than {recipe.max_sequence_length} pieces only the beginning is
  read.

## Data and licence

Trained on the train part of SIB-200 (Adelani et al., 2023, "SIB-200: A Simple, Inclusive, and Big
Evaluation Dataset for Topic Classification in 200+ Languages and Dialects"), whose sentences are
FLORES-200's (NLLB Team, 2022, "No Language Left Behind"): {learned:,} sentences in each
language, the same ones in all. Both are licensed CC BY-SA 4.0, and so is this model.

## How it was trained

`train.py` beside this card does all of it again, from the data and a seed:

1. A SentencePiece vocabulary of {recipe.vocabulary_pieces:,} unigram pieces, trained on all rows of the
   {recipe.hard_languages} languages that a quick model confuses most, and on few rows of the others: a script
   of its own names a language with a few pieces.
2. The token embedding is counted, not trained: log p(piece | language), smoothed by {recipe.smoothing},
   less its mean over the languages; one coordinate a language. Layer normalization would lose how strong
   the evidence of a piece is, so the position embedding carries two large constant coordinates that keep
   all vectors alike long.
3. The layer and the head above start as a plain mean over the text's pieces and are trained with
   cross-entropy: {recipe.steps:,} steps of {recipe.batch * recipe.widths:,} texts, {recipe.whole:.0%} of
   them whole sentences, the others spans of log-uniform length. A row looks its pieces up in a table
   counted without its own part (of {recipe.n_folds}) of the sentences, so that what is learned is how far
   evidence can be trusted on text not seen before. Then the table of all rows takes their place.

Settings were chosen on training sentences held out with all their translations (`train.py --hold-out`).
`evaluate.py` measures the numbers into `metrics.json`; `card.py` writes this page from it.
"""


if __name__ == "__main__":
    main()
