"""The job as a cluster runs it: the real spark-submit, this project's settings, executors in JVMs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CONF = CHECKOUT / "conf"
JOB = CHECKOUT / "sparkxlmr" / "jobs" / "classify.py"
# 300 kB: enough for a partition a core.
TEXTS = [f"text number {i}, and what else there is to say about it " + "x" * 250 for i in range(1000)]


@pytest.fixture(autouse=True)
def _own_spark_home(spark_home, monkeypatch):
    """Executors of other runs are not disturbed, nor the installed Spark written to."""
    monkeypatch.setenv("SPARK_HOME", str(spark_home))


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def submit(properties: str, master: str, *arguments: str, conf: dict[str, str], **environ: str):
    # What a machine of this size needs otherwise than a cluster; the rest is the project's properties file.
    conf = {
        "spark.executor.memory": "1g",
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        **conf,
    }
    command = [
        str(Path(sys.executable).with_name("spark-submit")),
        *("--properties-file", str(CONF / properties), "--master", master),
        *(part for name, value in conf.items() for part in ("--conf", f"{name}={value}")),
        str(JOB),
        *arguments,
    ]
    inherited = {name: value for name, value in os.environ.items() if name != "PYSPARK_PYTHON"}
    # As in an activated environment: spark-submit looks for Spark by the first python3 on PATH.
    inherited["PATH"] = f"{Path(sys.executable).parent}:{inherited['PATH']}"
    return subprocess.run(
        command, env=inherited | environ, capture_output=True, text=True, timeout=300, check=False
    )


def written(folder: Path) -> list[dict]:
    parts = sorted(folder.glob("part-*"))
    return [json.loads(line) for part in parts for line in part.open(encoding="utf-8")]


def test_the_job_on_two_executors(source, tiny_preset, tmp_path):
    output = tmp_path / "out.jsonl"
    done = submit(
        "spark-defaults.conf",
        "local-cluster[2,1,1024]",
        *(str(source), "--output", str(output), "--model", str(tiny_preset)),
        conf={},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1,000 documents in" in done.stdout
    rows = written(output)
    assert [row["text"] for row in rows] == TEXTS
    assert all(row["label"] and 0 < row["score"] <= 1 for row in rows)


def test_the_gpu_job_gives_each_worker_the_address_of_its_task(source, tiny_preset, tmp_path):
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["3", "5"]}\'\n')
    script.chmod(0o755)
    records = tmp_path / "records"
    records.mkdir()
    output = tmp_path / "out.jsonl"
    done = submit(
        "spark-defaults-gpu.conf",
        "local-cluster[1,4,2048]",
        *(str(source), "--output", str(output), "--model", str(tiny_preset)),
        # local-cluster's worker is started by this very application, so its settings stand here.
        conf={
            "spark.worker.resource.gpu.amount": "2",
            "spark.worker.resource.gpu.discoveryScript": str(script),
        },
        PYTHONPATH=str(Path(__file__).parent / "recording"),
        RECORDS=str(records),
        SPARKXLMR_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(written(output)) == len(TEXTS)
    seen = [json.loads(path.read_text()) for path in records.iterdir()]
    assert seen
    assert {record["visible"] for record in seen} <= {"3", "5"}
    assert all(record["order"] == "PCI_BUS_ID" and record["threads"] == 1 for record in seen)
    assert not any(record["tensorflow"] for record in seen)


def test_a_worker_without_the_package_fails_with_one_line(source, tiny_preset, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S "$@"\n')
    bare.chmod(0o755)
    done = submit(
        "spark-defaults.conf",
        "local-cluster[1,1,1024]",
        *(str(source), "--output", str(tmp_path / "out"), "--model", str(tiny_preset)),
        conf={"spark.pyspark.python": str(bare), "spark.task.maxFailures": "1"},
    )
    assert done.returncode != 0
    # spark-submit sends both streams of the driver's Python to its standard output.
    ours = [line for line in done.stdout.splitlines() if line.startswith("sparkxlmr: ")]
    assert len(ours) == 1, done.stderr[-3000:]
    assert "cannot import sparkxlmr" in ours[0]
    assert "--archives env.tar.gz#env" in ours[0]
    assert not (tmp_path / "out").exists()


def test_the_discovery_script_speaks_as_spark_expects(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n'\n")
    tool.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([CONF / "get_gpus.sh"], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": ["0", "1", "2"]}


@pytest.mark.parametrize("name", ["spark-defaults.conf", "spark-defaults-gpu.conf"])
def test_every_setting_has_its_reason(name):
    lines = (CONF / name).read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    assert settings
    assert all(line.startswith("spark.") and len(line.split(None, 1)) == 2 for line in settings)
    assert lines[0].startswith("#")
