"""The annotators, by Spark NLP's name of this module: ``from sparkxlmr.annotator import ...``."""

from sparkxlmr.spark.session import require_pyspark

require_pyspark()  # before pyspark's own, less helpful, ModuleNotFoundError

from sparkxlmr.stages.tokenizer import Tokenizer, TokenizerModel  # noqa: E402
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import (  # noqa: E402
    XlmRoBertaForSequenceClassification,
)

__all__ = ["Tokenizer", "TokenizerModel", "XlmRoBertaForSequenceClassification"]
