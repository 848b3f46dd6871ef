"""Contestant: mlflow's ``spark_udf`` of a Hugging Face pipeline, saved with ``mlflow.transformers``.

The batch size and the truncation are the saved model's configuration, as mlflow documents it. On one machine
its UDF loads the model anew for every task, and that is in the times: it is how mlflow runs.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serve
import spark_job
from checkpoints import with_fast_tokenizer
from job_files import JobFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_TOKENS = 128


def settings(batch: int) -> dict[str, Any]:
    """What the pipeline is called with."""
    return {"batch_size": batch, "truncation": True, "max_length": MOST_TOKENS}


def save(checkpoint: str, folder: Path) -> None:
    """The checkpoint as an mlflow model."""
    import mlflow
    from transformers import pipeline

    model = pipeline("text-classification", model=checkpoint)
    mlflow.transformers.save_model(
        model, str(folder), model_config=settings(32), pip_requirements=["transformers", "torch"]
    )


def udf(spark: SparkSession, model: Path, batch: int) -> Any:
    """The UDF from texts to labels."""
    import mlflow

    return mlflow.pyfunc.spark_udf(
        spark, str(model), result_type="string", env_manager="local", model_config=settings(batch)
    )


def main() -> None:
    arguments = serve.arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="mlflow-") as name:
        folder = Path(name)
        files = JobFiles(arguments.texts, folder, arguments.cores, arguments.rows)
        save(with_fast_tokenizer(arguments.models / "classify" / "hugging_face"), folder / "model")
        spark = spark_job.start(arguments.cores)

        @functools.cache
        def classifier(batch: int) -> Any:
            return udf(spark, folder / "model", batch)

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str]]:
            def label(texts: DataFrame) -> DataFrame:
                return texts.withColumn("label", classifier(batch)("text"))

            return spark_job.timed(spark, files, label, by_length)

        serve.serve(run, "pyspark", "mlflow", "torch", "transformers")
        spark.stop()


if __name__ == "__main__":
    main()
