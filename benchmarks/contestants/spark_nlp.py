"""Contestant: Spark NLP 5.5.3's ``XlmRoBertaForSequenceClassification`` on its ONNX engine.

The classifier is exported by spark_nlp_onnx.py the first time and kept beside the other forms of the model
(``<models>/classify/onnx``). Its jars lie in ``jars`` of this environment (environments.py).

Spark NLP cuts texts into words and punctuation first and gives each part to SentencePiece alone, so its ids,
and of a random model some labels, are others than Hugging Face's; the exported graph itself agrees with it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serve
import spark_job
from job_files import JobFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_TOKENS = 128
#: Jars that Spark has itself, in other versions.
OF_SPARK = (
    "scala-library",
    "guava",
    "protobuf-java-3",
    "gson",
    "commons-codec",
    "commons-logging",
    "commons-compress",
    "commons-math3",
)


def exported(models: Path) -> Path:
    """The folder with the ONNX model, made where it is not there whole."""
    folder = models / "classify" / "onnx"
    if not (folder / "assets" / "labels.txt").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        script = Path(__file__).with_name("spark_nlp_onnx.py")
        command = [sys.executable, script, models / "classify" / "hugging_face", folder]
        subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)
    return folder


def session(cores: int) -> SparkSession:
    """Spark with Spark NLP's jars."""
    jars = sorted(
        str(jar) for jar in (Path(sys.prefix) / "jars").glob("*.jar") if not jar.name.startswith(OF_SPARK)
    )
    settings = {
        "spark.jars": ",".join(jars),
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "2000m",
        "spark.driver.maxResultSize": "0",
        "spark.driver.memory": "12g",
    }
    return spark_job.start(cores, **settings)


def stages(spark: SparkSession, folder: Path) -> tuple[Any, Any, Any]:
    """Assembler, tokenizer and the imported classifier: one import a session is all that Spark NLP takes."""
    from sparknlp.annotator import Tokenizer, XlmRoBertaForSequenceClassification
    from sparknlp.base import DocumentAssembler

    assembler = DocumentAssembler().setInputCol("text").setOutputCol("document")
    tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token")
    classifier = XlmRoBertaForSequenceClassification.loadSavedModel(str(folder), spark)
    classifier.setInputCols(["document", "token"]).setOutputCol("class").setCaseSensitive(True)
    return assembler, tokenizer, classifier.setMaxSentenceLength(MOST_TOKENS)


def main() -> None:
    arguments = serve.arguments(__doc__)
    onnx = exported(arguments.models)
    with tempfile.TemporaryDirectory(prefix="spark-nlp-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)
        spark = session(arguments.cores)
        from pyspark.ml import Pipeline

        assembler, tokenizer, classifier = stages(spark, onnx)
        empty = spark.createDataFrame([("",)], "text string")

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str]]:
            model = Pipeline(stages=[assembler, tokenizer, classifier.setBatchSize(batch)]).fit(empty)

            def label(texts: DataFrame) -> DataFrame:
                return model.transform(texts).selectExpr("id", "class.result[0] AS label")

            return spark_job.timed(spark, files, label, by_length)

        serve.serve(run, "pyspark", "spark-nlp")
        spark.stop()


if __name__ == "__main__":
    main()
