"""Places to fill in lists of ids: found, packed, and made at random for masked language modelling."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.text.packing import pack


def mask_positions(ids: Sequence[Sequence[int]], mask_id: int) -> list[list[int]]:
    """For each list of ids the indices at which ``mask_id`` stands, ascending.

    >>> mask_positions([[0, 9, 7, 9, 2], [0, 2]], mask_id=9)
    [[1, 3], []]
    """
    return [[at for at, token_id in enumerate(row) if token_id == mask_id] for row in ids]


def mask_begins(text: str, mask_token: str) -> list[int]:
    """Where a text spells its masks: the code points at which they begin.

    >>> mask_begins("a <mask> <mask>", "<mask>")
    [2, 9]
    """
    return [found.start() for found in re.finditer(re.escape(mask_token), text)]


def spelled_masks(
    text: str,
    mask_token: str,
    positions: Sequence[int],
    is_whole: bool,
    n_made: Callable[[list[str]], Sequence[int]],
    from_end: bool = False,
) -> list[tuple[int, int]]:
    """The masks that a text spells, as pairs: the code point at which it begins, its position in the ids.

    There may be more masks among the ids: ALBERT's normalisation makes them of full-width letters, for
    example. There may be fewer, where the ids were cut off.

    Args:
        positions: where masks stand in the ids, ascending.
        is_whole: whether the ids are those of the whole text.
        n_made: for parts of the text, which spell no mask, how many masks their ids hold; asked only where
            that can matter.
        from_end: whether ids that are not those of the whole text are those of its end.

    >>> spelled_masks("a <mask> b <mask>", "<mask>", [2, 4], True, lambda parts: [])
    [(2, 2), (11, 4)]
    >>> spelled_masks("a <MASK> <mask>", "<mask>", [2, 3], True, lambda parts: [1, 0])
    [(9, 3)]
    """
    begins = mask_begins(text, mask_token)
    if is_whole and len(begins) == len(positions):
        return list(zip(begins, positions, strict=True))
    made = np.cumsum(n_made(text.split(mask_token)))
    n_missing = len(begins) + int(made[-1]) - len(positions) if from_end else 0
    places = [number + int(before) - n_missing for number, before in enumerate(made[:-1])]
    known = zip(begins, places, strict=True)
    return [(begin, positions[place]) for begin, place in known if 0 <= place < len(positions)]


def pack_positions(
    positions: Sequence[Sequence[int]], width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pads lists of positions to one width.

    Args:
        positions: n lists of positions.
        width: the number of columns; None takes the longest list's length.

    Returns:
        ``(positions, weights)`` of shape (n, width): int32, padded with 0; float32, 1 where a position
        stands and 0 on padding.

    Raises:
        SettingError: a list is longer than ``width``.

    >>> packed, weights = pack_positions([[1, 3], [2]])
    >>> packed.tolist(), weights.tolist()
    ([[1, 3], [2, 0]], [[1.0, 1.0], [1.0, 0.0]])
    """
    packed, filled = pack(positions, 0, width)
    return packed, filled.astype(np.float32)


def choose_masks(
    ids: Sequence[Sequence[int]],
    rng: np.random.Generator,
    special_ids: Collection[int],
    mask_id: int,
    vocabulary_size: int,
    selection_rate: float = 0.15,
    selection_length: int | None = 96,
    mask_token_rate: float = 0.8,
    random_token_rate: float = 0.1,
) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Hides tokens for a model to guess, as BERT is trained (Devlin et al. 2019, section 3.1).

    Of each list ``selection_rate`` of its ordinary tokens are chosen, rounded, at least one where there is
    any. A chosen one becomes the mask, another ordinary token, or stays.

    Args:
        ids: n lists of token ids.
        special_ids: ids that are never chosen and never put in.
        vocabulary_size: ids go from 0 to one below.
        selection_length: so many of a list at most; None sets no bound.
        mask_token_rate, random_token_rate: shares of the chosen that become ``mask_id``, and another token;
            the rest stays.

    Returns:
        ``(masked ids, positions, original ids)``, n lists each: the lists as the model is to read them, where
        tokens were chosen (ascending), and what stood there.

    Raises:
        SettingError: a rate is outside 0 to 1, or the two shares exceed 1.

    >>> ids, rng = [[0, 5, 6, 7, 2], [0, 2]], np.random.default_rng(1)
    >>> choose_masks(ids, rng, {0, 2}, 9, 10, mask_token_rate=1.0, random_token_rate=0.0)
    ([[0, 5, 9, 7, 2], [0, 2]], [[2], []], [[6], []])
    """
    _check_rates(selection_rate, mask_token_rate, random_token_rate)
    special = np.fromiter(sorted(set(special_ids)), np.int64)
    masked, positions, originals = [], [], []
    for row in ids:
        hidden = np.array(row, np.int64)
        ordinary = np.flatnonzero(~np.isin(hidden, special))
        n = min(len(ordinary), max(1, round(selection_rate * len(ordinary)))) if selection_rate else 0
        if selection_length is not None:
            n = min(n, selection_length)
        chosen = np.sort(rng.choice(ordinary, n, replace=False))
        originals.append(hidden[chosen].tolist())
        fate = rng.random(n)
        strangers = _ordinary_ids(rng, n, special, vocabulary_size)
        is_random = (fate >= mask_token_rate) & (fate < mask_token_rate + random_token_rate)
        hidden[chosen[is_random]] = strangers[is_random]
        hidden[chosen[fate < mask_token_rate]] = mask_id
        masked.append(hidden.tolist())
        positions.append(chosen.tolist())
    return masked, positions, originals


def _ordinary_ids(rng: np.random.Generator, n: int, special: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """`n` ids that are not special; each as likely as another."""
    special = special[(special >= 0) & (special < vocabulary_size)]
    drawn = rng.integers(0, max(vocabulary_size - len(special), 1), n)
    for token_id in special:  # ascending: each steps over one
        drawn += drawn >= token_id
    return drawn


def _check_rates(selection_rate: float, mask_token_rate: float, random_token_rate: float) -> None:
    rates = (selection_rate, mask_token_rate, random_token_rate)
    if not all(0 <= rate <= 1 for rate in rates) or mask_token_rate + random_token_rate > 1 + 1e-9:
        raise SettingError(
            f"selection, mask and random rates are {rates}",
            "each from 0 to 1, mask and random rate together at most 1",
            "lower them",
        )
