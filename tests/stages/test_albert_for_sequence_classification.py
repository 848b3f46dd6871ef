"""ALBERT's classifier on Spark: Hugging Face's scores, kept and loaded. What both families' stages share is
tested with XLM-R's, Spark NLP's record in `test_recorded_classifiers.py`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel

from sparkxlmr.annotator import AlbertForSequenceClassification, XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.errors import NotAPresetError
from sparkxlmr.runtime.classification import softmax

LABELS = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def folder(fixtures):
    return fixtures / "hugging_face" / "albert_sequence_classification"


def classifier(folder):
    stage = AlbertForSequenceClassification.loadSavedModel(str(folder))
    return stage.setInputCols("document").setOutputCol("c")


def answers(spark, model, texts):
    """Of each text its annotations, in the order of the texts."""
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string")
    return [row["c"] for row in sorted(model.transform(df).select("id", "c").collect())]


def scores_of(rows):
    return np.array([[float(row[0]["metadata"][label]) for label in LABELS] for row in rows])


def pipeline(*stages):
    return Pipeline(stages=[DocumentAssembler().setInputCol("text").setOutputCol("document"), *stages])


def test_scores_are_hugging_faces_and_a_saved_pipeline_keeps_them(spark, folder, tmp_path, monkeypatch):
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    # Of one text the recorded attention mask is another; "www" is cut the other way round by SentencePiece
    # before 0.2.2.
    unlike = re.compile(r"<pad>|www|^\s*$")
    chosen = [row for row, text in enumerate(expected["texts"]) if not unlike.search(text)]
    assert len(chosen) >= 110
    texts = [expected["texts"][row] for row in chosen]
    model = pipeline(classifier(folder)).fit(spark.range(0))
    found = answers(spark, model, texts)
    scores = scores_of(found)
    np.testing.assert_allclose(scores, softmax(np.float32(expected["logits"])[chosen]), atol=1e-5)
    assert [row[0]["result"] for row in found] == [LABELS[i] for i in scores.argmax(1)]

    model.save(f"{tmp_path}/saved")
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = PipelineModel.load(f"{tmp_path}/saved")
    assert loaded.stages[1].model.path.is_relative_to(tmp_path / "home")
    # Its tokenizer is of the folder that was saved: these texts have capitals and accents.
    np.testing.assert_allclose(scores_of(answers(spark, loaded, texts[:20])), scores[:20], atol=1e-6)


def test_unset_the_models_tokenizer_decides_on_case_and_set_the_stage(spark, folder):
    texts = ["The QUICK Fox", "the quick fox"]
    for case_sensitive, alike in ((None, True), (False, True), (True, False)):
        stage = classifier(folder)
        if case_sensitive is not None:
            stage.setCaseSensitive(case_sensitive)
        first, second = answers(spark, pipeline(stage).fit(spark.range(0)), texts)
        assert (first[0]["metadata"] == second[0]["metadata"]) == alike


def test_defaults_are_spark_nlps_and_other_families_are_refused(folder, tiny_preset):
    stage = AlbertForSequenceClassification()
    other = XlmRoBertaForSequenceClassification()
    defaults, others = (
        {p.name: s.getOrDefault(p) for p in s.params if s.hasDefault(p)} for s in (stage, other)
    )
    assert defaults == {**others, "caseSensitive": False}
    assert classifier(folder).getClasses() == LABELS
    with pytest.raises(NotAPresetError, match="'albert'"):
        AlbertForSequenceClassification.pretrained(tiny_preset)
    with pytest.raises(NotAPresetError, match="'xlm_roberta'"):
        XlmRoBertaForSequenceClassification.pretrained(folder)
