"""Models with one logit as stages: the score, a numeric prediction, and what is refused before a job."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.evaluation import RegressionEvaluator

from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.errors import SettingError
from sparkxlmr.jobs.classify import ClassifyOptions, with_labels

TEXTS = ["a", "Ein Satz.", "rain and wind", ""]


def stage(folder):
    made = XlmRoBertaForSequenceClassification.pretrained(folder)
    return made.setInputCols("document").setOutputCol("out").setPredictionCol("prediction")


@pytest.fixture(scope="module")
def documents(spark):
    df = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string")
    return DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df.coalesce(1))


@pytest.fixture(scope="module")
def regression(one_logit_checkpoint):
    return one_logit_checkpoint(problem_type="regression")


def test_prediction_of_one_logit_is_its_value(spark, documents, regression, tmp_path):
    """In one job the column of a regression model that was saved and loaded, and of a sigmoid over it."""
    sigmoid = stage(regression).setActivation("sigmoid").setOutputCol("out2").setPredictionCol("prediction2")
    stage(regression).write().save(str(tmp_path / "stage"))
    loaded = XlmRoBertaForSequenceClassification.load(str(tmp_path / "stage"))
    df = sigmoid.transform(loaded.transform(documents))
    assert "ml_attr" not in df.schema["prediction"].metadata
    rows = sorted(df.collect(), key=lambda row: row["id"])
    values = np.array([row["prediction"] for row in rows])
    assert np.isnan(values[-1])
    assert rows[-1]["out"] == []
    for row, value in zip(rows[:-1], values, strict=False):
        assert [a["result"] for a in row["out"]] == ["LABEL_0"]
        assert float(row["out"][0]["metadata"]["LABEL_0"]) == pytest.approx(value, abs=1e-6)
        assert row["prediction2"] == pytest.approx(1 / (1 + np.exp(-value)), abs=1e-5)
    assert len(set(values[:-1])) == len(TEXTS) - 1
    pairs = [(float(value), float(i)) for i, value in enumerate(values[:-1])]
    scored = spark.createDataFrame(pairs, "prediction double, y double")
    error = RegressionEvaluator(labelCol="y", metricName="mae").evaluate(scored)
    assert error == pytest.approx(float(np.mean(np.abs(values[:-1] - np.arange(len(TEXTS) - 1)))))


def test_command_line_gives_the_score(spark, regression, one_logit_checkpoint):
    frame = spark.createDataFrame([(text,) for text in TEXTS], "text string").coalesce(1)
    for folder, bounded in ((regression, False), (one_logit_checkpoint(), True)):
        rows = with_labels(frame, ClassifyOptions(input="", output="", model=str(folder))).collect()
        assert [row["label"] for row in rows] == [*["LABEL_0"] * 3, None]
        scores = [row["score"] for row in rows[:-1]]
        assert len(set(scores)) == 3
        assert all(0 < score < 1 for score in scores) == bounded


def test_softmax_over_one_class_is_refused_before_a_job(documents, regression):
    with pytest.raises(SettingError, match=r"XlmRoBertaForSequenceClassification: .*one class"):
        stage(regression).setActivation("softmax").transform(documents)
