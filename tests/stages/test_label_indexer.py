"""True labels as the model's ids: what Spark ML's evaluators compare with the predictions."""

from __future__ import annotations

import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StringIndexer

from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.errors import SettingError


def test_label_indexer_gives_the_models_ids(spark, tiny_preset):
    """On labels whose frequencies are in another order than the ids, where a fitted indexer misleads."""
    stage = XlmRoBertaForSequenceClassification.pretrained(tiny_preset)
    names = stage.getClasses()
    rows = [(name, float(i)) for i, name in enumerate(names) for _ in range(i + 1)]
    predicted = spark.createDataFrame([*rows, (names[0], 3.0)], "label string, prediction double").coalesce(1)
    evaluator = MulticlassClassificationEvaluator(labelCol="id", metricName="accuracy")
    ours = stage.labelIndexer("label", "id").transform(predicted)
    assert ours.schema["id"].metadata["ml_attr"]["vals"] == names
    assert evaluator.evaluate(ours) == pytest.approx(len(rows) / (len(rows) + 1))
    fitted = StringIndexer(inputCol="label", outputCol="id").fit(predicted).transform(predicted)
    assert evaluator.evaluate(fitted) < 0.5

    unknown = spark.createDataFrame([("other", 0.0), (names[1], 1.0)], "label string, prediction double")
    kept = stage.labelIndexer("label", "id", handleInvalid="keep").transform(unknown.coalesce(1))
    assert [row["id"] for row in kept.collect()] == [len(names), 1.0]
    with pytest.raises(Exception, match="Unseen label"):
        stage.labelIndexer("label", "id").transform(unknown.coalesce(1)).collect()


def test_label_indexer_of_one_class_is_refused(one_logit_checkpoint):
    stage = XlmRoBertaForSequenceClassification.pretrained(one_logit_checkpoint())
    with pytest.raises(SettingError, match="has one class and predicts a number"):
        stage.labelIndexer("label", "id")
