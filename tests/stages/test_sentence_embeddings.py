"""Vectors of texts on Spark: as the pure function and LightPipeline give them, whatever the model's head."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline

from sparkxlmr import LightPipeline, errors
from sparkxlmr.annotator import AlbertSentenceEmbeddings, SentenceDetector, XlmRoBertaSentenceEmbeddings
from sparkxlmr.base import DocumentAssembler, EmbeddingsFinisher
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.spark import worker
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, same_type
from sparkxlmr.spark.batches import in_parts

TEXTS = [
    "One. Two is longer! 🙂 Three.",
    None,
    "",
    " \n\u3000",
    "long " * 60,
    "One. Two is longer! 🙂 Three.",
    "Dots. " * (worker.MOST_VECTORS + 1),  # more vectors than a worker hands over at a time
]


@pytest.fixture(scope="module")
def folder(fixtures):
    return fixtures / "hugging_face" / "xlmr_sequence_classification"


@pytest.fixture(scope="module")
def embed(folder):
    model = open_model(bundle_for(Encoder.of(Preset.open(folder)), "openvino"), threads=1)
    return lambda texts, *settings: model.embed(texts, *settings).vectors


def stage(folder, **settings):
    made = XlmRoBertaSentenceEmbeddings.loadSavedModel(str(folder)).setParams(**settings)
    return made.setInputCols("document").setOutputCol("vectors")


def assembled(spark, texts):
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string")
    return df, DocumentAssembler().setInputCol("text").setOutputCol("document")


def test_vectors_of_documents_and_sentences(spark, folder, embed, tmp_path, monkeypatch):
    df, documents = assembled(spark, TEXTS)
    copy = shutil.copytree(folder, tmp_path / "preset")
    stage(copy, maxSentenceLength=32).save(f"{tmp_path}/saved")
    shutil.rmtree(copy)
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = XlmRoBertaSentenceEmbeddings.load(f"{tmp_path}/saved")
    assert loaded.getDimension() == 48
    stages = [
        documents,
        SentenceDetector().setInputCols("document").setOutputCol("sentence"),
        loaded,
        stage(folder, poolingStrategy="cls", normalize=True, caseSensitive=False)
        .setInputCols("sentence")
        .setOutputCol("of_sentences"),
        EmbeddingsFinisher().setInputCols("of_sentences").setOutputCols("plain").setOutputAsVector(True),
    ]
    model = Pipeline(stages=stages).fit(df)
    made = model.transform(df)
    for name in ("vectors", "of_sentences"):
        assert same_type(made.schema[name].dataType, ANNOTATION_TYPE)
        assert made.schema[name].metadata == {"annotatorType": "sentence_embeddings", "dimension": 48}
    rows = sorted(made.collect(), key=lambda row: row["id"])

    assert [len(row["vectors"]) for row in rows] == [1, 0, 0, 0, 1, 1, 1]
    assert len(rows[-1]["of_sentences"]) == worker.MOST_VECTORS + 1
    texts = [text for text in TEXTS if text and text.strip()]
    expected = iter(embed(texts, 32))
    for row in rows:
        for annotation in row["vectors"]:
            text = row["text"]
            assert (annotation["annotatorType"], annotation["result"]) == ("sentence_embeddings", text)
            assert (annotation["begin"], annotation["end"]) == (0, len(text) - 1)
            cut = {"truncated": "true"} if len(text) > 40 else {}
            told = {"sentence": "0", "token": text, "pieceId": "-1", "isWordStart": "true"}
            assert annotation["metadata"] == told | cut
            np.testing.assert_allclose(annotation["embeddings"], next(expected), atol=1e-6)
        sentences = row["of_sentences"]
        assert [(a["begin"], a["end"], a["result"], a["metadata"]["sentence"]) for a in sentences] == [
            (a["begin"], a["end"], a["result"], a["metadata"]["sentence"])
            for a in row["sentence"]
            if not a["result"].isspace()  # Spark NLP's detector leaves U+3000 standing
        ]
        np.testing.assert_array_equal(
            [a["embeddings"] for a in sentences], [v.toArray() for v in row["plain"]]
        )
    lowered = [sentence["result"].lower() for sentence in rows[0]["sentence"]]
    found = [annotation["embeddings"] for annotation in rows[0]["of_sentences"]]
    np.testing.assert_allclose(found, embed(lowered, 128, "cls", True), atol=1e-6)

    light = LightPipeline(model)
    for row, answer in zip(rows, light.fullAnnotate([text or "" for text in TEXTS]), strict=True):
        for name in ("vectors", "of_sentences"):
            assert [a.metadata for a in answer[name]] == [a["metadata"] for a in row[name]]
            for mine, theirs in zip(answer[name], row[name], strict=True):
                assert (mine.annotatorType, mine.begin, mine.end) == tuple(theirs)[:3]
                np.testing.assert_allclose(mine.embeddings, theirs["embeddings"], atol=1e-6)


def test_every_kind_of_model_of_the_family_has_an_encoder(fixtures):
    folder = fixtures / "hugging_face"
    for name in ("xlmr_masked_lm", "xlmr_sequence_classification"):
        assert XlmRoBertaSentenceEmbeddings.pretrained(folder / name).getDimension() == 48
    for name in ("albert_masked_lm", "albert_sequence_classification"):
        assert AlbertSentenceEmbeddings.pretrained(folder / name).model.family == "albert"
    assert XlmRoBertaSentenceEmbeddings.pretrained().model.name == "xlm_roberta_tiny_masked_lm"
    assert AlbertSentenceEmbeddings.pretrained().model.name == "albert_tiny_ag_news"
    with pytest.raises(errors.NotAPresetError, match="a preset, with any head or none, of family 'albert'"):
        AlbertSentenceEmbeddings.pretrained(folder / "xlmr_masked_lm")


def test_what_cannot_be_is_refused_on_the_driver(spark, folder):
    df, documents = assembled(spark, ["a"])
    df = documents.transform(df)
    with pytest.raises(errors.SettingError, match=r"dimension is 768.*48"):
        stage(folder, dimension=768).transform(df)
    with pytest.raises(errors.SettingError, match="maxSentenceLength is 600"):
        stage(folder, maxSentenceLength=600).transform(df)
    with pytest.raises(errors.SettingError, match="poolingStrategy is 'max'"):
        stage(folder).setPoolingStrategy("max")
    with pytest.raises(errors.SettingError, match="has no model"):
        XlmRoBertaSentenceEmbeddings().setInputCols("document").setOutputCol("x").transform(df)
    assert stage(folder, dimension=48).transform(df).schema["vectors"].metadata["dimension"] == 48


def test_settings_and_defaults():
    for made, case_sensitive in ((XlmRoBertaSentenceEmbeddings(), True), (AlbertSentenceEmbeddings(), False)):
        assert {p.name: made.getOrDefault(p) for p in made.params if made.hasDefault(p)} == {
            "batchSize": 8, "caseSensitive": case_sensitive, "distribution": "auto", "engine": "auto",
            "lazyAnnotator": False, "maxSentenceLength": 128, "normalize": False, "poolingStrategy": "mean",
            "overwriteColumns": False, "precision": "auto", "quantization": "auto",
        }  # fmt: skip
        without = {p.name for p in made.params if not made.hasDefault(p)}
        assert without == {"dimension", "inputCols", "outputCol"}
        assert made.getDimension() is None


def test_a_batch_is_cut_into_parts_of_few_texts():
    def sizes(*lengths):
        batch = pd.Series([None if n is None else ["a"] * n for n in lengths], dtype=object)
        parts = list(in_parts(batch, 10))
        pd.testing.assert_series_equal(pd.concat(parts), batch)
        return [len(part) for part in parts]

    assert sizes(1, None, 4, 6, 5, 5, 1) == [3, 1, 2, 1]
    assert sizes(30, 1, 30) == [1, 1, 1]
    assert sizes(0, 0) == [2]
    assert sizes() == [0]
