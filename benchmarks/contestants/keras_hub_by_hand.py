"""Contestant: a keras-hub classifier on TensorFlow, called by hand from ``predict_batch_udf``.

The preset, its preprocessor at 128 tokens and ``predict`` as keras-hub documents them: texts are padded to
the preprocessor's length, whatever theirs is, so sorting them changes nothing.
"""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serve
import spark_job
from job_files import JobFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_TOKENS = 128


@functools.cache
def classifier(preset: str, names: tuple[str, ...], batch: int) -> Any:
    """The UDF from texts to labels, `batch` texts at a time."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import StringType

    def make_predict_fn() -> Any:
        import os

        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import numpy as np
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        from keras_hub.models import XLMRobertaTextClassifier, XLMRobertaTextClassifierPreprocessor

        preprocessor = XLMRobertaTextClassifierPreprocessor.from_preset(preset, sequence_length=MOST_TOKENS)
        model = XLMRobertaTextClassifier.from_preset(preset, preprocessor=preprocessor)
        labels = np.array(names)

        def predict(texts: np.ndarray) -> np.ndarray:
            logits = model.predict(texts.tolist(), batch_size=batch, verbose=0)
            return labels[logits.argmax(-1)]

        return predict

    return predict_batch_udf(make_predict_fn, return_type=StringType(), batch_size=batch)


def main() -> None:
    arguments = serve.arguments(__doc__)
    preset = str(arguments.models / "classify" / "preset")
    config = json.loads((arguments.models / "classify" / "hugging_face" / "config.json").read_text("utf-8"))
    names = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
    with tempfile.TemporaryDirectory(prefix="keras-hub-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)
        spark = spark_job.start(arguments.cores)

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str]]:
            def label(texts: DataFrame) -> DataFrame:
                return texts.withColumn("label", classifier(preset, names, batch)("text"))

            return spark_job.timed(spark, files, label, by_length)

        serve.serve(run, "pyspark", "keras", "keras-hub", "tensorflow")
        spark.stop()


if __name__ == "__main__":
    main()
