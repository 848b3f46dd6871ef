"""Spark ML's own stages before and behind this package's, in one Pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler

KINDS = ("sport", "trade")


@pytest.fixture(scope="module")
def df(spark):
    """Rows of two kinds whose texts differ as far as a model of random weights can tell them apart."""
    said = {"sport": "The team won match {}, again!", "trade": "利润 €{} 亿。"}
    rows = [(i, said[kind].format(i), kind, float(i % 3)) for i in range(24) for kind in KINDS]
    return spark.createDataFrame(rows, "n int, body string, kind string, extra double").coalesce(1).cache()


@pytest.fixture
def classifier(tiny_preset):
    stage = XlmRoBertaForSequenceClassification.pretrained(tiny_preset)
    stage.setInputCols("document").setOutputCol("category")
    return stage.setPredictionCol("best").setProbabilityCol("scores")


@pytest.fixture
def stages(classifier):
    """Text made by SQL, classified, and the scores as features of a learner of Spark's."""
    return [
        SQLTransformer(statement="SELECT *, concat(kind, '') AS answer, trim(body) AS text FROM __THIS__"),
        StringIndexer(inputCol="answer", outputCol="label"),
        DocumentAssembler().setInputCol("text"),
        classifier,
        IndexToString(inputCol="best", outputCol="name"),
        VectorAssembler(inputCols=["scores", "extra"], outputCol="features"),
        VectorAssembler(inputCols=["extra"], outputCol="noise"),
    ]


def test_a_cross_validated_learner_behind_the_classifier(spark, df, stages, tmp_path):
    learner = NaiveBayes(modelType="gaussian")
    grid = ParamGridBuilder().addGrid(learner.featuresCol, ["features", "noise"]).build()
    search = CrossValidator(
        estimator=learner,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        parallelism=2,
        seed=7,
    )
    best = Pipeline(stages=[*stages, search]).fit(df)
    with_scores, without = best.stages[-1].avgMetrics
    assert with_scores == 1.0
    assert without < 0.7
    assert best.stages[-1].bestModel.getFeaturesCol() == "features"
    expected = done(best, df)
    best.save(str(tmp_path / "best"))
    assert done(PipelineModel.load(str(tmp_path / "best")), df) == expected
    for row in expected:
        assert row["name"] == row["category"][0]["result"]
        assert row["best"] == np.argmax(row["scores"])
        assert row["label"] == row["prediction"]


def done(model, df):
    columns = ("n", "kind", "category", "name", "best", "scores", "label", "prediction")
    return sorted(model.transform(df).select(*columns).collect(), key=lambda row: (row["n"], row["kind"]))


def test_params_by_map_reach_the_stage_in_a_pipeline(df, stages, classifier):
    """`fit(df, params)` and `transform(df, params)`, as Spark's own searches use them; the stage stays as it
    was."""
    pipeline = Pipeline(stages=stages)
    two, one = pipeline.fit(df, [{classifier.topScores: 2}, {classifier.topScores: 1}])
    assert [model.stages[3].getTopScores() for model in (two, one)] == [2, 1]
    assert classifier.getTopScores() is None
    first = two.transform(df, {two.stages[3].topScores: 3}).select("category").first()
    assert len(first["category"][0]["metadata"]) == 1 + 3
    assert two.stages[3].getTopScores() == 2
