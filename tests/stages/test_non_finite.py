"""NaN in a model's output ends a Spark job with the row's position, in every task."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.annotator import (
    XlmRoBertaForMaskedLM,
    XlmRoBertaForSequenceClassification,
    XlmRoBertaSentenceEmbeddings,
)
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.jobs.outcome import readable
from sparkxlmr.presets.preset import Preset

N_BEFORE, BAD_TEXT = 700, "a <mask> " + "a " * 70


@pytest.fixture(scope="module")
def documents(spark):
    """One partition, in whose second batch of answers the bad text stands."""
    rows = [("a <mask>",)] * N_BEFORE + [(BAD_TEXT,), ("a <mask>",)]
    df = spark.createDataFrame(rows, "text string").coalesce(1)
    return DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df)


@pytest.mark.parametrize(
    ("stage", "checkpoint"),
    [
        (XlmRoBertaForSequenceClassification, "xlmr_sequence_classification"),
        (XlmRoBertaForMaskedLM, "xlmr_masked_lm"),
        (XlmRoBertaSentenceEmbeddings, "xlmr_sequence_classification"),
    ],
)
def test_job_ends_with_the_position_of_the_row(documents, changed_checkpoint, stage, checkpoint):
    def spoil(weights):
        weights["roberta.embeddings.position_embeddings.weight"][62:, 3] = np.nan
        return weights

    made = stage.pretrained(changed_checkpoint(checkpoint, spoil))
    made.setInputCols("document").setOutputCol("out").setBatchSize(1)
    with pytest.raises(Exception, match="NonFiniteOutputError") as caught:
        made.transform(documents).select("out").collect()
    said = readable(caught.value)
    kind = str(Preset.open(made.model.path).task_kind if "For" in stage.__name__ else "encoder")
    assert f"output of the {kind.replace('_', ' ')} is NaN or infinite" in said
    assert f"for row {N_BEFORE} of partition " in said
    assert BAD_TEXT.strip() not in said
