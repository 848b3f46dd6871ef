"""Which stretches of a long text are read: all of it, or so that each mask is seen with what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkxlmr.errors import SettingError


@dataclass(frozen=True)
class Window:
    """A stretch of a text's ids, `start` to before `stop`, and the `positions` that are answered in it."""

    start: int
    stop: int
    positions: tuple[int, ...]


def windows_around(positions: Sequence[int], n_ids: int, width: int, from_end: bool = False) -> list[Window]:
    """The fewest stretches, taken from left to right, in which every position has company on both sides.

    Args:
        positions: ascending, each of them in one window.
        n_ids: how many ids the text has, without the special ones at its ends.
        width: how many of them are read at once.
        from_end: lay the windows out from the end of the text, for models that read the end of a long one.

    Returns:
        One window with all positions where the text fits. Else windows of `width` ids, in which a position
        has at least `width // 4` ids before it and behind it, or as many as the text has there. The first
        window is the text's beginning where that suits the first position: there a long text is read as one
        that was cut off.

    Raises:
        SettingError: `width` is below 1.

    >>> [(w.start, w.stop, w.positions) for w in windows_around([2, 5, 40], n_ids=50, width=8)]
    [(0, 8, (2, 5)), (38, 46, (40,))]
    """
    if width < 1:
        raise SettingError(f"The width of a window is {width}", "at least 1", "read more of a text at once")
    if n_ids <= width:
        return [Window(0, n_ids, tuple(positions))] if positions else []
    if from_end:
        mirrored = windows_around([n_ids - 1 - position for position in reversed(positions)], n_ids, width)
        return [
            Window(n_ids - w.stop, n_ids - w.start, tuple(n_ids - 1 - p for p in reversed(w.positions)))
            for w in reversed(mirrored)
        ]
    company = width // 4
    found: list[Window] = []
    rest = list(positions)
    while rest:
        first = rest[0]
        start = 0 if first < width - company else min(first - company, n_ids - width)
        stop = start + width
        reach = stop if stop == n_ids else stop - company
        here = tuple(position for position in rest if position < reach)
        found.append(Window(start, stop, here))
        rest = rest[len(here) :]
    return found


def sliding_windows(n_ids: int, width: int, stride: int) -> list[tuple[int, int]]:
    """Stretches (start, before stop) that together hold all ids, one after the other from the first.

    Args:
        n_ids: how many ids the text has, without the special ones at its ends.
        width: how many of them are read at once; the last stretch may have fewer.
        stride: how many ids neighbours share (Hugging Face's meaning of the word).

    Returns:
        At least one; of a text without ids that one is empty.

    Raises:
        SettingError: the text does not fit, and `stride` is below 0, or not below `width`.

    >>> sliding_windows(10, width=6, stride=2)
    [(0, 6), (4, 10)]
    """
    if n_ids <= width:
        return [(0, n_ids)]
    check_stride(stride, width)
    starts = range(0, n_ids - stride, width - stride)
    return [(start, min(start + width, n_ids)) for start in starts]


def check_stride(stride: int, width: int) -> None:
    """Raises SettingError where windows of `width` ids cannot share `stride` of them and still go on."""
    if not 0 <= stride < width:
        raise SettingError(
            f"Windows of {width} ids are to share {stride}",
            f"0 to {width - 1}" if width > 0 else "room for an id in each",
            "make them share fewer, or make them longer",
        )
