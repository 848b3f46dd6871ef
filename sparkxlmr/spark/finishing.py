"""What finishers share: which annotation columns they read, and what becomes of those that are there."""

from __future__ import annotations

from collections import Counter

from pyspark.ml import Transformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from sparkxlmr.errors import SettingError
from sparkxlmr.spark.annotation import is_annotation_field, quoted
from sparkxlmr.spark.annotator import find_annotations
from sparkxlmr.spark.compat import case_sensitive
from sparkxlmr.spark.output_columns import OutputSettings
from sparkxlmr.spark.params import param

#: annotator types whose annotations hold numbers
EMBEDDINGS = ("word_embeddings", "sentence_embeddings")


class FinisherBase(OutputSettings, Transformer, DefaultParamsReadable, DefaultParamsWritable):
    """A Spark ML transformer that makes plain columns of annotation columns, in SQL alone."""

    inputCols = param("Names of the annotation columns to read.", list)
    outputCols = param("Names of the columns to make; unset: finished_ and the input's name.", list, [])
    cleanAnnotations = param("Drop every annotation column.", bool, True)

    def _input_fields(self, df: DataFrame) -> list[StructField]:
        """The fields of the input columns; InputError where one is missing or holds no annotations."""
        stage = type(self).__name__
        remedy = "name an annotation column with setInputCols"
        return [find_annotations(df, name, stage, remedy) for name in self.required("inputCols")]

    def _output_names(self, inputs: list[str]) -> list[str]:
        """A name for each input; SettingError where outputCols gives another number, or one twice."""
        names = self.setting("outputCols") or [f"finished_{name}" for name in inputs]
        if len(names) != len(inputs) or len({name.lower() for name in names}) != len(names):
            raise SettingError(
                f"{type(self).__name__}: outputCols is {names!r}, and there are {len(inputs)} input columns",
                "one name for each input column, all different",
                "call setOutputCols([...]), or leave it unset",
            )
        return names

    def _with_columns(self, df: DataFrame, made: dict[str, Column]) -> DataFrame:
        """`df` with the columns made, and without annotations where cleanAnnotations says so.

        Raises InputError where a column of such a name exists that is not dropped.
        """
        cleans = self.setting("cleanAnnotations")
        dropped = [field.name for field in df.schema if cleans and is_annotation_field(field)]
        for name in made:
            self._check_output_columns(df, {"outputCols": name}, dropped)
        result = df.withColumns(made)
        return _without_annotations(result) if cleans else result


def _without_annotations(df: DataFrame) -> DataFrame:
    fold = str if case_sensitive(df.sparkSession) else str.lower
    annotations = [field for field in df.schema if is_annotation_field(field)]
    n_called = Counter(fold(field.name) for field in df.schema)
    if all(n_called[fold(field.name)] == 1 for field in annotations):
        return df.drop(*[quoted(field.name) for field in annotations])
    # Columns of one name (after a join, say) cannot be told apart by it: for a moment each has its own.
    kept = [(i, field.name) for i, field in enumerate(df.schema) if not is_annotation_field(field)]
    numbered = df.toDF(*[f"c{i}" for i in range(len(df.columns))])
    return numbered.select(*[F.col(f"c{i}").alias(name) for i, name in kept])
