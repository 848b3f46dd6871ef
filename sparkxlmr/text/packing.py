"""Lists of ids to the two padded arrays that every encoder takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkxlmr.errors import SettingError

WIDTHS = (16, 32, 64, 128, 256, 512)


def pack(
    ids: Sequence[Sequence[int]], pad_id: int, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pads lists of ids to one width.

    Args:
        ids: n lists of token ids.
        pad_id: what fills the places behind each list.
        width: the number of columns; None takes the longest list's length.

    Returns:
        ``(token_ids, padding_mask)``, both int32 of shape (n, width); the mask is 1 where a token stands,
        0 on padding.

    Raises:
        SettingError: a list is longer than ``width``.

    >>> token_ids, padding_mask = pack([[0, 7, 2], [0, 2]], pad_id=1)
    >>> token_ids.tolist(), padding_mask.tolist()
    ([[0, 7, 2], [0, 2, 1]], [[1, 1, 1], [1, 1, 0]])
    """
    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    longest = int(lengths.max(initial=0))
    if width is None:
        width = longest
    if longest > width:
        raise SettingError(
            f"A list of {longest} ids is longer than the width {width}",
            "lists that fit",
            "truncate them first, or pass a larger width",
        )
    filled = np.arange(width) < lengths[:, None]
    token_ids = np.full((len(ids), width), pad_id, dtype=np.int32)
    token_ids[filled] = np.fromiter((i for row in ids for i in row), dtype=np.int32, count=int(lengths.sum()))
    return token_ids, filled.astype(np.int32)


def width_for(length: int, max_length: int | None = None, widths: Sequence[int] = WIDTHS) -> int:
    """The smallest of a few ``widths`` that holds ``length`` ids, never above ``max_length``.

    Engines that compile once per shape then meet few shapes: 16, 32, 64, ..., 512, then multiples of the
    last. ``widths`` ascend.

    >>> width_for(17, 512), width_for(100, 120), width_for(600, 8192), width_for(9, widths=(8, 12))
    (32, 120, 1024, 12)
    """
    last = widths[-1]
    wanted = next((width for width in widths if width >= length), -(-length // last) * last)
    return wanted if max_length is None else min(wanted, max_length)


def near_width(length: int, max_length: int | None = None) -> int:
    """The next of many widths, never above ``max_length``: at most 3 % longer than ``length``.

    Up to 64 each one, up to 128 every second, up to 256 every fourth, and so on: whatever the lengths are,
    an engine that takes any width still meets few of them.

    >>> [near_width(length) for length in (20, 63, 65, 100, 129, 512)], near_width(513, 514)
    ([20, 63, 66, 100, 132, 512], 514)
    """
    step = max(1, 1 << (length - 1).bit_length() >> 6)
    wanted = -(-length // step) * step
    return wanted if max_length is None else min(wanted, max_length)
