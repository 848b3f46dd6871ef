"""The numbers of a recipe; each model's `recipe.py` gives its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

VIEWS = ("whole", "title", "description")


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    - `family`: `"xlm_roberta"` or `"albert"`.
    - `pieces`: size of the SentencePiece vocabulary.
    - `hidden_dim`, `embedding_dim` (ALBERT's), `num_layers`, `num_heads`, `ffn_dim`, `max_sequence_length`:
      the encoder's shape; ALBERT's layers share their weights.
    - `n_folds`: parts of train; each row is judged by teachers that have not read its part.
    - `own_label`: weight of the row's own label in what the student learns; the rest is the teachers'.
    - `views`: shares of the texts a student reads: whole rows, titles, descriptions.
    - `drop_pieces`: share of a text's pieces left out, on average.
    - `dropout`: of layers and attention; `head_dropout`: of what the head reads.
    - `window`, `vector_size`: of the first token vectors (`vectors.py`); `embedding_noise` is added to them.
    - `learning_rate`, `warm_up`, `batch`, `epochs`: Adam's, with a cosine to zero.
    - `averaging`: decay of the running mean of the weights that is kept in the end.
    """

    family: str
    pieces: int = 16_000
    hidden_dim: int = 128
    embedding_dim: int | None = None
    num_layers: int = 1
    num_heads: int = 8
    ffn_dim: int = 256
    max_sequence_length: int = 256
    n_folds: int = 5
    own_label: float = 0.1
    views: tuple[float, float, float] = (0.8, 0.1, 0.1)
    drop_pieces: float = 0.1
    dropout: float = 0.05
    head_dropout: float = 0.1
    window: int = 8
    vector_size: float = 0.8
    embedding_noise: float = 0.01
    learning_rate: float = 2e-3
    warm_up: int = 50
    batch: int = 128
    epochs: int = 10
    averaging: float = 0.995
    seed: int = 1

    @property
    def is_albert(self) -> bool:
        return self.family == "albert"

    @property
    def pad(self) -> int:
        return 0 if self.is_albert else 1

    @property
    def epsilon(self) -> float:
        """Of layer normalization, as the published models of the family have it."""
        return 1e-12 if self.is_albert else 1e-5

    @property
    def n_ids(self) -> int:
        """Rows of the token embedding: XLM-R has `<pad>` and `<mask>` beside the pieces."""
        return self.pieces if self.is_albert else self.pieces + 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
