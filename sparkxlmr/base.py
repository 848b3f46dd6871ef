"""The stages around annotators, by Spark NLP's name of this module: ``from sparkxlmr.base import ...``."""

from sparkxlmr.spark.session import require_pyspark

require_pyspark()  # before pyspark's own, less helpful, ModuleNotFoundError

from sparkxlmr.light import LightPipeline  # noqa: E402
from sparkxlmr.stages.document_assembler import DocumentAssembler  # noqa: E402
from sparkxlmr.stages.embeddings_finisher import EmbeddingsFinisher  # noqa: E402
from sparkxlmr.stages.finisher import Finisher  # noqa: E402

__all__ = ["DocumentAssembler", "EmbeddingsFinisher", "Finisher", "LightPipeline"]
