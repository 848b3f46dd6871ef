"""From records to docs/benchmarks.md and its pictures; nothing in them is typed by hand.

    python benchmarks/report.py     # the page and its pictures, from benchmarks/results/bench_full.jsonl

Where that run was not made the page is of `make bench`, bench.jsonl.

``docs/refresh.py --check`` holds the page to the records.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pictures
from measuring import RESULTS, ROOT, read_records

Record = Mapping[str, Any]
FULL, SHORT = RESULTS / "bench_full.jsonl", RESULTS / "bench.jsonl"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "images"
BLOCK = "results"
GB = 1e9
#: to Hugging Face as people write it, and to its best
RATIOS = {"float32": (1.5, 1.2), "bfloat16": (3.0, 2.4), "int8": (5.0, 4.0)}
TO_SPARK_NLP = 10.0
FILL_MASK = {True: 8.0, False: 4.0}  # with and without arithmetic for bfloat16
TO_ENGINE = 0.95
MOST_PRIVATE = 0.4


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
    """Machine, goals, everything side by side, masks: as Markdown."""
    parts = [about(records), goals(records), "## Everything side by side", side_by_side(records)]
    masks = [line for line in records if line["task"] == "fill-mask"]
    if masks:
        parts += ["## Masks", _table(_COLUMNS, [_row(line, records) for line in masks])]
    return "\n\n".join(parts)


def about(records: Sequence[Record]) -> str:
    """Where and on what it was measured."""
    line = _plain(records)[0]
    arithmetic = ", ".join(line["arithmetic"]) or "not told by the system"
    mean = line["tokens"] / line["documents"]
    return (
        f"Measured on {line['machine']} ({arithmetic}). {line['documents']} texts, {line['texts']}, of "
        f"{mean:.0f} tokens on average, cut off at {line['most_tokens']}; "
        f"{line['threads']} cores for everyone."
    )


# --- goals ---


def goals(records: Sequence[Record]) -> str:
    """Each goal that this run can tell of: what was measured, and whether it is met."""
    rows = [
        *_ratio_goals(records),
        *_spark_nlp_goal(records),
        *_fill_mask_goal(records),
        *_engine_goals(records),
        *_memory_goal(records),
    ]
    cells = [
        [what, f"{found:.2f}", f"{'at most' if most else 'at least'} {goal:g}", _met(found, goal, most)]
        for what, found, goal, most in rows
    ]
    return _table(["goal", "measured", "wanted", ""], cells)


Goal = tuple[str, float, float, bool]


def _ratio_goals(records: Sequence[Record]) -> list[Goal]:
    found: list[Goal] = []
    best = _best_of(records, "hugging_face")
    for precision, (written, to_best) in RATIOS.items():
        line = _quickest(records, precision)
        if line is None:
            continue
        found.append((f"{line['what']}, to Hugging Face as people write it", line["ratio"], written, False))
        if best is not None:
            ratio = line["ratio"] / best["ratio"]
            found.append((f"{line['what']}, to Hugging Face at its best", ratio, to_best, False))
    return found


def _spark_nlp_goal(records: Sequence[Record]) -> list[Goal]:
    ours = _quickest(records, "int8")
    theirs = [line for line in _plain(records) if line["contestant"] == "spark_nlp"]
    if ours is None or not theirs:
        return []
    ratio = ours["ratio"] / theirs[0]["ratio"]
    return [(f"{ours['what']}, to {theirs[0]['what']}", ratio, TO_SPARK_NLP, False)]


def _fill_mask_goal(records: Sequence[Record]) -> list[Goal]:
    ours = [line for line in records if line["task"] == "fill-mask" and line["contestant"] == "ours"]
    return [
        (f"masks, {line['what']}, to Hugging Face", line["ratio"], FILL_MASK[_has_bfloat16(line)], False)
        for line in ours
    ]


def _engine_goals(records: Sequence[Record]) -> list[Goal]:
    engines = {line["what"]: line for line in records if line.get("form") == "engine"}
    return [
        (f"{line['what']}, whole pipeline to bare engine", ratio, TO_ENGINE, False)
        for line in _ours(records)
        if line["what"] in engines
        if (ratio := line["documents_per_second"] / engines[line["what"]]["documents_per_second"])
    ]


def _memory_goal(records: Sequence[Record]) -> list[Goal]:
    lines = [line for line in _ours(records) if _is(line, "openvino", "bfloat16")]
    return [
        (f"{line['what']}, private GB of a worker above a bare one", above, MOST_PRIVATE, True)
        for line in lines
        if (above := private_above_bare(line, records)) is not None
    ]


def _met(found: float, goal: float, most: bool) -> str:
    return "met" if (found <= goal if most else found >= goal) else "**missed**"


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
    """Every contestant's whole job, the quickest first; then the bare engines."""
    plain = sorted(_plain(records), key=lambda line: -line["documents_per_second"])
    engines = [line for line in records if line.get("form") == "engine"]
    rows = [_row(line, records) for line in plain]
    rows += [_row({**line, "what": f"bare engine: {line['what']}"}, records) for line in engines]
    return _table(_COLUMNS, rows)


def _row(line: Record, records: Sequence[Record]) -> list[str]:
    best = _best_of(records, line["contestant"]) if line["task"] == "classify" else None
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


def private_above_bare(line: Record, records: Sequence[Record]) -> float | None:
    """Private GB of a contestant's worker beyond those of a pandas worker that runs no model.

    None where it has no workers (it computes in the JVM) or no bare one was measured.
    """
    bare = [one for one in records if one["contestant"] == "bare_worker"]
    if not bare or not line["memory"]["workers"]:
        return None
    return (_private(line) - _private(bare[0])) / GB


def _private(line: Record) -> float:
    return statistics.mean(one["private"] for one in line["memory"]["workers"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# --- which records ---


def _plain(records: Sequence[Record]) -> list[Record]:
    """Whole jobs of classification as people write them."""
    return [
        line
        for line in records
        if line["task"] == "classify" and line.get("form") == "pipeline" and not line.get("best")
    ]


def _ours(records: Sequence[Record]) -> list[Record]:
    return [line for line in _plain(records) if line["contestant"] == "ours"]


def _is(line: Record, engine: str, precision: str) -> bool:
    return line["engine"] == engine and line["precision"] == precision


def _quickest(records: Sequence[Record], precision: str) -> Record | None:
    """Ours on the engine for CPUs at that precision; of int8's two forms the quicker."""
    lines = [line for line in _ours(records) if _is(line, "openvino", precision)]
    return max(lines, key=lambda line: line["ratio"], default=None)


def _best_of(records: Sequence[Record], contestant: str) -> Record | None:
    lines = [line for line in records if line["contestant"] == contestant and line.get("best")]
    return lines[0] if lines else None


def _has_bfloat16(line: Record) -> bool:
    return bool({"avx512_bf16", "amx_bf16"} & set(line["arithmetic"]))


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


def results(records: Sequence[Record]) -> str:
    """What stands between the page's markers."""
    shown = [f"![{what}](images/{name})" for name, what in drawn(records).items()]
    return "\n\n".join([tables(records), "## Pictures", *shown])


def draw(records: Sequence[Record], folder: Path = PICTURES) -> None:
    """The pictures, anew."""
    names = drawn(records)
    best = [line for line in records if line.get("best")]
    pictures.bars([*_plain(records), *best], folder / "benchmark_peers.png")
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

    records = read(committed())
    draw(records)
    PAGE.write_text(filled(PAGE.read_text("utf-8"), BLOCK, results(records)), "utf-8")


if __name__ == "__main__":
    write()
