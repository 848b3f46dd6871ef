"""What Spark hands a worker and what it takes back: Arrow arrays, or pandas where Spark knows no Arrow UDF.

Texts come as array<string>. Answers go back as a struct of arrays: the flat arrays of the runtime are what
Arrow's lists are made of, so that on that way no number becomes a Python object.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sparkxlmr.runtime.row_classifier import RowAnswers, RowTexts, Texts
from sparkxlmr.runtime.row_embedder import EmbeddedRows
from sparkxlmr.runtime.row_mask_filler import FilledRows
from sparkxlmr.text.ragged import Ragged

#: a batch of rows array<string>: pa.Array, or pd.Series of arrays (or lists) of strings
Batch = Any
Answers = RowAnswers | FilledRows | EmbeddedRows

#: Rows of a task's first answer, and how much longer each next one is until a whole Arrow batch is answered.
FIRST_ANSWER, GROWTH = 32, 4


def growing(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same rows, the first batch cut into parts that grow.

    Spark takes a limit (`show`) below one projection only; above two it reads answers until it has enough and
    then ends the task, which has answered a few dozen rows by then and not thousands.

    >>> [len(part) for part in growing(iter([pa.array(range(1000)), pa.array(range(1000))]))]
    [32, 128, 512, 328, 1000]
    """
    for batch in itertools.islice(batches, 1):
        start, size = 0, FIRST_ANSWER
        while start < len(batch) or start == 0:
            yield _part(batch, start, start + size)
            start, size = start + size, size * GROWTH
    yield from batches


def in_parts(batch: Batch, most: int) -> Iterator[Batch]:
    """A batch cut so that a part holds at most so many texts, or one row.

    >>> [part.to_pylist() for part in in_parts(pa.array([["a", "b"], ["c"], ["d"]]), 2)]
    [[['a', 'b']], [['c'], ['d']]]
    """
    start, held = 0, 0
    for row, count in enumerate(rows_of(batch).counts.tolist()):
        if held and held + count > most:
            yield _part(batch, start, row)
            start, held = row, 0
        held += count
    yield _part(batch, start, len(batch))


def _part(batch: Batch, start: int, stop: int) -> Batch:
    return batch.iloc[start:stop] if isinstance(batch, pd.Series) else batch[start:stop]


def rows_of(batch: Batch) -> RowTexts:
    """The texts of a batch; a null row has none.

    >>> rows = rows_of(pa.array([["a", None], None, []], pa.list_(pa.string())))
    >>> rows.texts, rows.counts.tolist()
    (['a', None], [2, 0, 0])
    """
    if isinstance(batch, pd.Series):
        return RowTexts.of([texts_of(value) for value in batch.tolist()])
    counts = pc.fill_null(pc.list_value_length(batch), 0).to_numpy(zero_copy_only=False)
    return RowTexts(pc.list_flatten(batch).to_pylist(), counts.astype(np.int64))


def texts_of(value: Any) -> Texts | None:
    """The texts of a row as pandas hands them over, whatever its version: None for a null row or a null text.

    A null row arrives as None or as NaN, a null string within it likewise.
    """
    if value is None or isinstance(value, float):
        return None
    return [text if isinstance(text, str) else None for text in value]


def columns_of(answers: Answers, columns: Sequence[str], like: Batch) -> Any:
    """The named fields of the answers as arrays, one item a row: in the form in which the batch came."""
    if isinstance(like, pd.Series):
        return pd.DataFrame({name: _objects(_listed(answers, name)) for name in columns})
    arrays = [_array(answers, name) for name in columns]
    fields = [pa.field(name, array.type) for name, array in zip(columns, arrays, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _listed(answers: Answers, name: str) -> Sequence[Any]:
    """A field's rows, one item each."""
    values = getattr(answers, name)
    if isinstance(answers, EmbeddedRows) and name == "vectors":
        offsets = answers.source.offsets
        return [list(values[start:stop]) for start, stop in itertools.pairwise(offsets)]
    if not isinstance(values, Ragged):
        return values
    if values.values.dtype.kind != "f":
        return values.lists()
    return [values[row] for row in range(len(values))]  # hundreds a row: better as arrays


def _objects(items: Sequence[Any]) -> pd.Series:
    """Each item one cell; arrays of equal length must not become a matrix."""
    return pd.Series(list(items), dtype=object)


def _array(answers: Answers, name: str) -> pa.Array:
    values = getattr(answers, name)
    if isinstance(values, Ragged):
        return _lists(values.offsets, pa.array(values.values))
    if isinstance(answers, EmbeddedRows):
        n_vectors, width = values.shape
        vectors = _lists(np.arange(n_vectors + 1) * width, pa.array(values.ravel()))
        return _lists(answers.source.offsets, vectors)
    kinds = {"token": pa.string(), "put_in": pa.string(), "score": pa.float32()}
    return pa.array(values, _list_of(kinds.get(name, pa.int32())))


def _lists(offsets: np.ndarray, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, type=_list_of(values.type))


def _list_of(kind: pa.DataType) -> pa.DataType:
    # As Spark names and declares the items of array<...> without nulls: else it would cast the whole answer.
    return pa.list_(pa.field("element", kind, nullable=False))
