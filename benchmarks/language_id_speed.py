"""How fast the tiny language identifier runs: bare engine, whole pipeline, and TensorFlow by hand.

    python benchmarks/language_id_speed.py [--rows 40000] [--repeats 3] [--precision auto]
    python benchmarks/language_id_speed.py --scale 10000 100000 1000000

All take turns on the same texts and cores in one go, so a ratio holds on a shared machine where rates do not.
The bare engine runs twice, in one process with all cores as threads and in a process a core (the better way
to use them, and what Spark does). TensorFlow by hand is the same model with all cores, 256 texts at a time
as they come, padded to their longest, tokenising included; it gets an eighth of the texts. `--scale` instead
runs the pipeline on more and more rows, workers warm, for the cost a document and the memory; small jobs
several times, for the median.

Writes one JSON line a measurement to benchmarks/results/language_id_speed.jsonl (`--scale`:
language_id_scale.jsonl): medians, spread, and each one's ratio to TensorFlow and to the engine.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import resources
from multiprocessing.connection import Connection
from typing import Any

from measuring import (
    RESULTS,
    command_of,
    cores,
    machine,
    memory_of,
    middle,
    processes_below,
    versions,
    write_records,
)

MODEL = "xlm_roberta_tiny_language_id"
SPEED, SCALE = RESULTS / "language_id_speed.jsonl", RESULTS / "language_id_scale.jsonl"
ENGINE, WORKERS = "engine, one process", "engine, a process a core"
PIPELINE, BY_HAND = "pipeline", "TensorFlow by hand"
WARM = 100_000  # texts
MAX_LENGTH, ROWS_AT_ONCE, BY_HAND_BATCH, BY_HAND_SHARE = 128, 4096, 256, 8


def make_texts(rows: int, seed: int = 0) -> list[str]:
    """`rows` different texts: words of the demo's own texts, each in its language, in a new order."""
    lines = (resources.files("sparkxlmr") / "demo_texts.jsonl").read_text("utf-8").splitlines()
    sources = [json.loads(line)["text"].split() for line in lines]
    generator = random.Random(seed)
    return [
        " ".join(generator.choices(generator.choice(sources), k=generator.randint(4, 28))) + f" {row}"
        for row in range(rows)
    ]


# --- contestants in processes of their own ---


def engine(texts: Sequence[str], threads: int, precision: str) -> Callable[[], None]:
    """The model without Spark, open and ready."""
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.compiler import bundle_for
    from sparkxlmr.runtime.open_model import open_model

    model: Any = open_model(bundle_for(Preset.open(MODEL), "openvino", precision), precision, threads)

    def work() -> None:
        for start in range(0, len(texts), ROWS_AT_ONCE):
            model.logits(texts[start : start + ROWS_AT_ONCE], MAX_LENGTH)

    return work


def by_hand(texts: Sequence[str], threads: int, precision: str) -> Callable[[], None]:
    """What one writes in TensorFlow: batches as they come, padded to their longest text."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    from sparkxlmr.models.text_classifier import TextClassifier

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = TextClassifier.from_preset(MODEL)
    tokenizer = model.preprocessor.tokenizer.text
    shape = tf.TensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[shape, shape])  # type: ignore[untyped-decorator]
    def answer(token_ids: Any, padding_mask: Any) -> Any:
        return tf.argmax(model({"token_ids": token_ids, "padding_mask": padding_mask}, training=False), -1)

    def work() -> None:
        from sparkxlmr.text.packing import pack

        for start in range(0, len(texts), BY_HAND_BATCH):
            ids = tokenizer.encode(texts[start : start + BY_HAND_BATCH], MAX_LENGTH).ids
            answer(*pack(ids, tokenizer.pad_id)).numpy()

    return work


def _serve(asked: Connection, make: Callable[..., Callable[[], None]], arguments: tuple[Any, ...]) -> None:
    work = make(*arguments)
    work()
    asked.send("ready")
    with contextlib.suppress(EOFError):  # whoever asked has ended
        while asked.recv():
            work()
            asked.send("done")


class Waiting:
    """A contestant that is open in processes of its own, one for each part of the texts."""

    def __init__(self, make: Callable[..., Callable[[], None]], parts: Sequence[tuple[Any, ...]]) -> None:
        fresh = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        for arguments in parts:
            here, there = fresh.Pipe()
            fresh.Process(target=_serve, args=(there, make, arguments), daemon=True).start()
            there.close()
            self._ends.append(here)
        for end in self._ends:
            end.recv()

    def __call__(self) -> None:
        for end in self._ends:
            end.send(True)
        for end in self._ends:
            end.recv()


# --- the pipeline ---


class Pipeline:
    """Reads Parquet, assembles, classifies and writes Parquet, on all cores."""

    def __init__(self, folder: str, precision: str) -> None:
        import sparkxlmr
        from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
        from sparkxlmr.base import DocumentAssembler

        self.spark = sparkxlmr.start(master=f"local[{cores()}]")
        self._folder = folder
        self._assembler = DocumentAssembler().setInputCol("text").setOutputCol("document")
        self._classifier = XlmRoBertaForSequenceClassification.pretrained(MODEL).setTopScores(1)
        self._classifier.setInputCols(["document"]).setOutputCol("language")
        self._classifier.setPrecision(precision).setEngine("openvino")

    def store(self, texts: Sequence[str]) -> str:
        """The texts as Parquet; returns its path."""
        path = f"{self._folder}/{len(texts)}"
        frame = self.spark.createDataFrame([(text,) for text in texts], "text string")
        frame.repartition(cores() * 4).write.parquet(path)
        return path

    def __call__(self, source: str) -> None:
        documents = self._assembler.transform(self.spark.read.parquet(source))
        answers = self._classifier.transform(documents).selectExpr("text", "language[0].result AS label")
        answers.write.mode("overwrite").parquet(f"{self._folder}/out")

    def peak_memory(self) -> dict[str, int]:
        """Bytes: what the JVM and all Python workers together had in memory at most, so far."""
        found = {"jvm": 0, "workers": 0}
        for pid in processes_below(os.getpid()):
            memory, command = memory_of(pid), command_of(pid)
            kind = "jvm" if "SparkSubmit" in command else "workers" if "pyspark.daemon" in command else None
            if memory is not None and kind is not None:
                found[kind] += memory.peak
        return found


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def facts(precision: str) -> dict[str, Any]:
    return {
        "model": MODEL,
        "engine": "openvino",
        "precision": precision,
        "machine": machine(),
        "cores": cores(),
        "versions": versions("sparkxlmr", "pyspark", "openvino", "tensorflow", "pandas", "pyarrow"),
    }


def speed(rows: int, repeats: int, precision: str) -> list[dict[str, Any]]:
    """Times all contestants by turns; one record each."""
    texts, n = make_texts(rows), cores()
    some = texts[: max(BY_HAND_BATCH, rows // BY_HAND_SHARE)]
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(folder, precision)
        source = pipeline.store(texts)
        contestants: dict[str, Callable[[], None]] = {
            PIPELINE: lambda: pipeline(source),
            ENGINE: Waiting(engine, [(texts, n, precision)]),
            WORKERS: Waiting(engine, [(texts[i::n], 1, precision) for i in range(n)]),
            BY_HAND: Waiting(by_hand, [(some, n, "float32")]),
        }
        # Spark's JVM compiles what it runs often: its first jobs are no measure.
        for _ in range(3):
            pipeline(source)
        seconds: dict[str, list[float]] = {what: [] for what in contestants}
        for _ in range(repeats):
            for what, work in contestants.items():
                seconds[what].append(timed(work))
        pipeline.spark.stop()
    documents = {what: len(some) if what == BY_HAND else rows for what in contestants}
    rates = {what: documents[what] / statistics.median(took) for what, took in seconds.items()}
    return [
        {
            "what": what,
            **facts("float32" if what == BY_HAND else precision),
            "documents": documents[what],
            **middle(seconds[what]),
            "documents_per_second": round(rates[what]),
            "to_engine": round(rates[what] / rates[ENGINE], 3),
            "to_engine_a_process_a_core": round(rates[what] / rates[WORKERS], 3),
            "to_tensorflow": round(rates[what] / rates[BY_HAND], 3),
        }
        for what in contestants
    ]


def scale(numbers: Sequence[int], precision: str) -> list[dict[str, Any]]:
    """The pipeline on more and more rows; seconds of each job, and of an empty one before it."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(folder, precision)
        few = pipeline.store(make_texts(cores() * 4))
        sources = {n: pipeline.store(make_texts(n)) for n in sorted(numbers)}
        # Workers are warm, and the JVM has compiled what it runs often, after so many texts.
        for _ in range(-(-WARM // min(numbers))):
            pipeline(sources[min(numbers)])
        records = []
        for n, source in sources.items():
            pipeline(few)
            times = max(1, min(5, WARM // n))
            start_up = statistics.median(timed(lambda: pipeline(few)) for _ in range(times))
            seconds = [timed(functools.partial(pipeline, source)) for _ in range(times)]
            took = statistics.median(seconds)
            records.append(
                {
                    "what": PIPELINE,
                    **facts(precision),
                    "documents": n,
                    **middle(seconds),
                    "start_up_seconds": round(start_up, 3),
                    "microseconds_a_document": round((took - start_up) / n * 1e6, 1),
                    "peak_memory": pipeline.peak_memory(),
                }
            )
            print(json.dumps(records[-1]), flush=True)
        pipeline.spark.stop()
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--scale", type=int, nargs="+", help="numbers of rows; measures nothing else")
    arguments = parser.parse_args()
    if arguments.scale:
        write_records(SCALE, scale(arguments.scale, arguments.precision))
    else:
        write_records(SPEED, speed(arguments.rows, arguments.repeats, arguments.precision))


if __name__ == "__main__":
    main()
