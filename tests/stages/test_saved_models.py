"""Compiled models on Spark: the calls of a Spark NLP user, from loading to a pipeline that is saved."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op
from pyspark.ml import Pipeline, PipelineModel

from sparkxlmr.annotator import (
    AlbertForSequenceClassification,
    Tokenizer,
    XlmRoBertaForSequenceClassification,
    XlmRoBertaSentenceEmbeddings,
)
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.errors import NotAPresetError, PresetNotFoundError, SettingError
from sparkxlmr.presets.saved_graph import SavedGraph
from sparkxlmr.runtime.classification import softmax

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
CARDS = "xlm_roberta_base_sequence_classifier_ag_news"
ROWS = slice(40, 60)
# What the exporter calls the end of the last layer.
LAST_NORM = "/m/roberta/encoder/layer.2/output/LayerNorm/Add_1"


@pytest.fixture(scope="module")
def models(fixtures):
    return fixtures / "spark_nlp/models"


@pytest.fixture(scope="module")
def expected(fixtures):
    golden = fixtures / "hugging_face/xlmr_sequence_classification/expected.json"
    return json.loads(golden.read_text(encoding="utf-8"))


def pipeline(stage):
    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    words = Tokenizer().setInputCols(["document"]).setOutputCol("token")
    return Pipeline(stages=[document, words, stage.setInputCols(["token", "document"]).setOutputCol("class")])


def scores(spark, model, texts):
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string")
    rows = sorted(model.transform(df).select("id", "class").collect())
    return np.float32([[row["class"][0]["metadata"][label] for label in LABELS] for row in rows])


def test_an_onnx_model_scores_as_hugging_face_and_its_saved_pipeline_too(
    spark, models, expected, tmp_path, monkeypatch
):
    stage = XlmRoBertaForSequenceClassification.loadSavedModel(str(models / "xlmr_onnx"), spark)
    assert stage.getClasses() == LABELS
    texts = expected["texts"][ROWS]
    model = pipeline(stage).fit(spark.sql("SELECT '' AS text"))
    found = scores(spark, model, texts)
    np.testing.assert_allclose(found, softmax(np.float32(expected["logits"])[ROWS]), atol=1e-5)

    model.save(f"{tmp_path}/saved")
    # As on another machine: nothing of the model is kept there yet.
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = PipelineModel.load(f"{tmp_path}/saved")
    kept = loaded.stages[-1].model
    assert isinstance(kept, SavedGraph)
    assert (kept.name, kept.content_hash) == ("xlmr_onnx", stage.model.content_hash)
    assert kept.path == tmp_path / "home/models" / kept.content_hash
    np.testing.assert_allclose(scores(spark, loaded, texts), found, atol=1e-6)


def test_the_model_cards_call_finds_a_model_in_the_sessions_folders(
    spark, tiny_preset, expected, tmp_path, monkeypatch
):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))

    def cards():
        return (
            XlmRoBertaForSequenceClassification.pretrained(CARDS, "en")
            .setInputCols(["token", "document"])
            .setOutputCol("class")
            .setCaseSensitive(True)
            .setMaxSentenceLength(128)
        )

    with pytest.raises(PresetNotFoundError, match=r"examples/ag_news_xlmr_base\.py"):
        cards()
    shutil.copytree(tiny_preset, tmp_path / "team" / CARDS)
    spark.conf.set("spark.sparkxlmr.models", f"{tmp_path}/nothing, {tmp_path}/team")
    try:
        stage = cards()
    finally:
        spark.conf.unset("spark.sparkxlmr.models")
    assert stage.model.path == tmp_path / "team" / CARDS
    found = scores(spark, pipeline(stage).fit(spark.sql("SELECT '' AS text")), expected["texts"][ROWS])
    np.testing.assert_allclose(found, softmax(np.float32(expected["logits"])[ROWS]), atol=1e-5)
    remote = XlmRoBertaForSequenceClassification.pretrained(CARDS, remote_loc=f"{tmp_path}/team")
    assert remote.model.content_hash == stage.model.content_hash


def test_what_does_not_fit_is_refused_on_the_driver(spark, models, tmp_path):
    with pytest.raises(NotAPresetError, match="is a text classifier of family 'albert'"):
        XlmRoBertaForSequenceClassification.loadSavedModel(str(models / "albert_onnx"), spark)
    with pytest.raises(PresetNotFoundError):
        AlbertForSequenceClassification.loadSavedModel(str(tmp_path / "nothing"), spark)
    albert = AlbertForSequenceClassification.loadSavedModel(str(models / "albert_onnx"), spark)
    df = spark.createDataFrame([("a",)], "text string")
    with pytest.raises(SettingError, match=r"'tensorflow', which does not read .*albert_onnx"):
        pipeline(albert.setEngine("tensorflow")).fit(df).transform(df)
    longer = AlbertForSequenceClassification.loadSavedModel(str(models / "albert_onnx"))
    with pytest.raises(SettingError, match="at most 130"):
        pipeline(longer.setMaxSentenceLength(131)).fit(df).transform(df)

    folder = tmp_path / "alike"
    shutil.copytree(models / "albert_onnx", folder)
    (folder / "assets/labels.txt").write_text("same\nother\nsame")
    with pytest.raises(NotAPresetError, match="are called alike"):
        AlbertForSequenceClassification.loadSavedModel(folder)


def test_an_encoders_graph_embeds_as_the_checkpoint_it_was_made_of(spark, models, fixtures, tmp_path):
    core = ov.Core()
    graph = core.read_model(str(models / "xlmr_onnx/model.onnx"))
    (last,) = [node for node in graph.get_ops() if node.get_friendly_name() == LAST_NORM]
    last.output(0).set_names({"last_hidden_state"})
    folder = tmp_path / "encoder"
    shutil.copytree(models / "xlmr_onnx/assets", folder / "assets", ignore=lambda *_: ["labels.txt"])
    encoder = ov.Model([op.result(last)], graph.get_parameters(), "encoder")
    ov.save_model(encoder, folder / "openvino_model.xml", compress_to_fp16=False)

    df = spark.createDataFrame([(text,) for text in ("Rain", "A longer text, ﬁne", "")], "text string")
    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    found = []
    for source in (folder, fixtures / "hugging_face/xlmr_sequence_classification"):
        stage = XlmRoBertaSentenceEmbeddings.loadSavedModel(str(source), spark)
        stage.setInputCols(["document"]).setOutputCol("vector")
        assert stage.getDimension() == 48
        rows = stage.transform(document.transform(df)).select("vector.embeddings").collect()
        found.append(np.float32([vector for row in rows for vector in row["embeddings"]]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert found[0].shape[1] == 48
    with pytest.raises(NotAPresetError, match="is a bare encoder of family"):
        XlmRoBertaForSequenceClassification.loadSavedModel(str(folder), spark)


def test_a_stage_that_spark_nlp_saved_is_loaded_with_its_settings(
    spark, models, fixtures, expected, tmp_path
):
    folder = tmp_path / "stage"
    shutil.copytree(fixtures / "spark_nlp/saved/xlmr_stage", folder)
    shutil.copyfile(models / "xlmr_onnx/assets/sentencepiece.bpe.model", folder / "xlmroberta_spp")
    with zipfile.ZipFile(folder / "xlm_roberta_classification_onnx", "w") as archive:
        archive.write(models / "xlmr_onnx/model.onnx", "model.onnx")
    stage = XlmRoBertaForSequenceClassification.load(str(folder))
    assert stage.getClasses() == LABELS
    assert (stage.getInputCols(), stage.getOutputCol()) == (["document", "token"], "class")
    assert (stage.getMaxSentenceLength(), stage.getEngine()) == (128, "auto")
    found = scores(spark, pipeline(stage).fit(spark.sql("SELECT '' AS text")), expected["texts"][ROWS])
    np.testing.assert_allclose(found, softmax(np.float32(expected["logits"])[ROWS]), atol=1e-5)
    with pytest.raises(NotAPresetError, match=r"class com\.johnsnowlabs.*XlmRoBerta"):
        AlbertForSequenceClassification.load(str(folder))
