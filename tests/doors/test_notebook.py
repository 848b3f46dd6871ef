"""The notebook runs from its first cell to its picture: on its own, and where a `spark` is there already."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"

# What a Databricks notebook finds when its first cell runs: a session that somebody else made.
SPARK_IS_THERE = """
import os, sys
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[2]").appName("made-by-the-platform")
spark = builder.config("spark.ui.enabled", "false").getOrCreate()
"""
EXPECTED = {
    1: "eng_Latn", 2: "deu_Latn", 4: "fra_Latn", 5: "spa_Latn", 7: "rus_Cyrl", 9: "ell_Grek",
    11: "jpn_Jpan", 12: "kor_Hang", 16: "vie_Latn", 18: "hun_Latn",
}  # fmt: skip
REPORT = """
import json
print(json.dumps({
    "app": spark.conf.get("spark.app.name"),
    "best": {int(row.id): row.best for row in found.itertuples() if isinstance(row.best, str)},
}))
"""


@pytest.mark.parametrize("spark_is_there", [False, True], ids=["on its own", "spark is there"])
def test_notebook_runs(spark_is_there: bool, tmp_path: Path) -> None:
    import json

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [nbformat.v4.new_code_cell(SPARK_IS_THERE)] if spark_is_there else []
    notebook.cells = [*cells, *notebook.cells, nbformat.v4.new_code_cell(REPORT)]
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    report = json.loads(notebook.cells[-1].outputs[0]["text"])
    best = {int(key): label for key, label in report["best"].items()}
    assert {key: best.get(key) for key in EXPECTED} == EXPECTED
    assert 19 not in best
    assert 20 not in best
    assert (report["app"] == "made-by-the-platform") is spark_is_there
    shown = [out["data"] for cell in notebook.cells for out in cell.get("outputs", []) if "data" in out]
    assert len([data for data in shown if "image/png" in data]) == 1
    (marked,) = [data["text/html"] for data in shown if "<mark" in data.get("text/html", "")]
    assert "eng_Latn" in marked
    assert "deu_Latn" in marked


def test_notebook_holds_no_local_path_and_no_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sources = "\n".join(cell.source for cell in notebook.cells)
    assert not any(
        f"/{folder}/" in sources for folder in ("tmp", "home", "root", "work", "Users", "dbfs", "mnt")
    )
    assert all(not cell.get("outputs") for cell in notebook.cells)
