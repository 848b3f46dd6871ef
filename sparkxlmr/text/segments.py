"""Several segments of ids as one sequence, truncated to a total length as in keras-hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sparkxlmr.errors import SettingError
from sparkxlmr.text.encoded import Encoded
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

TRUNCATIONS = ("round_robin", "waterfall")


class Joined(NamedTuple):
    """One sequence: its ids, the segment index of each id, and whether a segment was truncated."""

    ids: list[Any]
    segment_ids: list[int]
    truncated: bool


def check_truncate(truncate: str) -> None:
    """Raise SettingError unless ``truncate`` is one of :data:`TRUNCATIONS`."""
    if truncate not in TRUNCATIONS:
        raise SettingError(f"truncate is {truncate!r}", "'round_robin' or 'waterfall'", "pass one of the two")


def truncated_lengths(lengths: Sequence[int], room: int, truncate: str = "round_robin") -> list[int]:
    """Return how many ids of each segment fit into ``room`` ids.

    Args:
        lengths: the number of ids of each segment.
        room: the total number of ids.
        truncate: ``"round_robin"`` assigns one id at a time to each segment in turn; ``"waterfall"`` fills
            the first segment before the next.

    Raises:
        SettingError: ``truncate`` is neither of the two.

    >>> truncated_lengths([5, 1, 5], 6), truncated_lengths([5, 1, 5], 6, "waterfall")
    ([3, 1, 2], [5, 1, 0])
    """
    check_truncate(truncate)
    room = max(room, 0)
    if sum(lengths) <= room:
        return list(lengths)
    if truncate == "waterfall":
        kept = []
        for length in lengths:
            kept.append(min(length, room))
            room -= kept[-1]
        return kept
    rounds = 0
    while sum(min(length, rounds + 1) for length in lengths) <= room:
        rounds += 1
    kept = [min(length, rounds) for length in lengths]
    left = room - sum(kept)
    for index, length in enumerate(lengths):
        if left and length > rounds:
            kept[index] += 1
            left -= 1
    return kept


def join_segments(
    segments: Sequence[Sequence[Any]],
    start: Sequence[Any],
    separator: Sequence[Any],
    end: Sequence[Any],
    room: int | None = None,
    truncate: str = "round_robin",
    side: str = "right",
) -> Joined:
    """Join the segments of one sample; each segment id is the index of the segment before a special id.

    Args:
        segments: k lists of ids.
        start, separator, end: special ids before the first, between two, and after the last segment.
        room: the most ids of all segments together, special ids excluded; None truncates nothing.
        truncate: as in :func:`truncated_lengths`.
        side: ``"right"`` removes the end of a segment that is too long, ``"left"`` its beginning.

    >>> join_segments([[5, 6], [7]], [0], [2, 2], [2])
    Joined(ids=[0, 5, 6, 2, 2, 7, 2], segment_ids=[0, 0, 0, 0, 0, 1, 1], truncated=False)
    """
    lengths = [len(segment) for segment in segments]
    kept = lengths if room is None else truncated_lengths(lengths, room, truncate)
    ids = list(start)
    segment_ids = [0] * len(ids)
    for index, (segment, length) in enumerate(zip(segments, kept, strict=True)):
        start_at = len(segment) - length if side == "left" else 0
        kept_ids = segment[start_at : start_at + length]
        part = [*kept_ids, *(end if index == len(segments) - 1 else separator)]
        ids += part
        segment_ids += [index] * len(part)
    return Joined(ids, segment_ids, kept != lengths)


def separator_ids(tokenizer: SentencePieceTokenizer) -> list[int]:
    """The special ids between two segments: ``</s></s>`` for XLM-R, ``[SEP]`` for ALBERT."""
    return tokenizer.encode_pairs([("", "")]).ids[0][1:-1]


def join_encoded(
    tokenizer: SentencePieceTokenizer,
    columns: Sequence[Sequence[Sequence[int]]],
    max_length: int | None = None,
    truncate: str = "round_robin",
) -> Encoded:
    """Samples of any number of tokenized segments, as ``encode`` and ``encode_pairs`` return them.

    Args:
        tokenizer: the family's tokenizer, for its special ids.
        columns: k columns of n lists of ids each.
        max_length: the most ids of a sample, special ids included; None truncates nothing.
        truncate: as in :func:`truncated_lengths`.

    Raises:
        SettingError: ``max_length`` is below the number of special ids, or ``truncate`` is unknown.
    """
    empty = tokenizer.encode_pairs([("", "")])
    between = empty.ids[0][1:-1]
    n_special = 2 + len(between) * (len(columns) - 1)
    if max_length is not None and max_length < n_special:
        raise SettingError(
            f"sequence_length is {max_length}",
            f"at least {n_special}, the special tokens of {len(columns)} segments",
            "pass a larger number",
        )
    room = None if max_length is None else max_length - n_special
    special = ([tokenizer.bos_id], between, [tokenizer.eos_id])
    side = tokenizer.truncation_side
    rows = [join_segments(row, *special, room, truncate, side) for row in zip(*columns, strict=True)]
    has_segments = empty.segment_ids is not None
    return Encoded(
        [row.ids for row in rows],
        [row.truncated for row in rows],
        [row.segment_ids for row in rows] if has_segments else None,
    )
