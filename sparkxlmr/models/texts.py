"""What counts as raw texts: one, some, or pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sparkxlmr.errors import InputError

Texts = tuple[list[str], ...]  # one list of texts, or equally long ones for pairs and further segments


def as_texts(x: Any, one_sample: bool = False) -> Texts:
    """Raw inputs as a tuple of one list of texts, or of two or more equally long ones for their segments.

    A tuple of more than two plain strings is refused, since it may be meant as a list of texts, unless
    ``one_sample`` allows the segments of a single sample.

    Raises:
        InputError: something that is no text, or columns of different length.

    >>> as_texts("one"), as_texts((["a", "b"], ["c", "d"]))
    ((['one'],), (['a', 'b'], ['c', 'd']))
    """
    columns = tuple(map(as_column, x)) if isinstance(x, tuple) else (as_column(x),)
    if len(columns) > 2 and not one_sample and all(isinstance(part, (str, bytes)) for part in x):
        raise InputError(
            f"The input is a tuple of {len(columns)} texts",
            "a list of texts, or a tuple of lists for the segments of samples",
            "pass list(texts)",
        )
    if not columns or len({len(column) for column in columns}) > 1:
        raise InputError(
            f"The input has {len(columns)} columns of {[len(column) for column in columns]} texts",
            "a list of texts, or a tuple of equally long lists",
            "pass pairs as (first_texts, second_texts)",
        )
    return columns


def as_column(part: Any) -> list[str]:
    """One text, or a sequence, array, series or tensor of texts, as a list of them; bytes are UTF-8.

    Raises:
        InputError: something that is no text.
    """
    if hasattr(part, "tolist"):
        part = part.tolist()  # numpy, pandas, and tensors of backends that hold text
    elif hasattr(part, "numpy"):
        part = part.numpy()
        part = part.tolist() if hasattr(part, "tolist") else part
    if isinstance(part, (str, bytes)) or not isinstance(part, Iterable):
        part = [part]
    elif not isinstance(part, Sequence):
        part = list(part)
    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in part]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"Input {i} is {text!r:.80} of type {type(text).__name__}",
                "text",
                "feed strings, pairs as (first_texts, second_texts), and integers as a dict "
                "{'token_ids', 'padding_mask', ...}",
            )
    return texts


def is_one(x: Any) -> bool:
    """Whether ``x`` is a single text or a single pair, not lists of them."""
    first = x[0] if isinstance(x, tuple) and x else x
    return isinstance(first, (str, bytes)) or getattr(first, "shape", None) == ()
