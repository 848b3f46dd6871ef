"""Contestant: Spark's own ``predict_batch_udf`` with a Hugging Face model on PyTorch.

Written as Spark documents it: a function that loads the model once a worker and returns one that predicts a
batch. A worker keeps the model as long as the same UDF is used, so there is one UDF a batch size.
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
    from pyspark.sql import DataFrame

MOST_TOKENS = 128


@functools.cache
def classifier(checkpoint: str, batch: int) -> Any:
    """The UDF from texts to labels, `batch` texts at a time."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import StringType

    def make_predict_fn() -> Any:
        import numpy as np
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.set_num_threads(1)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
        labels = np.array([model.config.id2label[index] for index in range(model.config.num_labels)])

        def predict(texts: np.ndarray) -> np.ndarray:
            features = tokenizer(
                texts.tolist(), padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                return labels[model(**features).logits.argmax(-1).numpy()]

        return predict

    return predict_batch_udf(make_predict_fn, return_type=StringType(), batch_size=batch)


def main() -> None:
    arguments = serve.arguments(__doc__)
    checkpoint = with_fast_tokenizer(arguments.models / "classify" / "hugging_face")
    with tempfile.TemporaryDirectory(prefix="predict-batch-udf-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)
        spark = spark_job.start(arguments.cores)

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str]]:
            def label(texts: DataFrame) -> DataFrame:
                return texts.withColumn("label", classifier(checkpoint, batch)("text"))

            return spark_job.timed(spark, files, label, by_length)

        serve.serve(run, "pyspark", "torch", "transformers")
        spark.stop()


if __name__ == "__main__":
    main()
