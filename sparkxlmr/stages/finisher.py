"""Finisher: from annotation columns to plain strings and arrays, in SQL alone."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkxlmr.errors import SettingError
from sparkxlmr.spark.annotation import quoted
from sparkxlmr.spark.finishing import EMBEDDINGS, FinisherBase
from sparkxlmr.spark.params import param


class Finisher(FinisherBase):
    """Turn annotation columns into columns that any tool reads, and drop the annotations.

    For each input column comes an array of the results (``outputAsArray``, the default), or one string: the
    results joined by ``annotationSplitSymbol``. With ``includeMetadata`` an array gets a second column
    ``<output>_metadata``, an array of (key, value) pairs of all annotations in turn, with fields ``_1`` and
    ``_2``; in a string each annotation is written ``key->value#result->text``, parts joined by
    ``valueSplitSymbol``. A null column gives an empty array or string. ``cleanAnnotations`` drops every
    annotation column of the DataFrame, input or not. Behaves as Spark NLP's stage of that name.

    >>> Finisher().setInputCols(["document", "token"]).getInputCols()
    ['document', 'token']
    """

    outputAsArray = param("Arrays of results, instead of one joined string.", bool, True)
    includeMetadata = param("Give the metadata too.", bool, False)
    valueSplitSymbol = param("Stands between the metadata and the result of one annotation.", str, "#")
    annotationSplitSymbol = param("Stands between annotations.", str, "@")
    parseEmbeddingsVectors = param("Give embeddings (as text) in place of their results.", bool, False)

    def _transform(self, df: DataFrame) -> DataFrame:
        fields = self._input_fields(df)
        outputs = self._output_names([field.name for field in fields])
        as_array, with_metadata = self.setting("outputAsArray"), self.setting("includeMetadata")
        made = {
            output: self._results(quoted(field.name)) if as_array else self._joined(quoted(field.name))
            for field, output in zip(fields, outputs, strict=True)
        }
        if as_array and with_metadata:
            for field, output in zip(fields, outputs, strict=True):
                made[f"{output}_metadata"] = _metadata_pairs(quoted(field.name))
        if len({name.lower() for name in made}) < len(fields) * (2 if as_array and with_metadata else 1):
            raise SettingError(
                f"Finisher: outputCols is {outputs!r}, and with includeMetadata each gets a column"
                " <output>_metadata beside it",
                "names that differ from those too",
                "choose other names with setOutputCols([...]), or call setIncludeMetadata(False)",
            )
        return self._with_columns(df, made)

    def _text(self, annotation: Column) -> Column:
        """The text that stands for one annotation: its result, or its numbers."""
        result = F.coalesce(annotation["result"], F.lit(""))
        if not self.setting("parseEmbeddingsVectors"):
            return result
        numbers = F.array_join(annotation["embeddings"].cast("array<string>"), " ")
        return F.when(annotation["annotatorType"].isin(*EMBEDDINGS), numbers).otherwise(result)

    def _results(self, annotations: Column) -> Column:
        empty = F.array().cast("array<string>")
        return F.coalesce(F.transform(annotations, self._text), empty)

    def _joined(self, annotations: Column) -> Column:
        def written(annotation: Column) -> Column:
            if not self.setting("includeMetadata"):
                return self._text(annotation)
            pairs = F.transform(
                _entries(annotation),
                lambda e: F.concat(e["key"], F.lit("->"), F.coalesce(e["value"], F.lit("null"))),
            )
            parts = F.concat(pairs, F.array(F.concat(F.lit("result->"), self._text(annotation))))
            return F.array_join(parts, self.setting("valueSplitSymbol"))

        joined = F.array_join(F.transform(annotations, written), self.setting("annotationSplitSymbol"))
        return F.coalesce(joined, F.lit(""))


def _entries(annotation: Column) -> Column:
    """The metadata of an annotation as an array of (key, value); a null map is empty."""
    return F.map_entries(F.coalesce(annotation["metadata"], F.create_map().cast("map<string,string>")))


def _metadata_pairs(annotations: Column) -> Column:
    pair = "array<struct<_1:string,_2:string>>"
    return F.coalesce(F.flatten(F.transform(annotations, _entries)).cast(pair), F.array().cast(pair))
