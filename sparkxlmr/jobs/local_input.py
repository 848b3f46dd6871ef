"""Input on this machine: checked before Spark starts, and copied where Spark cannot read it as it is.

The check reads text files once, a line at a time (some 40 MB/s of CSV or JSON lines on a busy core, hundreds
of plain text), and of Parquet files the footers. Copied into a temporary folder are pipes and the standard
input, other encodings than UTF-8, JSON in another layout than one object a line, compression that only the
file's content shows, and Parquet columns of types that Spark lacks; a name that Spark cannot open becomes a
symbolic link there.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from sparkxlmr.errors import InputError
from sparkxlmr.jobs import parquet_files
from sparkxlmr.jobs.checked_input import (
    CheckedInput,
    CsvTable,
    EmptyObject,
    chosen_format,
    folder_columns,
    no_schema,
    refused,
    same_columns,
)
from sparkxlmr.jobs.csv_copy import normalized_lines
from sparkxlmr.jobs.formats import MAGIC, PARQUET_MAGIC, compression_of, format_of
from sparkxlmr.jobs.local_files import (
    STDIN,
    LocalFiles,
    can_decompress,
    compression,
    encoding_of,
    find_files,
    first_bytes,
    open_text,
)
from sparkxlmr.jobs.records import (
    CsvState,
    JsonDecoder,
    RecordError,
    csv_rows,
    header_names,
    json_documents,
    json_line,
    separator_of,
)
from sparkxlmr.jobs.temporary import folders_removed, temporary_folder

_log = logging.getLogger(__name__)
_WILDCARDS = "\\[]{}*?"
_CHUNK = 1 << 20
_LONGEST_LINE = 64 << 20


@dataclass
class _File:
    """A file, what messages call it, and what its check found: the encoding of its text, a CSV header with
    its separator and whether its line ends differ, whether it must be copied, and to which Parquet schema.
    """

    path: Path
    shown: str
    encoding: str = ""
    names: tuple[str, ...] = ()
    separator: str = ","
    mixed_line_ends: bool = False
    copied: bool = False
    schema: Any = None

    def must_copy(self) -> bool:
        return self.copied or self.schema is not None


def escaped(path: str) -> str:
    """A path in the form in which Spark's readers take it by the letter.

    >>> print(escaped("/data/a[1].csv"))
    /data/a\\[1\\].csv
    """
    return "".join(f"\\{character}" if character in _WILDCARDS else character for character in path)


@folders_removed(only_after_errors=True)
def check_local(
    path: str, input_format: str | None = None, encoding: str | None = None, shown: str | None = None
) -> CheckedInput | None:
    """Check an input of this machine; None where only Spark can open its compression.

    Args:
        path: a file, a folder, a pattern, a pipe, or ``-`` for the standard input.
        input_format: one of ``INPUT_FORMATS``; by default as the names say.
        encoding: of text; by default that of the byte order mark, else UTF-8.
        shown: what errors call the input; by default the path.

    Raises:
        InputError: it is missing, not permitted, or holds something that cannot be read exactly.
        SettingError: there is no such encoding.
    """
    shown = name = shown or path
    found = find_files(path)
    streams = found.streams
    if streams:
        # As a regular file it is read like any other; its copy is not copied again.
        found = LocalFiles((_spooled(path, input_format),))
    if found.hidden:
        _log.warning("%s: %s left out, because the name begins with _ or .", name, _listed(found.hidden))
    form = chosen_format(name, [str(file) for file in found.files], input_format)
    files = [_File(file, shown if streams else str(file)) for file in found.files]
    if form == "parquet":
        checked = _check_parquet(name, files)
    else:
        if not all(can_decompress(file.path) for file in files):
            return None
        checked = _check_text(name, form, files, encoding)
    recursive, keys = folder_columns(name, _parents(found))
    columns = (*checked.columns, *(key for key in keys if key not in checked.columns))
    checked = replace(checked, recursive=recursive, columns=columns, keys=keys)
    return _placed(checked, found, files)


def _listed(files: tuple[Path, ...]) -> str:
    return ", ".join(file.name for file in files[:3]) + (" and others" if len(files) > 3 else "")


def _parents(found: LocalFiles) -> Iterator[tuple[str, ...]]:
    for file in found.files:
        yield file.relative_to(found.root).parts[:-1] if found.root is not None else ()


# --- streams ---


def _spooled(path: str, input_format: str | None) -> Path:
    """The content of a pipe, device or standard input as a regular file with a telling name."""
    target = temporary_folder() / "input"
    try:
        with _opened(path) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
    except OSError as error:
        raise InputError(
            f"{path} cannot be copied to {target.parent} ({error.strerror or error})",
            "a readable stream, and room for it",
            "set TMPDIR to a folder with more room",
        ) from error
    start = first_bytes(target)
    form = input_format or format_of(path) or ("parquet" if start.startswith(PARQUET_MAGIC) else None)
    if form is None:
        raise InputError(
            f"Nothing says what format {path} has", "its format", "say it with --input-format, e.g. csv"
        )
    ending = next((suffix for magic, suffix in MAGIC.items() if start.startswith(magic)), "")
    return target.rename(target.with_name(f"input.{form}{ending}"))


def _opened(path: str) -> IO[bytes]:
    if path == STDIN:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return open(path, "rb")


# --- checks ---


def _check_parquet(name: str, files: list[_File]) -> CheckedInput:
    schemas = [parquet_files.schema_of(file.path) for file in files]
    for file, schema in zip(files, parquet_files.target_schemas(schemas), strict=True):
        file.schema = schema
    columns = parquet_files.names(schemas)
    if not columns:
        raise no_schema(name, "parquet")
    return CheckedInput(
        name, "parquet", (), 0, 0, columns=columns, nanoseconds=parquet_files.nanosecond_columns(schemas)
    )


def _check_text(name: str, form: str, files: list[_File], encoding: str | None) -> CheckedInput:
    columns: tuple[str, ...] = ("text",)
    empty: list[EmptyObject] = []
    keys: dict[str, None] = {}
    for file in files:
        try:
            file.encoding = encoding_of(file.path, encoding)
            file.copied = file.encoding != "utf-8-sig" or _misnamed(file.path)
            if form in ("csv", "tsv"):
                _check_csv(file, form)
            elif form == "jsonl":
                decoder = _check_json(file)
                keys.update(decoder.keys)
                empty += [EmptyObject(p, file.shown, n) for p, n in decoder.empty_objects.items()]
            else:
                with open_text(file.path, file.encoding) as lines:
                    while lines.read(_CHUNK):
                        pass
        except RecordError as error:
            raise refused(file.shown, form, error) from error
    if form in ("csv", "tsv"):
        tables = _tables(files, {})
        columns = same_columns(name, tables) if tables else ()
    elif form == "jsonl":
        columns = tuple(keys)
    if not columns:
        raise no_schema(name, form)
    return CheckedInput(name, form, (), 0, 0, columns=columns, empty_objects=tuple(empty))


def _misnamed(path: Path) -> bool:
    """Whether Spark, which goes by the name, would not decompress a file or would fail to."""
    kind = compression(path)
    return kind != compression_of(path.name) or kind == ".zst"


def _check_csv(file: _File, form: str) -> None:
    state = CsvState()
    with open_text(file.path, file.encoding) as lines:
        file.separator = "\t" if form == "tsv" else separator_of(lines.readline())
    with open_text(file.path, file.encoding) as lines:
        rows = csv_rows(lines, file.separator, state=state)
        _, header = next(rows, (0, []))
        file.names = header_names(header)
        for _ in rows:
            pass
    # Spark looks for one kind of line end, and joins rows that end otherwise.
    file.mixed_line_ends = len(state.terminators) > 1
    file.copied = file.copied or file.mixed_line_ends


def _check_json(file: _File) -> JsonDecoder:
    decoder = JsonDecoder()
    try:
        with open_text(file.path, file.encoding, newline=None) as lines:
            # A longer line is an array, or many documents: it is not held in memory.
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), ""), 1):
                json_line(decoder, line, number)
    except RecordError:
        # Not one object a line: read in any layout, and copied as lines; or refused with the right line.
        decoder, file.copied = JsonDecoder(), True
        with open_text(file.path, file.encoding, newline=None) as text:
            for _ in json_documents(text, decoder):
                pass
    return decoder


def _tables(files: list[_File], paths: Mapping[Path, str]) -> list[CsvTable]:
    """The CSV files by their header and separator, each under another path; empty ones are left out."""
    groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for file in files:
        if file.names:
            path = paths.get(file.path, file.shown)
            groups.setdefault((file.names, file.separator), []).append(path)
    return [CsvTable(names, separator, tuple(found)) for (names, separator), found in groups.items()]


# --- what Spark reads ---


def _placed(checked: CheckedInput, found: LocalFiles, files: list[_File]) -> CheckedInput:
    """The checked input with the paths for Spark: as they are, or those of copies and links."""
    root = found.root
    read = {file.path: file.path for file in files}
    base = root
    if any(file.must_copy() or not _spark_opens(file.path, root) for file in files):
        base = temporary_folder()
        read = {file.path: _copy(file, base, root, checked.format) for file in files}
    patterns = tuple(escaped(str(place)) for place in ([base] if root and base else read.values()))
    tables = tuple(_tables(files, {path: escaped(str(place)) for path, place in read.items()}))
    if len(tables) == 1 and root is not None:
        tables = (replace(tables[0], paths=patterns),)
    return replace(
        checked,
        paths=patterns,
        n_files=len(files),
        n_bytes=sum(file.path.stat().st_size for file in files),
        base=None if base is None else str(base),
        files=tuple(map(str, read.values())),
        sources=tuple(str(file.path) for file in files),
        csv=tables,
    )


def _spark_opens(path: Path, root: Path | None) -> bool:
    """Whether Hadoop can list a file: a colon in its name, or in that of a folder below the root, is none."""
    parts = path.relative_to(root).parts if root is not None else (path.name,)
    hidden = root is None and path.name.startswith(("_", "."))
    return not hidden and not any(":" in part for part in parts)


def _copy(file: _File, folder: Path, root: Path | None, form: str) -> Path:
    """Put a file into the folder under a name that Spark can open: a link, or a copy in UTF-8."""
    relative = file.path.relative_to(root) if root is not None else Path(file.path.name)
    *parents, name = relative.parts
    name = name.replace(":", "-").lstrip("_.") or "file"
    if file.must_copy():
        name = f"{_without_compression(name)}.{form}"
    # Spark unescapes the value that a folder key=value gives to a column.
    parts = (part.replace(":", "%3A" if "=" in part else "-") for part in parents)
    target = folder.joinpath(*parts, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 1
    while target.exists():
        target = target.with_name(f"{count}-{name}")
        count += 1
    try:
        if file.schema is not None:
            parquet_files.copy(file.path, target, file.schema)
        elif file.copied:
            _copy_text(file, target, form)
        else:
            target.symlink_to(file.path)
    except OSError as error:
        raise InputError(
            f"{file.path} cannot be copied to {folder} ({error.strerror or error})",
            "a temporary folder with room for it",
            "set TMPDIR to a folder with more room",
        ) from error
    return target


def _without_compression(name: str) -> str:
    return name[: len(name) - len(compression_of(name))]


def _copy_text(file: _File, target: Path, form: str) -> None:
    with (
        open_text(file.path, file.encoding, None if form == "jsonl" else "") as source,
        target.open("w", encoding="utf-8", newline="") as copy,
    ):
        if form == "jsonl":
            for document in json_documents(source):
                copy.write(document.text.replace("\n", " ") + "\n")
        elif file.mixed_line_ends:
            copy.writelines(normalized_lines(source, file.separator))
        else:
            # Spark treats the line ends within quotes as in a file that is not copied.
            shutil.copyfileobj(source, copy, _CHUNK)
