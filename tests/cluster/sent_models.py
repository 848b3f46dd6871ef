"""Run by test_sent_models.py in a process of its own, because a process has one SparkContext.

One executor; its workers have another version of the package at first. Then models come and go, the user's
cache is deleted, and the executor is replaced. Prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from pyspark.errors import PythonException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from ways import classifier, cluster, documents

import sparkxlmr
from sparkxlmr.errors import SparkxlmrError


def on_executor(spark: SparkSession, function) -> str:
    """What a function returns on the executor."""
    udf = F.udf(lambda _: function(), "string", useArrow=False).asNondeterministic()
    return spark.range(1).select(udf("id").alias("x")).collect()[0]["x"]


def executor_pid() -> str:
    """The process id of the executor's JVM: the parent of the daemon that is the worker's parent."""
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))


def fetched_models() -> str:
    """The number of models in the executor's folder of files."""
    from pyspark import SparkFiles

    return str(len(list(Path(SparkFiles.getRootDirectory()).glob("sparkxlmr-*.zip"))))


def main() -> None:
    folder = Path(sys.argv[2])
    spark = cluster(1)
    spark.sparkContext.setLogLevel("OFF")
    df = documents(spark).cache()
    df.count()
    result = {}
    stage = classifier(folder, "files-0")
    spark.sparkContext.environment["OTHER_PACKAGE"] = sys.argv[3]
    try:
        stage.transform(df)
    except SparkxlmrError as error:
        result["other version, driver"] = str(error)
    del spark.sparkContext.environment["OTHER_PACKAGE"]
    frame = stage.transform(df)
    before = frame.collect()
    spark.sparkContext.environment["OTHER_PACKAGE"] = sys.argv[3]
    try:
        stage.transform(df).collect()
    except PythonException as error:
        result["other version, job"] = str(error)
    del spark.sparkContext.environment["OTHER_PACKAGE"]

    for i in range(1, 6):
        classifier(folder, f"files-{i}").transform(df).collect()
    result["fetched by first executor"] = int(on_executor(spark, fetched_models))
    result["released"] = sparkxlmr.release_unused_models(spark)
    result["listed"] = len([url for url in spark.sparkContext.listFiles if "/sparkxlmr-" in url])
    del stage  # the DataFrame alone keeps its model
    gc.collect()
    sparkxlmr.release_unused_models(spark)

    shutil.rmtree(Path(os.environ["SPARKXLMR_HOME"]))
    shutil.rmtree(Path(os.environ["SPARKXLMR_HOST_FOLDER"]) / "bundles")
    os.kill(int(on_executor(spark, executor_pid)), signal.SIGKILL)
    result["rows after all"] = len(frame.collect()) == len(before)
    result["fetched by second executor"] = int(on_executor(spark, fetched_models))
    print("RESULT " + json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
