"""The annotation column: its type, and SQL expressions that build it from plain arrays.

Annotation structs never cross into Python: that costs 7 to 50 times a plain column. A stage that needs Python
gets ``document.result`` (array of strings), returns plain arrays, and the functions here make structs of them
in SQL. Spark NLP's JVM form is the reference; types are compared without nullability, because Python-made
columns and files differ in it without meaning anything.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from sparkxlmr.spark.compat import valid_utf8
from sparkxlmr.text.annotation import CATEGORY, DOCUMENT, SENTENCE_EMBEDDINGS, TOKEN, Annotation

__all__ = [
    "ANNOTATION_STRUCT", "ANNOTATION_TYPE", "ANNOTATOR_TYPE_KEY", "CATEGORY", "DOCUMENT",
    "SENTENCE_EMBEDDINGS", "TOKEN", "Annotation", "annotation", "annotation_array", "annotator_type", "bind",
    "is_annotation_field", "no_embeddings", "quoted", "results_of", "same_type", "with_annotations",
]  # fmt: skip

ANNOTATION_STRUCT = Annotation.dataType()
ANNOTATION_TYPE = Annotation.arrayType()
ANNOTATOR_TYPE_KEY = "annotatorType"


def same_type(left: DataType, right: DataType) -> bool:
    """Whether two types are the same apart from nullability, collation and column metadata."""
    if isinstance(left, ArrayType) and isinstance(right, ArrayType):
        return same_type(left.elementType, right.elementType)
    if isinstance(left, MapType) and isinstance(right, MapType):
        return same_type(left.keyType, right.keyType) and same_type(left.valueType, right.valueType)
    if isinstance(left, StructType) and isinstance(right, StructType):
        return left.names == right.names and all(
            same_type(a.dataType, b.dataType) for a, b in zip(left.fields, right.fields, strict=True)
        )
    if isinstance(left, StringType):
        return isinstance(right, StringType)
    return left == right


def is_annotation_field(field: StructField) -> bool:
    """Whether a column of a schema holds annotations (by its type; its metadata may have been lost)."""
    return same_type(field.dataType, ANNOTATION_TYPE)


def annotator_type(field: StructField) -> str | None:
    """The annotator type that a column's metadata states, or None where it states none."""
    stated = field.metadata.get(ANNOTATOR_TYPE_KEY) if field.metadata else None
    return stated if isinstance(stated, str) else None


def quoted(name: str) -> Column:
    """The column called exactly `name`, dots and backticks in it included."""
    return F.col("`" + name.replace("`", "``") + "`")


def results_of(annotations: Column) -> Column:
    """The results of an annotation column as ``array<string>`` that Python can read.

    DocumentAssembler leaves no malformed UTF-8 behind; annotations that come from elsewhere (a file, an
    expression) may hold some, and one such byte would end the task.
    """
    return F.transform(annotations["result"], valid_utf8)


def no_embeddings() -> Column:
    """An empty ``array<float>`` whose elements cannot be null, as Spark NLP's."""
    return F.slice(F.array(F.lit(0.0).cast("float")), 1, 0)


def annotation(
    kind: str, begin: Column, end: Column, result: Column, metadata: Column, embeddings: Column | None = None
) -> Column:
    """One annotation struct. `begin` and `end` must not be null; where they are, -1 stands in the column.

    Args:
        kind: the annotator type.
        begin: int, first code point.
        end: int, last code point, inclusive.
        result: string.
        metadata: ``map<string,string>``.
        embeddings: ``array<float>``; none if left out.
    """
    return F.struct(
        F.lit(kind).alias("annotatorType"),
        # coalesce also makes the field not nullable, which the schema promises
        F.coalesce(begin.cast("int"), F.lit(-1)).alias("begin"),
        F.coalesce(end.cast("int"), F.lit(-1)).alias("end"),
        result.alias("result"),
        metadata.alias("metadata"),
        (no_embeddings() if embeddings is None else embeddings).alias("embeddings"),
    )


def annotation_array(items: Column, build: Callable[[Column, Column], Column]) -> Column:
    """An annotation column: one struct for each element of the array `items`.

    Args:
        items: any array column; null gives null.
        build: makes the struct (with :func:`annotation`) from the element and its index, both Columns.
    """
    return F.transform(items, build)


def bind(value: Column, body: Callable[[Column], Column]) -> Column:
    """``body(value)`` with `value` evaluated once, however often `body` mentions it.

    A nondeterministic UDF that an expression mentions twice would otherwise run twice.
    """
    return F.get(F.transform(F.array(value), body), F.lit(0))


def with_annotations(df: DataFrame, name: str, column: Column, kind: str) -> DataFrame:
    """`df` with the annotation column `name`, whose metadata states its annotator type."""
    return df.withColumn(name, column.alias(name, metadata={ANNOTATOR_TYPE_KEY: kind}))
