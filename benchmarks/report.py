"""From records to docs/benchmarks.md and its pictures; nothing in them is typed by hand.

    python benchmarks/report.py           # the page and its pictures, from benchmarks/results
    python benchmarks/report.py --parts   # prints the goals that other scripts than run.py measure

The page is of the full run, bench_full.jsonl; where that was not made of `make bench`, bench.jsonl.

``docs/refresh.py --check`` holds the page to the records.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import goals
import pictures
from measuring import RESULTS, ROOT, markdown_table, read_records
from selection import GB, Record, best_of, plain, private_above_bare

SCALE = RESULTS / "language_id_scale.jsonl"
FULL, SHORT = RESULTS / "bench_full.jsonl", RESULTS / "bench.jsonl"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "images"
BLOCK = "results"


def committed() -> Path:
    """The records that the page is written from: of the full run, else of the short one."""
    return FULL if FULL.is_file() else SHORT


def read(file: Path) -> list[dict[str, Any]]:
    """The records of a run. Raises SystemExit where there are none."""
    records = read_records(file)
    if not records:
        raise SystemExit(f"{file} holds no records: run benchmarks/run.py first")
    return records


def tables(records: Sequence[Record]) -> str:
    """Machine, goals, everything side by side, the engine alone, masks: as Markdown."""
    parts = [about(records), goal_table(goals.of_run(records))]
    parts += ["## Everything side by side", side_by_side(records)]
    beside = beside_engine(records)
    if beside:
        parts += ["## The whole pipeline and the engine alone", beside]
    masks = [line for line in records if line["task"] == "fill-mask"]
    if masks:
        parts += ["## Masks", markdown_table(_COLUMNS, [_row(line, records) for line in masks])]
    return "\n\n".join(parts)


def about(records: Sequence[Record]) -> str:
    """Where and on what it was measured."""
    line = plain(records)[0]
    arithmetic = ", ".join(line["arithmetic"]) or "not told by the system"
    mean = line["tokens"] / line["documents"]
    return (
        f"Measured on {line['machine']} ({arithmetic}). {line['documents']} texts, {line['texts']}, of "
        f"{mean:.0f} tokens on average, cut off at {line['most_tokens']}; "
        f"{line['threads']} cores for everyone."
    )


def goal_table(found: Sequence[goals.Goal]) -> str:
    """Each goal, what was measured, and whether it is met."""
    rows = [
        [goal.what, f"{goal.found:.3g}", goal.limit, "met" if goal.met else "**missed**"] for goal in found
    ]
    return markdown_table(["goal", "measured", "wanted", ""], rows)


# --- the comparison ---

_COLUMNS = [
    "who",
    "documents a second",
    "texts",
    "seconds, median (spread)",
    "to Hugging Face",
    "at its best",
    "useful GFLOP/s",
    "private GB a worker above a bare one",
    "same labels",
]


def side_by_side(records: Sequence[Record]) -> str:
    """Every contestant's whole job, the quickest first."""
    lines = sorted(plain(records), key=lambda line: -line["documents_per_second"])
    found = markdown_table(_COLUMNS, [_row(line, records) for line in lines])
    apart = [line["what"] for line in lines if line.get("apart")]
    return f"{found}\n\nMeasured beside Hugging Face in a run apart: {'; '.join(apart)}." if apart else found


def beside_engine(records: Sequence[Record]) -> str:
    """The whole pipeline beside the bare engine on the same cores, in longer jobs; "" where none ran."""
    engines = {line["what"]: line for line in records if line.get("form") == "engine"}
    rows = []
    for line in records:
        if line.get("form") == "beside engine":
            engine, (low, high) = engines[line["what"]], line["spread_ratio"]
            rate = f"{engine['documents_per_second']:.1f}", f"{engine['useful_gflops']:.0f}"
            ratio = f"{line['ratio']:.3f} ({low:.3f} to {high:.3f})"
            rows.append(
                [line["what"], str(line["documents"]), *rate, f"{line['documents_per_second']:.1f}", ratio]
            )
    head = ["", "texts", "engine, documents a second", "engine, useful GFLOP/s"]
    head += ["pipeline, documents a second", "pipeline to engine (spread)"]
    return markdown_table(head, rows) if rows else ""


def _row(line: Record, records: Sequence[Record]) -> list[str]:
    best = best_of(records, line["contestant"]) if line["task"] == "classify" else None
    low, high = line["spread_seconds"]
    above = private_above_bare(line, records) if line.get("form") == "pipeline" else None
    return [
        line["what"],
        f"{line['documents_per_second']:.1f}",
        str(line["documents"]),
        f"{line['seconds']:.2f} ({low:.2f} to {high:.2f})",
        f"{line.get('ratio', 1.0):.2f}",
        "" if best is None else f"{best['ratio']:.2f} ({_settings(best)})",
        f"{line['useful_gflops']:.0f}",
        "" if above is None else f"{above:.2f}",
        f"{100 * line['label_agreement']:.1f} %",
    ]


def _settings(line: Record) -> str:
    by_length = ", sorted" if line["settings"].get("by_length") else ""
    return f"batch {line['settings']['batch']}{by_length}"


# --- the page ---


def drawn(records: Sequence[Record]) -> dict[str, str]:
    """File names of the pictures that these records allow, and what they show."""
    # A bare worker is measured in every run, for the memory of the others.
    axes = {line["axis"] for line in records if "axis" in line and line["contestant"] != "bare_worker"}
    shown = {"benchmark_peers.png": "Documents a second of every contestant; light: at its best."}
    if "workers" in axes:
        shown["benchmark_cores.png"] = "Documents a second against cores."
        shown["benchmark_memory.png"] = "Memory of all workers against their number."
    if "rows" in axes:
        shown["benchmark_rows.png"] = "Documents a second against rows."
    if "length" in axes:
        shown["benchmark_length.png"] = "Documents a second against the texts' length in tokens."
    return shown


def results() -> str:
    """What stands on the page, from the committed records."""
    return page(read(committed()))


def page(records: Sequence[Record]) -> str:
    """As :func:`results`, with these records as the run's."""
    shown = [f"![{what}](images/{name})" for name, what in drawn(records).items()]
    others = goal_table(goals.of_other_scripts())
    told = (
        "The engine alone, the start of a worker and of a process without Spark, the tiny built-in model: "
        "each by a script of its own, `engine_rate.py`, `light_start.py` and `language_id_speed.py`."
    )
    parts = [tables(records), "## More goals", told, others, scale(read_records(SCALE))]
    parts += ["## Pictures", *shown]
    return "\n\n".join(part for part in parts if part)


def summary() -> str:
    """What README.md says of the committed records: who is how fast, and which goals were missed."""
    records = read(committed())
    first = plain(records)[0]
    lines = [line for line in plain(records) if line.get("engine", "openvino") == "openvino"]
    rows = [
        [line["what"], f"{line['documents_per_second']:.1f}", f"{line.get('ratio', 1.0):.1f}"]
        for line in sorted(lines, key=lambda line: -line["documents_per_second"])
    ]
    about = (
        f"XLM-R base's shape, {first['texts']}, {first['machine']}; the whole job, from Parquet to Parquet "
        "(`make bench-full`):"
    )
    missed = [
        f"{goal.what} {goal.found:.3g} ({goal.limit} was wanted)"
        for goal in [*goals.of_run(records), *goals.of_other_scripts()]
        if not goal.met
    ]
    told = f"Not reached so far: {'; '.join(missed)}." if missed else ""
    head = ["", "documents a second", "to Hugging Face in a pandas UDF, side by side"]
    return "\n\n".join(part for part in (about, markdown_table(head, rows), told) if part)


def scale(records: Sequence[Record]) -> str:
    """The tiny model's pipeline on more and more rows; "" where that was not measured."""
    rows = [
        [
            f"{line['documents']:,}",
            f"{line['start_up_seconds']:.1f}",
            f"{line['seconds']:.1f}",
            f"{line['microseconds_a_document']:.0f}",
            *(f"{line['peak_memory'][part] / GB:.2f}" for part in ("workers", "jvm")),
        ]
        for line in records
    ]
    head = ["rows", "an empty job, s", "seconds", "microseconds a document beyond it"]
    return markdown_table([*head, "peak GB, all workers", "peak GB, JVM"], rows) if rows else ""


def draw(records: Sequence[Record], folder: Path = PICTURES) -> None:
    """The pictures, anew."""
    names = drawn(records)
    best = [line for line in records if line.get("best")]
    pictures.bars([*plain(records), *best], folder / "benchmark_peers.png")
    within = [line for line in records if line.get("axis") != "workers" or line["at"] <= _cores_of(line)]
    work = [line for line in within if line["contestant"] != "bare_worker"]
    for name, axis, label in (
        ("benchmark_cores.png", "workers", "cores"),
        ("benchmark_rows.png", "rows", "rows"),
        ("benchmark_length.png", "length", "tokens of a text"),
    ):
        if name in names:
            pictures.lines(work, axis, label, folder / name)
    if "benchmark_memory.png" in names:
        pictures.memory(records, folder / "benchmark_memory.png")


def _cores_of(line: Record) -> int:
    return int(line["machine"].rsplit(", ", 1)[1].split()[0])


def write() -> None:
    """The page and its pictures from the committed records."""
    sys.path.insert(0, str(ROOT / "docs"))
    from refresh import filled

    draw(read(committed()))
    PAGE.write_text(filled(PAGE.read_text("utf-8"), BLOCK, results()), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--parts"]:
        print(goal_table(goals.of_other_scripts()))
    else:
        write()
