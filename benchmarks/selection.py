"""Which records of a run answer which question."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
GB = 1e9


def plain(records: Sequence[Record]) -> list[Record]:
    """Whole jobs of classification as people write them."""
    return [
        line
        for line in records
        if line["task"] == "classify" and line.get("form") == "pipeline" and not line.get("best")
    ]


def of_ours(records: Sequence[Record], engine: str, precision: str) -> list[Record]:
    """Whole jobs of this package on that engine in that precision."""
    lines = [line for line in plain(records) if line["contestant"] == "ours"]
    return [line for line in lines if (line["engine"], line["precision"]) == (engine, precision)]


def quickest(records: Sequence[Record], precision: str) -> Record | None:
    """Ours on the engine for CPUs at that precision; of int8's two forms the quicker."""
    lines = of_ours(records, "openvino", precision)
    return max(lines, key=lambda line: line["ratio"], default=None)


def best_of(records: Sequence[Record], contestant: str) -> Record | None:
    """A contestant at the quickest of its batches, texts sorted by length."""
    lines = [line for line in records if line["contestant"] == contestant and line.get("best")]
    return lines[0] if lines else None


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


def has_bfloat16(line: Record) -> bool:
    return bool({"avx512_bf16", "amx_bf16"} & set(line["arithmetic"]))
