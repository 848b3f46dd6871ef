"""Workers that end early: because Spark has the rows that it needs, or because the system ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SHOW = """
import sparkxlmr
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.annotator import Tokenizer
from pyspark.sql import functions as F

spark = sparkxlmr.start("local[2]")
text = F.concat(F.lit("text number "), F.col("id").cast("string"))
df = spark.range(100_000).select(text.alias("text")).repartition(3)
df = DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df)
df = Tokenizer().setInputCols(["document"]).setOutputCol("token").fit(df).transform(df)
for _ in range(3):
    df.select("token.result").filter("size(result) > 1").show(3)
    df.select("token.result").filter("size(result) > 1").limit(2).collect()
"""
# Ends a worker when it begins to run this package, as the system does where memory is short.
SITE = """
import os, signal, sys
from pathlib import Path

class Kill:
    def find_spec(self, name, path=None, target=None):
        if name == "sparkxlmr.spark.worker":
            marks = Path(os.environ["MARKS"])
            if len(list(marks.iterdir())) < int(os.environ["KILLS"]):
                (marks / str(os.getpid())).touch()
                os.kill(os.getpid(), signal.SIGKILL)

if any("pyspark.daemon" in part for part in sys.orig_argv):
    sys.meta_path.insert(0, Kill())
"""


def test_show_prints_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[text, number, " in done.stdout
    assert "Traceback" not in done.stderr
    assert "BrokenPipeError" not in done.stderr


@pytest.fixture
def classify(tmp_path, tiny_preset):
    """Run `sparkxlmr classify` where workers are killed that many times."""

    def run(kills: int) -> subprocess.CompletedProcess[str]:
        for name in ("site", "marks"):
            (tmp_path / name).mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
        (tmp_path / "in.txt").write_text("one\ntwo\n")
        command = [sys.executable, "-m", "sparkxlmr", "classify", "in.txt", "--output", "out"]
        added = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(CHECKOUT)])}
        added |= {"MARKS": str(tmp_path / "marks"), "KILLS": str(kills)}
        return subprocess.run(
            [*command, "--model", str(tiny_preset), "--master", "local[2]"],
            cwd=tmp_path, env=os.environ | added, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the signal is POSIX's")
def test_killed_worker_in_local_mode_is_retried(classify):
    done = classify(kills=1)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the signal is POSIX's")
def test_worker_killed_at_each_attempt_names_memory(classify, tmp_path):
    done = classify(kills=100)
    assert done.returncode == 1
    assert len(list((tmp_path / "marks").iterdir())) == 4
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("sparkxlmr: ")]
    assert "memory" in line
    assert "Broken pipe" not in line
    assert not (tmp_path / "out").exists()
