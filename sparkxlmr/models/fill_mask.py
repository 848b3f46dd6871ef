"""Filling masks with bounded memory: vocabulary logits of a few masks at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sparkxlmr.models.masked_lm_preprocessor import POSITION_WIDTHS, MaskedLMPreprocessor
from sparkxlmr.models.preprocessor import rows_of
from sparkxlmr.text.filled_masks import FilledMask, Gap, best_tokens, filled_masks, target_ids
from sparkxlmr.text.masks import mask_positions, pack_positions, spelled_masks
from sparkxlmr.text.packing import width_for
from sparkxlmr.text.tokenizer import Encoded, SentencePieceTokenizer

MOST_LOGITS = 1 << 24  # numbers held at a time: 64 MiB in float32
_MOST_ROWS = 32

Chunk = tuple[int, list[int]]  # the number of a text, and some of its mask positions


def fill_masks(
    model: Any,
    preprocessor: MaskedLMPreprocessor,
    texts: list[str],
    top_k: int,
    targets: Sequence[str] | None,
) -> list[list[list[FilledMask]]]:
    """For each text one list a mask, of its ``top_k`` best tokens; see ``MaskedLM.fill_mask``."""
    tokenizer = preprocessor.tokenizer.text
    allowed = _allowed(tokenizer, targets, int(model.output_shape[-1]))
    encoded = preprocessor.encode((texts,))
    begins = _begins(tokenizer, texts, encoded)
    positions = [list(places) for places in begins]
    found: list[dict[int, list[FilledMask]]] = [{} for _ in texts]
    best_tokens(np.zeros((0, 1)), top_k)  # a top_k that cannot be is refused even where there is no mask
    for batch in _batches(encoded, positions, max(1, MOST_LOGITS // int(model.output_shape[-1]))):
        features = preprocessor.pack(rows_of(encoded, [i for i, _ in batch]))
        most = max(len(places) for _, places in batch)
        packed, weights = pack_positions([p for _, p in batch], width_for(most, None, POSITION_WIDTHS))
        logits = np.asarray(model.predict_on_batch({**features, "mask_positions": packed}))
        ids, scores = best_tokens(logits[weights > 0], top_k, allowed)
        answers = iter(zip(ids, scores, strict=True))
        for i, places in batch:
            for place in places:
                gap = Gap.of(tokenizer, texts[i], begins[i][place], encoded.ids[i], place)
                found[i][place] = filled_masks(tokenizer, gap, *next(answers))
    return [[masks[place] for place in sorted(masks)] for masks in found]


def _begins(tokenizer: SentencePieceTokenizer, texts: list[str], encoded: Encoded) -> list[dict[int, int]]:
    """For each text the masks that it spells: positions in its ids to where they begin in the text."""

    def n_made(parts: list[str]) -> list[int]:
        return [len(at) for at in mask_positions(tokenizer.tokenize(parts), tokenizer.mask_id)]

    found = []
    places = mask_positions(encoded.ids, tokenizer.mask_id)
    for text, at, is_cut in zip(texts, places, encoded.truncated, strict=True):
        from_end = tokenizer.truncation_side == "left"
        masks = spelled_masks(text, tokenizer.mask_token, at, not is_cut, n_made, from_end) if at else []
        found.append({position: begin for begin, position in masks})
    return found


def _allowed(
    tokenizer: SentencePieceTokenizer, targets: Sequence[str] | None, n_logits: int
) -> np.ndarray | None:
    if targets is not None:
        return target_ids(tokenizer, targets)
    # Some models have rows behind the vocabulary, which no token belongs to.
    return None if n_logits <= tokenizer.vocabulary_size else np.arange(tokenizer.vocabulary_size)


def _batches(encoded: Encoded, positions: list[list[int]], most_masks: int) -> Iterator[list[Chunk]]:
    """Texts of like length together; a text with more masks than fit at a time comes more than once."""
    batch: list[Chunk] = []
    widest = 0
    for i in sorted(range(len(positions)), key=lambda i: -len(encoded.ids[i])):
        for start in range(0, len(positions[i]), most_masks):
            places = positions[i][start : start + most_masks]
            wide = width_for(max(widest, len(places)), None, POSITION_WIDTHS)
            if batch and (len(batch) == _MOST_ROWS or wide * (len(batch) + 1) > most_masks):
                yield batch
                batch, wide = [], width_for(len(places), None, POSITION_WIDTHS)
            batch.append((i, places))
            widest = wide
    if batch:
        yield batch
