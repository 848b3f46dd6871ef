"""What annotators share: input and output columns, their check on the driver, the annotation column.

A subclass says what it reads and what it makes, and how one column comes out of the others::

    class TokenizerModel(Annotator):
        input_types = (DOCUMENT,)
        output_type = TOKEN

        def _annotation_column(self, df, columns):
            return tokens_of(columns[DOCUMENT])
"""

from __future__ import annotations

from typing import ClassVar

from pyspark.ml import Estimator, Transformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql.types import StructField, StructType

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import annotator_type, is_annotation_field, quoted, with_annotations
from sparkxlmr.spark.compat import case_sensitive
from sparkxlmr.spark.output_columns import OutputSettings
from sparkxlmr.spark.params import param


def find_field(df: DataFrame, name: str, stage: str) -> StructField:
    """The field of the column `name`, compared as this session does (`spark.sql.caseSensitive`).

    Raises:
        InputError: there is none, or more than one.
    """
    schema = df.schema
    exact = case_sensitive(df.sparkSession)
    same = [f for f in schema.fields if f.name == name or (not exact and f.name.lower() == name.lower())]
    if len(same) == 1:
        return same[0]
    if same:
        raise InputError(
            f"{stage}: {len(same)} columns are called {name!r}"
            + ("" if exact else " (Spark does not look at case)"),
            "column names that differ",
            "rename or drop all but one",
        )
    raise InputError(
        f"{stage}: there is no column {name!r}",
        f"one of the columns there: {', '.join(repr(n) for n in schema.names) or '(none)'}",
        "set the right column name, or put the stage that makes it before this one",
    )


def find_annotations(df: DataFrame, name: str, stage: str, remedy: str) -> StructField:
    """As :func:`find_field`, for a column of annotations of any type; InputError also where it holds none."""
    field = find_field(df, name, stage)
    if not is_annotation_field(field):
        there = ", ".join(repr(f.name) for f in df.schema if is_annotation_field(f)) or "(none)"
        raise InputError(
            f"{stage}: column {field.name!r} has type {field.dataType.simpleString()}",
            f"one of the annotation columns there: {there}",
            remedy,
        )
    return field


class AnnotatorSettings(OutputSettings):
    """The columns of an annotator, and the rules of their types. Of transformers and estimators alike."""

    #: annotator types of the input columns, each needed
    input_types: ClassVar[tuple[str, ...]] = ()
    #: annotator types that may come besides
    optional_types: ClassVar[tuple[str, ...]] = ()
    #: annotator type of the output column
    output_type: ClassVar[str] = ""

    inputCols = param("Names of the annotation columns to read; the order does not matter.", list)
    outputCol = param("Name of the annotation column to make.", str)
    lazyAnnotator = param(
        "Kept for Spark NLP's sake; columns that nothing reads are never computed.", bool, False
    )

    def _input_fields(self, df: DataFrame) -> dict[str, StructField]:
        """The input columns by annotator type, found without running a job.

        A column says its type in its metadata. Where that was lost (a UDF, a union, a format without
        metadata) but the column has the annotation struct, it takes the first type that no other column has,
        in the order given.

        Raises:
            SettingError: inputCols or outputCol not set, or of the wrong number.
            InputError: a column is missing, ambiguous, no annotation, or of another annotator type.
        """
        stage = type(self).__name__
        names: list[str] = self.required("inputCols")
        self.required("outputCol")
        allowed = (*self.input_types, *self.optional_types)
        wanted = " and ".join(self.input_types) + "".join(
            f" (and {kind}, if you like)" for kind in self.optional_types
        )
        if not len(self.input_types) <= len(names) <= len(allowed):
            raise SettingError(
                f"{stage}: inputCols is {names!r}", f"columns of type {wanted}", "call setInputCols([...])"
            )
        found: dict[str, StructField] = {}
        unstated: list[StructField] = []
        for field in (find_field(df, name, stage) for name in names):
            kind = annotator_type(field)
            if not is_annotation_field(field):
                raise InputError(
                    f"{stage}: column {field.name!r} has type {field.dataType.simpleString()}",
                    f"an annotation column of type {wanted}",
                    "make it with DocumentAssembler, Tokenizer or another annotator",
                )
            if kind is None:
                unstated.append(field)
            elif kind not in allowed or kind in found:
                raise self._wrong_type(field, kind, wanted, df.schema)
            else:
                found[kind] = field
        for field, kind in zip(unstated, [kind for kind in allowed if kind not in found], strict=False):
            found[kind] = field
        missing = [kind for kind in self.input_types if kind not in found]
        if missing:
            raise self._wrong_type(next(iter(found.values())), next(iter(found)), wanted, df.schema)
        return found

    def _wrong_type(self, field: StructField, kind: str, wanted: str, schema: StructType) -> InputError:
        there = [
            f"{f.name!r} ({annotator_type(f) or 'type not stated'})" for f in schema if is_annotation_field(f)
        ]
        return InputError(
            f"{type(self).__name__}: inputCols is {self.setting('inputCols')!r}, and column {field.name!r}"
            f" holds annotations of type {kind}",
            f"columns of type {wanted}",
            f"choose among the annotation columns there: {', '.join(there)}",
        )

    def _check_output(self, df: DataFrame) -> None:
        """Refuse output columns that exist already; see :meth:`OutputSettings._check_output_columns`."""
        self._check_output_columns(df, {"outputCol": self.required("outputCol")})

    def _input_columns(self, df: DataFrame) -> dict[str, Column]:
        """As :meth:`_input_fields`, with Columns; optional types that were not given are absent."""
        return {kind: quoted(field.name) for kind, field in self._input_fields(df).items()}


class Annotator(AnnotatorSettings, Transformer, DefaultParamsReadable, DefaultParamsWritable):
    """A Spark ML transformer that adds one annotation column computed from others."""

    def _annotation_column(self, df: DataFrame, columns: dict[str, Column]) -> Column:
        """The new column (type ``ANNOTATION_TYPE``), from the input columns by annotator type."""
        raise NotImplementedError(f"{type(self).__name__} must say how its column is made")

    def _transform(self, df: DataFrame) -> DataFrame:
        columns = self._input_columns(df)
        self._check_output(df)
        column = self._annotation_column(df, columns)
        return with_annotations(df, self.required("outputCol"), column, self.output_type)


class AnnotatorEstimator(AnnotatorSettings, Estimator, DefaultParamsReadable, DefaultParamsWritable):
    """A Spark ML estimator whose ``fit`` checks the columns and gives a transformer with its settings."""

    model_class: ClassVar[type[Annotator]]

    def _fit(self, df: DataFrame) -> Annotator:
        self._input_fields(df)
        self._check_output(df)
        model: Annotator = self._copyValues(self.model_class())
        return model
