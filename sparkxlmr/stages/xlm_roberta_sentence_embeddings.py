"""XlmRoBertaSentenceEmbeddings: the vector of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.sentence_embeddings import SentenceEmbeddings


class XlmRoBertaSentenceEmbeddings(SentenceEmbeddings):
    """Turn documents (or sentences) into vectors, with the encoder of an XLM-RoBERTa model.

    Any model of the family has one: a classifier, a masked language model, a bare encoder. Reads a `document`
    column, and a `token` column if one is given, which never changes a result. Adds `sentence_embeddings`
    annotations: begin, end and result of the input annotation, the vector as `embeddings`, and in the
    metadata `sentence`, `token` (the text), `pieceId` ("-1") and `isWordStart` ("true"), as in Spark NLP.
    Null, empty and blank documents get an empty array. Text beyond `maxSentenceLength` pieces is cut off, and
    `truncated` = "true" in the metadata says so.

    The vector is taken from the last layer: with `poolingStrategy` "mean" the mean over all tokens, `<s>` and
    `</s>` among them, as sentence-transformers takes it; with "cls" that of `<s>`. `setNormalize(True)` gives
    it length 1. (Spark NLP answers what the checkpoint's pooler makes of `<s>`, which XLM-R never trained.)

    A row is computed once for each time a job reads the column, as told at
    :class:`XlmRoBertaForSequenceClassification`. `EmbeddingsFinisher` makes Spark ML vectors of the column.

    Example::

        embeddings = (
            XlmRoBertaSentenceEmbeddings.pretrained("xlm_roberta_tiny_masked_lm")
            .setInputCols("document")
            .setOutputCol("sentence_embeddings")
            .setNormalize(True)
        )
    """

    family: ClassVar[str] = "xlm_roberta"
    default_model: ClassVar[str] = "xlm_roberta_tiny_masked_lm"
