"""Contestant: a Hugging Face pipeline in an iterator pandas UDF, as people write it.

One thread a worker (two workers of all threads each stand in each other's way), batches of 32, texts as they
come; other batches and sorted texts on demand. The pipeline is kept in the worker between jobs, which written
on the spot it is not: its loading is not in the times.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import serve
import spark_job
from checkpoints import with_fast_tokenizer
from job_files import JobFiles
from pyspark.sql import DataFrame
from pyspark.sql.functions import pandas_udf


def main() -> None:
    arguments = serve.arguments(__doc__)
    task, most_tokens = arguments.task, arguments.most_tokens
    checkpoint = with_fast_tokenizer(arguments.models / task / "hugging_face")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where workers find hugging_face_worker
    with tempfile.TemporaryDirectory(prefix="hugging-face-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)
        spark = spark_job.start(arguments.cores)

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str]]:
            def labels(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
                from hugging_face_worker import label_batches

                return label_batches(task, checkpoint, most_tokens, batch, texts)

            udf = pandas_udf(labels, "string")

            def label(texts: DataFrame) -> DataFrame:
                return texts.withColumn("label", udf("text"))

            return spark_job.timed(spark, files, label, by_length)

        serve.serve(run, "pyspark", "torch", "transformers")
        spark.stop()


if __name__ == "__main__":
    main()
