"""Texts of a file of this machine, read without Spark: for commands that need some thousands of them."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs.tables import format_of
from sparkxlmr.presets.files import sha256_of

Row = dict[str, Any]


@dataclass(frozen=True)
class LocalTexts:
    """`texts`, none blank; `labels`: of each, or None where none were asked for; `name` and `sha256` (hex) of
    the file."""

    texts: list[str]
    labels: list[str] | None
    name: str
    sha256: str


def read_texts(
    path: str, columns: Sequence[str] = ("text",), label: str | None = None, rows: int | None = None
) -> LocalTexts:
    """The texts of a CSV, TSV, JSON lines, Parquet or plain text file, also gzipped (Parquet is not).

    Args:
        path: the file; its suffix says what it is. Of plain text each line is a text.
        columns: names of columns, joined by a space.
        label: name of the column of labels.
        rows: how many texts at most, the first ones; None: all.

    Raises:
        InputError: there is no such file or column, it cannot be read, or it holds no text.
        SettingError: `rows` is below 1.
    """
    if rows is not None and rows < 1:
        raise SettingError(f"--rows is {rows}", "at least 1", "leave it out for all rows")
    place, form = Path(path), format_of(path)
    if not place.is_file() or form is None:
        raise InputError(
            f"{path} is {'a file of unknown format' if place.is_file() else 'no file'}",
            "a file of this machine: .csv, .tsv, .jsonl, .parquet or .txt",
            "check the name",
        )
    texts, labels = [], []
    try:
        for row in _READERS[form](place):
            text = " ".join(str(_cell(row, name, path) or "").strip() for name in columns).strip()
            named = None if label is None else _cell(row, label, path)
            if text and (label is None or named is not None):
                texts.append(text)
                labels.append(str(named))
            if len(texts) == rows:
                break
    except (OSError, ValueError, csv.Error, ImportError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as {form}: {error}", f"a {form} file", "check it") from error
    if not texts:
        raise InputError(f"{path} holds no text", "at least one row with text", "name the column with --text")
    return LocalTexts(texts, None if label is None else labels, place.name, sha256_of(place))


def add_arguments(
    parser: argparse.ArgumentParser, rows: str = "read the first N texts (default: all)"
) -> None:
    """Declare the options of a command that reads such texts: TEXTS, --text and --rows (with its help)."""
    parser.add_argument("texts", metavar="TEXTS", help="CSV, TSV, JSON lines, Parquet or plain text file")
    parser.add_argument(
        "--text",
        action="append",
        metavar="COLUMN",
        help="column of the texts (default: text); given more than once, the columns joined by a space",
    )
    parser.add_argument("--rows", type=int, metavar="N", help=rows)


def _cell(row: Row, name: str, path: str) -> Any:
    if name not in row:
        raise InputError(
            f"{path} has no column {name!r}", f"one of {', '.join(map(str, row))}", "name another column"
        )
    return row[name]


def _lines(path: Path) -> Iterator[str]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from file


def _csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    return iter(csv.DictReader(_lines(path), delimiter=delimiter))


def _json(path: Path) -> Iterator[Row]:
    for line in _lines(path):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"a line holds {line.strip():.40}, no object")
            yield row


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


_READERS: dict[str, Any] = {
    "csv": _csv,
    "tsv": lambda path: _csv(path, "\t"),
    "jsonl": _json,
    "parquet": _parquet,
    "txt": lambda path: ({"text": line} for line in _lines(path)),
}
