"""The pictures of docs/benchmarks.md, drawn from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
OURS, OTHERS, BEST = "#c2410c", "#64748b", "#cbd5e1"
GIB = 1024**3


def bars(records: Sequence[Record], file: Path) -> None:
    """Documents a second of every contestant, the quickest on top; its light end is its best."""
    best = {line["what"]: line["documents_per_second"] for line in records if line.get("best")}
    plain = sorted(
        (line for line in records if not line.get("best")), key=lambda line: line["documents_per_second"]
    )
    figure, axis = _figure(0.32 * len(plain) + 1.2)
    names = [line["what"] for line in plain]
    for name, line in zip(names, plain, strict=True):
        rate = line["documents_per_second"]
        if best.get(name, 0) > rate:
            axis.barh(name, best[name], color=BEST)
        axis.barh(name, rate, color=OURS if line["contestant"] == "ours" else OTHERS)
        axis.text(max(rate, best.get(name, 0)), name, f" {rate:.1f}", va="center", fontsize=8)
    axis.set_xlabel("documents a second")
    _save(figure, file)


def lines(records: Sequence[Record], axis_name: str, label: str, file: Path) -> None:
    """Documents a second along an axis, a line a contestant."""
    figure, axis = _figure(3.2)
    for what, points in _by_contestant(records, axis_name).items():
        marks = [(line["at"], line["documents_per_second"]) for line in points]
        axis.plot(*zip(*marks, strict=True), marker="o", label=what, color=_colour(points))
    ticks = sorted({line["at"] for line in records if line.get("axis") == axis_name})
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_ylim(bottom=0)
    _finish(figure, axis, label, "documents a second", file)


def memory(records: Sequence[Record], file: Path) -> None:
    """What all workers of a host hold: each one's private memory, and once what they share."""
    figure, axis = _figure(3.2)
    for what, points in _by_contestant(records, "workers").items():
        marks = [(line["at"], host_bytes(line["memory"]) / GIB) for line in points]
        axis.plot(*zip(*marks, strict=True), marker="o", label=what, color=_colour(points))
    axis.set_ylim(bottom=0)
    axis.set_xticks(sorted({line["at"] for line in records if line.get("axis") == "workers"}))
    _finish(figure, axis, "workers of the host", "GiB in all workers together", file)


def host_bytes(memory: Mapping[str, Sequence[Mapping[str, int]]]) -> int:
    """Private memory of all workers, and the largest shared part once.

    >>> host_bytes({"workers": [{"private": 3, "shared": 10}, {"private": 4, "shared": 9}]})
    17
    """
    workers = memory["workers"]
    return sum(one["private"] for one in workers) + max((one["shared"] for one in workers), default=0)


def _by_contestant(records: Sequence[Record], axis_name: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for line in records:
        if line.get("axis") == axis_name:
            found.setdefault(line["what"], []).append(line)
    return {what: sorted(points, key=lambda line: line["at"]) for what, points in found.items()}


def _colour(points: Sequence[Record]) -> str:
    return {"ours": OURS, "bare_worker": BEST}.get(points[0]["contestant"], OTHERS)


def _figure(height: float) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7.2, height))
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure, axis


def _finish(figure: Any, axis: Any, x: str, y: str, file: Path) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    from matplotlib import pyplot

    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # Without the date and the version in it, the same records give the same file.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
