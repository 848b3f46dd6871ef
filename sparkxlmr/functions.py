"""Helpers around annotation columns, by Spark NLP's name of this module.

Two kinds. *Readers* make a plain column of a ``category`` column, in SQL alone::

    df.select("text", label("class"), score("class"), scores("class")["Sports"])

*Maps, filters and explode* are Spark NLP's own helpers: a Python function over the annotations of a row. They
send each annotation to Python and back, which costs many times what SQL's own functions cost
(``F.transform``, ``F.filter``, ``column.result``); take those where they can say it.
"""

from sparkxlmr.spark.session import require_pyspark

require_pyspark()  # before pyspark's own, less helpful, ModuleNotFoundError

from collections.abc import Callable, Iterable  # noqa: E402
from typing import Any  # noqa: E402

from pyspark.sql import Column, DataFrame, Row  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from pyspark.sql.types import BooleanType, DataType  # noqa: E402

from sparkxlmr.spark.annotation import ANNOTATION_TYPE, CATEGORY, Annotation, with_annotations  # noqa: E402
from sparkxlmr.spark.compat import ensure_worker_python  # noqa: E402
from sparkxlmr.spark.shipping import row_on_executor  # noqa: E402
from sparkxlmr.text.score_text import SCORE_TEXT  # noqa: E402

__all__ = [
    "explode_annotations_col", "filter_by_annotations_col", "label", "labels", "map_annotations",
    "map_annotations_array", "map_annotations_col", "map_annotations_cols", "map_annotations_strict", "score",
    "scores",
]  # fmt: skip

Annotations = list[Annotation]
Udf = Callable[..., Column]


def label(column: str | Column) -> Column:
    """The label: the result of the row's first annotation (string; null where there is none).

    Args:
        column: a column of annotations, by name or as Column.
    """
    return F.get(_column(column), F.lit(0))["result"].alias("label")


def labels(column: str | Column) -> Column:
    """The results of all annotations of the row (``array<string>``): with several sentences or labels."""
    return _column(column)["result"].alias("labels")


def score(column: str | Column, of: str | None = None) -> Column:
    """The score of a label in the row's first annotation (float; null where there is none).

    Args:
        column: a column of ``category`` annotations, by name or as Column; of others, such as those of a
            filled mask, the ``score`` in their metadata is read.
        of: the label; unset: the annotation's own.
    """
    first = F.get(_column(column), F.lit(0))
    own = F.when(first["annotatorType"] == CATEGORY, first["result"]).otherwise(F.lit("score"))
    text = F.try_element_at(first["metadata"], own if of is None else F.lit(of))
    return F.when(text.rlike(SCORE_TEXT), text.cast("float")).alias("score")


def scores(column: str | Column) -> Column:
    """The scores of the row's first annotation, by label (``map<string,float>``; null where there is none).

    Args:
        column: a column of ``category`` annotations, by name or as Column.
    """
    metadata = F.get(_column(column), F.lit(0))["metadata"]
    texts = F.map_filter(metadata, lambda _, text: text.rlike(SCORE_TEXT))
    return F.transform_values(texts, lambda _, text: text.cast("float")).alias("scores")


def map_annotations(f: Callable[[Annotations], Any], output_type: DataType) -> Udf:
    """A UDF that calls `f` with the annotations of a row.

    Args:
        f: from a list of :class:`Annotation` to such a list, or to what `output_type` says. A null column
            gives null, without a call.
        output_type: Spark type of what `f` returns, for example ``Annotation.arrayType()``.
    """

    mapped = row_on_executor("mapped", __name__, "_mapped", f)
    return F.udf(mapped, output_type, useArrow=False)


def map_annotations_array(f: Callable[[Annotations], Any], output_type: DataType) -> Udf:
    """As :func:`map_annotations`, of an array of annotation columns, whose annotations come as one list."""
    mapped = row_on_executor("mapped", __name__, "_mapped_array", f)
    return F.udf(mapped, output_type, useArrow=False)


def map_annotations_strict(f: Callable[[Annotations], Annotations]) -> Udf:
    """As :func:`map_annotations` for an `f` that returns annotations."""
    return map_annotations(f, Annotation.arrayType())


def map_annotations_col(
    dataframe: DataFrame,
    f: Callable[[Annotations], Any],
    column: str,
    output_column: str,
    annotatyon_type: str,
    output_type: DataType = ANNOTATION_TYPE,
) -> DataFrame:
    """The DataFrame with a new column: `f` of the annotations in `column`.

    Args:
        dataframe: with the column.
        f: as in :func:`map_annotations`.
        column: name of an annotation column.
        output_column: name of the new column.
        annotatyon_type: annotator type that the new column's metadata states. (The name is Spark NLP's.)
        output_type: Spark type of what `f` returns.
    """
    ensure_worker_python(dataframe.sparkSession)
    mapped = map_annotations(f, output_type)(column)
    return with_annotations(dataframe, output_column, mapped, annotatyon_type)


def map_annotations_cols(
    dataframe: DataFrame,
    f: Callable[[Annotations], Any],
    columns: list[str],
    output_column: str,
    annotatyon_type: str,
    output_type: DataType = ANNOTATION_TYPE,
) -> DataFrame:
    """As :func:`map_annotations_col`, of several columns, whose annotations come as one list in turn."""
    ensure_worker_python(dataframe.sparkSession)
    mapped = map_annotations_array(f, output_type)(F.array(*columns))
    return with_annotations(dataframe, output_column, mapped, annotatyon_type)


def filter_by_annotations_col(dataframe: DataFrame, f: Callable[[Any], bool], column: str) -> DataFrame:
    """The rows for which `f` of the column is true.

    Args:
        dataframe: with the column.
        f: from what the column holds, as ``collect`` gives it, to a bool: of an annotation column a list of
            Rows with an annotation's fields; after :func:`explode_annotations_col` one such Row.
        column: name of the column.
    """
    ensure_worker_python(dataframe.sparkSession)
    return dataframe.filter(F.udf(f, BooleanType(), useArrow=False)(column))


def explode_annotations_col(dataframe: DataFrame, column: str, output_column: str) -> DataFrame:
    """One row for each annotation in `column`; a row without any goes.

    Args:
        dataframe: with the column.
        column: name of an annotation column.
        output_column: name of the column with one annotation (a struct); `column` itself to replace it.
    """
    return dataframe.withColumn(output_column, F.explode(column))


def _column(column: str | Column) -> Column:
    return F.col(column) if isinstance(column, str) else column


def _mapped(f: Callable[[Annotations], Any], annotations: Any) -> Any:
    """On an executor: what :func:`map_annotations` gives for a row."""
    return None if annotations is None else _to_spark(f([Annotation.fromRow(row) for row in annotations]))


def _mapped_array(f: Callable[[Annotations], Any], columns: Any) -> Any:
    """On an executor: what :func:`map_annotations_array` gives for a row."""
    if columns is None:
        return None
    rows = [row for annotations in columns if annotations is not None for row in annotations]
    return _to_spark(f([Annotation.fromRow(row) for row in rows]))


def _to_spark(value: Any) -> Any:
    """What a UDF may return: annotations as Rows, alone or in whatever can be gone through."""
    if isinstance(value, Annotation):
        return Annotation.toRow(value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict, Row)):
        return [_to_spark(item) for item in value]
    return value
