"""The numbers of this model's recipe, all in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How the model is made.

    - `vocabulary_pieces`, `normalization`, `character_coverage`: SentencePiece's own settings.
    - `first_pieces`, `first_rows`: of a quick vocabulary, from every so-many-th row, that tells which
      languages are hard; the final one is trained on all rows of the hardest `hard_languages`, on
      `middle_share` of the rows of the next `middle_languages`, and on `easy_share` of the rest.
    - `hidden_dim`, `num_layers`, `num_heads`, `ffn_dim`, `max_sequence_length`: the encoder's shape.
    - `smoothing`: added to each count of a piece in a language before the logarithm.
    - `n_folds`: parts of the training sentences; a row's pieces are looked up in a table counted without
      its own part.
    - `magnitude`: how large the constant coordinates are beside the evidence (see `evidence.py`).
    - `whole`: share of rows trained on as whole sentences; the rest are spans of log-uniform length.
    - `joined`: share trained on as four sentences of one language, for the positions of long texts.
    - `batch`, `widths`: a step reads `widths` batches, each of texts of like length.
    - `shortest_span`, `anywhere`: characters of a span at least; share of spans that need not begin where the
      sentence does.
    - `learning_rate`, `warm_up`, `steps`: Adam's largest rate, the steps up to it, and all steps.
    - `block`: steps between two checkpoints.
    """

    vocabulary_pieces: int = 42_000
    normalization: str = "nmt_nfkc_cf"  # folds case: each word's evidence is in one place
    character_coverage: float = 0.9998
    first_pieces: int = 16_000
    first_rows: int = 4
    hard_languages: int = 40
    middle_languages: int = 20
    middle_share: float = 0.3
    easy_share: float = 0.1
    hidden_dim: int = 208
    num_layers: int = 1
    num_heads: int = 4
    ffn_dim: int = 256
    max_sequence_length: int = 256
    smoothing: float = 0.3
    n_folds: int = 8
    magnitude: float = 6.0
    whole: float = 0.5
    joined: float = 0.01
    shortest_span: int = 4
    anywhere: float = 0.6
    learning_rate: float = 1e-4
    warm_up: int = 50
    batch: int = 256
    widths: int = 4
    block: int = 25
    steps: int = 500
    seed: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
