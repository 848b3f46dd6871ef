"""A Connect server that starts with the session (`SPARK_REMOTE=local[2]`), and a stream there."""

from __future__ import annotations

import sparkxlmr
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler


def main() -> None:
    spark = sparkxlmr.start()
    assert type(spark).__module__.startswith("pyspark.sql.connect"), spark
    texts = spark.createDataFrame([("Спасибо большое",)], ["text"])
    assembler = DocumentAssembler().setInputCol("text")
    stage = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
    stage.setInputCols("document").setOutputCol("language")
    found = stage.transform(assembler.transform(texts)).select("language.result").collect()
    assert found[0]["result"] == ["rus_Cyrl"], found
    # Its workers have the package, and see the model's folder: what a stream needs.
    spark.conf.set("spark.sparkxlmr.sharedDisk", "true")
    texts.write.parquet("source")
    arriving = spark.readStream.schema("text string").parquet("source")
    streamed = stage.transform(assembler.transform(arriving)).select("language.result")
    writer = streamed.writeStream.format("parquet").option("checkpointLocation", "checkpoint")
    writer.trigger(availableNow=True).start("sink").awaitTermination()
    assert [row["result"] for row in spark.read.parquet("sink").collect()] == [["rus_Cyrl"]]
    spark.stop()


if __name__ == "__main__":
    main()
