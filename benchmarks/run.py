"""This package and its peers on the same texts, cores and run: what `make bench` and `make bench-full` start.

    python benchmarks/run.py [--full] [--rows 64] [--repeats 2] [--sections ours peers ...]

Random models of XLM-R base's shape, AG News' texts (made up ones where it is not at hand). Hugging Face in a
pandas UDF lives as long as the run and takes turns with each other contestant, so a ratio holds on a machine
whose speed changes. One JSON line a measurement goes to ``benchmarks/results/bench.jsonl`` (``--full``:
``bench_full.jsonl``, and ``docs/benchmarks.md`` is written from it).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import prepare
import report
from contest import (
    Contestant,
    ContestantFailed,
    Entry,
    Job,
    Series,
    alternate,
    cores_of_this_run,
    python_of,
    record,
    started,
)
from measuring import BUILD, RESULTS, arithmetic, write_records

REFERENCE = Entry("Hugging Face, pandas UDF", "hugging_face", {"batch": 32}, facts={"precision": "float32"})
BATCHES = (8, 32, 128)
#: texts of ours for each of Hugging Face's, by precision
PACES = {"float32": 1.5, "bfloat16": 4.0, "int8": 6.0}
MORE_MASKS = 8
#: times the texts for a comparison with the bare engine
LONGER = 3.0
PEERS = {
    "predict_batch_udf": "predict_batch_udf with torch",
    "keras_hub_by_hand": "keras-hub by hand",
    "spark_nlp": "Spark NLP 5.5.3",
    "mlflow_udf": "mlflow spark_udf",
    "ray_data": "Ray Data map_batches",
}
Records = Iterator[dict[str, Any]]


def own_entries() -> list[Entry]:
    """This package at every engine and precision that this machine has."""
    narrow = "avx512_bf16" in arithmetic() or "amx_bf16" in arithmetic()
    asked = [("openvino", "float32", "auto"), ("openvino", "int8", "dynamic"), ("openvino", "int8", "static")]
    asked += [("tensorflow", "float32", "auto"), ("keras", "float32", "auto")]
    if narrow:
        asked += [(engine, "bfloat16", "auto") for engine in ("openvino", "tensorflow", "keras")]
    return [own_entry(*each) for each in asked]


def own_entry(engine: str, precision: str, quantization: str = "auto") -> Entry:
    facts = {"engine": engine, "precision": precision, "quantization": quantization}
    form = f" {quantization}" if precision == "int8" else ""
    options = ("--preset", prepare.QUANTIZED) if quantization == "static" else ()
    pace = PACES.get(precision, 1.0)
    return Entry(f"sparkxlmr, {engine}, {precision}{form}", "ours", facts, options, facts, pace)


# --- what is compared ---


def classifiers(job: Job, hugging_face: Contestant, entries: Sequence[Entry], repeats: int) -> Records:
    """Each entry's whole pipeline in turn with Hugging Face."""
    for entry in entries:
        more = prepare.job(job.models, job.cores, round(job.rows * entry.pace))
        with (
            attempt(entry.what),
            started(entry.program, python_of(entry.program), more, entry.options) as own,
        ):
            if entry.facts["engine"] != "openvino":
                own.run(entry.settings)  # what it compiles for each shape
            turn = (hugging_face, REFERENCE.settings)
            first, (series,) = alternate(turn, [(own, entry.settings)], repeats)
            found = record(entry, more, series, first.last["labels"], own.versions)
            yield {**found, "form": "pipeline"}


def beside_engine(job: Job, entries: Sequence[Entry], repeats: int) -> Records:
    """The whole pipeline in turn with the bare engine, both on all cores, of the engine for CPUs.

    In longer jobs: a Spark job costs half a second whatever its size.
    """
    for entry in entries:
        if entry.facts["engine"] != "openvino" or entry.facts["quantization"] == "dynamic":
            continue
        longer = prepare.job(job.models, job.cores, round(job.rows * entry.pace * LONGER))
        with (
            attempt(f"{entry.what}, beside its engine"),
            started(entry.program, python_of(entry.program), longer, entry.options) as own,
        ):
            engine = (own, {**entry.settings, "what": "engine"})
            own.run(entry.settings)
            alone, (whole,) = alternate(engine, [(own, entry.settings)], repeats)
            for form, series in (("engine", alone), ("beside engine", whole)):
                found = record(entry, longer, series, alone.last["labels"], own.versions)
                yield {**found, "form": form}


def peer(job: Job, hugging_face: Contestant, program: str, repeats: int) -> Records:
    """A peer as its documentation has it, and at its best of batches and sorting."""
    what = PEERS[program]
    facts = {"precision": "float32", "form": "pipeline"}
    with attempt(what), started(program, python_of(program), job) as contestant:
        entry = Entry(what, program, {"batch": 32}, facts=facts)
        turn = (hugging_face, REFERENCE.settings)
        first, (written,) = alternate(turn, [(contestant, entry.settings)], repeats)
        labels = first.last["labels"]
        yield record(entry, job, written, labels, contestant.versions)
        yield best(what, program, job, turn, contestant, labels)


def best(
    what: str,
    program: str,
    job: Job,
    turn: tuple[Contestant, Any],
    contestant: Contestant,
    labels: Sequence[str],
) -> dict[str, Any]:
    """The quickest of the batches with texts sorted by length, each run once beside Hugging Face."""
    asked = [{"batch": batch, "by_length": True} for batch in BATCHES]
    _, tried = alternate(turn, [(contestant, settings) for settings in asked], 1)
    settings, series = max(zip(asked, tried, strict=True), key=lambda pair: pair[1].ratios)
    entry = Entry(what, program, settings, facts={"precision": "float32", "form": "pipeline", "best": True})
    return record(entry, job, series, labels, contestant.versions)


def fill_mask(models: Path, cores: int, repeats: int, rows: int) -> Records:
    """One mask a text, the best of 250,002 tokens: ours as `auto` has it, to Hugging Face's pipeline."""
    job, entry = prepare.job(models, cores, rows, task="fill-mask"), own_entry("openvino", "auto")
    more = prepare.job(models, cores, rows * MORE_MASKS, task="fill-mask")
    with (
        attempt("fill-mask"),
        started(REFERENCE.program, python_of(REFERENCE.program), job) as hugging_face,
        started(entry.program, python_of(entry.program), more) as own,
    ):
        turn = (hugging_face, REFERENCE.settings)
        first, (ours,) = alternate(turn, [(own, entry.settings)], repeats)
        labels = first.last["labels"]
        yield {**record(REFERENCE, job, first, labels, hugging_face.versions), "form": "pipeline"}
        yield {**record(entry, more, ours, labels, own.versions), "form": "pipeline"}


# --- along an axis ---


BARE = Entry("a pandas worker without model", "bare_worker")


def along(axis: str, value: int, job: Job, entries: Sequence[Entry]) -> Records:
    """Each entry alone, once: a point of a picture."""
    for entry in entries:
        with (
            attempt(f"{entry.what} at {axis} {value}"),
            started(entry.program, python_of(entry.program), job, entry.options) as contestant,
        ):
            contestant.run(entry.settings)
            answer = contestant.run(entry.settings)
            series = Series(seconds=[answer["seconds"]], last=answer)
            found = record(entry, job, series, answer["labels"], contestant.versions)
            del found["label_agreement"]  # with itself
            yield {**found, "axis": axis, "at": value}


def axes(models: Path, cores: int) -> Records:
    """Documents a second against cores, rows and length; memory against workers."""
    ours = own_entry("openvino", "auto")
    for workers in (1, 2, 4):
        job = prepare.job(models, workers, 32)
        yield from along("workers", workers, job, [REFERENCE, ours, BARE])
    for rows in (25, 100, 400):
        yield from along("rows", rows, prepare.job(models, cores, rows), [ours])
    for length in (32, 128, 512):
        job = prepare.job_of_length(models, cores, length)
        yield from along("length", length, job, [REFERENCE, ours])


# --- the run ---


class attempt:
    """What fails inside is told and does not end the run; :data:`failed` remembers it."""

    failed: list[str] = []  # noqa: RUF012

    def __init__(self, what: str) -> None:
        self._what, self._began = what, time.perf_counter()

    def __enter__(self) -> None:
        print(f"--- {self._what}", file=sys.stderr, flush=True)

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> bool:
        print(f"    {time.perf_counter() - self._began:.0f} s", file=sys.stderr, flush=True)
        if isinstance(error, ContestantFailed):
            print(error, file=sys.stderr, flush=True)
            self.failed.append(self._what)
            return True
        return False


SHORT = ("best", "ours", "engine", "fill-mask")
SECTIONS = (*SHORT, "peers", "axes")


def asked_entries(arguments: argparse.Namespace, section: str) -> list[Entry]:
    """Our own in that section, those that `--only` allows."""
    entries = own_entries() if section in arguments.sections else []
    return [entry for entry in entries if not arguments.only or arguments.only in entry.what]


def asked_peers(arguments: argparse.Namespace) -> list[str]:
    """The peers' programs, those that `--only` allows."""
    programs = list(PEERS) if "peers" in arguments.sections else []
    programs = [program for program in programs if program not in attempt.failed]
    return [program for program in programs if not arguments.only or arguments.only in program]


def measured(arguments: argparse.Namespace) -> Records:
    """All records, in the order in which they are measured."""
    models, cores, sections = arguments.models, cores_of_this_run(), arguments.sections
    job = prepare.job(models, cores, arguments.rows)
    if {"best", "ours", "peers"} & set(sections):
        with started(REFERENCE.program, python_of(REFERENCE.program), job) as hugging_face:
            turn = (hugging_face, REFERENCE.settings)
            written, _ = alternate(turn, [], arguments.repeats)
            labels, versions = written.last["labels"], hugging_face.versions
            yield {**record(REFERENCE, job, written, labels, versions), "form": "pipeline", "ratio": 1.0}
            if "best" in sections:
                yield best(REFERENCE.what, REFERENCE.program, job, turn, hugging_face, labels)
            yield from along("workers", cores, job, [BARE] if "axes" not in sections else [])
            yield from classifiers(job, hugging_face, asked_entries(arguments, "ours"), arguments.repeats)
            for program in asked_peers(arguments):
                yield from peer(job, hugging_face, program, arguments.repeats)
    if "engine" in sections:
        yield from beside_engine(job, asked_entries(arguments, "engine"), arguments.repeats)
    if "fill-mask" in sections:
        yield from fill_mask(models, cores, arguments.repeats, rows=24)
    if "axes" in sections:
        yield from axes(models, cores)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="with the peers and the pictures' points")
    parser.add_argument(
        "--rows", type=int, default=64, help="texts of Hugging Face; who is quicker gets more"
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--models", type=Path, default=prepare.MODELS)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--only", help="entries with this in their name")
    parser.add_argument("--output", type=Path, help="where the records go instead; no page is written")
    arguments = parser.parse_args()
    arguments.sections = arguments.sections or (SECTIONS if arguments.full else SHORT)
    os.environ.pop("SPARKXLMR_PRECISION", None)  # what `auto` means is measured too
    os.environ["SPARKXLMR_HOME"] = str(BUILD / "home")
    own = [*asked_entries(arguments, "ours"), *asked_entries(arguments, "engine")]
    static = any(entry.facts["quantization"] == "static" for entry in own)
    asked = [REFERENCE.program, *asked_peers(arguments)]
    attempt.failed += prepare.everything(arguments.models, asked, static)
    if REFERENCE.program in attempt.failed:
        sys.exit(f"{REFERENCE.what} is what all others are compared with")
    file = BUILD / f"running-{os.getpid()}.jsonl"  # kept where a run is interrupted
    write_records(file, [])
    for found in measured(arguments):
        write_records(file, [found], append=True)
    kept = arguments.output or RESULTS / ("bench_full.jsonl" if arguments.full else "bench.jsonl")
    shutil.move(file, kept)
    print(report.tables(report.read(kept)))
    if arguments.full and arguments.output is None:
        report.write()
    if attempt.failed:
        sys.exit(f"failed: {', '.join(attempt.failed)}")


if __name__ == "__main__":
    main()
