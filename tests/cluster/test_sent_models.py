"""Models that come and go, a replaced executor, and executors with another version of the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sparkxlmr

HERE = Path(__file__).parent

# Runs in every Python process below; lets a job's workers have another package.
SITE = """
import os, sys
if os.environ.get("OTHER_PACKAGE") and any("pyspark.daemon" in part for part in sys.orig_argv):
    sys.path.insert(0, os.environ["OTHER_PACKAGE"])
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_preset, spark_home):
    """What the cluster's process printed."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("site", "home", "host", "presets", "other/sparkxlmr"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    (folder / "other" / "sparkxlmr" / "__init__.py").write_text("__version__ = '0.0.9'\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(HERE.parents[1]), str(HERE)]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home),
        "SPARKXLMR_HOME": str(folder / "home"),
        "SPARKXLMR_HOST_FOLDER": str(folder / "host"),
    }
    command = [sys.executable, str(HERE / "sent_models.py"), str(tiny_preset), str(folder / "presets")]
    done = subprocess.run(
        [*command, str(folder / "other")],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-4000:]
    return json.loads(lines[-1].removeprefix("RESULT "))


def test_other_version_on_executors_before_job(run):
    error = run["other version, driver"]
    assert error.startswith(f"The executors have sparkxlmr 0.0.9, the driver {sparkxlmr.__version__}.")


def test_other_version_on_executors_in_job(run):
    """Executors that came later, for example: the model was checked already."""
    (line,) = [line for line in run["other version, job"].splitlines() if "RuntimeError: " in line]
    assert f"has sparkxlmr 0.0.9, the driver {sparkxlmr.__version__}." in line


def test_unused_models_are_not_fetched_by_new_executors(run):
    assert run["fetched by first executor"] > 1
    assert run["released"] >= 2  # others went by themselves before
    assert run["listed"] == 1
    assert run["fetched by second executor"] == 1


def test_dataframe_runs_on_new_executor_after_cache_was_deleted(run):
    assert run["rows after all"]
