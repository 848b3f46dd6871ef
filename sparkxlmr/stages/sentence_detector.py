"""SentenceDetector: from documents to sentences."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkxlmr.runtime.cutting_options import sentence_rules
from sparkxlmr.spark.annotation import DOCUMENT, quoted, with_annotations
from sparkxlmr.spark.annotator import Annotator
from sparkxlmr.spark.compat import ensure_worker_python
from sparkxlmr.spark.cutting import sentence_annotations
from sparkxlmr.spark.params import param
from sparkxlmr.text.sentences import STRATEGIES


class SentenceDetector(Annotator):
    r"""Cut documents into sentences.

    One annotation of type ``document`` for each, with its offsets in the document, itself as result, and as
    metadata the document's own with the sentence's number in the row as ``sentence``. White space around a
    sentence belongs to none. The rules are those of :mod:`sparkxlmr.text.sentences`: English abbreviations,
    numbers, lists, quotes and brackets are minded, ``. ; ! ?`` end a sentence; for the stops of other
    scripts set ``customBounds``. With ``explodeSentences`` each sentence gets a row of its own, and a row
    without sentences goes. Where nothing reads the column Spark never computes it.

    Behaves as Spark NLP's stage of that name, with these differences: offsets always cut out the sentence,
    also with ``splitLength``, and count from the input annotation's own begin; several documents in a row
    are worked off one after the other.

    >>> detector = SentenceDetector().setInputCols(["document"]).setOutputCol("sentence")
    >>> detector.setCustomBounds(["\n\n"]).getCustomBounds()
    ['\n\n']
    """

    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    output_type: ClassVar[str] = DOCUMENT

    useAbbreviations = param("Whether a stop after a known abbreviation may end nothing.", bool, True)
    detectLists = param("Whether the items of lists begin sentences.", bool, True)
    customBounds = param(
        "Patterns (Java regular expressions) of further sentence bounds, looked for first.", list, []
    )
    useCustomBoundsOnly = param(
        "Let nothing but customBounds end a sentence; without customBounds it does nothing.", bool, False
    )
    customBoundsStrategy = param(
        "Where the text of a custom bound goes: nowhere, before the next sentence, behind its own.",
        str,
        "none",
        choices=STRATEGIES,
    )
    explodeSentences = param("Make one row of each sentence.", bool, False)
    splitLength = param("Length at which longer sentences are cut, at spaces.", int, minimum=1)
    minLength = param("Shortest sentence kept.", int, 0, minimum=0)
    maxLength = param("Longest sentence kept.", int, 99999, minimum=0)

    def _annotation_column(self, df: DataFrame, columns: dict[str, Column]) -> Column:
        ensure_worker_python(df.sparkSession)
        return sentence_annotations(columns[DOCUMENT], sentence_rules(self.chosen()))

    def _transform(self, df: DataFrame) -> DataFrame:
        detected = super()._transform(df)
        if not self.setting("explodeSentences"):
            return detected
        name, one = self.required("outputCol"), f"__{self.uid}"
        rows = detected.select("*", F.explode(quoted(name)).alias(one))
        return with_annotations(rows, name, F.array(quoted(one)), self.output_type).drop(one)
