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
_NO_TEXT = "(no text)"
_NO_LABEL = "(no label)"
_LEAST_FOR_RATE = 10_000
"""Documents below which a rate would say how long Spark takes to start."""
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
    without_text: int = 0,
) -> None:
    """Print documents, seconds, documents/s of a large input, and the most frequent labels as bars.

    Args:
        documents: their number, or that of other ``things``.
        seconds: since the command was started.
        labels: each with its number of documents; None stands for no label.
        things: what is counted.
        title: what the labels are.
        without_text: documents without a label that have no text either.
    """
    has_rate = documents >= _LEAST_FOR_RATE and seconds > 0
    rate = f": {documents / seconds:,.0f} {things} a second" if has_rate else ""
    print(f"{documents:,} {things} in {seconds:,.1f} s, the start of Spark and loading included{rate}.")
    rows = [(label, count) for label, count in labels if label is not None]
    without = sum(count for label, count in labels if label is None)
    rows += [(_NO_TEXT, without_text)] * bool(without_text)
    rows += [(_NO_LABEL, without - without_text)] * (without > without_text)
    rows.sort(key=lambda row: -row[1])
    if not rows:
        return
    full = "█" if _can_print("█") else "#"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    table.add_column(things, justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    most = max(count for _, count in rows)
    for label, count in rows:
        bar = full * max(1, round(24 * count / most))
        table.add_row(Text(label), f"{count:,}", f"{100 * count / documents:.1f} %", bar)
    console().print(table)


def print_texts(rows: Iterable[tuple[str | None, str | None, float | None]]) -> None:
    """Print rows of text, label and score.

    The text stands last: terminals differ in how wide they draw Indic marks and in what they turn around when
    a line holds Arabic or Hebrew, and nothing to the right of it can then go out of line.
    """
    shown = list(rows)
    labels = [label or (_NO_LABEL if text and text.strip() else _NO_TEXT) for text, label, _ in shown]
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


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _one_line(text: str | None, room: int) -> str:
    if text is None:
        return "(null)"
    flat = " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())
    return flat if cell_len(flat) <= room else set_cell_size(flat, room - 1).rstrip() + "…"
