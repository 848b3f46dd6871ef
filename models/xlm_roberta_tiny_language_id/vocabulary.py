"""The SentencePiece vocabulary, trained on the training texts.

A script of its own names a language with a few pieces; what is scarce are pieces that tell Bosnian from
Croatian. So the vocabulary is trained on all rows of the languages that are hard to tell apart and on few
rows of the others. That costs a little on short texts and gains on whole sentences.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece
from recipe import Recipe
from rows import Rows
from scores import f1_scores


def train_vocabulary(texts: Sequence[str], recipe: Recipe, path: Path) -> None:
    """Writes a unigram model. Two threads whatever the machine: their number changes the sums' last bits."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=recipe.vocabulary_pieces,
        normalization_rule_name=recipe.normalization,
        character_coverage=recipe.character_coverage,
        max_sentence_length=20_000,
        num_threads=2,
        minloglevel=1,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".part")
    whole.write_bytes(model.getvalue())
    whole.replace(path)


def hard_rows(rows: Rows, labels_found: np.ndarray, recipe: Recipe) -> list[str]:
    """The texts to train the vocabulary on, given what a quick model took the rows for."""
    scores = f1_scores(rows.labels, labels_found, len(rows.languages))
    rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    middle = rank < recipe.hard_languages + recipe.middle_languages
    share = np.where(
        rank < recipe.hard_languages, 1.0, np.where(middle, recipe.middle_share, recipe.easy_share)
    )
    drawn = np.random.default_rng([recipe.seed, 4]).random(len(rows))
    return rows.where(drawn < share[rows.labels]).texts


def first_sixths(proto: bytes, texts: Sequence[str]) -> list[str]:
    """Of each text the first sixth of its pieces, rounded up, as text."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return processor.decode([pieces[: -(-len(pieces) // 6)] for pieces in processor.encode(list(texts))])
