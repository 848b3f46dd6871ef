"""`sparkxlmr quantize` on a tiny preset, and stages that run what it made, on Spark and without."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pyspark.ml import Pipeline

from sparkxlmr import LightPipeline
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.cli import main
from sparkxlmr.presets.calibration import CALIBRATION
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import compiler
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.open_model import open_model

WORDS = ["rain", "market", "goal", "software", "minister", "river", "price", "team", "police", "bank"]
TEXTS = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 3 + i % 9)) for i in range(1, 60)]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS))
    return str(path)


def test_a_quantised_preset_runs_as_it_is(spark, tiny_preset, texts, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    made = tmp_path / "made"
    assert main(["quantize", str(tiny_preset), texts, "--output", str(made)]) == 0
    said = capsys.readouterr().out
    assert f"Calibrated on {len(TEXTS)} texts" in said
    assert str(made) in said
    model = Preset.open(made)
    assert model.content_hash == Preset.open(tiny_preset).content_hash
    assert not (tiny_preset / CALIBRATION).exists()
    own = bundle_for(model, "openvino", "int8")
    assert own.verify().folder == made / "bundles" / "openvino-int8"

    # Saved and loaded, the calibration came along: nothing else gives these scores.
    stage = XlmRoBertaForSequenceClassification.loadSavedModel(str(made)).setQuantization("static")
    stage.setInputCols("document").setOutputCol("class").setPrecision("int8").save(f"{tmp_path}/saved")
    expected = open_model(own, "int8", threads=2).logits(TEXTS, 128).logits
    shutil.rmtree(made)
    loaded = XlmRoBertaForSequenceClassification.load(f"{tmp_path}/saved")
    assert (loaded.getPrecision(), loaded.getQuantization()) == ("int8", "static")
    df = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string")
    documents = DocumentAssembler().setInputCol("text").setOutputCol("document")
    fitted = Pipeline(stages=[documents, loaded.setRawPredictionCol("logits")]).fit(df)
    # Sorted here: Spark would score every row twice.
    rows = sorted(fitted.transform(df).select("id", "class.result", "logits").collect())
    found = np.array([row["logits"].toArray() for row in rows])
    np.testing.assert_allclose(found, expected, atol=5e-5)
    light = LightPipeline(fitted).annotate(TEXTS)
    assert [row["class"] for row in light] == [row["result"] for row in rows]
    exact = open_model(bundle_for(loaded.model, "openvino"), threads=2).logits(TEXTS, 128).logits
    # Far enough from float32's that the comparison above tells them apart.
    assert np.abs(exact - expected).max() > 5e-4


def test_into_the_models_own_folder_or_a_new_one(tiny_preset, texts, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    own = shutil.copytree(tiny_preset, tmp_path / "own")
    before = {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()}
    assert main(["quantize", str(own), texts, "--output", str(own), "--rows", "5"]) == 0
    assert {path.name: path.read_bytes() for path in own.iterdir() if path.name in before} == before
    monkeypatch.setattr(compiler, "compile_bundle", lambda *_: pytest.fail("was compiled again"))
    assert bundle_for(Preset.open(own), "openvino", "int8").folder == own / "bundles" / "openvino-int8"
    # What a folder holds is never overwritten, and nothing is left of what failed.
    capsys.readouterr()
    assert main(["quantize", str(tiny_preset), texts, "--output", str(own)]) == 2
    assert "exists already" in capsys.readouterr().err
    names = {path.name for path in tmp_path.iterdir()}
    assert main(["quantize", str(tiny_preset), texts, "--output", str(tmp_path / "new"), "--rows", "0"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == names
