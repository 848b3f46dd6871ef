"""A random XLM-R large (2.2 GB) sent every way to the executors of a cluster, and through save and load.

    python benchmarks/large_model.py [--size large] [--executors 2] [--rows 16]

For each way one record: bytes, seconds, memory (:mod:`on_cluster` says of what), and whether the labels are
those of the first. Then saving a stage with the model and loading it in a process that has nothing of it.
Writes one JSON line a measurement to benchmarks/results/large_model.jsonl; docs/refresh.py makes a table of
them in docs/sizing.md. Makes the model where it is not there, in build/benchmarks; takes some minutes and
four times the model's size on disk beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import random_models
from measuring import (
    BUILD,
    RESULTS,
    ROOT,
    agreement,
    arithmetic,
    machine,
    markdown_table,
    memory_of,
    read_records,
    versions,
    write_records,
)
from on_cluster import MARK, Job, answer_of, middle_of, rounded, run
from texts import benchmark_texts, read_texts

OUTPUT = RESULTS / "large_model.jsonl"
PAGE = ROOT / "docs" / "sizing.md"
BLOCK = "large"
WAYS = ("path", "files", "broadcast")


def model(size: str) -> Path:
    """The preset of a random classifier of that size, made once."""
    folder = BUILD / f"classifier-{size}"
    if not (folder / "finished").exists():
        from sparkxlmr.presets.writer import write_preset

        shutil.rmtree(folder, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what other libraries do with a preset
            write_preset(folder / "preset", random_models.contents("classify", size))
        (folder / "finished").touch()
    return folder / "preset"


def saved(preset: str, target: str) -> dict[str, Any]:
    """In a process of its own: a stage with the model, written to `target`."""
    import sparkxlmr
    from sparkxlmr.annotator import XlmRoBertaForSequenceClassification

    spark = sparkxlmr.start(master="local[2]")
    stage = XlmRoBertaForSequenceClassification.pretrained(preset).setInputCols("document")
    began = time.perf_counter()
    stage.setOutputCol("class").save(target)
    seconds = time.perf_counter() - began
    written = sum(path.stat().st_size for path in Path(target).rglob("*") if path.is_file())
    spark.stop()
    return {"seconds": seconds, "written_bytes": written}


def loaded(target: str, texts: str, rows: str, max_length: str) -> dict[str, Any]:
    """In a process of its own, which has no copy of the model: the saved stage, loaded and run."""
    import sparkxlmr
    from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
    from sparkxlmr.base import DocumentAssembler

    spark = sparkxlmr.start(master="local[2]")
    began = time.perf_counter()
    stage = XlmRoBertaForSequenceClassification.load(target)
    seconds = time.perf_counter() - began
    lines = read_texts(Path(texts))[: int(rows)]
    df = spark.createDataFrame([(i, line["text"]) for i, line in enumerate(lines)], "id int, text string")
    stage = stage.setMaxSentenceLength(int(max_length))
    answers = stage.transform(DocumentAssembler().setInputCol("text").transform(df))
    began = time.perf_counter()
    # Sorted here: Spark would score every row twice.
    found = sorted(answers.selectExpr("id", "class[0].result AS label").collect())
    first = time.perf_counter() - began
    spark.stop()
    return {"seconds": seconds, "first_seconds": first, "labels": [row["label"] for row in found]}


def in_child(step: str, *arguments: str, home: Path) -> dict[str, Any]:
    """What :func:`saved` or :func:`loaded` answers in a process with an empty home, and its memory."""
    environment = {"SPARKXLMR_HOME": str(home), "SPARKXLMR_HOST_FOLDER": str(home / "host")}
    return answer_of(step, [__file__, "--step", step, *arguments], environment)


def measure(size: str, executors: int, rows: int, max_length: int) -> list[dict[str, Any]]:
    """Every way, then save and load; a record each."""
    preset, texts = str(model(size)), benchmark_texts(rows)
    shared: dict[str, Any] = {
        "model": f"XLM-R {size}, random weights",
        "machine": machine(),
        "arithmetic": arithmetic(),
        "versions": versions("sparkxlmr", "pyspark", "openvino", "pyarrow"),
        "texts": texts.source,
        "documents": rows,
    }
    records = []
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="large-") as place:
        folder = Path(place)
        file = texts.write(folder / "texts.jsonl")
        expected: list[str] = []
        for way in WAYS:
            job = Job(
                preset, str(file), rows, str(folder / "home"), executors, way, max_length, memory_mb=2048
            )
            print(f"by {way} ...", file=sys.stderr, flush=True)
            found = run(job)
            expected = expected or found["labels"]
            same = agreement(found.pop("labels"), expected)
            if found["ways"] != [way]:
                raise SystemExit(f"the model went by {found['ways']}, not by {way}")
            del found["ways"]
            found["warm_seconds"] = middle_of(found["warm_seconds"])
            told = {name: rounded(value) for name, value in found.items()}
            records.append(
                {"what": f"distribution {way}", **shared, "executors": executors, **told, "agreement": same}
            )
        shutil.rmtree(folder / "home")
        target = str(folder / "saved")
        print("save and load ...", file=sys.stderr, flush=True)
        one = in_child("saved", preset, target, home=_made(folder / "saver"))
        records.append({"what": "save", **shared, **_rounded(one)})
        shutil.rmtree(folder / "saver")
        arguments = (target, str(file), str(rows), str(max_length))
        other = in_child("loaded", *arguments, home=_made(folder / "loader"))
        same = agreement(other.pop("labels"), expected)
        records.append({"what": "load", **shared, **_rounded(other), "agreement": same})
    return records


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {name: rounded(value) for name, value in found.items()}


# --- the page ---


def results() -> str:
    """What stands on the page, from the records."""
    records = read_records(OUTPUT)
    return table(records) if records else "Not measured yet."


def table(records: Sequence[dict[str, Any]]) -> str:
    """What each way, saving and loading took: seconds and memory."""
    sent = [line for line in records if line["what"].startswith("distribution")]
    saved, loaded = (next(line for line in records if line["what"] == what) for what in ("save", "load"))
    head = ["way", "first job", "a later one", "opening the model, each worker", "private GB of each worker"]
    head += ["peak GB of the driver's Python", "of the JVMs", "labels as by the first way"]
    rows = [
        [
            line["what"].split()[1],
            f"{line['first_seconds']:.0f} s",
            f"{line['warm_seconds']:.1f} s",
            ", ".join(f"{seconds:.1f} s" for seconds in line["load_seconds"]),
            _gigabytes(*(one["private"] for one in line["worker_memory"])),
            _gigabytes(line["driver_peak_bytes"]),
            _gigabytes(*line["jvm_peak_bytes"]),
            f"{line['agreement']:.0%}",
        ]
        for line in sent
    ]
    line = sent[0]
    about = (
        f"{line['model']}, {_gigabytes(line['bundle_bytes'])} GB compiled; {line['executors']} executors of "
        f"one core on {line['machine']}, {line['documents']} texts a job."
    )
    if "beside" in line:  # said by whoever ran it so
        about += f" The machine was busy with {line['beside']} at the same time: memory and labels count."
    stored = (
        f"Saving a stage with it took {saved['seconds']:.0f} s and wrote "
        f"{_gigabytes(saved['written_bytes'])} GB, the driver's Python at "
        f"{_gigabytes(saved['driver_peak_bytes'])} GB at most. Loading it where nothing of it was took "
        f"{loaded['seconds']:.0f} s, the first job {loaded['first_seconds']:.0f} s; labels as by the first "
        f"way: {loaded['agreement']:.0%}."
    )
    return "\n\n".join([about, markdown_table(head, rows), stored])


def _gigabytes(*sizes: int) -> str:
    return ", ".join(f"{size / 1e9:.2f}" for size in sizes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=sorted(random_models.SIZES), default="large")
    parser.add_argument("--executors", type=int, default=2)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        name, *arguments = given.step
        result = {"saved": saved, "loaded": loaded}[name](*arguments)
        own = memory_of(os.getpid())
        print(MARK + json.dumps({**result, "driver_peak_bytes": own.peak if own else None}), flush=True)
        return
    write_records(given.output, measure(given.size, given.executors, given.rows, given.max_length))


if __name__ == "__main__":
    main()
