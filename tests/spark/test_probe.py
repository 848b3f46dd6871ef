"""What one task finds on an executor, and what is made of it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest
from pyspark import cloudpickle

from sparkxlmr import __version__
from sparkxlmr.errors import EngineError, EnvironmentNotReadyError, NotAPresetError
from sparkxlmr.spark import probe
from sparkxlmr.spark.model_ref import ModelRef

GOOD = {"version": __version__, "python": "3.11.7", "error": "", "engines": ["openvino"], "sees": True}


@pytest.mark.parametrize(
    ("found", "way", "error", "said"),
    [
        ({"version": None, "error": "No module named 'sparkxlmr'"}, "files", EnvironmentNotReadyError,
         r"Python 3\.11\.7 cannot import sparkxlmr \(No module .*sparkxlmr\.attach\(spark\)"),
        ({"version": "0.0.9"}, "files", EnvironmentNotReadyError,
         rf"executors have sparkxlmr 0\.0\.9, the driver {__version__}\..*sparkxlmr\.attach\(spark\)"),
        ({"error": "No module named 'sentencepiece'"}, "path", EnvironmentNotReadyError,
         r"cannot run sparkxlmr \(No module named 'sentencepiece'\).*on every executor.*--archives"),
        ({"engines": []}, "files", EngineError, r"lack the engine 'openvino'.*pip install"),
        ({"sees": False}, "files", NotAPresetError, r"file place.*setDistribution\('path'\)"),
        ({"sees": False}, "path", NotAPresetError, r"no folder place.*setDistribution\('files'\)"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_to_do(monkeypatch, found, way, error, said):
    monkeypatch.setattr(probe, "ask", lambda spark, ref: GOOD | found)
    with pytest.raises(error, match=said):
        probe.check(None, ModelRef("0" * 64, way, "place", "float32"), "openvino")


def test_nothing_missing_is_no_error(monkeypatch):
    monkeypatch.setattr(probe, "ask", lambda spark, ref: GOOD)
    probe.check(None, ModelRef("0" * 64, "files", "place", "float32"), "openvino")


def test_one_task_answers(spark, tmp_path):
    there = probe.ask(spark, ModelRef("0" * 64, "path", str(tmp_path), "float32"))
    assert {**there, "engines": "openvino" in there["engines"]} == {
        **GOOD, "python": there["python"], "engines": True,
    }  # fmt: skip
    gone = probe.ask(spark, ModelRef("0" * 64, "files", "never-sent.zip", "float32"))
    assert not gone["sees"]


def test_a_python_without_the_package_answers_too(tmp_path):
    """As Spark ships it: by value, so that it unpickles where nothing of this package is."""
    shipped = tmp_path / "question"
    shipped.write_bytes(cloudpickle.dumps(probe.question("path", str(tmp_path))))
    program = f"import pickle; print(pickle.load(open({str(shipped)!r}, 'rb'))(0))"
    blocked = "import sys; sys.modules['sparkxlmr'] = None; " + program
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, env=os.environ, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["version"] is None
    assert "sparkxlmr" in answer["error"]
    assert answer["sees"]
    assert len(pickle.dumps(shipped.read_bytes())) < 5000
