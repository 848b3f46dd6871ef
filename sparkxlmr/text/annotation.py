"""The annotation as a Python value. Importing this needs no pyspark: readers without Spark use it too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Row
    from pyspark.sql.types import ArrayType, StructType

# Annotator types, Spark NLP's words.
DOCUMENT, TOKEN, CATEGORY, SENTENCE_EMBEDDINGS = "document", "token", "category", "sentence_embeddings"


@dataclass
class Annotation:
    """One finding in a text: a document, a token, a category. Spark NLP's class of the same name.

    Attributes:
        annotatorType: what kind of finding, for example ``document``, ``token`` or ``category``.
        begin: first character, counted in Unicode code points of the document (so ``text[begin:end + 1]``
            works).
        end: last character, inclusive; ``begin - 1`` for an empty text.
        result: the text found, or the label.
        metadata: further facts as text, for example ``{"sentence": "0"}``.
        embeddings: numbers, empty for most kinds.

    >>> token = Annotation("token", 0, 4, "Hello", {"sentence": "0"})
    >>> token.copy("hello").result
    'hello'
    >>> token
    Annotation(token, 0, 4, Hello, {'sentence': '0'})
    """

    annotatorType: str
    begin: int
    end: int
    result: str
    metadata: dict[str, str] = field(default_factory=dict)
    embeddings: list[float] = field(default_factory=list)

    def copy(self, result: str) -> Annotation:
        """The same annotation with another `result`."""
        return replace(self, result=result)

    def __repr__(self) -> str:
        return f"Annotation({self.annotatorType}, {self.begin}, {self.end}, {self.result}, {self.metadata})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What notebooks show: label, place and scores, everything escaped."""
        from sparkxlmr.text.annotation_html import annotation_html

        return annotation_html(self)

    @staticmethod
    def dataType() -> StructType:
        """The Spark type of one annotation, with the nullability of Spark NLP's JVM side."""
        from pyspark.sql import types as t

        return t.StructType(
            [
                t.StructField("annotatorType", t.StringType()),
                t.StructField("begin", t.IntegerType(), nullable=False),
                t.StructField("end", t.IntegerType(), nullable=False),
                t.StructField("result", t.StringType()),
                t.StructField("metadata", t.MapType(t.StringType(), t.StringType())),
                t.StructField("embeddings", t.ArrayType(t.FloatType(), containsNull=False)),
            ]
        )

    @staticmethod
    def arrayType() -> ArrayType:
        """The Spark type of an annotation column: an array of :meth:`dataType`."""
        from pyspark.sql.types import ArrayType

        return ArrayType(Annotation.dataType())

    @staticmethod
    def fromRow(row: Row) -> Annotation:
        """From the struct that ``collect`` returns. A null map or array becomes an empty one."""
        return Annotation(
            row["annotatorType"], row["begin"], row["end"], row["result"],
            dict(row["metadata"] or {}), list(row["embeddings"] or []),
        )  # fmt: skip

    @staticmethod
    def toRow(annotation: Annotation) -> Row:
        """To a Row of :meth:`dataType`, for ``createDataFrame``."""
        from pyspark.sql import Row

        values: dict[str, Any] = {name: getattr(annotation, name) for name in Annotation.__dataclass_fields__}
        return Row(**values)
