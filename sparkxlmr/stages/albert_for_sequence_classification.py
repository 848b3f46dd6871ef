"""AlbertForSequenceClassification: the label of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.classifier import SequenceClassifier


class AlbertForSequenceClassification(SequenceClassifier):
    """Classify documents (or sentences) with an ALBERT sequence classifier.

    What it reads, adds and scores is told at :class:`XlmRoBertaForSequenceClassification`; only the model is
    another. Texts are lower-cased, and lose their accents, as the model's own tokenizer says (a Hugging Face
    checkpoint brings it); `setCaseSensitive` overrides the lower-casing alone. Its default reads False, as
    in Spark NLP, and like every default decides nothing.

    Example::

        classifier = (
            AlbertForSequenceClassification.pretrained("albert_tiny_ag_news")
            .setInputCols("document", "token")
            .setOutputCol("topic")
        )
    """

    family: ClassVar[str] = "albert"
    default_model: ClassVar[str] = "albert_tiny_ag_news"

    caseSensitive = SequenceClassifier.caseSensitive.but(default=False)
