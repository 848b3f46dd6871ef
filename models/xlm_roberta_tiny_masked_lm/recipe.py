"""The numbers of this model's recipe, all in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How the model is made.

    - `vocabulary_pieces`, `normalization`, `character_coverage`: SentencePiece's own settings;
      `vocabulary_share`: the share of SIB-200's rows that it reads, beside all of AG News.
    - `hidden_dim`, `num_heads`, `ffn_dim`, `max_sequence_length`: the encoder's shape; it has one layer.
    - `shifts`: for each head the neighbour that it looks at first, 0 for all of the text.
    - `position_dims`: coordinates that carry nothing but the position when training starts.
    - `held_out`: share of the training sentences that settings are chosen on; never trained on.
    - `candidates`: pieces that a target is told from, per language and step.
    - `languages`, `texts`: a step reads so many groups, each of so many texts of one language.
    - `joined`, `joined_texts`: the share of steps whose rows are several texts one after the other.
    - `hidden_share`: share of a row's pieces shown as `<mask>`, in half of the rows.
    - `rates`: Adam's rate at some steps, between them on straight lines; over the last `decay` share of all
      `steps` it falls to zero beside.
    - `block`: steps between two checkpoints.
    """

    vocabulary_pieces: int = 10_000
    vocabulary_share: float = 0.1
    normalization: str = "nmt_nfkc"
    character_coverage: float = 0.9998
    hidden_dim: int = 192
    num_heads: int = 8
    ffn_dim: int = 384
    max_sequence_length: int = 256
    shifts: tuple[int, ...] = (-1, -1, 1, 1, -2, 2, 0, 0)
    position_dims: int = 24
    held_out: float = 0.03
    candidates: int = 512
    languages: int = 8
    texts: int = 4
    joined: float = 0.05
    joined_texts: int = 4
    hidden_share: float = 0.1
    rates: tuple[tuple[int, float], ...] = ((0, 0.0), (60, 2e-3))
    decay: float = 0.3
    steps: int = 6000
    block: int = 100
    seed: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
