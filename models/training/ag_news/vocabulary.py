"""The SentencePiece vocabulary, trained on the rows' texts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import sentencepiece

# Ids as the family's published models have them.
_LAYOUTS: dict[str, dict[str, Any]] = {
    "xlm_roberta": {"unk_id": 0, "bos_id": 1, "eos_id": 2},
    "albert": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": 2,
        "eos_id": 3,
        "pad_piece": "<pad>",
        "unk_piece": "<unk>",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "user_defined_symbols": "[MASK]",
    },
}


def train_vocabulary(texts: Sequence[str], pieces: int, family: str) -> bytes:
    """A unigram model that folds case. Two threads whatever the machine: their number changes the last bits
    of sums."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces,
        normalization_rule_name="nmt_nfkc_cf",
        num_threads=2,
        minloglevel=1,
        **_LAYOUTS[family],
    )
    return model.getvalue()
