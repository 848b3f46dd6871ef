"""How fast the built-in language identifier runs: the bare engine, and the whole pipeline on the same cores.

    python benchmarks/language_id_speed.py [--rows 40000] [--repeats 3]

Both run in one go, alternating, on the same texts, so the ratio holds on a shared machine where the rates
do not. Writes one JSON line a measurement to benchmarks/results/language_id_speed.jsonl: medians, spread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

MODEL = "xlm_roberta_tiny_language_id"
RESULTS = Path(__file__).parent / "results" / "language_id_speed.jsonl"


def make_texts(rows: int, seed: int = 0) -> list[str]:
    """`rows` different texts: words of the demo's own texts, each in its language, in a new order."""
    lines = (resources.files("sparkxlmr") / "demo_texts.jsonl").read_text("utf-8").splitlines()
    sources = [json.loads(line)["text"].split() for line in lines]
    generator = random.Random(seed)
    return [
        " ".join(generator.choices(generator.choice(sources), k=generator.randint(4, 28))) + f" {row}"
        for row in range(rows)
    ]


def machine() -> str:
    """The processor's name and its number of cores, for the reader of a result."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(rows: int, repeats: int) -> list[dict[str, object]]:
    """Time engine and pipeline alternately; one dict each."""
    import sparkxlmr
    from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
    from sparkxlmr.base import DocumentAssembler
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.compiler import bundle_for
    from sparkxlmr.runtime.predictor import Predictor

    cores = os.cpu_count() or 1
    texts = make_texts(rows)
    predictor = Predictor(bundle_for(Preset.open(MODEL), "openvino"), threads=cores)
    spark = sparkxlmr.start(master=f"local[{cores}]")
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/in", f"{folder}/out"
        spark.createDataFrame([(text,) for text in texts], "text string").repartition(
            cores * 4
        ).write.parquet(source)
        classifier = XlmRoBertaForSequenceClassification.pretrained(MODEL).setTopScores(1)
        classifier = classifier.setInputCols(["document"]).setOutputCol("language")
        assembler = DocumentAssembler().setInputCol("text").setOutputCol("document")

        def pipeline() -> None:
            documents = assembler.transform(spark.read.parquet(source))
            answers = classifier.transform(documents).selectExpr("text", "language[0].result AS label")
            answers.write.mode("overwrite").parquet(target)

        def engine() -> None:
            for start in range(0, len(texts), 4096):
                predictor.logits(texts[start : start + 4096], max_length=128)

        seconds: dict[str, list[float]] = {"engine": [], "pipeline": []}
        pipeline()
        engine()
        for _ in range(repeats):
            seconds["engine"].append(timed(engine))
            seconds["pipeline"].append(timed(pipeline))
    spark.stop()
    return [record(what, rows, cores, took) for what, took in seconds.items()]


def record(what: str, rows: int, cores: int, seconds: list[float]) -> dict[str, object]:
    middle = statistics.median(seconds)
    return {
        "what": what,
        "model": MODEL,
        "engine": "openvino",
        "precision": "float32",
        "machine": machine(),
        "cores": cores,
        "documents": rows,
        "seconds": round(middle, 3),
        "spread_seconds": [round(min(seconds), 3), round(max(seconds), 3)],
        "documents_per_second": round(rows / middle),
        "versions": {name: metadata.version(name) for name in ("sparkxlmr", "pyspark", "openvino", "pandas")},
    }


def write_records(file: Path, records: list[dict[str, Any]]) -> None:
    """One JSON line a record, into the file and onto the screen."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in records), "utf-8")
    for line in records:
        print(json.dumps(line))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    records = measure(arguments.rows, arguments.repeats)
    write_records(RESULTS, records)


if __name__ == "__main__":
    main()
