"""A client of Spark 3.5 on a 4.x Connect server: all but saving and loading, which 3.5 cannot do there."""

from __future__ import annotations

import pyspark
from pyspark.ml import Pipeline

import sparkxlmr
from sparkxlmr.annotator import Tokenizer, XlmRoBertaForMaskedLM, XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler, Finisher

TEXTS = "select * from values ('Спасибо большое <mask>'), (cast(X'FF20466F6F' as string)), ('') as t(text)"


def main() -> None:
    spark = sparkxlmr.start()
    assert pyspark.__version__.startswith("3.5"), pyspark.__version__
    assert spark.version.startswith("4."), spark.version
    sparkxlmr.attach(spark)
    texts = spark.sql(TEXTS)
    classifier = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
    classifier.setInputCols("document").setOutputCol("language")
    pipeline = Pipeline(
        stages=[
            DocumentAssembler().setInputCol("text").setOutputCol("document"),
            Tokenizer().setInputCols("document").setOutputCol("token"),
            classifier.setPredictionCol("prediction").setProbabilityCol("probability"),
            XlmRoBertaForMaskedLM.pretrained().setInputCols("document").setOutputCol("filled").setTopK(3),
            Finisher().setInputCols(["language", "token"]).setCleanAnnotations(False),
        ]
    )
    found = pipeline.fit(texts).transform(texts).drop("text").collect()
    assert [row["finished_language"] for row in found][::2] == [["rus_Cyrl"], []], found
    tokens = [["Спасибо", "большое", "<mask>"], ["\ufffd", "Foo"], []]
    assert [row["finished_token"] for row in found] == tokens, found
    assert [len(row["filled"]) for row in found] == [3, 0, 0], found
    assert len(found[0]["probability"]) == 205
    spark.stop()


if __name__ == "__main__":
    main()
