"""A saved pipeline read by another version of Spark.

    python swap.py save FOLDER    # in one environment
    python swap.py load FOLDER    # in another: fails unless the answers are the same

`matrix.py swap` runs it both ways, between the oldest and the newest Spark that the package claims.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.ml import Pipeline, PipelineModel

import sparkxlmr
from sparkxlmr.annotator import Tokenizer, XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler, Finisher

TEXTS = ["Where is the key?", "Спасибо большое", "おはようございます", "", None, "x " * 3000]


def answers(model: PipelineModel) -> list[list[object]]:
    spark = sparkxlmr.start()
    texts = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string")
    rows = model.transform(texts).orderBy("id").collect()
    return [
        [
            row["finished_token"],
            [
                (found["begin"], found["end"], found["result"], dict(found["metadata"]))
                for found in row["language"]
            ],
        ]
        for row in rows
    ]


def pipeline() -> Pipeline:
    classifier = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
    return Pipeline(
        stages=[
            DocumentAssembler().setInputCol("text").setOutputCol("document"),
            Tokenizer().setInputCols(["document"]).setOutputCol("token"),
            classifier.setInputCols(["document", "token"]).setOutputCol("language").setTopScores(3),
            Finisher().setInputCols(["token"]).setCleanAnnotations(False),
        ]
    )


def save(folder: Path) -> None:
    spark = sparkxlmr.start(master="local[2]")
    model = pipeline().fit(spark.createDataFrame([("",)], ["text"]))
    model.save(str(folder / "pipeline"))
    (folder / "answers.json").write_text(json.dumps([spark.version, answers(model)]), "utf-8")


def load(folder: Path) -> None:
    spark = sparkxlmr.start(master="local[2]")
    version, expected = json.loads((folder / "answers.json").read_text("utf-8"))
    found = json.loads(json.dumps(answers(PipelineModel.load(str(folder / "pipeline")))))
    if found != expected:
        sys.exit(f"Saved by Spark {version}, read by {spark.version}: {found} instead of {expected}")
    print(f"Saved by Spark {version}, read by {spark.version}: the same answers")


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](Path(sys.argv[2]))
