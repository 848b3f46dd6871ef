"""Run by test_gpus.py in a process of its own, because a process has one SparkContext.

`gpus.py cluster PRESET SCRIPT`: one executor with two GPUs, which the discovery script tells of, and tasks of
one GPU each. `gpus.py local PRESET`: local mode, where Spark assigns none. The engine is the recording one.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import pandas as pd
from pyspark import TaskContext
from pyspark.sql import SparkSession

from sparkxlmr.spark import worker
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

N_JOBS = 12


def told(wire):
    """What a task is told and what its model says of the device that it sees."""

    def tell(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            resources = TaskContext.get().resources()
            address = ",".join(resources["gpu"].addresses) if "gpu" in resources else ""
            prediction = worker.predictor_for(ModelRef.from_wire(wire)).logits(["a text"], 16)
            seen = str(int(prediction.logits[0, 0]))
            time.sleep(0.3)  # so that both tasks of a job run at a time
            rows = [(address, seen, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "none"))]
            yield pd.DataFrame(rows * len(batch), columns=["address", "seen", "pid", "environment"])

    return tell


def main() -> None:
    mode, preset, *script = sys.argv[1:]
    builder = SparkSession.builder.config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.locality.wait", "0")
    if mode == "cluster":
        builder = (
            builder.master("local-cluster[1,2,1024]")
            .config("spark.worker.resource.gpu.amount", "2")
            .config("spark.worker.resource.gpu.discoveryScript", script[0])
            .config("spark.executor.resource.gpu.amount", "2")
            .config("spark.executor.cores", "2")
            .config("spark.task.resource.gpu.amount", "1")
        )
    else:
        builder = builder.master("local[4]")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    stage = XlmRoBertaForSequenceClassification.pretrained(preset).setEngine("tensorflow")
    stage = stage.setInputCols("document").setOutputCol("c")
    texts = spark.createDataFrame([(f"text {i}",) for i in range(40)], "text string").repartition(4)
    documents = DocumentAssembler().setInputCol("text").transform(texts)
    _, ref = stage._distributed(spark)
    n_tasks = 2 if mode == "cluster" else 4
    columns = "address string, seen string, pid long, environment string"
    tasks = []
    for _ in range(N_JOBS if mode == "cluster" else 2):
        frame = spark.range(n_tasks, numPartitions=n_tasks).mapInPandas(told(ref.to_wire()), columns)
        tasks += [row.asDict() for row in frame.collect()]
    answered = stage.transform(documents).select("c").count()
    print("RESULT " + json.dumps({"tasks": tasks, "answered": answered, "shared": ref.shared}))
    spark.stop()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
