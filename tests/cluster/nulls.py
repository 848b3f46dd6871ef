"""Run by test_memory.py in a process of its own: classify rows of null, print what each process peaked at.

Arguments: a preset folder, the number of rows. Prints one line of JSON: bytes of the JVM and of each worker.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

# The whole heap at once: what the JVM's lazy collection has not yet freed then counts for both sizes alike.
HEAP = "600m"


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, each with its command line."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (place / "stat").read_text(), (place / "cmdline").read_text()
        except OSError:  # it ended
            continue
        parents[int(place.name)] = (int(stat.rpartition(")")[2].split()[1]), command)
    found: dict[int, str] = {}
    todo = [pid]
    while todo:
        above = todo.pop()
        for child, (parent, command) in parents.items():
            if parent == above:
                found[child] = command
                todo.append(child)
    return found


def peak(pid: int) -> int:
    """Bytes of memory that a process held at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    preset, n_rows = sys.argv[1], int(sys.argv[2])
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", HEAP)
        .config("spark.driver.extraJavaOptions", f"-Xms{HEAP} -XX:+AlwaysPreTouch")
        .getOrCreate()
    )
    df = spark.range(0, n_rows, 1, 2).selectExpr("cast(null as string) as text")
    classifier = XlmRoBertaForSequenceClassification.pretrained(preset)
    classifier.setInputCols("document").setOutputCol("category")
    df = classifier.transform(DocumentAssembler().setInputCol("text").transform(df))
    n_empty = df.where("size(category) = 0").count()
    processes = descendants(os.getpid())
    jvm = [pid for pid, command in processes.items() if "SparkSubmit" in command]
    workers = [pid for pid, command in processes.items() if "pyspark.daemon" in command]
    print(json.dumps({"empty": n_empty, "jvm": [*map(peak, jvm)], "workers": [*map(peak, workers)]}))


if __name__ == "__main__":
    main()
