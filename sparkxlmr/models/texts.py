"""What counts as raw texts: one, some, or pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
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
        InputError: something that is no text, or a container whose iteration does not yield its texts in
            order (a DataFrame or table, a mapping, a set).
    """
    refuse_containers(part)
    for method in ("tolist", "to_pylist"):  # numpy and pandas; pyarrow's chunked arrays
        if hasattr(part, method):
            part = getattr(part, method)()
            break
    else:
        if hasattr(part, "numpy"):  # tensors of backends that hold text
            part = part.numpy()
            part = part.tolist() if hasattr(part, "tolist") else part
    if isinstance(part, (str, bytes)) or not isinstance(part, Iterable):
        part = [part]
    elif not isinstance(part, Sequence):
        try:
            part = list(part)
        except TypeError:  # a Spark Column has an __iter__ that raises
            part = [part]
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


def refuse_containers(x: Any) -> None:
    """Raise InputError for a table, a mapping or a set.

    Iterating over one yields column names, keys, or items in an arbitrary order: each would be tokenized as
    if it were a text.

    >>> refuse_containers({"text": ["one"]})
    Traceback (most recent call last):
    ...
    sparkxlmr.errors.InputError: The input is a dict with the keys ['text']. Expected texts, or the arrays ...
    """
    # Attributes of the class: an instance can have any (a Series with an index label "keys").
    kind = type(x)
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):
        names = [str(name) for name in _names(x, "column_names") or _names(x, "columns")]
        raise InputError(
            f"The input is a {kind.__name__} with the columns {names!r:.200}",
            "texts: a list, array or series of strings",
            f"pass one column, for example {_column_example(x, names)}",
        )
    if hasattr(kind, "keys") and not hasattr(kind, "tolist"):
        raise InputError(
            f"The input is a {kind.__name__} with the keys {_keys(x)!r:.200}",
            "texts, or the arrays {'token_ids', 'padding_mask', ...} that the model reads",
            "pass the texts themselves, for example x['text']",
        )
    if isinstance(x, Set) and not hasattr(kind, "__reversed__"):  # views of a dict are ordered
        raise InputError(
            f"The input is a {kind.__name__}, which has no order",
            "texts in an order, since outputs are matched to them by position",
            "pass sorted(x) or a list",
        )


def is_text(x: Any) -> bool:
    """Whether ``x`` is a text, or a list, array or tensor whose first item is one.

    >>> is_text(["one"]), is_text([0, 1]), is_text(None)
    (True, False, False)
    """
    while isinstance(x, (list, tuple)) and x:
        x = x[0]
    if isinstance(x, (str, bytes)):
        return True
    return str(getattr(x, "dtype", "")).startswith(("<U", "string", "str", "|S", "<dtype: 'string'")) or (
        str(getattr(x, "dtype", "")) == "object" and len(x) > 0 and isinstance(next(iter(x)), (str, bytes))
    )


def is_one(x: Any) -> bool:
    """Whether ``x`` is a single text or a single pair, not lists of them."""
    first = x[0] if isinstance(x, tuple) and x else x
    return isinstance(first, (str, bytes)) or getattr(first, "shape", None) == ()


def _names(x: Any, attribute: str) -> list[Any]:
    names = getattr(x, attribute, None)
    return list(names) if isinstance(names, Iterable) else []


def _column_example(x: Any, names: list[str]) -> str:
    name = "text" if "text" in names or not names else names[0]
    if type(x).__module__.startswith("pyspark"):
        return f"[row[0] for row in df.select({name!r}).collect()], or use the Spark stages"
    return f"df[{name!r}]"


def _keys(x: Any) -> list[Any]:
    try:
        return list(x.keys())
    except Exception:  # a class that only looks like a mapping
        return []
