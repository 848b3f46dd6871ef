"""Vectors of texts in one crossing into Python, and the SQL that builds annotations from them.

As in :mod:`sparkxlmr.spark.scoring` the UDF reads `document.result`, an array<string>, and returns a struct
of plain arrays; everything else of an annotation is taken from the input annotation by SQL.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, FloatType, IntegerType, StructField, StructType

from sparkxlmr.runtime.row_annotations import SENTENCE, TRUNCATED, VECTOR_METADATA
from sparkxlmr.runtime.row_embedder import EmbedOptions
from sparkxlmr.spark.annotation import SENTENCE_EMBEDDINGS, annotation, annotation_array
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.shipping import Batches, crossing, on_executor, settings_of

#: What the UDF returns for a row: an item for each text that has a vector.
RESULT_TYPE = StructType(
    [
        StructField("source", ArrayType(IntegerType(), False), True),
        StructField("truncated", ArrayType(BooleanType(), False), True),
        StructField("vectors", ArrayType(ArrayType(FloatType(), False), False), True),
    ]
)


def embed_function(ref: ModelRef, options: EmbedOptions) -> Batches:
    """The function that Spark ships: it holds plain values only."""
    arguments = (ref.to_wire(), settings_of(options), RESULT_TYPE.names)
    return on_executor("embed", "sparkxlmr.spark.worker", "embed_batches", *arguments)


def embedded(texts: Column, ref: ModelRef, options: EmbedOptions) -> Column:
    """The struct of :data:`RESULT_TYPE` for a column array<string> (null, or null items, have no vectors)."""
    return crossing(embed_function(ref, options), RESULT_TYPE, texts, arrow=True)


def vector_annotations(result: Column, document: Column) -> Column:
    """The array of `sentence_embeddings` annotations, from a column of :func:`embedded` and its input
    annotations."""

    def vector(source: Column, position: Column) -> Column:
        origin = F.element_at(document, source + 1)
        sentence = F.coalesce(origin["metadata"][SENTENCE], source.cast("string"))
        names = [SENTENCE, "token", *VECTOR_METADATA]
        values = [sentence, origin["result"], *map(F.lit, VECTOR_METADATA.values())]
        metadata, cut = (
            F.map_from_arrays(F.array(*map(F.lit, keys)), F.array(*entries))
            for keys, entries in ((names, values), ([*names, TRUNCATED], [*values, F.lit("true")]))
        )
        return annotation(
            SENTENCE_EMBEDDINGS,
            origin["begin"],
            origin["end"],
            origin["result"],
            F.when(F.element_at(result["truncated"], position + 1), cut).otherwise(metadata),
            F.element_at(result["vectors"], position + 1),
        )

    return annotation_array(result["source"], vector)
