"""The whole job against a Connect server, by a client that has no Spark: run by connect.py.

    SPARK_REMOTE=sc://host:port python connect_job.py FOLDER TRACE

FOLDER is written to (both machines see it here); TRACE is where the server's workers say what they do. The
server's Python lacks the package until it is attached.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import sparkxlmr
import sparkxlmr.functions as annotations
from sparkxlmr.annotator import (
    AlbertForSequenceClassification,
    RegexTokenizer,
    SentenceDetector,
    Tokenizer,
    XlmRoBertaForMaskedLM,
    XlmRoBertaForSequenceClassification,
    XlmRoBertaSentenceEmbeddings,
)
from sparkxlmr.base import DocumentAssembler, Finisher
from sparkxlmr.errors import EngineError, EnvironmentNotReadyError, InputError, NotAPresetError, SettingError
from sparkxlmr.spark import probe
from sparkxlmr.spark.model_ref import ModelRef

TEXTS = [
    "Where is the key? It lies on the <mask>.",
    "Спасибо большое! До свидания.",
    "おはようございます 🌞",
    "",
    None,
    "The match was won in the last minute. " * 40,
]
COLUMNS = ("document", "sentence", "token", "part", "language", "topic", "filled", "vector")


def refusal(kind: type[Exception], action: Callable[[], Any]) -> str:
    """The message of the error that the action has to raise."""
    try:
        action()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__} was raised")


def classifier() -> XlmRoBertaForSequenceClassification:
    return XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id").setInputCols(
        "document"
    )


def pipeline() -> Pipeline:
    """Every kind of stage."""
    return Pipeline(
        stages=[
            DocumentAssembler().setInputCol("text").setOutputCol("document"),
            SentenceDetector().setInputCols("document").setOutputCol("sentence"),
            Tokenizer().setInputCols("document").setOutputCol("token"),
            RegexTokenizer().setInputCols("document").setOutputCol("part"),
            classifier().setOutputCol("language").setTopScores(3).setPredictionCol("prediction")
            .setProbabilityCol("probability").setRawPredictionCol("raw"),
            AlbertForSequenceClassification.pretrained().setInputCols("sentence").setOutputCol("topic"),
            XlmRoBertaForMaskedLM.pretrained().setInputCols("document").setOutputCol("filled"),
            XlmRoBertaSentenceEmbeddings.pretrained("xlm_roberta_tiny_masked_lm")
            .setInputCols("sentence").setOutputCol("vector"),
            Finisher().setInputCols("token").setCleanAnnotations(False),
        ]
    )  # fmt: skip


def answers(frame: DataFrame) -> list[dict[str, Any]]:
    """Everything that the pipeline made, as plain values, in the order of the texts."""
    # Sorted here: a global sort of Spark's scores every row twice.
    rows = sorted(frame.collect(), key=lambda row: row["id"])
    vectors = ("probability", "raw")
    plain = [row.asDict(recursive=True) for row in rows]
    for row in plain:
        for name in vectors:
            row[name] = row[name].toArray().tolist()
    return json.loads(json.dumps(plain))


def without_package(spark: SparkSession, texts: DataFrame) -> None:
    """What a server without the package answers: before a job where a model is sent, else in its worker."""
    documents = DocumentAssembler().setInputCol("text").transform(texts)
    said = refusal(EnvironmentNotReadyError, lambda: classifier().setOutputCol("c").transform(documents))
    assert "No module named 'sparkxlmr'" in said, said
    assert "sparkxlmr.attach(spark)" in said, said
    tokens = Tokenizer().setInputCols("document").setOutputCol("token").fit(documents).transform(documents)
    said = refusal(Exception, tokens.collect)
    assert "cannot import sparkxlmr" in said, said
    assert "sparkxlmr.attach(spark)" in said, said


def what_a_probe_finds(spark: SparkSession) -> None:
    """An executor that lacks an engine, a folder or an artifact is found by one task."""
    nowhere = ModelRef("0" * 64, "path", "/no/such/folder", "float32")
    assert "setDistribution('files')" in refusal(
        NotAPresetError, lambda: probe.check(spark, nowhere, "openvino")
    )
    unsent = ModelRef("0" * 64, "files", "never-sent.zip", "float32")
    assert "setDistribution('path')" in refusal(
        NotAPresetError, lambda: probe.check(spark, unsent, "openvino")
    )
    said = refusal(EngineError, lambda: probe.check(spark, unsent, "tensorflow"))
    assert "openvino, which they have" in said, said


def whole_job(texts: DataFrame, folder: Path) -> PipelineModel:
    """Build, fit, transform, save, load: equal before and after, and to LightPipeline in this process."""
    model = pipeline().fit(texts)
    found = answers(model.transform(texts))
    assert [row["language"][0]["result"] for row in found if row["text"]][1:3] == ["rus_Cyrl", "jpn_Jpan"]
    assert found[3]["language"] == [] == found[4]["language"]
    assert len(found[0]["filled"]) == 5, found[0]["filled"]
    model.write().overwrite().save(str(folder / "pipeline"))
    loaded = PipelineModel.load(str(folder / "pipeline"))
    assert answers(loaded.transform(texts)) == found
    unfinished = PipelineModel(loaded.stages[:-1])  # with its Finisher, LightPipeline gives less
    light = sparkxlmr.LightPipeline(unfinished).fullAnnotate([text or "" for text in TEXTS])
    for row, alone in zip(found, light, strict=True):
        for name in COLUMNS if row["text"] is not None else ():
            here = [(a.begin, a.end, a.result, a.metadata) for a in alone[name]]
            there = [(a["begin"], a["end"], a["result"], a["metadata"]) for a in row[name]]
            assert here == there, (name, here, there)
    return loaded


def behind(spark: SparkSession, model: PipelineModel, texts: DataFrame) -> None:
    """What users put behind a pipeline: filters, annotation helpers, Spark ML's own stages; no stream."""
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.feature import StringIndexer

    found = model.transform(texts)
    russian = found.where("get(language, 0).result = 'rus_Cyrl'").select("id", "prediction").collect()
    assert [row["id"] for row in russian] == [1]
    longer = annotations.map_annotations_col(
        found, lambda tokens: [token for token in tokens if len(token.result) > 4], "token", "long", "token"
    )
    kept = longer.where("id = 1").select("long.result").collect()[0]["result"]
    assert kept == ["Спасибо", "большое", "свидания"], kept
    labelled = found.select(
        "prediction", F.coalesce(F.expr("get(language, 0).result"), F.lit("-")).alias("l")
    )
    labelled = labelled.where("not isnan(prediction)")
    indexed = StringIndexer(inputCol="l", outputCol="label").fit(labelled).transform(labelled)
    assert indexed.count() == 4
    right = labelled.withColumn("label", F.col("prediction"))
    assert MulticlassClassificationEvaluator(metricName="accuracy").evaluate(right) == 1.0
    stream = spark.readStream.format("rate").load().selectExpr("cast(value as string) AS text")
    said = refusal(SettingError, lambda: model.transform(stream))
    assert "setDistribution('path')" in said, said


def ways(spark: SparkSession, texts: DataFrame, trace: Path) -> None:
    """A model came as an artifact and was opened once a worker; a shared disk makes it a path."""
    assert {load["way"] for load in loads(trace)} == {"files"}
    opened = [(load["pid"], load["model"]) for load in loads(trace)]
    assert len(opened) == len(set(opened)), "a worker opened a model twice"
    stage = classifier().setOutputCol("language")
    documents = DocumentAssembler().setInputCol("text").transform(texts)
    said = refusal(SettingError, lambda: stage.copy().setDistribution("broadcast").transform(documents))
    assert "'files' or 'path'" in said, said
    before = len(loads(trace))
    spark.conf.set("spark.sparkxlmr.sharedDisk", "true")
    try:
        # A model that no worker has opened yet.
        topics = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_ag_news").setInputCols(
            "document"
        )
        topics.setOutputCol("topic").transform(documents).collect()
    finally:
        spark.conf.unset("spark.sparkxlmr.sharedDisk")
    assert {load["way"] for load in loads(trace)[before:]} == {"path"}


def loads(trace: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for file in trace.iterdir() for line in file.read_text().splitlines()]
    return sorted((event for event in events if event["event"] == "load"), key=lambda event: event["time"])


def wrong_use(texts: DataFrame) -> None:
    """Errors of the driver are the same as in a classic session; the command line refuses in one line."""
    said = refusal(InputError, lambda: classifier().setOutputCol("c").transform(texts))
    assert "there is no column 'document'" in said, said
    command = [sys.executable, "-m", "sparkxlmr", "classify", "none.csv", "--output", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert done.stderr.startswith("sparkxlmr: Spark is to be the Connect server"), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def main() -> None:
    folder, trace = Path(sys.argv[1]), Path(sys.argv[2])
    began = time.monotonic()

    def done(what: str) -> None:
        print(f"   {time.monotonic() - began:4.0f} s  {what}", flush=True)

    assert importlib.util.find_spec("py4j") is None, "this client has a Spark of its own"
    spark = sparkxlmr.start()
    texts = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string")
    without_package(spark, texts)
    done("a server without the package says so, and what to do")
    sparkxlmr.attach(spark)
    sparkxlmr.attach(spark)
    what_a_probe_finds(spark)
    done("attached; what executors lack is found on the driver")
    model = whole_job(texts, folder)
    done("built, fitted, transformed, saved, loaded: the same answers, and LightPipeline's")
    ways(spark, texts, trace)
    done("models came as artifacts, and by path where the disk is shared")
    behind(spark, model, texts)
    done("a filter, a helper over annotations, Spark ML's stages; a stream without storage is refused")
    wrong_use(texts)
    spark.stop()
    done("wrong use is refused")


if __name__ == "__main__":
    main()
