"""A model's ways to two real executors: equal answers, one load a worker, errors that say what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent

# Runs in every Python process below; lets a job's workers lack a package.
SITE = """
import os, sys
if os.environ.get("BLOCKED") and any("pyspark.daemon" in part for part in sys.orig_argv):
    sys.modules[os.environ["BLOCKED"]] = None
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_preset, spark_home):
    """What the cluster's process printed, and `host`, `trace`: the folders that its workers wrote to."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    places = {name: folder / name for name in ("home", "host", "trace", "presets")}
    for place in places.values():
        place.mkdir(mode=0o700)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(HERE.parents[1])]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home),
        "SPARKXLMR_HOME": str(places["home"]),
        "SPARKXLMR_HOST_FOLDER": str(places["host"]),
        "SPARKXLMR_TRACE": str(places["trace"]),
    }
    command = [sys.executable, str(HERE / "ways.py"), str(tiny_preset), str(places["presets"])]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-4000:]
    result = json.loads(lines[-1].removeprefix("RESULT "))
    return {**result, **places}


def loads(run):
    events = [
        json.loads(line) for file in run["trace"].iterdir() for line in file.read_text().splitlines() if line
    ]
    return [event for event in events if event["event"] == "load"]


def test_every_way_gives_the_same_answers(run):
    scores = [way["scores"] for way in run["ways"].values()]
    assert np.array(scores[0]).shape == (64, 4)
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=1e-6)
    assert all(way["repeats"] for way in run["ways"].values())


def test_pieces_arrive_where_spark_encrypts_what_it_writes_to_disk(run):
    """Workers find no file of a piece there, and take its value through Spark's socket."""
    np.testing.assert_allclose(run["encrypted"], run["ways"]["path"]["scores"], atol=1e-6)


@pytest.mark.parametrize(("way", "taken"), [("path", "path"), ("files", "files"), ("broadcast", "broadcast"),
                                            ("auto", "files")])  # fmt: skip
def test_one_load_a_worker_by_the_way_that_was_asked_for(run, way, taken):
    model = run["ways"][way]["hash"]
    found = [event for event in loads(run) if event["model"] == model]
    assert {event["way"] for event in found} == {taken}
    n_loads = Counter(event["pid"] for event in found)
    assert len(n_loads) >= 2, "both executors should have had a part"
    assert set(n_loads.values()) == {1}


def test_a_host_unpacks_once_what_travelled(run):
    kept = {folder.name for folder in (run["host"] / "bundles").iterdir()}
    assert kept == {run["ways"][way]["hash"] for way in ("files", "broadcast", "auto")} | {
        run["encrypted hash"]
    }


def test_the_broadcast_came_in_pieces(run):
    assert run["n_pieces"] > 1


def test_a_worker_without_the_package_says_so_in_one_line(run):
    line = next(line for line in run["without package"].splitlines() if "cannot import sparkxlmr" in line)
    assert "install sparkxlmr on every executor" in line


def test_a_worker_without_the_engine_says_so_in_one_line(run):
    line = next(line for line in run["without engine"].splitlines() if "EngineError: " in line)
    assert "'openvino' is not installed here" in line
    assert "every executor" in line


def test_a_worker_that_does_not_see_the_folder_says_so_in_one_line(run):
    line = next(line for line in run["without folder"].splitlines() if "sees no model folder" in line)
    assert "setDistribution('files')" in line
