"""EmbeddingsFinisher: from embedding annotations to arrays of numbers or Spark ML vectors, in SQL alone."""

from __future__ import annotations

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from sparkxlmr.errors import InputError
from sparkxlmr.spark.annotation import annotator_type, quoted
from sparkxlmr.spark.finishing import EMBEDDINGS, FinisherBase
from sparkxlmr.spark.params import param


class EmbeddingsFinisher(FinisherBase):
    """Turn columns of embeddings into columns that Spark ML reads.

    The input columns hold annotations of type ``word_embeddings`` or ``sentence_embeddings``. For each comes
    an array with one embedding for each annotation: ``array<array<float>>``, or with ``outputAsVector`` an
    array of Spark ML vectors (of doubles). A null column gives an empty array, an annotation without numbers
    an empty one. ``cleanAnnotations`` drops every annotation column of the DataFrame, input or not.

    Behaves as Spark NLP's stage of that name with the defaults of its Python side, but for null columns,
    which crash it.

    >>> EmbeddingsFinisher().setInputCols(["embeddings"]).setOutputAsVector(True).getCleanAnnotations()
    False
    """

    cleanAnnotations = FinisherBase.cleanAnnotations.but(default=False)
    outputAsVector = param("Spark ML vectors, instead of arrays of floats.", bool, False)

    def _transform(self, df: DataFrame) -> DataFrame:
        fields = self._input_fields(df)
        outputs = self._output_names([field.name for field in fields])
        made = {
            output: self._embeddings(quoted(field.name))
            for field, output in zip(fields, outputs, strict=True)
        }
        return self._with_columns(df, made)

    def _input_fields(self, df: DataFrame) -> list[StructField]:
        fields = super()._input_fields(df)
        for field in fields:
            kind = annotator_type(field)
            if kind is not None and kind not in EMBEDDINGS:
                raise InputError(
                    f"{type(self).__name__}: column {field.name!r} holds annotations of type {kind}",
                    f"annotations of type {' or '.join(EMBEDDINGS)}",
                    "name such a column with setInputCols, or read others with Finisher",
                )
        return fields

    def _embeddings(self, annotations: Column) -> Column:
        floats = "array<array<float>>"
        no_numbers = F.array().cast("array<float>")
        embeddings = F.transform(annotations["embeddings"], lambda e: F.coalesce(e, no_numbers))
        embeddings = F.coalesce(embeddings, F.array().cast(floats))
        if not self.setting("outputAsVector"):
            return embeddings
        return F.transform(embeddings, lambda e: array_to_vector(e.cast("array<double>")))
