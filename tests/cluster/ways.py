"""Run by test_ways.py in a process of its own, because a process has one SparkContext.

A cluster of two executors, each with its own JVM and Python workers: every way a model can travel, and
workers that lack something. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.spark import distribution
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

TEXTS = [f"Text number {i} is about the match, the market or the moon {'!' * (i % 5)}" for i in range(64)]


def classifier(folder: Path, way: str) -> XlmRoBertaForSequenceClassification:
    """The model under a hash of its own for each way: workers must not have it from another."""
    source = Preset.open(sys.argv[1])
    labels = [f"{label} {way}" for label in source.labels]
    preset = write_preset(folder / way, replace(source.contents(), labels=labels, sequence_length=64))
    stage = XlmRoBertaForSequenceClassification.pretrained(preset).setDistribution(way.split("-")[0])
    return stage.setInputCols("document").setOutputCol("c").setProbabilityCol("p")


def documents(spark: SparkSession):
    df = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string").repartition(8, "id")
    return DocumentAssembler().setInputCol("text").transform(df)


def answers(stage, df) -> list[list[float]]:
    rows = stage.transform(df).select("id", "p").collect()
    return [row["p"].toArray().tolist() for row in sorted(rows, key=lambda row: row["id"])]


def failure(spark: SparkSession, stage, df, missing: str) -> str:
    """What the user reads where the workers of a job cannot import a package."""
    spark.sparkContext.environment["BLOCKED"] = missing
    try:
        stage.transform(df).collect()
    except PythonException as error:
        return str(error)
    finally:
        del spark.sparkContext.environment["BLOCKED"]
    return ""


def cluster(n_executors: int, **settings: str) -> SparkSession:
    builder = (
        SparkSession.builder.master(f"local-cluster[{n_executors},1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.task.maxFailures", "1")
        .config("spark.locality.wait", "0")
    )
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main() -> None:
    folder = Path(sys.argv[2])
    spark = cluster(2)
    spark.sparkContext.setLogLevel("OFF")
    # Far more pieces than one, with the tiny model of a test.
    distribution.PIECE = 300_000
    df = documents(spark).cache()
    df.count()
    result = {"ways": {}}
    stages = {way: classifier(folder, way) for way in ("path", "files", "broadcast", "auto")}
    for way, stage in stages.items():
        first = answers(stage, df)
        second = answers(stage, df)
        result["ways"][way] = {
            "hash": stage._distributed(spark)[0].hash,
            "scores": first,
            "repeats": bool(np.array_equal(first, second)),
        }
    result["n_pieces"] = max(len(ref.pieces) for ref in distribution._sent.refs())
    result["without package"] = failure(spark, stages["path"], df, "sparkxlmr")
    result["without engine"] = failure(spark, stages["path"], df, "openvino")
    hidden = classifier(folder, "path-hidden")
    hidden._transform(df)  # compiled, so that only the executors' view is missing
    bundle = hidden._distributed(spark)[0]
    frame = hidden.transform(df)
    bundle.folder.rename(folder / "moved")
    try:
        frame.collect()
    except PythonException as error:
        result["without folder"] = str(error)
    spark.stop()
    spark = cluster(1, **{"spark.io.encryption.enabled": "true"})
    stage = classifier(folder, "broadcast-encrypted")
    result["encrypted"] = answers(stage, documents(spark))
    result["encrypted hash"] = stage._distributed(spark)[0].hash
    print("RESULT " + json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
