"""A saved pipeline read by another version of Spark.

    python swap.py save FOLDER    # in one environment
    python swap.py load FOLDER    # in another: fails unless the answers are the same

`matrix.py swap` runs it both ways, between the oldest and the newest Spark that the package claims.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.ml import PipelineModel
from saved_pipeline import answers, difference, frame, pipeline, write_models

import sparkxlmr


def save(folder: Path) -> None:
    spark = sparkxlmr.start(master="local[2]")
    model = pipeline(write_models(folder / "models")).fit(frame(spark))
    model.save(str(folder / "pipeline"))
    (folder / "answers.json").write_text(json.dumps([spark.version, answers(model, spark)]), "utf-8")


def load(folder: Path) -> None:
    spark = sparkxlmr.start(master="local[2]")
    version, expected = json.loads((folder / "answers.json").read_text("utf-8"))
    found = answers(PipelineModel.load(str(folder / "pipeline")), spark)
    if told := difference(json.loads(json.dumps(found)), expected):
        sys.exit(f"Saved by Spark {version}, read by {spark.version}: {told}")
    print(f"Saved by Spark {version}, read by {spark.version}: the same answers")


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](Path(sys.argv[2]))
