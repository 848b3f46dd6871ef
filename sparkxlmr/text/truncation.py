"""How much of a text, or of a pair, remains where it is too long."""

from __future__ import annotations

from sparkxlmr.errors import SettingError

# A piece covers few characters: so much of a long text is read first, more only where that did not suffice.
_CHARS_PER_PIECE, _CHARS_AT_LEAST = 8, 256


def room_for(max_length: int, n_special: int) -> int:
    """How many ids of a text fit beside the special tokens.

    Raises:
        SettingError: not even these fit.
    """
    if max_length < n_special:
        raise SettingError(
            f"max_length is {max_length}", f"at least {n_special}, the special tokens alone", "raise it"
        )
    return max_length - n_special


def share(n_first: int, n_second: int, room: int | None, truncate: str) -> tuple[int, int]:
    """How many ids of a pair stay; an odd place goes to the first text, as in both peers."""
    if room is None or n_first + n_second <= room:
        return n_first, n_second
    if truncate == "waterfall":
        kept = min(n_first, room)
        return kept, min(n_second, room - kept)
    n_first = min(n_first, max(room - n_second, room - room // 2))
    return n_first, min(n_second, room - n_first)


def chars_for(limit: int) -> int:
    """So many characters of a text are usually enough for ``limit`` pieces."""
    return _CHARS_PER_PIECE * limit + _CHARS_AT_LEAST


def head_of(segment: str, n_chars: int) -> str:
    """The segment up to the last space among its first ``n_chars``; the whole where none is there."""
    if len(segment) <= 2 * n_chars:
        return segment
    cut = segment.rfind(" ", 1, n_chars)
    return segment[:cut] if cut > 0 else segment
