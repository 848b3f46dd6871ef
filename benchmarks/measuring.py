"""What every benchmark shares: the machine, the memory of processes, useful work, and records of both.

Only Python's standard library, so that it runs in every contestant's environment.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: where models, texts and environments of the benchmarks lie; outside git
BUILD = ROOT / "build" / "benchmarks"
RESULTS = Path(__file__).resolve().parent / "results"
#: what narrow arithmetic a processor may have, by Linux' names
ARITHMETIC = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "amx_tile")


# --- the machine ---


def machine() -> str:
    """The processor's name and the number of cores this process may use.

    >>> machine().endswith(" cores") or machine().endswith(" core")
    True
    """
    name = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    count = cores()
    return f"{name}, {count} core{'s' if count > 1 else ''}"


def cores() -> int:
    """How many processors this process may use (a container may have fewer than the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def arithmetic() -> list[str]:
    """Which of :data:`ARITHMETIC` the processor has; empty where the system does not tell."""
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
            return [name for name in ARITHMETIC if name in flags]
    return []


def versions(*names: str) -> dict[str, str]:
    """The installed version of each package that is installed here, and Python's.

    >>> sorted(versions("no-such-package"))
    ['python']
    """
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# --- memory ---


@dataclass(frozen=True)
class Memory:
    """Bytes of one process that are in memory now.

    - `private`: what stands in no file: it is this process's own, and freed when it ends. Of pages that a
      fork still shares with others, its part.
    - `shared`: pages of files, mapped and not changed: kept once a host, however many processes map them.
    - `peak`: the most that was ever in memory, private and shared together.
    """

    private: int
    shared: int
    peak: int


def memory_of(pid: int) -> Memory | None:
    """The memory of a process by Linux' own account; None where it has ended or the system has no such."""
    rollup = _sizes(f"/proc/{pid}/smaps_rollup")
    status = _sizes(f"/proc/{pid}/status")
    if "Pss_Anon" not in rollup or "VmHWM" not in status:
        return None
    return Memory(rollup["Pss_Anon"], rollup["Rss"] - rollup["Pss_Anon"], status["VmHWM"])


def processes_below(pid: int) -> list[int]:
    """All descendants of a process, itself not."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            parents.setdefault(parent_of(int(entry.name)), []).append(int(entry.name))
    found, at = [], [pid]
    while at:
        children = parents.get(at.pop(), [])
        found += children
        at += children
    return sorted(found)


def parent_of(pid: int) -> int:
    """The process that started this one; 0 where it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def command_of(pid: int) -> str:
    """The command line of a process, empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _sizes(path: str) -> dict[str, int]:
    """Lines of ``Name:  123 kB`` as bytes."""
    found: dict[str, int] = {}
    for line in _lines(path):
        parts = line.split()
        if len(parts) == 3 and parts[2] == "kB":
            found[parts[0].rstrip(":")] = int(parts[1]) * 1024
    return found


# --- useful work ---


@dataclass(frozen=True)
class Encoder:
    """The shape of an encoder, as far as work depends on it; XLM-R base where nothing is said.

    - `outputs`: classes, or for a masked language model the rows of the vocabulary.
    """

    layers: int = 12
    hidden: int = 768
    intermediate: int = 3072
    outputs: int = 5


def useful_operations(encoder: Encoder, tokens: Iterable[int], wanted: Iterable[int] | None = None) -> int:
    """Multiplications and additions that a model's answers need, whoever computes them and however.

    The products of matrices alone (norms, activations and the softmax are hundredths). No padding; the last
    layer's keys and values for all tokens, the rest of it for the wanted ones only: `<s>` of a classifier,
    the masks of a masked language model.

    - `tokens`: how many ids each text has, the special ones included.
    - `wanted`: how many places of each text are answered; None: one each.

    >>> base = Encoder()
    >>> round(useful_operations(base, [128]) / 1e9, 2), round(useful_operations(base, [64, 64]) / 1e9, 2)
    (20.8, 20.54)
    """
    lengths = list(tokens)
    counts = [1] * len(lengths) if wanted is None else list(wanted)
    hidden, inner = encoder.hidden, encoder.intermediate
    after = hidden * hidden + 2 * hidden * inner  # attention's output and the feed-forward layer, of a place
    total = 0
    for length, places in zip(lengths, counts, strict=True):
        full = length * (3 * hidden * hidden + 2 * length * hidden + after)
        last = 2 * length * hidden * hidden + places * (hidden * hidden + 2 * length * hidden + after)
        head = places * (hidden * hidden + hidden * encoder.outputs)
        total += 2 * ((encoder.layers - 1) * full + last + head)
    return total


# --- records ---


def middle(seconds: Sequence[float]) -> dict[str, object]:
    """The median of repeated timings, and between what they lie.

    >>> middle([2.0, 1.0, 4.0])
    {'seconds': 2.0, 'spread_seconds': [1.0, 4.0], 'repeats': 3}
    """
    spread = [round(min(seconds), 4), round(max(seconds), 4)]
    return {
        "seconds": round(statistics.median(seconds), 4),
        "spread_seconds": spread,
        "repeats": len(seconds),
    }


def rates(seconds: float, documents: int, tokens: int, operations: int) -> dict[str, object]:
    """What was done in a second: documents, tokens, useful operations.

    >>> rates(2.0, 100, 9200, 10**12)
    {'documents_per_second': 50.0, 'tokens_per_second': 4600, 'useful_gflops': 500.0}
    """
    return {
        "documents_per_second": round(documents / seconds, 2),
        "tokens_per_second": round(tokens / seconds),
        "useful_gflops": round(operations / seconds / 1e9, 1),
    }


def agreement(labels: Sequence[object], others: Sequence[object]) -> float:
    """The share of places at which both say the same.

    >>> agreement(["a", "b", "c", "c"], ["a", "b", "c", "d"])
    0.75
    """
    if len(labels) != len(others) or not labels:
        raise ValueError(f"{len(labels)} labels against {len(others)}: as many of each, and some")
    return sum(a == b for a, b in zip(labels, others, strict=True)) / len(labels)


def write_records(file: Path, records: Iterable[Mapping[str, Any]], append: bool = False) -> None:
    """One JSON line a record, into the file (anew, or behind what stands there) and onto the screen."""
    lines = [json.dumps(record) for record in records]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a" if append else "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines)
    for line in lines:
        print(line, flush=True)


def read_records(file: Path) -> list[dict[str, Any]]:
    """The records of a file of results, none where there is none."""
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    >>> print(markdown_table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
