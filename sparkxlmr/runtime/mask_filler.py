"""Texts to the likeliest tokens at their masks, with bounded memory whatever their number and length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.runtime.planner import Batch
from sparkxlmr.runtime.reader import Distinct, Inputs, Reader
from sparkxlmr.text.filled_masks import FilledMask, Gap, best_tokens, filled_masks, target_ids
from sparkxlmr.text.masks import mask_positions, spelled_masks
from sparkxlmr.text.ragged import Ragged
from sparkxlmr.text.tokenizer import FlatEncoded
from sparkxlmr.text.windows import windows_around

#: Logits that exist at a time, 32 MiB of float32: of XLM-R's vocabulary those of 33 masks.
MOST_LOGITS = 1 << 23


@dataclass(frozen=True)
class MaskAnswer:
    """One mask of a text: where it stands, `begin` to `end` (inclusive) in code points, and the best ways to
    fill it."""

    begin: int
    end: int
    filled: list[FilledMask]


@dataclass
class _Text:
    """A text with masks: its ids, and of each mask where it begins in the text, by where it stands in the
    ids."""

    text: str
    ids: list[int]
    begins: dict[int, int]
    answers: dict[int, list[FilledMask]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Request:
    """A stretch of a text to be read, and the masks to be answered in it: (position in the text's ids, column
    in the stretch)."""

    text: _Text
    ids: list[int]
    masks: list[tuple[int, int]]


class MaskFiller(Reader):
    """A masked language model's bundle that is open; arguments and errors are the base's."""

    task = "masked_lm"

    def fill(
        self,
        texts: Sequence[str],
        max_length: int,
        top_k: int = 5,
        targets: Sequence[str] | None = None,
        batch_size: int | None = None,
        lower_case: bool | None = None,
    ) -> list[list[MaskAnswer]]:
        """For each text its masks (`<mask>`, `[MASK]` for ALBERT) in their order; none where it spells none.

        - `max_length`: tokens that are read at once, the special ones at the ends included. In a longer text
          a mask is read with what stands around it (:func:`windows_around`).
        - `top_k`: how many tokens for each mask, best first; fewer where there are fewer.
        - `targets`: tokens to choose from (:func:`target_ids`); scores stay those among the whole vocabulary.
        - `batch_size`: texts of one engine call at most; None leaves it to the token budget.
        - `lower_case`: whether texts (masks excepted) are lower-cased first; None as the preset says.

        Logits exist at the masks only, and of at most `MOST_LOGITS` numbers at a time. Equal texts are
        computed once. Raises SettingError where `max_length` is beyond the model's or below 3, `top_k` below
        1, or a target is not in the vocabulary.
        """
        self._check_length(max_length, least=3)
        allowed = None if targets is None else target_ids(self._tokenizer, targets)
        # Refused even where there is no mask.
        best_tokens(np.zeros((0, 1), np.float32), top_k)
        distinct = Distinct.of(texts)
        read = self._read(distinct.texts, lower_case)
        requests = [request for text in read if text for request in self._requests(text, max_length)]
        for masks, inputs in self._calls(requests, batch_size):
            ids, scores = best_tokens(self._runner.run(inputs), top_k, allowed)
            for (text, position), best, of_best in zip(masks, ids, scores, strict=True):
                gap = Gap.of(self._tokenizer, text.text, text.begins[position], text.ids, position)
                text.answers[position] = filled_masks(self._tokenizer, gap, best, of_best)
        return [self._answers(read[row]) for row in distinct.rows]

    def _answers(self, text: _Text | None) -> list[MaskAnswer]:
        if text is None:
            return []
        last = len(self._tokenizer.mask_token) - 1
        return [
            MaskAnswer(begin, begin + last, text.answers[position]) for position, begin in text.begins.items()
        ]

    def _read(self, texts: list[str], lower_case: bool | None) -> list[_Text | None]:
        """Each text's ids and masks; None for a text without a mask, which is not even tokenised."""
        mask_token, mask_id = self._tokenizer.mask_token, self._tokenizer.mask_id

        def n_made(parts: list[str]) -> list[int]:
            made = self._encode(parts, None, lower_case).ids.lists()
            return [len(at) for at in mask_positions(made, mask_id)]

        with_masks = [row for row, text in enumerate(texts) if mask_token in text]
        found = self._encode([texts[row] for row in with_masks], None, lower_case).ids.lists()
        read: list[_Text | None] = [None] * len(texts)
        for row, ids, at in zip(with_masks, found, mask_positions(found, mask_id), strict=True):
            spelled = spelled_masks(texts[row], mask_token, at, True, n_made)
            read[row] = _Text(texts[row], ids, {position: begin for begin, position in spelled})
        return read

    def _requests(self, text: _Text, max_length: int) -> Iterator[_Request]:
        first, *inner, last = text.ids
        inside = [position - 1 for position in text.begins]
        from_end = self._tokenizer.truncation_side == "left"
        for window in windows_around(inside, len(inner), max_length - 2, from_end):
            ids = [first, *inner[window.start : window.stop], last]
            masks = [(position + 1, position + 1 - window.start) for position in window.positions]
            # A stretch with more masks than fit at a time is read more than once.
            for start in range(0, len(masks), self._most_masks):
                yield _Request(text, ids, masks[start : start + self._most_masks])

    @property
    def _most_masks(self) -> int:
        return max(1, MOST_LOGITS // self._tokenizer.vocabulary_size)

    def _calls(
        self, requests: list[_Request], batch_size: int | None
    ) -> Iterator[tuple[list[tuple[_Text, int]], Inputs]]:
        """An engine's inputs, and which masks of which texts it answers with them."""
        ids = Ragged.of([request.ids for request in requests])
        has_segments = self._tokenizer.encode([""]).segment_ids is not None
        one_segment = Ragged(np.zeros_like(ids.values), ids.offsets) if has_segments else None
        encoded = FlatEncoded(ids, np.zeros(len(ids), bool), one_segment)
        for batch, inputs in self._batches(encoded, batch_size):
            for rows in self._few_enough(batch, requests):
                chosen = [requests[row] for row in batch.rows[rows]]
                places = [(row, column) for row, one in enumerate(chosen) for _, column in one.masks]
                answered = [(one.text, position) for one in chosen for position, _ in one.masks]
                part: Inputs = {name: array[rows] for name, array in inputs.items()}
                yield answered, {**part, "mask_positions": np.array(places, np.int32)}

    def _few_enough(self, batch: Batch, requests: list[_Request]) -> Iterator[slice]:
        """The batch's rows in runs that hold no more masks than fit at a time."""
        counts: NDArray[np.int64] = np.array([len(requests[row].masks) for row in batch.rows])
        start, held = 0, 0
        for row, count in enumerate(counts):
            if held and held + count > self._most_masks:
                yield slice(start, row)
                start, held = row, 0
            held += int(count)
        yield slice(start, len(counts))
