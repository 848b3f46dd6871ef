"""What an input holds, found before anything is read by Spark's own readers, which accept too much.

Spark's readers silently lose data that they do not expect: the rest of a file behind an open quote or a JSON
document, columns in another order, letters of another encoding. Whoever reads a table has a
:class:`CheckedInput` first, which names what to read and how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparkxlmr.errors import InputError
from sparkxlmr.jobs.formats import SUFFIXES, format_of
from sparkxlmr.jobs.records import RecordError


@dataclass(frozen=True)
class CsvTable:
    """CSV files with one header: its names in order, the separator, and the files."""

    names: tuple[str, ...]
    separator: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class EmptyObject:
    """Where an empty JSON object is: the path of its key, its file and line."""

    path: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True)
class CheckedInput:
    """An input that was checked.

    - ``name``: as the user wrote it; ``format``: one of ``INPUT_FORMATS``.
    - ``paths``: patterns for Spark's readers; ``n_files``, ``n_bytes``: what they name.
    - ``base``: the folder whose ``key=value`` folders are columns; ``recursive``: folders within it are none.
    - ``columns``: all names, in order, where they are known; ``keys``: those that ``key=value`` folders give.
    - ``files``, ``sources``: on this machine, what is read, and what was named; they differ for copies.
    - ``csv``: the CSV files by their header; ``empty_objects``: of JSON; ``whole``: JSON documents of many
      lines, one a file; ``nanoseconds``: of Parquet, see :func:`parquet_files.nanosecond_columns`.
    """

    name: str
    format: str
    paths: tuple[str, ...]
    n_files: int
    n_bytes: int
    base: str | None = None
    recursive: bool = False
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    csv: tuple[CsvTable, ...] = ()
    empty_objects: tuple[EmptyObject, ...] = ()
    whole: bool = False
    nanoseconds: Mapping[str, bool] = field(default_factory=dict)


def refused(file: str, form: str, error: RecordError) -> InputError:
    """The error of a record, with its file."""
    place = f"{file}, line {error.line}" if error.line else file
    return InputError(f"{place}: {error.problem}", f"a {form} file that can be read exactly", error.fix)


def no_schema(name: str, form: str) -> InputError:
    """The error of an input without a column."""
    return InputError(
        f"{name} has no readable schema as {form}",
        "at least one named column",
        "check the file and its format",
    )


def chosen_format(name: str, files: Sequence[str], asked: str | None) -> str:
    """The format of an input: the one asked for, else by the name's suffix, else by the first file's.

    Raises:
        InputError: no suffix says it, or the files have suffixes of several formats.
    """
    known = {file: format_of(file) for file in files}
    if asked is not None:
        return asked
    chosen = format_of(name) or known[files[0]]
    if chosen is None:
        raise InputError(
            f"The name of {name} does not say what format it has",
            f"a name that ends in .{', .'.join(SUFFIXES)}",
            "rename it, or say --input-format to sparkxlmr classify",
        )
    for file, form in known.items():
        if form is not None and form != chosen:
            first = next((other for other in files if known[other] == chosen), name)
            raise InputError(
                f"{name} names files of several formats: {first} is {chosen} and {file} is {form}",
                "files of one format",
                "name those to read, e.g. 'FOLDER/*.csv', or say --input-format",
            )
    return chosen


def same_columns(name: str, tables: Iterable[CsvTable]) -> tuple[str, ...]:
    """The columns of the first of some CSV tables, which each must have, in whatever order.

    Raises:
        InputError: one has other columns.
    """
    tables = list(tables)
    first = tables[0]
    for table in tables[1:]:
        if sorted(table.names) != sorted(first.names):
            raise InputError(
                f"{table.paths[0]} has the columns {', '.join(table.names)}",
                f"those of {first.paths[0]}: {', '.join(first.names)}",
                f"give each file of {name} the same header, or classify them one by one",
            )
    return first.names


def folder_columns(name: str, parents: Iterable[Sequence[str]]) -> tuple[bool, tuple[str, ...]]:
    """How folders within a folder are read: whether they only hold files, else the columns that they name.

    Args:
        name: of the input.
        parents: of each file the names of the folders between the input and the file.

    Raises:
        InputError: some are ``key=value`` and others are not.

    >>> folder_columns("in", [(), ("more",)]), folder_columns("in", [("year=2024",)])
    ((True, ()), (False, ('year',)))
    """
    parents = [tuple(parts) for parts in parents]
    keys = {tuple(part.partition("=")[0] for part in parts if "=" in part) for parts in parents}
    plain = any(part for parts in parents for part in parts if "=" not in part)
    if keys == {()}:
        return plain, ()
    if plain or len(keys) > 1:
        raise InputError(
            f"{name} holds folders called key=value beside other files or folders",
            "one kind of folders",
            "name the files to read",
        )
    return False, keys.pop()
