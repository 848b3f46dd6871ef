"""What the contestants on Spark share: a session on some cores of this machine, and the timed job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from job_files import JobFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def start(cores: int, **settings: str) -> SparkSession:
    """A session on ``local[cores]``, its workers with this very Python and one thread a core."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["OMP_NUM_THREADS"] = "1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{cores}]").appName("contestant")
    own = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "4g",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    for name, value in {**own, **settings}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def timed(
    spark: SparkSession, files: JobFiles, label: Callable[[DataFrame], DataFrame], by_length: bool
) -> tuple[float, list[str]]:
    """Read the texts, let `label` add the column ``label``, write it; how long that took, and the labels.

    Workers are warm: Spark ends idle ones after a minute, so a job of one text a core goes before.
    """
    source = str(files.source(by_length))
    label(spark.read.parquet(str(files.one_a_core()))).write.format("noop").mode("overwrite").save()
    began = time.perf_counter()
    labelled = label(spark.read.parquet(source)).select("id", "label")
    labelled.write.mode("overwrite").parquet(str(files.target))
    seconds = time.perf_counter() - began
    return seconds, files.labels()
