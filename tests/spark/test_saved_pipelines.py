"""Pipelines that other versions of Spark and of this package saved are read, and answer as they did then."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from pyspark.ml import PipelineModel

from sparkxlmr.annotator import Tokenizer
from sparkxlmr.errors import DamagedModelError

TESTS = Path(__file__).parents[1]
SAVED = sorted((TESTS / "fixtures" / "saved").iterdir())


@pytest.fixture(scope="module")
def saved_pipeline():
    """The script that knows what was saved: it is no part of an installed package."""
    place = TESTS / "environments" / "saved_pipeline.py"
    spec = importlib.util.spec_from_file_location("saved_pipeline", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_oldest_and_the_newest_spark_have_saved_one():
    sparks = {folder.name.partition("-spark-")[2].partition(".")[0] for folder in SAVED}
    assert {"3", "4"} <= sparks
    for folder in SAVED:
        assert sum(file.stat().st_size for file in folder.rglob("*")) < 3_000_000


@pytest.mark.parametrize("folder", SAVED, ids=lambda folder: folder.name)
def test_a_saved_pipeline_answers_as_it_did(spark, saved_pipeline, folder, tmp_path, monkeypatch):
    expected = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "light"))
    (annotators,) = (folder / "pipeline" / "stages").glob("0_PipelineModel_*")
    light = saved_pipeline.light_answers(annotators)
    shown = [{name: row[name] for name in light[0]} for row in expected]
    assert len(shown[0]) == 11  # all annotators
    assert saved_pipeline.difference(light, shown) is None

    # A home of its own: the models are read from this folder, not from what another one left behind.
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    model = PipelineModel.load(str(folder / "pipeline"))
    found = json.loads(json.dumps(saved_pipeline.answers(model, spark)))
    assert saved_pipeline.difference(found, expected) is None

    tokenizer = Tokenizer.load(str(folder / "tokenizer"))
    assert tokenizer.getExceptions() == ["New York"]
    documents = (
        model.stages[0].stages[1].transform(model.stages[0].stages[0].transform(saved_pipeline.frame(spark)))
    )
    again = tokenizer.fit(documents).transform(documents).select("id", "token").collect()
    assert [[a["result"] for a in row["token"]] for row in again] == [
        [a["result"] for a in row["token"]] for row in expected
    ]


def test_load_of_pipeline_with_damaged_model(spark, tmp_path, monkeypatch):
    """As `LightPipeline.load`: the package's error, and no job whose Java frames fill the screen."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    pipeline = tmp_path / "pipeline"
    shutil.copytree(SAVED[-1] / "pipeline", pipeline)
    file = next(pipeline.rglob("model/*.parquet"))
    bomb = {"file": ["model"], "part": pyarrow.array([0], pyarrow.int32()), "data": [bytes(64 << 20)]}
    whole = file.read_bytes()
    for checksums in pipeline.rglob("*.crc"):
        checksums.unlink()

    file.write_bytes(whole[:-100])
    with pytest.raises(DamagedModelError, match="cannot be read from"):
        PipelineModel.load(str(pipeline))
    parquet.write_table(pyarrow.table(bomb), file, compression="zstd")
    with pytest.raises(DamagedModelError, match=r"unpacks to 6710\d{4} bytes"):
        PipelineModel.load(str(pipeline))
    file.write_bytes(whole)
    assert PipelineModel.load(str(pipeline)).stages
