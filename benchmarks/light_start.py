"""How soon a new process answers its first text, without Spark: from its start to the printed label.

    python benchmarks/light_start.py [--repeats 15]

Three programs in turn, each in a process of its own: Python alone, a PretrainedPipeline of the built-in
language identifier, and a saved pipeline opened with LightPipeline.load. Beside the time on the clock stands
that of the processor, which other work on the machine lengthens less. Writes one JSON line a program to
benchmarks/results/light_start.jsonl: medians, spread, and the machine's load.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from language_id_speed import MODEL, machine, write_records

RESULTS = Path(__file__).parent / "results" / "light_start.jsonl"
TEXT = "Dies ist ein deutscher Satz."
LABEL = "deu_Latn"

SAVE = """
import sys
import sparkxlmr
from pyspark.ml import PipelineModel
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler

sparkxlmr.start(master="local[1]")
classifier = XlmRoBertaForSequenceClassification.pretrained(sys.argv[1])
stages = [
    DocumentAssembler().setInputCol("text").setOutputCol("document"),
    classifier.setInputCols(["document"]).setOutputCol("class"),
]
PipelineModel(stages).save(sys.argv[2])
"""
PROGRAMS = {
    "python alone": "import sys; print(sys.argv[3])",
    "PretrainedPipeline": (
        "import sys; from sparkxlmr.pretrained import PretrainedPipeline;"
        "print(PretrainedPipeline(sys.argv[1]).annotate(sys.argv[4])['class'][0])"
    ),
    "LightPipeline.load": (
        "import sys; from sparkxlmr import LightPipeline;"
        "print(LightPipeline.load(sys.argv[2]).annotate(sys.argv[4])['class'][0])"
    ),
}


def run(program: str, saved: str) -> tuple[float, float]:
    """Seconds from start to end of the process, and those of the processor."""
    arguments = [sys.executable, "-c", program, MODEL, saved, LABEL, TEXT]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.stdout.strip() != LABEL:
        raise SystemExit(f"expected {LABEL}, got {done.stdout!r}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(repeats: int) -> list[dict[str, object]]:
    """Time the programs in turn; one dict each."""
    with tempfile.TemporaryDirectory() as folder:
        saved = f"{folder}/pipeline"
        subprocess.run([sys.executable, "-c", SAVE, MODEL, saved], check=True, stderr=subprocess.DEVNULL)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
        for program in PROGRAMS.values():
            run(program, saved)  # files come into memory, Python's bytecode is written
        for _ in range(repeats):
            for name, program in PROGRAMS.items():
                taken[name].append(run(program, saved))
    return [record(name, times) for name, times in taken.items()]


def record(what: str, times: list[tuple[float, float]]) -> dict[str, object]:
    clock, processor = zip(*times, strict=True)
    return {
        "what": what,
        "model": MODEL,
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "seconds": round(statistics.median(clock), 3),
        "spread_seconds": [round(min(clock), 3), round(max(clock), 3)],
        "processor_seconds": round(statistics.median(processor), 3),
        "versions": {name: metadata.version(name) for name in ("sparkxlmr", "openvino", "numpy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    records = measure(parser.parse_args().repeats)
    write_records(RESULTS, records)


if __name__ == "__main__":
    main()
