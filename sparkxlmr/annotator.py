"""The annotators, by Spark NLP's name of this module: ``from sparkxlmr.annotator import ...``."""

from sparkxlmr.spark.session import require_pyspark

require_pyspark()  # before pyspark's own, less helpful, ModuleNotFoundError

from sparkxlmr.stages.albert_for_masked_lm import AlbertForMaskedLM  # noqa: E402
from sparkxlmr.stages.albert_for_sequence_classification import AlbertForSequenceClassification  # noqa: E402
from sparkxlmr.stages.albert_sentence_embeddings import AlbertSentenceEmbeddings  # noqa: E402
from sparkxlmr.stages.regex_tokenizer import RegexTokenizer  # noqa: E402
from sparkxlmr.stages.sentence_detector import SentenceDetector  # noqa: E402
from sparkxlmr.stages.tokenizer import Tokenizer, TokenizerModel  # noqa: E402
from sparkxlmr.stages.xlm_roberta_for_masked_lm import XlmRoBertaForMaskedLM  # noqa: E402
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import (  # noqa: E402
    XlmRoBertaForSequenceClassification,
)
from sparkxlmr.stages.xlm_roberta_sentence_embeddings import XlmRoBertaSentenceEmbeddings  # noqa: E402

__all__ = [
    "AlbertForMaskedLM",
    "AlbertForSequenceClassification",
    "AlbertSentenceEmbeddings",
    "RegexTokenizer",
    "SentenceDetector",
    "Tokenizer",
    "TokenizerModel",
    "XlmRoBertaForMaskedLM",
    "XlmRoBertaForSequenceClassification",
    "XlmRoBertaSentenceEmbeddings",
]
