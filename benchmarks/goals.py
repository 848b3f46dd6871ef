"""What this package sets out to reach, held against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import RESULTS, read_records
from selection import Record, best_of, has_bfloat16, of_ours, plain, private_above_bare, quickest

#: to Hugging Face as people write it, and to its best
RATIOS = {"float32": (1.5, 1.2), "bfloat16": (3.0, 2.4), "int8": (5.0, 4.0)}
TO_SPARK_NLP = 10.0
FILL_MASK = {True: 8.0, False: 4.0}  # with and without arithmetic for bfloat16
TO_ENGINE = TO_MATMUL = 0.95
MOST_PRIVATE = 0.4
FIRST_LABEL = (2.0, 1.0)  # seconds, of a host's first worker and of the next
LIGHT_START = 1.0
TO_TENSORFLOW = 1.5
FLAT = 1.1  # the most to the least, from 10,000 rows to 1,000,000


@dataclass(frozen=True)
class Goal:
    """`found` is to be at least (`most`: at most) `wanted`."""

    what: str
    found: float
    wanted: float
    most: bool = False

    @property
    def met(self) -> bool:
        return self.found <= self.wanted if self.most else self.found >= self.wanted

    @property
    def limit(self) -> str:
        return f"{'at most' if self.most else 'at least'} {self.wanted:g}"


def of_run(records: Sequence[Record]) -> list[Goal]:
    """Each goal that a run of `run.py` can tell of."""
    return [
        *_ratios(records),
        *_to_spark_nlp(records),
        *_fill_mask(records),
        *_to_engine(records),
        *_memory(records),
    ]


def of_other_scripts(results: Path = RESULTS) -> list[Goal]:
    """Each goal that another script's records in `results` tell of."""

    def lines(script: str) -> list[Record]:
        return [*read_records(results / f"{script}.jsonl")]

    return [
        *_engine_rate(lines("engine_rate")),
        *_tiny_model(lines("language_id_speed")),
        *_scale(lines("language_id_scale")),
        *_light_start(lines("light_start")),
    ]


def _ratios(records: Sequence[Record]) -> Iterable[Goal]:
    best = best_of(records, "hugging_face")
    for precision, (written, to_best) in RATIOS.items():
        line = quickest(records, precision)
        if line is None:
            continue
        yield Goal(f"{line['what']}, to Hugging Face as people write it", line["ratio"], written)
        if best is not None:
            ratio = line["ratio"] / best["ratio"]
            yield Goal(f"{line['what']}, to Hugging Face at its best", ratio, to_best)


def _to_spark_nlp(records: Sequence[Record]) -> Iterable[Goal]:
    ours = quickest(records, "int8")
    theirs = [line for line in plain(records) if line["contestant"] == "spark_nlp"]
    if ours is not None and theirs:
        ratio = ours["ratio"] / theirs[0]["ratio"]
        yield Goal(f"{ours['what']}, to {theirs[0]['what']}", ratio, TO_SPARK_NLP)


def _fill_mask(records: Sequence[Record]) -> Iterable[Goal]:
    for line in records:
        if line["task"] == "fill-mask" and line["contestant"] == "ours":
            wanted = FILL_MASK[has_bfloat16(line)]
            yield Goal(f"masks, {line['what']}, to Hugging Face", line["ratio"], wanted)


def _to_engine(records: Sequence[Record]) -> Iterable[Goal]:
    for line in records:
        if line.get("form") == "beside engine":
            yield Goal(f"{line['what']}, whole pipeline to bare engine", line["ratio"], TO_ENGINE)


def _memory(records: Sequence[Record]) -> Iterable[Goal]:
    for line in of_ours(records, "openvino", "bfloat16"):
        above = private_above_bare(line, records)
        if above is not None:
            what = f"{line['what']}, private GB of a worker above a bare one"
            yield Goal(what, above, MOST_PRIVATE, most=True)


def _engine_rate(records: Sequence[Record]) -> Iterable[Goal]:
    for line in records:
        if line["precision"] != "bfloat16":
            continue
        if line["what"] == "bare engine":
            cores = f"{line['threads']} core{'s' if line['threads'] > 1 else ''}"
            what = f"bare engine, bfloat16, {cores}, to the machine's products of matrices"
            yield Goal(what, line["to_matmul"], TO_MATMUL)
        else:
            pairs = zip(("first", "second"), line["first_label_seconds"], FIRST_LABEL, strict=False)
            for number, seconds, wanted in pairs:
                yield Goal(f"{number} worker of a host, idle, to its first label, s", seconds, wanted, True)


def _tiny_model(records: Sequence[Record]) -> Iterable[Goal]:
    for line in records:
        if line["what"] == "pipeline":
            what = f"{line['model']}, whole pipeline to TensorFlow by hand"
            yield Goal(what, line["to_tensorflow"], TO_TENSORFLOW)


def _scale(records: Sequence[Record]) -> Iterable[Goal]:
    if len(records) > 1:
        rows = " to ".join(f"{line['documents']:,}" for line in (records[0], records[-1])) + " rows"
        costs = [line["microseconds_a_document"] for line in records]
        yield Goal(f"cost of a document, {rows}, dearest to cheapest", max(costs) / min(costs), FLAT, True)
        peaks = [sum(line["peak_memory"].values()) for line in records]
        yield Goal(f"peak memory, {rows}, most to least", max(peaks) / min(peaks), FLAT, True)


def _light_start(records: Sequence[Record]) -> Iterable[Goal]:
    for line in records:
        if line["what"] == "PretrainedPipeline":
            what = "without Spark, a new process to its first answer, s"
            yield Goal(what, line["seconds"], LIGHT_START, most=True)
