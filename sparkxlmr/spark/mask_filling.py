"""Masks filled in one crossing into Python, and the SQL that builds annotations from the plain arrays.

As in :mod:`sparkxlmr.spark.scoring` the UDF reads `document.result`, an array<string>, and returns a struct
of flat arrays; begin and end are those of the mask in the input annotation, moved to where that stands.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, IntegerType, StringType, StructField, StructType

from sparkxlmr.runtime.row_annotations import SENTENCE, SEQUENCE
from sparkxlmr.runtime.row_mask_filler import FillOptions
from sparkxlmr.spark.annotation import TOKEN, annotation, annotation_array
from sparkxlmr.spark.compat import valid_utf8
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.shipping import Batches, crossing, on_executor, settings_of

_KINDS = {
    **dict.fromkeys(("source", "begin", "end", "mask", "rank", "token_id", "kept"), IntegerType()),
    **dict.fromkeys(("token", "put_in"), StringType()),
    "score": FloatType(),
}
#: What the UDF returns for a row: an item for each rank of each mask of each text.
RESULT_TYPE = StructType([StructField(name, ArrayType(kind, False), True) for name, kind in _KINDS.items()])
#: Metadata beside `sentence`, by the name of the array that it is taken from; last the text with it in.
METADATA = ("mask", "rank", "score", "token_id")
_ALL = (1 << 31) - 1


def fill_function(ref: ModelRef, options: FillOptions) -> Batches:
    """The function that Spark ships: it holds plain values only."""
    arguments = (ref.to_wire(), settings_of(options), RESULT_TYPE.names)
    return on_executor("fill", "sparkxlmr.spark.worker", "fill_batches", *arguments)


def filled(texts: Column, ref: ModelRef, options: FillOptions) -> Column:
    """The struct of :data:`RESULT_TYPE` for a column array<string> (null, or null items, have no masks)."""
    return crossing(fill_function(ref, options), RESULT_TYPE, texts, arrow=True)


def token_annotations(result: Column, document: Column) -> Column:
    """The array of `token` annotations, from a column of :func:`filled` and its input annotations."""

    def token(source: Column, position: Column) -> Column:
        origin = F.element_at(document, source + 1)
        values = {name: F.element_at(result[name], position + 1) for name in RESULT_TYPE.names}
        sentence = F.coalesce(origin["metadata"][SENTENCE], source.cast("string"))
        # As `sequence_of` has it: made here, a text of many masks need not cross for each of them.
        text = valid_utf8(origin["result"])
        start, rest = text.substr(F.lit(1), values["kept"]), text.substr(values["end"] + 2, F.lit(_ALL))
        metadata = F.map_from_arrays(
            F.array(*[F.lit(name) for name in (SENTENCE, *METADATA, SEQUENCE)]),
            F.array(
                sentence,
                *[values[name].cast("string") for name in METADATA],
                F.concat(start, values["put_in"], rest),
            ),
        )
        begin, end = (origin["begin"] + values[name] for name in ("begin", "end"))
        return annotation(TOKEN, begin, end, values["token"], metadata)

    return annotation_array(result["source"], token)
