"""What the sentence embeddings of all families are as stages."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import DataFrame

from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.open_model_folder import Model
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.embedder import POOLINGS
from sparkxlmr.runtime.stage_options import embedding_options
from sparkxlmr.spark import embedding
from sparkxlmr.spark.annotation import (
    ANNOTATOR_TYPE_KEY,
    DOCUMENT,
    SENTENCE_EMBEDDINGS,
    TOKEN,
    bind,
    quoted,
    results_of,
)
from sparkxlmr.spark.model_annotator import ModelAnnotator
from sparkxlmr.spark.params import param


class SentenceEmbeddings(ModelAnnotator):
    """Base of the sentence embeddings of a family; settings have Spark NLP's names where it has them."""

    task: ClassVar[str] = Encoder.kind
    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    optional_types: ClassVar[tuple[str, ...]] = (TOKEN,)
    output_type: ClassVar[str] = SENTENCE_EMBEDDINGS

    poolingStrategy = param(
        "mean: of all tokens' vectors. cls: the first token's.", str, "mean", choices=POOLINGS
    )
    normalize = param("Whether vectors have length 1.", bool, False)
    dimension = param("Numbers of a vector. It is the model's own; another one is refused.", int, minimum=1)

    def getDimension(self) -> int | None:
        """How many numbers a vector has: the model's, where there is one, else what was set, or None."""
        return self.setting("dimension") if self._model is None else self._model.dimension

    def _fits(self, model: Model) -> bool:
        return isinstance(model, Preset) or model.task_kind == Encoder.kind

    def _compiled_model(self) -> Model:
        return Encoder.of(self.model) if isinstance(self.model, Preset) else self.model

    def _check_settings(self, bundle: Bundle) -> None:
        embedding_options(self._chosen(), bundle, self.getDimension())

    def _transform(self, df: DataFrame) -> DataFrame:
        document = quoted(self._input_fields(df)[DOCUMENT].name)
        self._check_output(df)
        bundle, ref = self._distributed(df.sparkSession, df.isStreaming)
        options = embedding_options(self._chosen(), bundle, self.getDimension())
        embedded = embedding.embedded(results_of(document), ref, options)
        # One expression, and so one projection: only through one does Spark push a limit below the UDF.
        column = bind(embedded, lambda result: embedding.vector_annotations(result, document))
        name = self.required("outputCol")
        told: dict[str, str | int] = {ANNOTATOR_TYPE_KEY: self.output_type}
        if (dimension := self.getDimension()) is not None:
            told["dimension"] = dimension  # as in Spark NLP
        return df.withColumn(name, column.alias(name, metadata=told))
