"""What the masked language models of all families are as stages."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql import DataFrame

from sparkxlmr.runtime.stage_options import fill_options
from sparkxlmr.spark import mask_filling
from sparkxlmr.spark.annotation import DOCUMENT, TOKEN, bind, quoted, results_of, with_annotations
from sparkxlmr.spark.model_annotator import ModelAnnotator
from sparkxlmr.spark.params import param
from sparkxlmr.text.filled_masks import target_ids


class MaskedLanguageModel(ModelAnnotator):
    """Base of the stages that fill masks. Spark NLP has none; settings they share with its classifiers have
    its names."""

    task: ClassVar[str] = "masked_lm"
    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    optional_types: ClassVar[tuple[str, ...]] = (TOKEN,)
    output_type: ClassVar[str] = TOKEN

    maxSentenceLength = ModelAnnotator.maxSentenceLength.but(
        doc="Pieces that are read at once, special ones included; of a longer text those around each mask.",
        default=512,
    )
    topK = param("How many of the likeliest tokens each mask gets.", int, 5, minimum=1)
    targets = param("Tokens to choose from: pieces, or words of one piece; unset: the vocabulary.", list)

    def _transform(self, df: DataFrame) -> DataFrame:
        document = quoted(self._input_fields(df)[DOCUMENT].name)
        self._check_output(df)
        if self.setting("targets") is not None:
            # Refused here, where it can be told which one the vocabulary lacks.
            target_ids(self.model.text_tokenizer(), self.getTargets())
        bundle, ref = self._distributed(df.sparkSession, df.isStreaming)
        filled = mask_filling.filled(results_of(document), ref, fill_options(self._chosen(), bundle))
        # One expression, and so one projection: only through one does Spark push a limit below the UDF.
        column = bind(filled, lambda result: mask_filling.token_annotations(result, document))
        return with_annotations(df, self.required("outputCol"), column, self.output_type)
