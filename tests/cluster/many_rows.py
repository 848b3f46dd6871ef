"""Run by test_many_rows.py in a process of its own: news through a classifier on two executors.

Arguments: how many rows, the folder to write to. Behind the classifier stand a filter on its answer and a
join that shuffles.
"""

from __future__ import annotations

import os
import sys

from pyspark.ml import Pipeline
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler

#: A title and a description for each topic, with places for two words and the row's number.
TEMPLATES = {
    "World": "{0} talks on {1} resume: Ministers of {0} met rebels in {1} again, and {2} people fled the"
    " border as soldiers fired, the president said.",
    "Sports": "{0} beats {1} in final: The {0} striker scored twice in the last minutes and the {1} team"
    " lost its match before {2} fans, the coach said.",
    "Business": "{0} shares fall as {1} cuts forecast: Profit of the {0} bank fell {2} million dollars this"
    " quarter, and oil prices rose in {1}, analysts said.",
    "Sci/Tech": "{0} launches software for {1}: The {0} company said its new computer chip runs the internet"
    " search of {1} with {2} users on Windows and Linux.",
}
PLACES = ["Kenya", "Oslo", "Iraq", "Milan", "Boston", "Chile", "Tokyo", "Sydney", "Darfur", "Lyon", "Quebec"]
KINDS = len(TEMPLATES)


def news(number: Column) -> Column:
    """A text of its own for each number; its topic is the number's remainder."""
    places = F.array(*[F.lit(place) for place in PLACES])

    def place(step: int) -> Column:
        return F.element_at(places, ((number + step * F.floor(number / 7)) % len(PLACES) + 1).cast("int"))

    texts = F.array(*[F.lit(text) for text in TEMPLATES.values()])
    text = F.element_at(texts, (number % KINDS + 1).cast("int"))
    for i, word in enumerate((place(1), place(3), number.cast("string"))):
        text = F.replace(text, F.lit(f"{{{i}}}"), word)
    return text


def main() -> None:
    n_rows, out = int(sys.argv[1]), sys.argv[2]
    spark = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.autoBroadcastJoinThreshold", "-1")
        .config("spark.locality.wait", "0")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    rows = spark.range(0, n_rows, 1, 8).withColumn("text", news(F.col("id")))
    classifier = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_ag_news")
    classifier.setInputCols("document").setOutputCol("topic").setPredictionCol("prediction")
    stages = [DocumentAssembler().setInputCol("text"), classifier]
    answered = Pipeline(stages=stages).fit(rows).transform(rows)
    answered = answered.withColumn("label", F.col("topic")[0]["result"])
    owners = spark.range(0, n_rows).select("id", (F.col("id") * 2).alias("twice"))
    kept = answered.where("label in ('Sports', 'Sci/Tech') and prediction >= 0")
    joined = kept.join(owners, "id").select("id", "text", "label", "topic", "prediction", "twice")
    joined.write.parquet(out)
    spark.stop()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
