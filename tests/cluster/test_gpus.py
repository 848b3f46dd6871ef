"""GPUs that are not there: a discovery script and a driver's tool tell of them, and an engine records what it
sees of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent


def run(folder: Path, spark_home: Path, *arguments: str, path: str = "") -> tuple[dict, dict[int, dict]]:
    """What the script printed, and what each process recorded that loaded the engine."""
    places = {name: folder / name for name in ("home", "host", "records")}
    for place in places.values():
        place.mkdir(mode=0o700)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE / "recording"), str(HERE.parents[1])]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home),
        "SPARKXLMR_HOME": str(places["home"]),
        "SPARKXLMR_HOST_FOLDER": str(places["host"]),
        "RECORDS": str(places["records"]),
        "PATH": os.pathsep.join(filter(None, [path, os.environ["PATH"]])),
    }
    command = [sys.executable, str(HERE / "gpus.py"), *arguments]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-4000:]
    records = {int(file.stem): json.loads(file.read_text()) for file in places["records"].iterdir()}
    return json.loads(lines[-1].removeprefix("RESULT ")), records


def test_each_task_predicts_on_its_own_gpu_whatever_its_worker_had_before(tiny_preset, tmp_path, spark_home):
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["3", "5"]}\'\n')
    script.chmod(0o755)
    result, records = run(tmp_path, spark_home, "cluster", str(tiny_preset), str(script))
    tasks = result["tasks"]
    assert {task["address"] for task in tasks} == {"3", "5"}
    assert [task["seen"] for task in tasks] == [task["address"] for task in tasks]
    addresses = defaultdict(set)
    for task in tasks:
        addresses[task["pid"]].add(task["address"])
    # Spark gave at least one worker both, or the hard case was not seen.
    assert {"3", "5"} in addresses.values()
    for pid, record in records.items():
        assert not record["tensorflow"]
        assert record["order"] == "PCI_BUS_ID"
        assert record["visible"] in addresses.get(pid, {"3", "5"})
    # A worker keeps the device that it had first; a child has the other one.
    held = {task["pid"]: task["environment"] for task in tasks}
    assert {pid: record["visible"] for pid, record in records.items() if pid in held} == held
    assert len(records) == sum(map(len, addresses.values()))
    assert result["answered"] == 40


def test_in_local_mode_one_process_a_gpu_computes_for_all_workers(tiny_preset, tmp_path, spark_home):
    tool = tmp_path / "tools" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nprintf 'GPU 0: one (UUID: GPU-1)\\nGPU 1: two (UUID: GPU-2)\\n'\n")
    tool.chmod(0o755)
    result, records = run(tmp_path, spark_home, "local", str(tiny_preset), path=str(tool.parent))
    workers = {task["pid"] for task in result["tasks"]}
    assert result["shared"] == 1
    assert len(workers) >= 4
    assert {task["seen"] for task in result["tasks"]} <= {"0", "1"}
    # No worker loads the engine or loses sight of a device.
    assert not workers & records.keys()
    assert {task["environment"] for task in result["tasks"]} == {"none"}
    assert len(records) <= 2
    assert len({record["visible"] for record in records.values()}) == len(records)
    assert all(record["order"] == "PCI_BUS_ID" for record in records.values())
    assert result["answered"] == 40
