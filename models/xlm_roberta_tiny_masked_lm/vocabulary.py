"""The SentencePiece vocabulary, trained on all news and on a share of the multilingual sentences.

So English, of which there is most text, gets whole words, and every other script its letters and most
frequent syllables.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import sentencepiece
from recipe import Recipe
from rows import PARTS, Texts


def train_vocabulary(texts: Texts, recipe: Recipe, path: Path) -> None:
    """Writes a unigram model. Two threads whatever the machine: their number changes the sums' last bits."""
    drawn = np.random.default_rng([recipe.seed, 1]).random(len(texts))
    kept = texts.where((texts.part != PARTS.index("sib200")) | (drawn < recipe.vocabulary_share))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(kept.texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=recipe.vocabulary_pieces,
        normalization_rule_name=recipe.normalization,
        character_coverage=recipe.character_coverage,
        max_sentence_length=20_000,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        num_threads=2,
        minloglevel=1,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".part")
    whole.write_bytes(model.getvalue())
    whole.replace(path)
