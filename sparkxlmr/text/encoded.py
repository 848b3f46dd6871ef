"""Texts as ids, in lists and in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.text.ragged import Ragged


@dataclass(frozen=True)
class Encoded:
    """What :meth:`SentencePieceTokenizer.encode` returns, one entry a text, in the order of the texts.

    ``ids``: the ids with the family's start and end token, not padded. ``truncated``: whether pieces were cut
    off. ``segment_ids``: for each id the number of its segment, where the family has segments; else None.
    """

    ids: list[list[int]]
    truncated: list[bool]
    segment_ids: list[list[int]] | None = None


@dataclass(frozen=True)
class FlatEncoded:
    """As :class:`Encoded`, in flat arrays: `ids` and, where the family has segments, `segment_ids` int32,
    `truncated` bool (n,)."""

    ids: Ragged
    truncated: NDArray[np.bool_]
    segment_ids: Ragged | None = None

    @classmethod
    def of(cls, encoded: Encoded) -> FlatEncoded:
        """The same of lists."""
        segments = None if encoded.segment_ids is None else Ragged.of(encoded.segment_ids)
        return cls(Ragged.of(encoded.ids), np.array(encoded.truncated, bool), segments)

    def lists(self) -> Encoded:
        """The same in lists."""
        segments = None if self.segment_ids is None else self.segment_ids.lists()
        return Encoded(self.ids.lists(), self.truncated.tolist(), segments)
