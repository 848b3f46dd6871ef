"""Tokenizer and TokenizerModel: from documents or sentences to words."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from pyspark.sql import Column, DataFrame

from sparkxlmr.runtime.cutting_options import word_rules
from sparkxlmr.spark.annotation import DOCUMENT, TOKEN
from sparkxlmr.spark.annotator import Annotator, AnnotatorEstimator, AnnotatorSettings
from sparkxlmr.spark.compat import ensure_worker_python
from sparkxlmr.spark.cutting import token_annotations
from sparkxlmr.spark.params import param
from sparkxlmr.text.words import CONTEXT_CHARS

Self = TypeVar("Self", bound="TokenizerSettings")


def _single_characters(values: list[str]) -> str | None:
    return None if all(len(value) == 1 for value in values) else "strings of one character each"


def _split_characters(values: list[str]) -> str | None:
    fine = all(len(v) == 1 or (len(v) == 2 and v[0] == "\\") for v in values)
    return None if fine else r"strings of one character each, or of a backslash and a character"


def _starts_text(value: str) -> str | None:
    return None if value.startswith(r"\A") else r"a pattern that begins with \A"


def _ends_text(value: str) -> str | None:
    return None if value.endswith(r"\z") else r"a pattern that ends with \z"


def _has_groups(values: list[str]) -> str | None:
    return (
        None if all("(" in v and ")" in v for v in values) else "patterns with groups: each group is a token"
    )


class TokenizerSettings(AnnotatorSettings):
    """The settings that Tokenizer and TokenizerModel share. Patterns are Java regular expressions."""

    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    output_type: ClassVar[str] = TOKEN

    targetPattern = param(
        "Which characters make a candidate, as the inside of a character class.", str, r"\S+"
    )
    contextChars = param(
        "Characters taken off both ends of a candidate.", list, list(CONTEXT_CHARS), check=_single_characters
    )
    prefixPattern = param(
        "What to take off the beginning, in place of contextChars.", str, check=_starts_text
    )
    suffixPattern = param("What to take off the end, in place of contextChars.", str, check=_ends_text)
    infixPatterns = param("What stands between prefix and suffix; tried in turn.", list, check=_has_groups)
    exceptions = param("Patterns of what stays whole, spaces inside included.", list)
    caseSensitiveExceptions = param("Whether exceptions look at the case of ASCII letters.", bool, True)
    splitPattern = param("Cuts tokens inside; what it matches is dropped. Wins over splitChars.", str)
    splitChars = param("Characters that cut tokens inside and are dropped.", list, check=_split_characters)
    minLength = param("Shortest token kept.", int, 0, minimum=0)
    maxLength = param("Longest token kept.", int, 99999, minimum=0)

    def addException(self: Self, value: str) -> Self:
        """Add one pattern to the exceptions."""
        return self._put("exceptions", [*(self.setting("exceptions") or []), value])

    def addContextChars(self: Self, value: str) -> Self:
        """Add one character to the context characters."""
        return self._put("contextChars", [*self.setting("contextChars"), value])

    def addSplitChars(self: Self, value: str) -> Self:
        """Add one character to the split characters."""
        return self._put("splitChars", [*(self.setting("splitChars") or []), value])

    def addInfixPattern(self: Self, value: str) -> Self:
        """Add an infix pattern that is tried before the others."""
        return self._put("infixPatterns", [value, *(self.setting("infixPatterns") or [])])


class TokenizerModel(TokenizerSettings, Annotator):
    r"""Cut documents or sentences into tokens: words, and the punctuation around them.

    One annotation of type ``token`` for each, with its offsets in the document, itself as result, and the
    input's ``sentence`` as metadata. The rules are those of :mod:`sparkxlmr.text.words`. It needs no
    training; the name and the estimator beside it are Spark NLP's. Where nothing reads the column Spark never
    computes it.

    Differs from Spark NLP where that one is wrong: offsets always cut out the token's own text, and a
    splitting character such as ``.`` is taken as itself, not as a pattern.
    """

    inputCols = AnnotatorSettings.inputCols.but(default=["document"])
    outputCol = AnnotatorSettings.outputCol.but(default="token")

    def _annotation_column(self, df: DataFrame, columns: dict[str, Column]) -> Column:
        ensure_worker_python(df.sparkSession)
        return token_annotations(columns[DOCUMENT], word_rules(self.chosen()))


class Tokenizer(TokenizerSettings, AnnotatorEstimator):
    """Estimator of :class:`TokenizerModel`: ``fit`` reads no data, it checks columns and patterns.

    >>> tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token").addException("New York")
    >>> tokenizer.getExceptions()
    ['New York']
    """

    exceptionsPath = param("A text file with one exception a line, read by Spark when fitting.", str)

    model_class: ClassVar[type[Annotator]] = TokenizerModel

    def setExceptionsPath(self, path: str, read_as: str = "TEXT", options: Any = None) -> Tokenizer:
        """Set the path of a text file with one exception a line; any file system that Spark can read.

        Args:
            path: of the file.
            read_as: kept for Spark NLP's sake; the file is always read as text.
            options: likewise.
        """
        return self._put("exceptionsPath", path)

    def _fit(self, df: DataFrame) -> Annotator:
        model = super()._fit(df)
        path = self.setting("exceptionsPath")
        if path:
            lines = [row["value"] for row in df.sparkSession.read.text(path).collect()]
            listed = [line for line in lines if line.strip()]
            model.setParams(exceptions=[*listed, *(self.setting("exceptions") or [])])
        if isinstance(model, TokenizerModel):
            word_rules(model.chosen())
        return model
