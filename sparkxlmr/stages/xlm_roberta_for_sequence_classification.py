"""XlmRoBertaForSequenceClassification: the label of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.classifier import SequenceClassifier


class XlmRoBertaForSequenceClassification(SequenceClassifier):
    """Classify documents (or sentences) with an XLM-RoBERTa sequence classifier.

    Reads a `document` column, and a `token` column if one is given: Spark NLP's pipelines have one; it
    never changes a result, and where nothing else reads it Spark computes it no more. Adds `category`
    annotations: begin and end of the input annotation, result = the label, metadata = `sentence` and the
    score of every label (of the best `topScores`). Null, empty and blank documents get an empty array.
    Text beyond `maxSentenceLength` pieces is cut off, and `truncated` = "true" in the metadata says so.

    `setLongTextStrategy("windows")` reads all of a long text instead: in windows of `maxSentenceLength`
    pieces, of which neighbours share `stride` (unset: a quarter). Scores are the mean of the windows' scores,
    logits the mean of their logits, and `windows` in the metadata is their number.

    `setPairCol(column)`, for models that were trained on pairs: each text is read together with the row's
    second text (strings, or documents, several of them joined by a blank). Where that is null, empty or blank
    there is no pair, and no annotation. Of a pair that is too long the longer text is cut first; with windows
    the first is read in windows, and the second loses its end only where it fills more than half of them.

    A row is scored once for each time a job reads the column: writing, collecting, filtering, joining or
    grouping scores once. A global sort (`orderBy`) of the answers scores every row twice, because Spark first
    runs what stands below it to sample the ranges of the sort: write or cache the answers, then sort. `take`
    and `limit` score only the rows that they give; `show`, and a limit behind a `select`, a filter or the
    numeric columns, score a few dozen rows or more, because Spark takes no limit below two projections and
    reads answers until it has enough. `model.transform(df.limit(20)).show()` scores exactly those.

    Example::

        classifier = (
            XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
            .setInputCols("document", "token")
            .setOutputCol("language")
            .setTopScores(3)
        )
    """

    family: ClassVar[str] = "xlm_roberta"
    default_model: ClassVar[str] = "xlm_roberta_tiny_language_id"
