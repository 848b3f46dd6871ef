"""100,000 rows of news over two executors, with a filter and a join behind: each row is scored once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.predictor import Predictor

HERE = Path(__file__).parent
N_ROWS = 100_000


def test_each_row_is_scored_once(spark_home, tmp_path):
    out, trace = tmp_path / "out", tmp_path / "trace"
    trace.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(HERE.parents[1]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home),
        "SPARKXLMR_TRACE": str(trace),
    }
    command = [sys.executable, str(HERE / "many_rows.py"), str(N_ROWS), str(out)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    events = [json.loads(line) for file in trace.iterdir() for line in file.open()]
    scored = [event for event in events if event["event"] == "score"]
    assert sum(event["rows"] for event in scored) == N_ROWS
    assert len({event["pid"] for event in scored}) == 2
    loads = Counter(event["pid"] for event in events if event["event"] == "load")
    assert set(loads.values()) == {1}

    rows = pq.read_table(out).sort_by("id").to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["twice"] == 2 * row["id"] for row in rows)
    assert {row["label"] for row in rows} == {"Sports", "Sci/Tech"}
    # The texts say what they are about, so that half of them are left: a filter that works on real answers.
    right = sum(row["label"] == {1: "Sports", 3: "Sci/Tech"}.get(row["id"] % 4) for row in rows)
    assert right / len(rows) > 0.9
    assert abs(len(rows) - N_ROWS / 2) < N_ROWS / 10
    assert all(row["topic"][0]["end"] == len(row["text"]) - 1 for row in rows)

    # Answers of some of them, asked without Spark.
    preset = Preset.open("xlm_roberta_tiny_ag_news")
    some = rows[:: len(rows) // 200]
    logits = Predictor(bundle_for(preset, "openvino")).logits([row["text"] for row in some], 128).logits
    best = logits.argmax(axis=1)
    assert [preset.labels[i] for i in best] == [row["label"] for row in some]
    assert [float(i) for i in best] == [row["prediction"] for row in some]
