"""A file stream through the pipeline: every row exactly once, also where a batch fails and is run again."""

from __future__ import annotations

import os

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.ml import Pipeline
from pyspark.sql import functions as F

from sparkxlmr.annotator import SentenceDetector, XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler, Finisher

ROWS_A_FILE = 4


@pytest.fixture
def model(spark, tiny_preset):
    stages = [
        DocumentAssembler().setInputCol("text"),
        SentenceDetector().setInputCols("document").setOutputCol("sentence"),
        XlmRoBertaForSequenceClassification.pretrained(tiny_preset)
        .setInputCols("sentence")
        .setOutputCol("category")
        .setPredictionCol("prediction"),
        Finisher().setInputCols(["sentence", "category"]),
    ]
    return Pipeline(stages=stages).fit(spark.createDataFrame([], "text string"))


def drop_file(folder, number):
    """A file that is there whole or not at all, as a stream wants it, and later than the one before."""
    lines = [f"File {number}, row {row} is here. And what follows." for row in range(ROWS_A_FILE)]
    fresh = folder.parent / f"{number}.txt"
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.utime(fresh, (1_000_000 + number, 1_000_000 + number))
    fresh.rename(folder / fresh.name)
    return lines


def test_each_row_once_over_a_batch_that_fails_and_a_restart(spark, model, tmp_path):
    incoming, out = tmp_path / "in", str(tmp_path / "out")
    incoming.mkdir()
    broken = tmp_path / "broken"
    broken.touch()

    @F.udf("string")
    def fails_late(label):
        # The last row of the second file: its batch has scored and begun to write by then.
        if broken.exists() and label == "File 1, row 3 is here.":
            raise ValueError("the disk is full")
        return label

    def run():
        stream = spark.readStream.option("maxFilesPerTrigger", 1).text(str(incoming))
        answers = model.transform(stream.withColumnRenamed("value", "text"))
        answers = answers.withColumn("first", fails_late(F.col("finished_sentence")[0]))
        query = (
            answers.coalesce(1)
            .writeStream.trigger(availableNow=True)
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .start(out, format="parquet", outputMode="append")
        )
        try:
            query.awaitTermination()
        finally:
            query.stop()
        return [progress["batchId"] for progress in query.recentProgress if progress["numInputRows"]]

    texts = [line for number in range(3) for line in drop_file(incoming, number)]
    with pytest.raises(StreamingQueryException, match="the disk is full"):
        run()
    assert spark.read.parquet(out).count() == ROWS_A_FILE
    broken.unlink()
    assert run() == [1, 2]  # the batch that failed, and what had not been read
    texts += drop_file(incoming, 3)
    assert run() == [3]
    rows = spark.read.parquet(out).collect()
    assert sorted(row["text"] for row in rows) == sorted(texts)

    # what a plain job says of the same rows
    df = spark.createDataFrame([(text,) for text in texts], "text string")
    expected = {row["text"]: row for row in model.transform(df).collect()}
    assert len(expected) == len(texts)
    for row in rows:
        assert row["finished_sentence"] == [row["first"], "And what follows."]
        assert row["finished_category"] == expected[row["text"]]["finished_category"]
        assert row["prediction"] == expected[row["text"]]["prediction"]
