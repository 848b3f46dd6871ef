"""Rows cost time, not memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def peaks(preset: Path, n_rows: int) -> dict:
    command = [sys.executable, str(HERE / "nulls.py"), str(preset), str(n_rows)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["empty"] == n_rows
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peaks from /proc, which is Linux's")
def test_a_million_rows_of_null_peak_where_20_000_do(tiny_preset):
    """JVM and Python workers together, each at its highest, in fresh processes."""
    few, many = peaks(tiny_preset, 20_000), peaks(tiny_preset, 1_000_000)
    assert len(few["jvm"]) == len(many["jvm"]) == 1
    assert len(few["workers"]) == len(many["workers"]) == 3  # the daemon, and one for each core
    assert sum(many["workers"]) < 1.1 * sum(few["workers"])
    assert sum(many["workers"] + many["jvm"]) < 1.1 * sum(few["workers"] + few["jvm"])
