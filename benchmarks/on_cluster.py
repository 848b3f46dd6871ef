"""A job on a cluster of this machine (`local-cluster`): every executor in a JVM of its own, as on a cluster.

Each job runs in a process of its own, because a process has one Spark, with folders of its own, so that every
executor gets the model anew. What it took is counted where it happened: by the workers themselves, by the
kernel's account of their memory, and by the sizes of what lies in their folders afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import command_of, memory_of, processes_below

HERE = Path(__file__).resolve().parent
TRACE = "SPARKXLMR_TRACE"
#: before a process' result, on a line of its own
MARK = "RESULT "


@dataclass(frozen=True)
class Job:
    """What is run.

    - `preset`: the model's folder; `texts`: a file of JSON lines; `rows`: how many of them.
    - `executors`: each with one core and `memory_mb` for its JVM; `way`: how the model reaches them.
    - `home`: where bundles are kept once compiled (`SPARKXLMR_HOME`).
    - `repeats`: of the job with workers warm, after the first one.
    - `partitions`: tasks an executor gets.
    """

    preset: str
    texts: str
    rows: int
    home: str
    executors: int = 2
    way: str = "files"
    max_length: int = 128
    memory_mb: int = 1024
    repeats: int = 1
    partitions: int = 2


def run(job: Job) -> dict[str, Any]:
    """What the job took, as :func:`_measured` says. SystemExit where it failed, with the end of its log."""
    with tempfile.TemporaryDirectory(dir=_folder(job.home), prefix="cluster-") as place:
        folder = Path(place)
        for name in ("spark", "local", "host", "trace"):
            (folder / name).mkdir(mode=0o700)
        environment = {
            "SPARK_HOME": str(_spark_home(folder / "spark")),
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARKXLMR_HOME": job.home,
            "SPARKXLMR_HOST_FOLDER": str(folder / "host"),
            TRACE: str(folder / "trace"),
        }
        command = [__file__, json.dumps(asdict(job)), str(folder)]
        return answer_of(f"The job on {job.executors} executors", command, environment)


def answer_of(what: str, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a Python script, which sees this checkout, prints behind :data:`MARK`.

    `environment`: what it gets beside this process's own. SystemExit where it prints no result, with the end
    of its log.
    """
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    everything = {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run(
        [sys.executable, *command], env=everything, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        raise SystemExit(f"{what} failed:\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    return result


def _folder(path: str) -> str:
    Path(path).mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _spark_home(folder: Path) -> Path:
    """The installed Spark under another path: what its executors leave there is this job's own."""
    import pyspark

    for place in Path(pyspark.__file__).parent.iterdir():
        if place.name != "work":
            (folder / place.name).symlink_to(place)
    return folder


def _measured(job: Job, folder: Path) -> dict[str, Any]:
    """In the job's own process: Spark started, the model compiled, the job run once cold and then warm.

    Seconds: `start_seconds` until Spark is there, `worker_seconds` until Python workers have run something,
    `bundle_seconds` until the model is compiled and at hand,
    `first_seconds` of the first job, `warm_seconds` of each later one; `load_seconds` as each worker measured
    it, from what arrived on its host to a model that is open. Bytes: `bundle_bytes` of the model's files,
    `host_bytes` of what the host keeps, `spark_bytes` of what Spark left in its own folders on the way.
    Memory, in bytes, at the end: of each worker, and the peaks of this Python and of the JVMs.
    """
    began = time.perf_counter()
    import sparkxlmr

    spark = sparkxlmr.start(
        master=f"local-cluster[{job.executors},1,{job.memory_mb}]",
        **{
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": f"{job.memory_mb}m",
            "spark.locality.wait": "0",
            # A machine that does other things too stops for longer than Spark waits for an executor.
            "spark.network.timeout": "1800s",
            "spark.worker.timeout": 1800,
            "spark.executor.heartbeatInterval": "60s",
            "spark.ui.enabled": "false",
            # A file of texts is a task of its own.
            "spark.sql.files.openCostInBytes": 1 << 27,
        },
    )
    spark.range(0, job.executors, 1, job.executors).foreach(lambda row: None)
    started = time.perf_counter()
    # Workers start, and import what moves data; each executor has a task.
    spark.range(0, job.executors, 1, job.executors).mapInPandas(lambda batches: batches, "id long").count()
    at_work = time.perf_counter()

    sys.path.append(str(HERE / "contestants"))
    from job_files import JobFiles

    from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
    from sparkxlmr.base import DocumentAssembler

    files = JobFiles(Path(job.texts), folder / "job", job.executors * job.partitions, job.rows)
    source = str(files.source(by_length=False))
    classifier = XlmRoBertaForSequenceClassification.pretrained(job.preset).setInputCols("document")
    classifier = (
        classifier.setOutputCol("class").setDistribution(job.way).setMaxSentenceLength(job.max_length)
    )
    documents = DocumentAssembler().setInputCol("text").transform(spark.read.parquet(source))
    labelled = classifier.transform(documents).selectExpr("id", "class[0].result AS label")
    prepared = time.perf_counter()

    def once() -> float:
        start = time.perf_counter()
        labelled.write.mode("overwrite").parquet(str(files.target))
        return time.perf_counter() - start

    first = once()
    labels = files.labels()
    warm = [once() for _ in range(job.repeats)]
    bundle = classifier._distributed(spark)[0]
    events = [
        json.loads(line) for file in (folder / "trace").iterdir() for line in file.read_text().splitlines()
    ]
    loads = sorted((event for event in events if event["event"] == "load"), key=lambda event: event["time"])
    workers = [memory_of(pid) for pid in sorted({event["pid"] for event in loads})]
    peaks = [(pid, found.peak) for pid in processes_below(os.getpid()) if (found := memory_of(pid))]
    own = memory_of(os.getpid())
    result = {
        "start_seconds": started - began,
        "worker_seconds": at_work - started,
        "bundle_seconds": prepared - at_work,
        "first_seconds": first,
        "warm_seconds": warm,
        "load_seconds": [event["seconds"] for event in loads],
        "ways": sorted({event["way"] for event in loads}),
        "bundle_bytes": sum(file.size for file in bundle.manifest.files.values()),
        "host_bytes": _bytes_below(folder / "host"),
        "spark_bytes": _bytes_below(folder / "local") + _bytes_below(folder / "spark" / "work"),
        "worker_memory": [asdict(found) for found in workers if found],
        "driver_peak_bytes": own.peak if own else None,
        "jvm_peak_bytes": sorted(peak for pid, peak in peaks if "java" in command_of(pid).split(" ")[0]),
        "labels": labels,
    }
    spark.stop()
    return result


def _bytes_below(folder: Path) -> int:
    """Of the files in a folder; links are not followed."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def rounded(value: Any) -> Any:
    """Seconds as records have them: to a hundredth.

    >>> rounded([1.23456, 2])
    [1.23, 2]
    """
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 2) if isinstance(value, float) else value


def middle_of(seconds: list[float]) -> float:
    return statistics.median(seconds)


def main() -> None:
    job, folder = Job(**json.loads(sys.argv[1])), Path(sys.argv[2])
    print(MARK + json.dumps(_measured(job, folder)), flush=True)
    shutil.rmtree(folder / "spark", ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
