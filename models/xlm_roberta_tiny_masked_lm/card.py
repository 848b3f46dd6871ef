"""Writes the model card, `README.md`; every measured number comes from `metrics.json`.

python card.py [--preset FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recipe import Recipe

from sparkxlmr.models import XLMRobertaMaskedLM

_PARTS = (("sib200", "SIB-200"), ("ag_news", "AG News"), ("whole", "both"))
_ROWS = (
    ("model", "**this model**"),
    ("trigram", "trigram model, interpolated (Jelinek-Mercer)"),
    ("kneser_ney", "trigram model, interpolated (Kneser-Ney)"),
    ("both_sides", "counts of both neighbours"),
)
# Written for this card.
EXAMPLES = (
    "Shares of the company <mask> 5 percent on Tuesday.",
    "The president said he would <mask> the agreement next week.",
    "Mira bought bread, butter <mask> cheese.",
    "El presidente <mask> la república viaja mañana.",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().preset
    found = json.loads((folder / "metrics.json").read_text())
    config = json.loads((folder / "config.json").read_text())["config"]
    (folder / "README.md").write_text(card(found, config, examples(folder)))


def examples(folder: Path) -> str:
    """What the model puts into a few sentences, as a table."""
    answers = XLMRobertaMaskedLM.from_preset(folder).fill_mask(list(EXAMPLES))
    lines = ["| sentence | likeliest five |", "|---|---|"]
    for text, (found,) in zip(EXAMPLES, answers, strict=True):
        tokens = ", ".join(f"`{mask.token}` {mask.score:.2f}" for mask in found)
        lines.append(f"| {text.replace('<mask>', '`<mask>`')} | {tokens} |")
    return "\n".join(lines)


def results(scores: dict[str, Any], rows: tuple[tuple[str, str], ...] = _ROWS) -> str:
    """Top 5 and top 1 of each part, as a table."""
    head = "".join(f" {shown}: top 5 | top 1 |" for _, shown in _PARTS)
    lines = [f"| |{head}", "|---|" + "--:|" * (2 * len(_PARTS))]
    for name, shown in rows:
        cells = [f"{scores[name][part][k]:.3f}" for part, _ in _PARTS for k in ("top_5", "top_1")]
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def card(found: dict[str, Any], config: dict[str, Any], filled: str) -> str:
    recipe, asked, texts, many = Recipe(), found["asked"], found["texts"], found["many_masks"]
    train, lengths = found["train_texts"], found["pieces"]
    falls = recipe.decay * recipe.steps
    return f"""# xlm_roberta_tiny_masked_lm

Guesses hidden pieces of a text: a small XLM-RoBERTa masked language model made for this package, so that
`fill_mask` has a model at hand. It has read English news and sentences in 205 languages and scripts.
{config["num_layers"]} layer, width {config["hidden_dim"]}, {config["vocabulary_size"]:,} ids,
{found["numbers"] / 1e6:.1f} million numbers kept as float16; the preset takes
{found["preset_bytes"] / 1e6:.1f} MB.

```python
from sparkxlmr.models import MaskedLM

model = MaskedLM.from_preset("xlm_roberta_tiny_masked_lm")
model.fill_mask("Shares of the company <mask> 5 percent on Tuesday.")
```

{filled}

## How good it is

How often the piece that stood there is among the five likeliest (top 5), and is the likeliest (top 1). Of
each validation text {found["share"]:.0%} of the pieces, at least one, are asked for, drawn with a fixed seed:
{asked["sib200"]:,} pieces of the {texts["sib200"]:,} sentences of SIB-200's validation part and
{asked["ag_news"]:,} of the {texts["ag_news"]:,} texts of AG News; none of them was trained on. Pieces that
the vocabulary lacks are not asked for. The model sees the text with that one piece masked and all else in
place, as in `fill_mask`. The trigram models see the two true pieces on the left; they are counted over the
same pieces, on all training texts, those held out from this model's training too. The first one's weights are
fitted by expectation maximization on a tenth of the texts, left out of its counts meanwhile. "Counts of both
neighbours" sees the true piece on either side, and has all pairs and triples of the training texts at hand.

{results(found["scores"])}

With {many["share"]:.0%} of a text's pieces masked at once ({many["asked"]:,} pieces of {many["texts"]:,} of
the texts) it has fewer to go by:

{results({"model": many["scores"]}, _ROWS[:1])}

A text of SIB-200 has {lengths["sib200"]:.0f} pieces on average, one of AG News {lengths["ag_news"]:.0f}:
English words are often whole, in most other languages a piece is a syllable or a letter.

## In narrower precisions

<!-- measured: written by docs/refresh.py from measured.json, which sparkxlmr measure writes -->
<!-- /measured -->

## What it must not be used for

- It is a demonstration and a start for training on, no source of facts: it knows which pieces stand together
  in {sum(train.values()):,} short texts, nothing else. What it puts in is seldom true, and often not even
  grammatical: in most languages it has read a few hundred sentences.
- It repeats what stands in news of 2004 and in translated encyclopaedia sentences, with their prejudices. Its
  scores say nothing about people.
- One `<mask>` is one piece. A word that the vocabulary does not have whole cannot be guessed whole.
- Of a text longer than {recipe.max_sequence_length} pieces only the beginning is read.

## Data and licence

Trained on the train part of SIB-200 (Adelani et al., 2023, "SIB-200: A Simple, Inclusive, and Big
Evaluation Dataset for Topic Classification in 200+ Languages and Dialects"), {train["sib200"]:,} sentences,
which are FLORES-200's (NLLB Team, 2022, "No Language Left Behind"), both licensed CC BY-SA 4.0; and on
{train["ag_news"]:,} texts of AG's News Topic Classification Dataset, version 3 (Zhang, Zhao and LeCun, 2015,
"Character-level Convolutional Networks for Text Classification"), provided for research and other
non-commercial use. Both conditions hold for this model.

## How it was trained

`train.py` beside this card does all of it again, from the data and a seed:

1. A SentencePiece vocabulary of {recipe.vocabulary_pieces:,} unigram pieces (`{recipe.normalization}`, case
   kept), trained on all news and {recipe.vocabulary_share:.0%} of the sentences.
2. First weights: the token embedding from the singular vectors of the pieces' mutual information with their
   neighbours; attention heads that look one and two pieces to the left and to the right, or everywhere.
   Training changes all of them.
3. {recipe.steps:,} steps of Adam, each on {recipe.languages * recipe.texts} texts of {recipe.languages}
   languages, the rate falling to zero over the last {falls:,.0f}. With one layer every piece of a text can be
   the masked one in the same pass (see `network.py`). The sum over the vocabulary is estimated from
   {recipe.candidates} pieces a language, its frequent ones always among them. In half of the texts
   {recipe.hidden_share:.0%} of the pieces around are hidden, for texts with several masks.

{recipe.held_out:.0%} of the training texts, the same sentences in all languages, were never trained on (only
the vocabulary has read them); settings were chosen by them. On another machine the last digits of the weights
come out otherwise.
`evaluate.py` measures the numbers into `metrics.json`; `card.py` writes this page from it.
"""


if __name__ == "__main__":
    main()
