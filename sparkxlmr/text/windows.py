"""Which stretches of a long text are read, so that every mask in it is seen with what stands around it."""

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


def windows_around(positions: Sequence[int], n_ids: int, width: int) -> list[Window]:
    """The fewest stretches, taken from left to right, in which every position has company on both sides.

    Args:
        positions: ascending, each of them in one window.
        n_ids: how many ids the text has, without the special ones at its ends.
        width: how many of them are read at once.

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
