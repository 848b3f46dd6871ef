"""The check of :mod:`checked_input` for files that only Spark can reach: one more job over their text.

Each task checks its part of a file as a stream; what depends on the parts before it (whether a quote is
open) it finds for either case, and the driver puts the parts together.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import InputError, SettingError
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
from sparkxlmr.jobs.local_files import not_decodable
from sparkxlmr.jobs.local_input import escaped
from sparkxlmr.jobs.records import (
    CsvState,
    JsonDecoder,
    RecordError,
    csv_rows,
    header_names,
    json_documents,
    json_line,
    open_quote,
    separator_of,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NANOSECONDS = re.compile(r"^  (?:optional|required) int64 (.+?) \(TIMESTAMP\(NANOS,(true|false)\)\)", re.M)


@dataclass
class Part:
    """What the check of one part of a file found.

    ``fault`` is [line, problem, fix] of the first record that cannot be read, lines counted from the part's
    first; ``rows`` has the first row (of a CSV file's beginning) and ``width`` the number of fields of rows;
    ``inside`` and ``open_line`` are those of :class:`~sparkxlmr.jobs.records.CsvState`.
    """

    lines: int = 0
    fault: list[Any] | None = None
    header: list[str] = field(default_factory=list)
    width: int = 0
    inside: bool = False
    open_line: int = 0
    keys: list[str] = field(default_factory=list)
    empty: list[list[Any]] = field(default_factory=list)


def check_lines(lines: Iterable[bytes], form: str, separator: str, inside: bool = False) -> Part:
    """Check a part of a file: its lines without line feeds; ``inside`` as in :func:`csv_rows`."""
    part, decoder = Part(), JsonDecoder()

    def decoded() -> Iterator[str]:
        for line in lines:
            part.lines += 1
            try:
                yield line.decode("utf-8-sig" if part.lines == 1 else "utf-8") + "\n"
            except UnicodeDecodeError as error:
                raise not_decodable(part.lines, line[error.start : error.end]) from error

    try:
        if form in ("csv", "tsv"):
            state = CsvState()
            for _, row in csv_rows(decoded(), separator, inside=inside, part=True, state=state):
                part.width = part.width or len(row)
                part.header = part.header or row
            part.inside, part.open_line = state.inside, state.open_line
        elif form == "whole":
            for text in decoded():
                check_whole(text, decoder)
        else:
            for line in decoded():
                if form == "jsonl":
                    json_line(decoder, line, part.lines)
        part.keys = list(decoder.keys)
        part.empty = [[list(path), number] for path, number in decoder.empty_objects.items()]
    except RecordError as error:
        part.fault = [error.line, error.problem, error.fix]
    return part


def joined(parts: Iterable[tuple[Part, Part]]) -> Part:
    """The parts of one file put together, each one as checked outside and inside a quoted field.

    Raises:
        RecordError: the first record that cannot be read.

    >>> part = check_lines([b"a,b", b'1,"x'], "csv", ",")
    >>> joined([(part, part)])
    Traceback (most recent call last):
    sparkxlmr.jobs.records.RecordError: line 2: a quote is opened in this row and never closed
    """
    whole, before, open_line = Part(), 0, 0
    keys: dict[str, None] = {}
    for outside, inside in parts:
        part = inside if whole.inside else outside
        if part.fault is not None:
            line, problem, fix = part.fault
            raise RecordError(before + line, problem, fix)
        if part.width and whole.width and part.width != whole.width:
            raise RecordError(
                before + 1, f"rows of {part.width} fields follow where {whole.width} are expected", ""
            )
        whole.header = whole.header or (part.header if before == 0 else [])
        whole.width = whole.width or part.width
        open_line = before + part.open_line if part.open_line else open_line
        whole.inside = part.inside
        keys.update(dict.fromkeys(part.keys))
        whole.empty += [[path, before + number] for path, number in part.empty]
        before += max(part.lines, outside.lines)
    if whole.inside:
        raise open_quote(open_line)
    whole.lines, whole.keys = before, list(keys)
    return whole


def check_remote(
    spark: SparkSession, name: str, by_spark: str, statuses: list[Any], input_format: str | None = None
) -> CheckedInput:
    """Check an input through Spark; see :func:`sparkxlmr.jobs.local_input.check_local`.

    Args:
        spark: a classic session.
        name: the input as the user wrote it.
        by_spark: the pattern for Spark's readers.
        statuses: Hadoop's file statuses of the data files.
        input_format: one of ``INPUT_FORMATS``; by default as the names say.
    """
    files = [status.getPath().toString() for status in statuses]
    form = chosen_format(name, files, input_format)
    recursive, keys = folder_columns(name, _parents(files, name))
    checked = CheckedInput(
        name,
        form,
        (by_spark,),
        len(files),
        sum(s.getLen() for s in statuses),
        recursive=recursive,
        keys=keys,
    )
    if form == "parquet":
        return replace(checked, nanoseconds=_nanoseconds(spark, statuses))
    reader = spark.read.option("recursiveFileLookup", str(recursive).lower())
    if form in ("csv", "tsv"):
        reader = reader.option("lineSep", "\n")  # a carriage return within quotes is part of the text
    separator = "\t" if form == "tsv" else ","
    if form == "csv":
        separator = separator_of(_first_line(spark, files))
    try:
        found = _run(reader.text(by_spark), form, separator)
    except _RefusedPartError as error:
        # A fault in the first line may be a document of many lines; later ones are faults of JSON lines.
        if form != "jsonl" or error.record.line > 1:
            raise refused(error.file, form, error.record) from error
        return _check_whole(spark, checked)
    if form in ("csv", "tsv"):
        return _csv(checked, found, separator, keys)
    if form == "txt":
        return replace(checked, columns=("text", *keys))
    columns = tuple(dict.fromkeys(key for part in found.values() for key in part.keys))
    if not columns:
        raise no_schema(name, form)
    empty = tuple(EmptyObject(tuple(p), file, n) for file, part in found.items() for p, n in part.empty)
    return replace(checked, columns=(*columns, *keys), empty_objects=empty)


def refuse_encoding(encoding: str | None) -> None:
    """Raise SettingError for another encoding than UTF-8, which Spark's readers take for granted."""
    if encoding is not None and encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
        raise SettingError(
            f"--encoding is {encoding!r}, and the input is not on this machine's own disk",
            "UTF-8, where executors read the files",
            f"convert them: iconv -f {encoding} -t utf-8",
        )


def _csv(
    checked: CheckedInput, found: dict[str, Part], separator: str, keys: tuple[str, ...]
) -> CheckedInput:
    groups: dict[tuple[str, ...], list[str]] = {}
    for file, part in found.items():
        if part.header:
            try:
                names = header_names(part.header)
            except RecordError as error:
                raise refused(file, checked.format, error) from error
            groups.setdefault(names, []).append(escaped(file))
    if not groups:
        raise no_schema(checked.name, checked.format)
    tables = tuple(CsvTable(names, separator, tuple(paths)) for names, paths in groups.items())
    columns = same_columns(checked.name, tables)
    if len(tables) == 1:
        tables = (CsvTable(columns, separator, checked.paths),)
    elif keys:
        raise InputError(
            f"The files of {checked.name} have their columns in different orders",
            "one order within key=value folders",
            "write them in one order, or name the folders one by one",
        )
    return replace(checked, columns=(*columns, *keys), csv=tables)


def _parents(files: list[str], name: str) -> Iterator[tuple[str, ...]]:
    """The folders between the input and each file; of a single file, or of a pattern's files, none."""
    root = re.sub(r"^[A-Za-z][\w+.\-]*:/*(?:[^/]*(?=/))?", "", name).strip("/")
    for file in files:
        behind = file.partition(f"/{root}/")[2] if root else ""
        yield tuple(behind.split("/")[:-1])


def _first_line(spark: SparkSession, files: list[str]) -> str:
    for file in files:
        row = spark.read.text(escaped(file)).head()
        if row is not None:
            return str(row[0]).lstrip("\ufeff")
    return ""


class _RefusedPartError(Exception):
    def __init__(self, file: str, record: RecordError) -> None:
        super().__init__(file, record)
        self.file, self.record = file, record


def _run(lines: DataFrame, form: str, separator: str) -> dict[str, Part]:
    """Check the lines of all files; each file's parts put together."""
    from pyspark.sql import functions as F

    columns = (
        F.input_file_name().alias("file"),
        F.expr("input_file_block_start()").alias("start"),
        F.col("value").cast("binary").alias("line"),
    )

    def check(batches: Iterable[Any]) -> Iterator[Any]:
        return _checked_batches(batches, form, separator)

    rows = lines.select(*columns).mapInArrow(check, "file string, start bigint, found string").collect()
    files: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: (row["file"], row["start"])):
        files.setdefault(row["file"], []).append(json.loads(row["found"]))
    found = {}
    for file, parts in files.items():
        try:
            found[file] = joined((Part(**outside), Part(**inside)) for outside, inside in parts)
        except RecordError as error:
            raise _RefusedPartError(file, error) from error
    return found


def _checked_batches(batches: Iterable[Any], form: str, separator: str) -> Iterator[Any]:
    import pyarrow as pa

    rows = (
        row
        for batch in batches
        for row in zip(*(batch.column(index).to_pylist() for index in range(3)), strict=True)
    )
    for (file, start), part in itertools.groupby(rows, key=lambda row: row[:2]):
        lines = (line for _, _, line in part)
        if form in ("csv", "tsv") and start:
            # Read twice: whether the part begins within a quoted field is known only on the driver.
            held = list(lines)
            found = [check_lines(held, form, separator, inside) for inside in (False, True)]
        else:
            found = [check_lines(lines, form, separator)] * 2
        said = json.dumps([asdict(one) for one in found])
        columns = [pa.array([file]), pa.array([start], pa.int64()), pa.array([said])]
        yield pa.RecordBatch.from_arrays(columns, ["file", "start", "found"])


def _check_whole(spark: SparkSession, checked: CheckedInput) -> CheckedInput:
    """Check JSON files that are no JSON lines: each must be one document, an object or an array of them."""
    lines = spark.read.option("recursiveFileLookup", str(checked.recursive).lower())
    text = lines.text(checked.paths[0], wholetext=True)
    try:
        found = _run(text, "whole", "")
    except _RefusedPartError as error:
        raise refused(error.file, checked.format, error.record) from error
    columns = tuple(dict.fromkeys(key for part in found.values() for key in part.keys))
    if not columns:
        raise no_schema(checked.name, checked.format)
    empty = tuple(EmptyObject(tuple(p), file, n) for file, part in found.items() for p, n in part.empty)
    return replace(checked, columns=(*columns, *checked.keys), empty_objects=empty, whole=True)


def check_whole(text: str, decoder: JsonDecoder) -> None:
    """Check the one JSON document of a file; raises RecordError where there are several."""
    documents = arrays = 0
    for document in json_documents(io.StringIO(text), decoder):
        documents += not document.array
        arrays = max(arrays, document.array)
        if documents + arrays > 1:
            raise RecordError(
                document.line,
                "another document follows the first",
                "write one object a line: jq -c . FILE",
            )


def _nanoseconds(spark: SparkSession, statuses: list[Any]) -> dict[str, bool]:
    """The columns of nanosecond timestamps in the Parquet files' footers, see :class:`CheckedInput`."""
    context: Any = spark.sparkContext
    jvm, conf = context._jvm, context._jsc.hadoopConfiguration()
    found: dict[str, bool] = {}
    for status in statuses:
        file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(status.getPath(), conf)
        reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
        try:
            schema = reader.getFooter().getFileMetaData().getSchema().toString()
        finally:
            reader.close()
        found.update((name, utc == "true") for name, utc in _NANOSECONDS.findall(schema))
    return found
