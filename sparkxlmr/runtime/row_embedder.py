"""The vectors of rows of texts: pure, the same behind a Spark worker and without Spark.

A row is the list of its texts (one document, or its sentences). What comes back are flat arrays, from
which annotations are built elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.runtime.row_classifier import is_blank
from sparkxlmr.text.finite import positions_of_rows
from sparkxlmr.text.ragged import Ragged

Texts = Sequence[str | None]


class Vectors(Protocol):
    """What an embedder gives for n texts: vectors float32 (n, hidden), truncated bool (n,)."""

    @property
    def vectors(self) -> NDArray[np.float32]: ...

    @property
    def truncated(self) -> NDArray[np.bool_]: ...


#: texts, most tokens of a text, pooling, whether to normalise, most rows of a batch (None: the planner's
#: choice), whether to lower-case (None: as the preset says) -> vectors
Embed = Callable[[list[str], int, str, bool, int | None, bool | None], Vectors]


@dataclass(frozen=True)
class EmbedOptions:
    """How texts become vectors; plain values only, so that it travels to a worker as a small dict.

    - `max_length`: tokens of a text at most, the special ones at its ends included.
    - `pooling`: `"mean"` or `"cls"`.
    - `normalize`: whether vectors have length 1.
    - `batch_size`: texts of one engine call at most; None leaves it to the planner's token budget.
    - `lower_case`: whether texts are lower-cased first; None as the preset says.
    """

    max_length: int
    pooling: str = "mean"
    normalize: bool = False
    batch_size: int | None = None
    lower_case: bool | None = None


@dataclass(frozen=True)
class EmbeddedRows:
    """Answers for n rows; of a row one item for each text that is not blank.

    `source` int32 (which text of the row) and `truncated` bool (it was longer than the model reads) by row;
    `vectors`: float32 (texts, hidden), those of the first row first.
    """

    source: Ragged
    truncated: Ragged
    vectors: NDArray[np.float32]


def embed_rows(rows: Sequence[Texts | None], embed: Embed, options: EmbedOptions) -> EmbeddedRows:
    """The vectors of every text of every row, by one call of `embed`.

    None, empty and blank texts have none; they shift nothing: `source` counts all texts of the row.

    >>> class Fixed:
    ...     vectors, truncated = np.array([[1, 2], [3, 4]], np.float32), np.array([False, True])
    >>> rows = embed_rows([["a"], None, ["", "b"]], lambda *_: Fixed(), EmbedOptions(8))
    >>> rows.source.lists(), rows.truncated.lists(), rows.vectors.tolist()
    ([[0], [], [1]], [[False], [], [True]], [[1.0, 2.0], [3.0, 4.0]])
    """
    places = [
        [(source, text) for source, text in enumerate(row or ()) if text is not None and not is_blank(text)]
        for row in rows
    ]
    texts = [text for row in places for _, text in row]
    source = Ragged.of([[source for source, _ in row] for row in places])
    if not texts:
        return EmbeddedRows(source, Ragged(np.zeros(0, bool), source.offsets), np.zeros((0, 0), np.float32))
    with positions_of_rows([number for number, row in enumerate(places) for _ in row]):
        found = embed(
            texts,
            options.max_length,
            options.pooling,
            options.normalize,
            options.batch_size,
            options.lower_case,
        )
    return EmbeddedRows(source, Ragged(found.truncated, source.offsets), found.vectors)
