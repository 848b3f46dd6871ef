"""Contestant for memory alone: a pandas UDF without any model, to which the others' workers are compared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import serve
import spark_job
from job_files import JobFiles
from pyspark.sql import DataFrame
from pyspark.sql.functions import pandas_udf

import sparkxlmr


def main() -> None:
    arguments = serve.arguments(__doc__)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="bare-worker-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)
        spark = sparkxlmr.start(master=f"local[{arguments.cores}]")

        def run() -> tuple[float, list[str]]:
            def length(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
                for series in texts:
                    yield series.str.len().astype(str)

            udf = pandas_udf(length, "string")

            def label(texts: DataFrame) -> DataFrame:
                return texts.withColumn("label", udf("text"))

            return spark_job.timed(spark, files, label, by_length=False)

        serve.serve(run, "pyspark", "pandas", "pyarrow")
        spark.stop()


if __name__ == "__main__":
    main()
