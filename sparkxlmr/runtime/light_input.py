"""What a LightPipeline is called with, in all of its forms, as one table of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkxlmr.errors import InputError, WrongTypeError


@dataclass(frozen=True)
class LightInput:
    """n rows.

    Attributes:
        texts: their texts; None counts as empty, as does any null of NumPy or pandas.
        seconds: the second text of each, or None where none were given.
        metadata: for each what its document's metadata hold besides.
    """

    texts: list[str | None]
    seconds: list[str | None] | None
    metadata: list[dict[str, str | None]]

    @classmethod
    def of(cls, target: Any, second: Any = None, metadata: Any = None) -> LightInput:
        """From the arguments of `annotate`.

        Raises:
            WrongTypeError: they are of other types.
            InputError: they are not of one length.

        >>> LightInput.of([7, 8], ["a", "b"]).metadata
        [{'id': '7'}, {'id': '8'}]
        >>> LightInput.of("a", {"source": "mail"})
        LightInput(texts=['a'], seconds=None, metadata=[{'source': 'mail'}])
        """
        if metadata is None and _is_metadata(second):
            second, metadata = None, second
        if isinstance(second, str) and not second:
            second = None  # Spark NLP's own default
        one = is_text(target)
        first = [target] if one else _listed(target, "target")
        ids: list[Any] | None = None
        if first and all(isinstance(item, int) and not isinstance(item, bool) for item in first):
            ids, first, second = first, _listed(second, "texts"), None
        if not (one or first) and isinstance(second, list | tuple) and not second:
            second = None  # no ids, and the texts of none
        texts = _texts(first, "target")
        seconds = None
        if not _is_null(second):
            seconds = _texts([second] if one else _listed(second, "optional_target"), "optional_target")
        entries = _entries(metadata, one, len(texts))
        for name, items in (("ids", ids), ("optional_target", seconds), ("metadata", entries)):
            if items is not None and len(items) != len(texts):
                raise InputError(
                    f"LightPipeline: {name} has {len(items)} items, and there are {len(texts)} texts",
                    "one for each text",
                    "pass lists of one length",
                )
        for entry, number in zip(entries, ids or (), strict=False):
            entry["id"] = str(number)
        return cls(texts, seconds, entries)

    def columns(self, names: Sequence[str]) -> dict[str, list[str | None]]:
        """The plain columns `names` that a pipeline reads: the texts, and the second ones.

        Raises InputError where there are second texts that it does not read, or it reads more than two.
        """
        if self.seconds is not None and len(names) < 2:
            raise InputError(
                "LightPipeline: a second text was given, and the pipeline reads one",
                "a stage that reads a second column, as a classifier with setPairCol",
                "leave the second text out",
            )
        if len(names) > 2:
            raise InputError(
                f"LightPipeline: the pipeline reads the columns {', '.join(map(repr, names))}",
                "one column of texts, or two",
                "use transform(df)",
            )
        seconds = self.seconds
        if seconds is None:
            seconds = [None] * len(self.texts)
        return dict(zip(names, (self.texts, seconds), strict=False))


def _listed(value: Any, name: str) -> list[Any]:
    if hasattr(value, "tolist"):  # an array or a Series
        value = value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    raise WrongTypeError(
        f"LightPipeline: {name} is a {type(value).__name__}",
        "a text, a list of texts, or a list of ids and a list of their texts",
        "pass strings; for a DataFrame call transform(df)",
    )


def _texts(items: list[Any], name: str) -> list[str | None]:
    for item in items:
        if not is_text(item):
            raise WrongTypeError(
                f"LightPipeline: an item of {name} is a {type(item).__name__}", "text", "convert it to str"
            )
    return [item if isinstance(item, str) else None for item in items]


def is_text(value: Any) -> bool:
    """Whether a value is one text: a string, or a null as Python, NumPy or pandas writes it."""
    return isinstance(value, str) or _is_null(value)


def _is_null(value: Any) -> bool:
    """None, NaN, pandas' NA and NaT; pandas itself is not imported.

    >>> [_is_null(value) for value in (None, float("nan"), np.float32("nan"), np.datetime64("NaT"), 0.0, "")]
    [True, True, True, True, False, False]
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.generic) and bool(value != value)


def _is_metadata(value: Any) -> bool:
    is_rows = isinstance(value, list | tuple) and bool(value)
    return isinstance(value, Mapping) or (is_rows and all(isinstance(item, Mapping) for item in value))


def _entries(metadata: Any, one: bool, n: int) -> list[dict[str, str | None]]:
    """For each text a dict of plain strings, of any of the forms that metadata have."""
    if metadata is None or (not n and isinstance(metadata, list | tuple) and not metadata):
        return [{} for _ in range(n)]
    if not _is_metadata(metadata):
        raise WrongTypeError(
            f"LightPipeline: metadata is {metadata!r:.100}",
            "a dict for a text; for a list of texts a list of dicts, or a dict of lists",
            "pass one of these",
        )
    if isinstance(metadata, Mapping):
        rows = [metadata]
        if not one:
            columns = {key: _listed(value, f"metadata[{key!r}]") for key, value in metadata.items()}
            wrong = [key for key, values in columns.items() if len(values) != n]
            if wrong:
                raise InputError(
                    f"LightPipeline: metadata[{wrong[0]!r}] has {len(columns[wrong[0]])} items,"
                    f" and there are {n} texts",
                    "one for each text",
                    "pass lists of one length",
                )
            rows = [{key: values[row] for key, values in columns.items()} for row in range(n)]
    else:
        rows = list(metadata)
    return [{str(key): _entry(key, value) for key, value in row.items()} for row in rows]


def _entry(key: Any, value: Any) -> str | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if is_text(value):
        return value if isinstance(value, str) else None
    raise WrongTypeError(
        f"LightPipeline: metadata[{key!r}] is {value!r:.100}", "a string", "convert it to str"
    )
