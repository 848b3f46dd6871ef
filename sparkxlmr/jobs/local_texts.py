"""Texts of a file of this machine, read without Spark: for commands that need some thousands of them."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs import parquet_files
from sparkxlmr.jobs.checked_input import CheckedInput, refused
from sparkxlmr.jobs.local_files import open_text
from sparkxlmr.jobs.local_input import check_local
from sparkxlmr.jobs.records import RecordError, csv_rows, header_names, json_documents, separator_of
from sparkxlmr.jobs.temporary import folders_removed
from sparkxlmr.presets.files import sha256_of, sha256_of_files

Row = dict[str, Any]


@dataclass(frozen=True)
class LocalTexts:
    """`texts`, none blank; `labels`: of each, or None where none were asked for; `name` and `sha256` (hex) of
    the file."""

    texts: list[str]
    labels: list[str] | None
    name: str
    sha256: str


@folders_removed()
def read_texts(
    path: str,
    columns: Sequence[str] = ("text",),
    label: str | None = None,
    rows: int | None = None,
    input_format: str | None = None,
    encoding: str | None = None,
) -> LocalTexts:
    """The texts of a table on this machine, as `sparkxlmr classify` reads it.

    Args:
        path: a file, a folder, a pattern, a pipe, or ``-`` for the standard input. Of plain text each line is
            a text.
        columns: names of columns, joined by a space.
        label: name of the column of labels.
        rows: how many texts at most, the first ones; None: all.
        input_format: CSV, TSV, JSON lines, Parquet or plain text; by default as the names say.
        encoding: of text; by default that of the byte order mark, else UTF-8.

    Raises:
        InputError: there is no such file or column, it cannot be read exactly, or it holds no text.
        SettingError: `rows` is below 1, or the encoding is none.
    """
    if rows is not None and rows < 1:
        raise SettingError(f"--rows is {rows}", "at least 1", "leave it out for all rows")
    checked = check_local(path, input_format, encoding)
    if checked is None:
        raise InputError(
            f"{path} is compressed in a way that only Spark reads", "gzip, bzip2 or zstd", "decompress it"
        )
    for name in (*columns, *([] if label is None else [label])):
        if name not in checked.columns:
            raise InputError(
                f"{path} has no column {name!r}",
                f"one of {', '.join(checked.columns)}",
                "name another column",
            )
    texts, labels = [], []
    for row in _rows(checked, [*columns, *([] if label is None else [label])]):
        text = " ".join(_as_text(row.get(name)).strip() for name in columns).strip()
        named = None if label is None else row.get(label)
        if text and (label is None or named is not None):
            texts.append(text)
            labels.append(str(named))
        if len(texts) == rows:
            break
    if not texts:
        raise InputError(f"{path} holds no text", "at least one row with text", "name the column with --text")
    return LocalTexts(texts, None if label is None else labels, Path(path).name, _hash(checked))


def add_arguments(
    parser: argparse.ArgumentParser, rows: str = "read the first N texts (default: all)"
) -> None:
    """Declare the options of a command that reads such texts: TEXTS, --text and --rows (with its help)."""
    parser.add_argument(
        "texts", metavar="TEXTS", help="CSV, TSV, JSON lines, Parquet or plain text; - for the standard input"
    )
    parser.add_argument(
        "--text",
        action="append",
        metavar="COLUMN",
        help="column of the texts (default: text); given more than once, the columns joined by a space",
    )
    parser.add_argument("--rows", type=int, metavar="N", help=rows)
    add_input_arguments(parser)


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--input-format`` and ``--encoding``, which every command that reads texts has."""
    from sparkxlmr.jobs.formats import INPUT_FORMATS

    parser.add_argument("--input-format", choices=INPUT_FORMATS, help="of the input (default: by its suffix)")
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="of text on this machine, e.g. latin-1 (default: by its byte order mark, else utf-8)",
    )


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _hash(checked: CheckedInput) -> str:
    files = [Path(path) for path in checked.sources]
    if len(files) == 1:
        return sha256_of(files[0])
    return sha256_of_files(Path(os.path.commonpath([file.parent for file in files])), files)


def _rows(checked: CheckedInput, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of all files: of Parquet these columns, else all, as strings or as JSON has them."""
    for path in map(Path, checked.files):
        if checked.format == "parquet":
            yield from parquet_files.rows(path, columns)
            continue
        try:
            with open_text(path, "utf-8-sig", None if checked.format == "jsonl" else "") as text:
                yield from _READERS[checked.format](text)
        except RecordError as error:
            raise refused(str(path), checked.format, error) from error


def _csv(text: TextIO, separator: str | None = None) -> Iterator[Row]:
    first = text.readline()
    rows = csv_rows(itertools.chain([first], text), separator or separator_of(first))
    _, header = next(rows, (0, []))
    names = header_names(header)
    for _, row in rows:
        yield dict(zip(names, row, strict=True))


_READERS: dict[str, Callable[[TextIO], Iterator[Row]]] = {
    "csv": _csv,
    "tsv": lambda text: _csv(text, "\t"),
    "jsonl": lambda text: (document.value for document in json_documents(text)),
    "txt": lambda text: ({"text": line} for line in text),
}
