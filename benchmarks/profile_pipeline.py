"""Where the processor time of the tiny model's pipeline goes: JVM, Arrow, SentencePiece, engine, score map.

    python benchmarks/profile_pipeline.py [--label after] [--rows 40000]

Runs the pipeline (read Parquet, assemble, classify, write Parquet) on all cores with warm workers under two
profilers: py-spy samples the Python workers, the JVM's own Flight Recorder its threads. What a process used
comes from the system (/proc); the samples share it out. One JSON line a case and label goes to
benchmarks/results/profile_pipeline.jsonl, where it replaces that case of that label; docs/refresh.py writes
them into docs/profile.md. Needs Linux, py-spy and a JDK (jcmd and jfr).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from language_id_speed import MODEL, make_texts
from measuring import (
    RESULTS,
    command_of,
    cores,
    machine,
    processes_below,
    read_records,
    versions,
    write_records,
)

FILE = RESULTS / "profile_pipeline.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "profile.md"
BLOCK = "profile"
RATE = 200

#: What is written: the label alone, or the whole column; settings of the classifier.
CASES: dict[str, tuple[bool, dict[str, int]]] = {
    "label": (False, {"topScores": 1}),
    "label, all scores": (False, {}),
    "column, all scores": (True, {}),
}

#: Where a worker's time goes, by the innermost frame that says so.
PYTHON = (
    ("engine", r"sparkxlmr/runtime/engines/"),
    ("SentencePiece", r"sentencepiece/"),
    ("ids in Python", r"sparkxlmr/text/(?!packing)"),
    ("plan and pack", r"sparkxlmr/(runtime/(planner|reader)|text/packing)"),
    ("scores and rows", r"sparkxlmr/runtime/"),
    ("Arrow and pandas", r"pyarrow/|pandas/|pyspark/|sparkxlmr/spark/"),
)
#: Where a JVM thread's time goes, by the innermost frame that says so.
JVM = (
    ("write Parquet", r"ParquetWriteSupport|ParquetOutputWriter|parquet\.\S*(Writ|Consumer|Compress)"),
    ("read Parquet", r"parquet|FileScanRDD|OffHeapColumnVector|OnHeapColumnVector"),
    ("Arrow and sockets", r"apache\.arrow|execution\.(arrow|python)|api\.python|ArrowColumn|sun\.nio"),
    ("score map, annotations", r"Map\w*\.|Slice\.|Cast|Transform|ElementAt|FloatingDecimal|CreateNamed"),
    ("rows in SQL", r"catalyst|spark\.sql|unsafe"),
)


def first_match(frames: Iterable[str], kinds: tuple[tuple[str, str], ...], other: str) -> str:
    """The kind of the innermost frame that has one; `frames` innermost first.

    >>> first_match(["infer (openvino/a.py)", "run (sparkxlmr/runtime/engines/openvino.py)"], PYTHON, "")
    'engine'
    """
    for frame in frames:
        for kind, pattern in kinds:
            if re.search(pattern, frame):
                return kind
    return other


def processor_seconds(path: str) -> float:
    """User and system time of a process or thread, by its folder in /proc; 0 where it has ended."""
    try:
        stat = Path(path, "stat").read_text()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Processes:
    """The JVM and its Python workers, and what each has used since the last look."""

    def __init__(self) -> None:
        below = processes_below(os.getpid())
        self.jvm = next(pid for pid in below if "SparkSubmit" in command_of(pid))
        found = [pid for pid in processes_below(self.jvm) if "pyspark.daemon" in command_of(pid)]
        self.workers = [pid for pid in found if not set(processes_below(pid)) & set(found)]

    def used(self) -> dict[str, float]:
        """Seconds: of workers; of the JVM its tasks, compilers and garbage collectors."""
        used = Counter({"workers": sum(processor_seconds(f"/proc/{pid}") for pid in self.workers)})
        for task in Path(f"/proc/{self.jvm}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
            except OSError:
                continue  # it ended meanwhile
            collector = re.match(r"GC |G1 |VM Thread|VM Periodic", name)
            kind = "compile" if re.match(r"C[12] Comp", name) else "collect" if collector else "run"
            used[kind] += processor_seconds(str(task))
        return dict(used)


def sampled_workers(pids: list[int], folder: Path, work: Callable[[], None]) -> Counter[str]:
    """Samples of the workers by kind while `work` runs."""
    files = [folder / f"{pid}.txt" for pid in pids]
    command = ["py-spy", "record", "--rate", str(RATE), "--format", "raw", "--full-filenames"]
    command.append("--nonblocking")
    spies = [
        subprocess.Popen(
            [*command, "--duration", "3600", "--output", str(file), "--pid", str(pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for pid, file in zip(pids, files, strict=True)
    ]  # fmt: skip
    time.sleep(1)
    work()
    found: Counter[str] = Counter()
    for spy, file in zip(spies, files, strict=True):
        spy.send_signal(2)
        spy.wait(60)
        for line in file.read_text().splitlines():
            stack, count = line.rsplit(" ", 1)
            found[first_match(reversed(stack.split(";")), PYTHON, "Arrow and pandas")] += int(count)
    return found


def sampled_jvm(pid: int, folder: Path, work: Callable[[], None]) -> Counter[str]:
    """Samples of the JVM's threads by kind while `work` runs, Spark's own aside."""
    file = folder / "jvm.jfr"
    file.unlink(missing_ok=True)
    _run("jcmd", str(pid), "JFR.start", "name=profile", "settings=profile")
    work()
    _run("jcmd", str(pid), "JFR.stop", "name=profile", f"filename={file}")
    # Not what is in native code: most of that waits.
    printed = _run("jfr", "print", "--json", "--stack-depth", "64", "--events", "ExecutionSample", str(file))
    found: Counter[str] = Counter()
    for event in json.loads(printed)["recording"]["events"]:
        values = event["values"]
        thread, trace = values["sampledThread"], values["stackTrace"]
        if thread is None or trace is None:
            continue
        frames = [f"{f['method']['type']['name']}.{f['method']['name']}" for f in trace["frames"]]
        frames = [frame.replace("/", ".") for frame in frames]
        in_task = re.match("Executor task|stdout writer", thread["javaName"] or "")
        found[first_match(frames, JVM, "Spark itself") if in_task else "Spark itself"] += 1
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed: {done.stderr or done.stdout}")
    return done.stdout


def shared_out(seconds: float, samples: Counter[str]) -> dict[str, float]:
    """`seconds` by kind, in proportion to the samples."""
    total = sum(samples.values())
    return {kind: seconds * count / total for kind, count in samples.items()}


def profiled(case: str, source: str, target: str, rows: int, model: str, folder: Path) -> dict[str, Any]:
    """Microseconds of processor time a document by kind, for one case."""
    import sparkxlmr
    from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
    from sparkxlmr.base import DocumentAssembler

    spark = sparkxlmr.start()
    whole, settings = CASES[case]
    stage = XlmRoBertaForSequenceClassification.pretrained(model).setInputCols(["document"])
    stage.setOutputCol("label").setEngine("openvino").setPrecision("float32").setParams(**settings)
    assembler = DocumentAssembler().setInputCol("text").setOutputCol("document")

    def job() -> None:
        answers = stage.transform(assembler.transform(spark.read.parquet(source)))
        columns = ["text", "label" if whole else "label[0].result AS label"]
        answers.selectExpr(*columns).write.mode("overwrite").parquet(target)

    for _ in range(3):
        job()
    processes = Processes()
    before, started = processes.used(), time.perf_counter()
    job()
    seconds = time.perf_counter() - started
    used = {kind: total - before.get(kind, 0.0) for kind, total in processes.used().items()}
    python = sampled_workers(processes.workers, folder, job)
    jvm = sampled_jvm(processes.jvm, folder, job)
    spent = {
        **{f"Python: {kind}": took for kind, took in shared_out(used["workers"], python).items()},
        **{f"JVM: {kind}": took for kind, took in shared_out(used["run"], jvm).items()},
        "JVM: compile": used["compile"],
        "JVM: collect": used["collect"],
    }
    return {
        "case": case,
        "model": model,
        "documents": rows,
        "seconds": round(seconds, 3),
        "documents_per_second": round(rows / seconds),
        "microseconds": {kind: round(took / rows * 1e6, 1) for kind, took in sorted(spent.items())},
        "samples": {"workers": sum(python.values()), "jvm": sum(jvm.values())},
    }


def results(file: Path = FILE) -> str:
    """What stands on the page, from the records."""
    lines = read_records(file)
    return table(lines) if lines else "Not measured yet."


def table(lines: list[dict[str, Any]]) -> str:
    """Microseconds of processor time a document: a row for each kind, a column for each case and label."""
    wanted = [(case, label) for case in CASES for label in ("before", "after")]
    found = {(line["case"], line["label"]): line for line in lines}
    columns = [found[one] for one in wanted if one in found]
    spent = [line["microseconds"] for line in columns]
    most = {kind: max(one.get(kind, 0) for one in spent) for each in spent for kind in each}
    kinds = sorted(most, key=lambda kind: (-most[kind], kind))
    head = ["", *(f"{line['case']}, {line['label']}" for line in columns)]
    rows = [head, ["---"] * len(head)]
    rows += [[kind, *(f"{one.get(kind, 0):.1f}" for one in spent)] for kind in kinds]
    rows.append(["**together**", *(f"**{sum(one.values()):.0f}**" for one in spent)])
    rows.append(["documents a second", *(f"{line['documents_per_second']:,}" for line in columns)])
    last = columns[-1]
    about = f"{last['machine']}; {last['documents']:,} documents; Spark {last['versions']['pyspark']}."
    return about + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--label", default="after", help="what the records are called in the table")
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    import sparkxlmr

    spark = sparkxlmr.start(master=f"local[{cores()}]")
    lines = read_records(FILE)
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/in"
        texts = [(text,) for text in make_texts(arguments.rows)]
        spark.createDataFrame(texts, "text string").repartition(cores() * 4).write.parquet(source)
        for case in arguments.cases:
            found = profiled(case, source, f"{folder}/out", arguments.rows, arguments.model, Path(folder))
            line = {
                "label": arguments.label, **found, "machine": machine(),
                "versions": versions("sparkxlmr", "pyspark", "openvino", "pandas", "pyarrow"),
            }  # fmt: skip
            lines = [one for one in lines if (one["label"], one["case"]) != (arguments.label, case)] + [line]
    spark.stop()
    write_records(FILE, lines)


if __name__ == "__main__":
    main()
