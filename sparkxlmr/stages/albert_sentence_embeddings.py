"""AlbertSentenceEmbeddings: the vector of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.sentence_embeddings import SentenceEmbeddings


class AlbertSentenceEmbeddings(SentenceEmbeddings):
    """Turn documents (or sentences) into vectors, with the encoder of an ALBERT model.

    What it reads and adds is told at :class:`XlmRoBertaSentenceEmbeddings`; only the model is another. Texts
    are lower-cased, and lose their accents, as the model's own tokenizer says; `setCaseSensitive` overrides
    the lower-casing alone. (Spark NLP has no such stage.)

    Example::

        embeddings = (
            AlbertSentenceEmbeddings.pretrained("albert_tiny_ag_news")
            .setInputCols("document")
            .setOutputCol("sentence_embeddings")
        )
    """

    family: ClassVar[str] = "albert"
    default_model: ClassVar[str] = "albert_tiny_ag_news"

    caseSensitive = SentenceEmbeddings.caseSensitive.but(default=False)
