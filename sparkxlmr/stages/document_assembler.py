"""DocumentAssembler: from a column of text to a column of document annotations, in SQL alone."""

from __future__ import annotations

from pyspark.ml import Transformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, CharType, DataType, MapType, StringType, VarcharType

from sparkxlmr.errors import InputError
from sparkxlmr.spark.annotation import DOCUMENT, annotation, annotation_array, quoted, with_annotations
from sparkxlmr.spark.annotator import find_field
from sparkxlmr.spark.compat import valid_utf8
from sparkxlmr.spark.output_columns import OutputSettings
from sparkxlmr.spark.params import param
from sparkxlmr.text.cleanup import MODES, RULES, TRIMMED


class DocumentAssembler(OutputSettings, Transformer, DefaultParamsReadable, DefaultParamsWritable):
    """Make document annotations of a text column, the first stage of every pipeline.

    The input column holds strings or arrays of strings. A string gives one annotation of type ``document``
    from 0 to its last code point, with ``{"sentence": "0"}`` as metadata; an array gives one for each item,
    each counted from 0, with its index as ``sentence``. Null text counts as empty, and empty text gives an
    annotation that begins at 0 and ends at -1; a null array gives no annotation. Offsets refer to the text
    after clean-up. Malformed UTF-8 bytes become U+FFFD, so that nothing after this stage meets them.

    Behaves as Spark NLP's stage of that name, with these differences: arrays may contain nulls; ``idCol`` and
    ``metadataCol`` work with arrays too; a null metadata map counts as empty.

    >>> assembler = DocumentAssembler().setInputCol("text").setCleanupMode("shrink")
    >>> assembler.getOutputCol()
    'document'
    """

    inputCol = param("Name of the text column: string, or array of strings.", str)
    outputCol = param("Name of the annotation column to make.", str, "document")
    idCol = param("Name of a column whose value becomes `id` in the metadata.", str)
    metadataCol = param("Name of a map<string,string> column to be added to the metadata.", str)
    cleanupMode = param("How white space is cleaned up.", str, "disabled", choices=MODES)

    def _transform(self, df: DataFrame) -> DataFrame:
        stage = type(self).__name__
        field = find_field(df, self.required("inputCol"), stage)
        self._check_output_columns(df, {"outputCol": self.required("outputCol")})
        text = quoted(field.name)
        if _is_string(field.dataType):
            documents = F.array(self._document(self._cleaned(text), F.lit("0"), df))
        elif isinstance(field.dataType, ArrayType) and _is_string(field.dataType.elementType):
            items = F.coalesce(text.cast("array<string>"), F.array().cast("array<string>"))
            documents = annotation_array(
                F.transform(items, self._cleaned),
                lambda item, index: self._document(item, index.cast("string"), df),
            )
        else:
            raise InputError(
                f"{stage}: column {field.name!r} has type {field.dataType.simpleString()}",
                "a string or an array of strings",
                f"cast it first, for example df.withColumn({field.name!r}, col.cast('string'))",
            )
        return with_annotations(df, self.required("outputCol"), documents, DOCUMENT)

    def _cleaned(self, text: Column) -> Column:
        """The text as the clean-up mode keeps it, never null: :func:`sparkxlmr.text.cleanup.clean` in SQL."""
        rule = RULES[self.setting("cleanupMode")]
        # the cast drops a collation, under which patterns would match without case
        text = F.coalesce(valid_utf8(text.cast("string")), F.lit(""))
        if rule.trim:
            text = F.btrim(text, F.lit(TRIMMED))
        return F.regexp_replace(text, rule.pattern, rule.replacement) if rule.pattern else text

    def _document(self, text: Column, sentence: Column, df: DataFrame) -> Column:
        return annotation(DOCUMENT, F.lit(0), F.length(text) - 1, text, self._metadata(sentence, df))

    def _metadata(self, sentence: Column, df: DataFrame) -> Column:
        """`sentence`, the user's map, and `id`; first and last win over such keys in the map."""
        stage = type(self).__name__
        own = [F.lit("sentence"), sentence]
        if self.setting("idCol"):
            id_field = find_field(df, self.setting("idCol"), stage)
            own += [F.lit("id"), quoted(id_field.name).cast("string")]
        if not self.setting("metadataCol"):
            return F.create_map(*own)
        field = find_field(df, self.setting("metadataCol"), stage)
        if not (isinstance(field.dataType, MapType) and _is_string(field.dataType.keyType)):
            raise InputError(
                f"{stage}: metadataCol {field.name!r} has type {field.dataType.simpleString()}",
                "a map with strings as keys",
                "make one with create_map, or leave metadataCol unset",
            )
        given = quoted(field.name).cast("map<string,string>")
        empty = F.create_map().cast("map<string,string>")
        names = ["sentence"] + (["id"] if self.setting("idCol") else [])
        # map_concat raises on a key that both maps have
        rest = F.map_filter(F.coalesce(given, empty), lambda key, _: ~key.isin(names))
        return F.map_concat(F.create_map(*own), rest)


def _is_string(data_type: DataType) -> bool:
    return isinstance(data_type, (StringType, VarcharType, CharType))
