"""How many documents an hour a cluster does: a formula, from what one machine measures, and held against it.

    python benchmarks/cluster_size.py [--rows 64] [--repeats 3]

Measured: documents a second of one core (alone, and with all cores busy), how long a worker takes to start
and a model to open, how fast its bytes are copied and unpacked. From these a formula says what jobs on
`local-cluster` with one and two executors take; then they are run, by every way that a model travels. Both
stand in benchmarks/results/cluster_size.jsonl, one JSON line each; docs/refresh.py writes them into
docs/sizing.md, with the same formula's numbers for 10, 100 and 1,000 executors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import (
    BUILD,
    RESULTS,
    ROOT,
    arithmetic,
    cores,
    machine,
    middle,
    read_records,
    versions,
    write_records,
)

OUTPUT = RESULTS / "cluster_size.jsonl"
PAGE = ROOT / "docs" / "sizing.md"
BLOCK = "sizing"
WAYS = ("path", "files", "broadcast")
#: what the page reckons with: a link of 10 Gbit/s, executors of four cores
NETWORK, EXECUTOR_CORES = 1.25e9, 4
HOUR = 3600.0


@dataclass(frozen=True)
class Costs:
    """What one machine measured of a model.

    - `documents_per_core`: a second, each core's own, while all cores of the host compute.
    - `bundle_bytes`: of the model as it travels.
    - `worker_seconds`: from a job's begin to a Python worker that runs a function, without any model.
    - `open_seconds`: from there to the first answer, the model on the host's disk and checked.
    - `check_rate`, `unpack_rate`: bytes a second of reading a model's files to check them, and of unpacking
      and checking an archive.
    """

    documents_per_core: float
    bundle_bytes: int
    worker_seconds: float
    open_seconds: float
    check_rate: float
    unpack_rate: float


@dataclass(frozen=True)
class Cluster:
    """`executors` of `cores` each, one a host; `network`: bytes a second of one host's link, the driver's and
    the shared storage's too."""

    executors: int
    cores: int = EXECUTOR_CORES
    network: float = NETWORK


def transfer_seconds(costs: Costs, cluster: Cluster, way: str) -> float:
    """Until the model's bytes are on every host.

    By `files` the driver sends every executor the whole model through its one link. By `broadcast` pieces go
    from executor to executor: no less than one model through one link. By `path` every executor reads shared
    storage, which here has one link for all.

    >>> costs = Costs(10, 10**9, 1, 1, 1e9, 1e9)
    >>> [transfer_seconds(costs, Cluster(10, network=1e9), way) for way in WAYS]
    [10.0, 10.0, 1.0]
    """
    models = 1 if way == "broadcast" else cluster.executors
    return models * costs.bundle_bytes / cluster.network


def ready_seconds(costs: Costs, cluster: Cluster, way: str) -> float:
    """From the start of a job to its first answers."""
    rate = costs.check_rate if way == "path" else costs.unpack_rate
    at_host = costs.bundle_bytes / rate + costs.open_seconds
    return costs.worker_seconds + transfer_seconds(costs, cluster, way) + at_host


def rate(costs: Costs, cluster: Cluster) -> float:
    """Documents a second, once every worker has its model."""
    return cluster.executors * cluster.cores * costs.documents_per_core


def job_seconds(costs: Costs, cluster: Cluster, way: str, documents: int) -> float:
    """A whole job, from nothing.

    >>> costs = Costs(10, 10**9, 1, 1, 1e9, 1e9)
    >>> job_seconds(costs, Cluster(10, cores=4, network=1e9), "broadcast", 400_000)
    1004.0
    """
    return ready_seconds(costs, cluster, way) + documents / rate(costs, cluster)


def first_hour(costs: Costs, cluster: Cluster, way: str) -> float:
    """Documents that a job does in its first hour."""
    return max(0.0, HOUR - ready_seconds(costs, cluster, way)) * rate(costs, cluster)


# --- measuring ---


def compiled(preset: str) -> tuple[Any, str]:
    """The bundle and the precision that a stage with default settings takes here."""
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.compiler import bundle_for
    from sparkxlmr.runtime.engine_choice import resolve_engine
    from sparkxlmr.runtime.precision_choice import precision_for

    model, engine = Preset.open(preset), resolve_engine("auto")
    precision = precision_for(model, engine).precision
    return bundle_for(model, engine, precision), precision


def core(preset: str, texts: str, rows: int, max_length: int) -> None:
    """One core's process: opens the model, says how long that took, then does all texts for each line it
    reads."""
    from texts import read_texts

    from sparkxlmr.runtime.host import verified_folder
    from sparkxlmr.runtime.open_model import open_model

    bundle, precision = compiled(preset)
    verified_folder(bundle)
    chosen: Any = [line["text"] for line in read_texts(Path(texts))[:rows]]
    began = time.perf_counter()
    model: Any = open_model(bundle, precision, threads=1)
    model.logits(chosen[:1], max_length)
    print(json.dumps(time.perf_counter() - began), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.logits(chosen, max_length)
        print(json.dumps(time.perf_counter() - start), flush=True)


class Cores:
    """As many of these processes as asked for; they work at once."""

    def __init__(self, n: int, arguments: Sequence[str]) -> None:
        command = [sys.executable, __file__, "--core", *arguments]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_env())
            for _ in range(n)
        ]
        self.ready = [json.loads(_line(process)) for process in self._processes]

    def seconds(self) -> float:
        """All texts in each process, begun together: the mean of what they took."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return statistics.mean(json.loads(_line(process)) for process in self._processes)

    def close(self) -> None:
        for process in self._processes:
            process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a core's process ended with {process.wait()}")
    return line


def _env() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def disk(preset: str, folder: Path) -> dict[str, float]:
    """Bytes of the model, and bytes a second of copying, of checking and of unpacking it here."""
    from sparkxlmr.runtime.archive import pack, unpack

    bundle, _ = compiled(preset)
    size = sum(file.size for file in bundle.manifest.files.values())
    archive = pack(bundle, folder / "archives")

    def speed(work: Any, *arguments: Any) -> float:
        start = time.perf_counter()
        work(*arguments)
        return size / (time.perf_counter() - start)

    return {
        "bundle_bytes": size,
        "copy_rate": speed(shutil.copyfile, archive, folder / "copy"),
        "check_rate": speed(bundle.verify),
        "unpack_rate": speed(unpack, archive, folder / "unpacked", bundle.hash),
    }


def measure(
    preset: str, rows: int, repeats: int, max_length: int, ways: Sequence[str]
) -> list[dict[str, Any]]:
    """The machine's record, then one for each way and number of executors: predicted and measured."""
    from on_cluster import Job, middle_of, run
    from texts import benchmark_texts

    texts = benchmark_texts(2 * rows)  # as many for each of two executors
    if len(texts.texts) < 2 * rows:
        raise SystemExit(f"There are {len(texts.texts)} texts and not {2 * rows}: take fewer rows")
    shared: dict[str, Any] = {
        "model": Path(preset).name if not preset.endswith("/preset") else "XLM-R base, random weights",
        "machine": machine(),
        "arithmetic": arithmetic(),
        "versions": versions("sparkxlmr", "pyspark", "openvino"),
        "texts": texts.source,
        "documents": rows,
    }
    n_cores = cores()
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="sizing-") as place:
        folder = Path(place)
        home = str(folder / "home")
        os.environ["SPARKXLMR_HOME"] = home
        os.environ["SPARKXLMR_HOST_FOLDER"] = str(folder / "host")
        file = str(texts.write(folder / "texts.jsonl"))
        on_disk = disk(preset, folder)
        rates: dict[int, dict[str, Any]] = {}
        opened = 0.0
        for n in sorted({1, n_cores}):
            together = Cores(n, [preset, file, str(rows), str(max_length)])
            together.seconds()
            taken = [together.seconds() for _ in range(repeats)]
            together.close()
            opened = opened or together.ready[0]
            rates[n] = {"documents_per_core": rows / statistics.median(taken), **middle(taken)}
        jobs = {
            (way, n): run(Job(preset, file, rows * n, home, n, way, max_length, repeats=repeats))
            for way in ways
            for n in (1, 2)
        }
    costs = Costs(
        rates[n_cores]["documents_per_core"],
        int(on_disk["bundle_bytes"]),
        statistics.median(found["worker_seconds"] for found in jobs.values()),
        opened,
        on_disk["check_rate"],
        on_disk["unpack_rate"],
    )
    records: list[dict[str, Any]] = [
        {"what": "costs", **shared, "cores": n_cores, **asdict(costs), "copy_rate": on_disk["copy_rate"]},
        *({"what": "core", **shared, "busy_cores": n, **found} for n, found in rates.items()),
    ]
    for (way, n), found in jobs.items():
        # Executors of one host: the model is unpacked once, and copied, not sent.
        busy = rates[min(n, n_cores)]["documents_per_core"]
        here = Costs(**{**asdict(costs), "documents_per_core": busy})
        alike = Cluster(n, 1, on_disk["copy_rate"] if way != "path" else float("inf"))
        warm = middle_of(found["warm_seconds"])
        records.append(
            {
                "what": "job",
                **shared,
                "way": way,
                "executors": n,
                "documents": rows * n,
                "documents_per_second": rows * n / warm,
                "predicted_documents_per_second": rate(here, alike),
                "ready_seconds": max(0.0, found["first_seconds"] - warm) + found["worker_seconds"],
                "predicted_ready_seconds": ready_seconds(here, alike, way),
            }
        )
    return [{name: _short(value) for name, value in record.items()} for record in records]


def _short(value: Any) -> Any:
    """Four digits of a number that was measured."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


# --- the page ---


def costs_of(records: Sequence[dict[str, Any]]) -> Costs:
    """What was measured on one machine, from the records of a run."""
    line = next(record for record in records if record["what"] == "costs")
    return Costs(**{name: line[name] for name in Costs.__dataclass_fields__})


def results() -> str:
    """What stands on the page, from the records."""
    records = read_records(OUTPUT)
    return table(records) if records else "Not measured yet."


def table(records: Sequence[dict[str, Any]]) -> str:
    """Costs, how the formula held, and its numbers for large clusters."""
    costs, line = costs_of(records), next(record for record in records if record["what"] == "costs")
    parts = [
        f"Measured on {line['machine']}, {line['model']}, {line['texts']}: "
        f"{costs.documents_per_core:.2f} documents a second and core with all cores busy, a model of "
        f"{costs.bundle_bytes / 1e9:.2f} GB, {costs.worker_seconds:.1f} s until a Python worker runs, "
        f"{costs.open_seconds:.1f} s until the model on disk gives its first answer, checking "
        f"{costs.check_rate / 1e9:.2f} GB/s, unpacking {costs.unpack_rate / 1e9:.2f} GB/s.",
        "The formula held against `local-cluster`, executors of one core:",
        "| executors | way | documents/s: formula | measured | seconds until ready: formula | measured |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(_job_row(job) for job in records if job["what"] == "job"),
        f"And clusters of executors with {EXECUTOR_CORES} such cores each, links of "
        f"{NETWORK * 8 / 1e9:.0f} Gbit/s:",
        "| executors | documents an hour | ready after, by files | by broadcast, at least | "
        "documents in the first hour, by files | by broadcast, at most |\n|---|---|---|---|---|---|\n"
        + "\n".join(_cluster_row(costs, Cluster(n)) for n in (10, 100, 1000)),
    ]
    return "\n\n".join(parts)


def _job_row(job: dict[str, Any]) -> str:
    return (
        f"| {job['executors']} | {job['way']} | {job['predicted_documents_per_second']:.1f} | "
        f"{job['documents_per_second']:.1f} | {job['predicted_ready_seconds']:.1f} | "
        f"{job['ready_seconds']:.1f} |"
    )


def _cluster_row(costs: Costs, cluster: Cluster) -> str:
    ready = [ready_seconds(costs, cluster, way) for way in ("files", "broadcast")]
    hours = [first_hour(costs, cluster, way) for way in ("files", "broadcast")]
    return (
        f"| {cluster.executors:,} | {rate(costs, cluster) * HOUR:,.0f} | {ready[0]:,.0f} s | "
        f"{ready[1]:,.0f} s | {hours[0]:,.0f} | {hours[1]:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", help="of a classifier; by default a random one of XLM-R base's shape")
    parser.add_argument("--rows", type=int, default=64, help="texts of one core")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--core", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.core:
        preset, texts, rows, max_length = given.core
        core(preset, texts, int(rows), int(max_length))
        return
    preset = given.preset
    if preset is None:
        from random_models import MODELS, make

        preset = str(make(MODELS, ("classify",)) / "classify" / "preset")
    write_records(given.output, measure(preset, given.rows, given.repeats, given.max_length, given.ways))


if __name__ == "__main__":
    main()
