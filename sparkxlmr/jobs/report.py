"""What a job prints at its end: the summary, and tables of texts whose columns line up in every script."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

KEPT_SCORES = 3
"""Scores kept in the metadata of an answer: 205 of them in every row would be 10 kB."""

_JOINERS = "\u200c\u200d"  # not printable by themselves, but part of Persian and Indic words
_NO_LABEL = "(no text)"
_WIDTH_ELSEWHERE = 120


def console() -> Console:
    """The terminal's console; a fixed width where the output goes to a file or another program."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE, soft_wrap=False)


def print_summary(
    documents: int,
    seconds: float,
    labels: Sequence[tuple[str | None, int]],
    things: str = "documents",
    title: str = "label",
) -> None:
    """Print documents, seconds, documents a second, and the most frequent labels as a small bar chart."""
    rate = documents / seconds if seconds else 0.0
    shown = f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}"
    print(f"{documents:,} {things} in {seconds:,.1f} s, loading included: {shown} {things} a second.")
    if not labels:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    table.add_column(things, justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    most = max(count for _, count in labels)
    for label, count in labels:
        bar = "█" * max(1, round(24 * count / most))
        table.add_row(Text(label or _NO_LABEL), f"{count:,}", f"{100 * count / documents:.1f} %", bar)
    console().print(table)


def print_texts(rows: Iterable[tuple[str | None, str | None, float | None]]) -> None:
    """Print rows of text, label and score.

    The text stands last: terminals differ in how wide they draw Indic marks and in what they turn around when
    a line holds Arabic or Hebrew, and nothing to the right of it can then go out of line.
    """
    shown = list(rows)
    labels = [label or _NO_LABEL for _, label, _ in shown]
    width = max([len("language"), *map(cell_len, labels)])
    total = (
        shutil.get_terminal_size((_WIDTH_ELSEWHERE, 24)).columns if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    )
    room = max(20, total - width - 10)
    print(f"{'language':<{width}}  {'score':>5}  text")
    print("-" * min(total, width + 9 + room))
    for (text, _, score), label in zip(shown, labels, strict=True):
        number = "" if score is None else f"{score:.2f}"
        print(f"{set_cell_size(label, width)}  {number:>5}  {_one_line(text, room)}")


def _one_line(text: str | None, room: int) -> str:
    if text is None:
        return "(null)"
    flat = " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())
    return flat if cell_len(flat) <= room else set_cell_size(flat, room - 1).rstrip() + "…"
