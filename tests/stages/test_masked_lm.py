"""Masks filled on Spark, as the pure function fills them: places, metadata, settings, kept and loaded."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

from sparkxlmr import errors
from sparkxlmr.annotator import AlbertForMaskedLM, XlmRoBertaForMaskedLM
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, same_type
from sparkxlmr.spark.worker import TRACE

TEXTS = [
    "One <mask> two.",
    "🙂 a <mask>, then<mask> end",
    None,
    "",
    "no mask",
    "<mask>" * 3,
    "x " * 300 + "<mask> y",
    "  ÉN\t <mask>s\n🙂" + " <mask>" * 100,
]


@pytest.fixture(scope="module")
def folder(fixtures):
    return fixtures / "hugging_face" / "xlmr_masked_lm"


@pytest.fixture(scope="module")
def filler(folder):
    return MaskFiller(bundle_for(Preset.open(folder), "openvino"), threads=1)


def stage(folder, **settings):
    made = XlmRoBertaForMaskedLM.loadSavedModel(str(folder)).setParams(**settings)
    return made.setInputCols("document").setOutputCol("filled")


def pipeline(*stages):
    return Pipeline(stages=[DocumentAssembler().setInputCol("text").setOutputCol("document"), *stages])


def frame(spark, texts, kind="string"):
    return spark.createDataFrame(list(enumerate(texts)), f"id int, text {kind}")


def answers(model, df):
    rows = model.transform(df).select("id", "filled").collect()
    return [row["filled"] for row in sorted(rows, key=lambda row: row["id"])]


def n_rows_filled():
    events = [json.loads(line) for file in Path(os.environ[TRACE]).iterdir() for line in file.open()]
    return sum(event["rows"] for event in events if event["event"] == "score")


def test_each_mask_and_rank_is_an_annotation(spark, folder, filler, tmp_path, monkeypatch):
    df = frame(spark, TEXTS)
    model = pipeline(stage(folder, topK=3)).fit(df)
    assert same_type(model.transform(df).schema["filled"].dataType, ANNOTATION_TYPE)
    assert model.transform(df).schema["filled"].metadata == {"annotatorType": "token"}
    before = n_rows_filled()
    found = answers(model, df)
    assert n_rows_filled() - before == len(TEXTS)
    expected = filler.fill([text or "" for text in TEXTS], 128, 3)
    assert [len(row) for row in found] == [3, 6, 0, 0, 0, 9, 3, 303]
    for text, row, masks in zip(TEXTS, found, expected, strict=True):
        wanted = [
            (number, mask, rank, one)
            for number, mask in enumerate(masks)
            for rank, one in enumerate(mask.filled, 1)
        ]
        for annotation, (number, mask, rank, one) in zip(row, wanted, strict=True):
            assert text[annotation["begin"] : annotation["end"] + 1] == "<mask>"
            assert (annotation["begin"], annotation["end"]) == (mask.begin, mask.end)
            assert (annotation["annotatorType"], annotation["result"]) == ("token", one.token)
            score = float(annotation["metadata"].pop("score"))
            assert score == pytest.approx(one.score, rel=1e-4)
            assert annotation["metadata"] == {
                "sentence": "0",
                "mask": str(number),
                "rank": str(rank),
                "token_id": str(one.token_id),
                "sequence": one.text,
            }

    copy = shutil.copytree(folder, tmp_path / "preset")
    pipeline(stage(copy, topK=3, targets=["a"])).fit(df).save(f"{tmp_path}/saved")
    shutil.rmtree(copy)
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = PipelineModel.load(f"{tmp_path}/saved")
    assert loaded.stages[1].getTargets() == ["a"]
    assert loaded.stages[1].model.name == "preset"
    assert [row["result"] for row in answers(loaded, df)[0]] == ["a"]


def test_places_are_the_documents_own_where_it_has_several(spark, folder):
    """Annotations as a sentence detector makes them: each begins further on, and one is null."""
    text = "First <mask>. Second one is <mask>!"
    cut = "transform(array(0, 14), b -> named_struct('annotatorType', 'document', 'begin', b, 'end', b + 19,"
    cut += " 'result', substring(text, b + 1, 20), 'metadata', map('sentence', string(b)),"
    cut += " 'embeddings', array(float(0))))"
    df = frame(spark, [text]).withColumn("document", F.expr(cut))
    found = stage(folder, topK=1).transform(df).first()["filled"]
    assert [text[a["begin"] : a["end"] + 1] for a in found] == ["<mask>", "<mask>"]
    assert [(a["metadata"]["sentence"], a["metadata"]["mask"]) for a in found] == [("0", "0"), ("14", "0")]


def test_albert_spells_its_mask_otherwise(spark, fixtures):
    folder = fixtures / "hugging_face" / "albert_masked_lm"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))[:8]
    model = pipeline(AlbertForMaskedLM.pretrained(folder).setInputCols("document").setOutputCol("filled"))
    df = frame(spark, [row["text"] for row in expected])
    for row, found in zip(expected, answers(model.fit(df), df), strict=True):
        wanted = [score for mask in row["prob5"] for score in mask]
        assert [float(a["metadata"]["score"]) for a in found] == pytest.approx(wanted, abs=1e-5)
        assert [row["text"][a["begin"] : a["end"] + 1] for a in found] == ["[MASK]"] * len(wanted)


def test_what_cannot_be_is_refused_on_the_driver(spark, folder, fixtures):
    df = DocumentAssembler().setInputCol("text").setOutputCol("document").transform(frame(spark, ["<mask>"]))
    before = n_rows_filled()
    with pytest.raises(errors.SettingError, match="no such token"):
        stage(folder, targets=["a", "no such token"]).transform(df)
    with pytest.raises(errors.SettingError, match="maxSentenceLength is 600"):
        stage(folder, maxSentenceLength=600).transform(df)
    with pytest.raises(errors.SettingError, match="topK is 0"):
        stage(folder).setTopK(0)
    with pytest.raises(errors.SettingError, match="has no model"):
        XlmRoBertaForMaskedLM().setInputCols("document").setOutputCol("x").transform(df)
    with pytest.raises(errors.NotAPresetError, match="masked language model of family 'albert'"):
        AlbertForMaskedLM.pretrained(folder)
    with pytest.raises(errors.NotAPresetError, match="is a text classifier"):
        XlmRoBertaForMaskedLM.pretrained(fixtures / "hugging_face" / "xlmr_sequence_classification")
    with pytest.raises(errors.SettingError, match="ships none"):
        AlbertForMaskedLM.pretrained()
    assert n_rows_filled() == before


def test_settings_and_defaults():
    for made, case_sensitive in ((XlmRoBertaForMaskedLM(), True), (AlbertForMaskedLM(), False)):
        assert {p.name: made.getOrDefault(p) for p in made.params if made.hasDefault(p)} == {
            "batchSize": 8, "caseSensitive": case_sensitive, "distribution": "auto", "engine": "auto",
            "lazyAnnotator": False, "maxSentenceLength": 512, "precision": "auto", "quantization": "auto",
            "overwriteColumns": False, "topK": 5,
        }  # fmt: skip
        assert {p.name for p in made.params if not made.hasDefault(p)} == {
            "inputCols",
            "outputCol",
            "targets",
        }
