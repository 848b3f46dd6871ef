"""RegexTokenizer: from documents or sentences to the tokens between separators."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import Column, DataFrame

from sparkxlmr.runtime.cutting_options import separator_rules
from sparkxlmr.spark.annotation import DOCUMENT, TOKEN
from sparkxlmr.spark.annotator import Annotator, AnnotatorSettings
from sparkxlmr.spark.compat import ensure_worker_python
from sparkxlmr.spark.cutting import token_annotations
from sparkxlmr.spark.params import param


class RegexTokenizer(Annotator):
    r"""Cut documents or sentences at a pattern; what lies between its matches are the tokens.

    One annotation of type ``token`` for each, with its offsets in the document and the input's ``sentence``
    as metadata. The rules are those of :mod:`sparkxlmr.text.separators`. Where nothing reads the column Spark
    never computes it.

    Behaves as Spark NLP's stage of that name, with these differences: offsets are those of the token even
    where the same text stands in a separator before it, and refer to the document even where lower-casing
    changes lengths; a token of white space alone is dropped by ``trimWhitespace``, not kept empty.

    >>> tokenizer = RegexTokenizer().setInputCols(["document"]).setPattern(",").setTrimWhitespace(True)
    >>> tokenizer.getOutputCol()
    'regexToken'
    """

    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    output_type: ClassVar[str] = TOKEN

    inputCols = AnnotatorSettings.inputCols.but(default=["document"])
    outputCol = AnnotatorSettings.outputCol.but(default="regexToken")
    pattern = param("What stands between tokens: a Java regular expression.", str, r"\s+")
    toLowercase = param("Lower-case the text first; the pattern sees lower case.", bool, False)
    minLength = param("Shortest token kept.", int, 1, minimum=0)
    maxLength = param("Longest token kept.", int, minimum=1)
    trimWhitespace = param("Take white space out of tokens, that within them too.", bool, False)
    preservePosition = param(
        "Let offsets count white space that trimWhitespace takes off the ends.", bool, True
    )
    positionalMask = param("Kept for Spark NLP's sake; offsets are always those of the token.", bool, False)

    def _annotation_column(self, df: DataFrame, columns: dict[str, Column]) -> Column:
        ensure_worker_python(df.sparkSession)
        return token_annotations(columns[DOCUMENT], separator_rules(self.chosen()))
