"""Tables in files: CSV, JSON lines, Parquet and plain text, read as they are and written the same way."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import InputError, OutputError
from sparkxlmr.jobs.checked_input import CheckedInput, CsvTable
from sparkxlmr.jobs.formats import INPUT_FORMATS, OUTPUT_FORMATS, format_of, output_format
from sparkxlmr.jobs.local_files import STDIN, local_path
from sparkxlmr.jobs.local_input import check_local, escaped
from sparkxlmr.jobs.outcome import readable
from sparkxlmr.jobs.remote_check import check_remote, refuse_encoding
from sparkxlmr.jobs.storage import check_input, is_local_file_system, java_errors

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
    from pyspark.sql.types import DataType

__all__ = [
    "INPUT_FORMATS",
    "OUTPUT_FORMATS",
    "check_writable",
    "format_of",
    "free_names",
    "output_format",
    "read_table",
    "read_written",
    "write_table",
]

# Quotes doubled inside quotes and line breaks allowed there: the CSV of spreadsheets, pandas and RFC 4180.
_CSV = {"header": "true", "quote": '"', "escape": '"', "multiLine": "true"}
_CSV_WHITE_SPACE = {"ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}

_SMALL_PART = 64 << 10
_LARGE_PART = 64 << 20
# What a platform's settings may allow: files that are damaged, or go while they are read, are left out.
_STRICT = {"ignoreCorruptFiles": "false", "ignoreMissingFiles": "false"}


def free_names(taken: Iterable[str], *wanted: str) -> list[str]:
    """Names for new columns that none has, in whatever case: the wanted ones, numbered where need be.

    >>> free_names(["Text", "text_2", "id"], "text", "best")
    ['text_3', 'best']
    """
    used = {name.lower() for name in taken}
    names = []
    for stem in wanted:
        tries = itertools.chain([stem], (f"{stem}_{i}" for i in itertools.count(2)))
        name = next(name for name in tries if name.lower() not in used)
        used.add(name.lower())
        names.append(name)
    return names


def read_table(
    spark: SparkSession,
    path: str,
    input_format: str | None = None,
    encoding: str | None = None,
    checked: CheckedInput | None = None,
) -> DataFrame:
    """The table in a file or folder, all its columns in their order.

    CSV columns are strings, so that writing them changes nothing. A line of plain text is a row,
    in the column ``text``. Files that lack a column which others have (Parquet) have nulls there. Rows are
    spread over the cores, see :func:`spread`, in their order.

    Args:
        spark: a classic session.
        path: a file, a folder, a pattern; in local mode also a pipe, or ``-`` for the standard input.
        input_format: one of ``INPUT_FORMATS``; by default as the names say.
        encoding: of text on this machine; by default that of the byte order mark, else UTF-8.
        checked: the input as :func:`check_local` found it, where that was done already.

    Raises:
        InputError: missing, not permitted, of an unknown format, or not to be read exactly: the message names
            file and line.
        SettingError: the encoding cannot be used.
    """
    checked = checked or _checked(spark, path, input_format, encoding)
    try:
        frame = _READERS[checked.format](spark, checked)
        columns = frame.columns
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as {checked.format}: {readable(error)}",
            f"a {checked.format} file",
            "check the file",
        ) from error
    if not columns or columns == ["_corrupt_record"]:
        raise InputError(
            f"{path} has no readable schema as {checked.format}",
            "at least one named column",
            "check the file and its format",
        )
    return spread(frame, checked.n_files, checked.n_bytes, checked.format == "parquet")


def _checked(spark: SparkSession, path: str, input_format: str | None, encoding: str | None) -> CheckedInput:
    local = local_path(path)
    if local is not None and is_local_file_system(spark, path):
        checked = check_local(local, input_format, encoding, path)
        if checked is not None:
            return checked
    elif path == STDIN:
        raise InputError(
            "The standard input is to be read by a Spark that does not run on this machine's file system",
            "an input that its executors can open",
            "copy it to the cluster's file system",
        )
    refuse_encoding(encoding)
    by_spark, statuses = check_input(spark, path)
    try:
        return check_remote(spark, path, by_spark, statuses, input_format)
    except java_errors() as error:
        raise InputError(
            f"{path} cannot be read: {readable(error)}", "files of the format that it is read as", "check it"
        ) from error


def spread(frame: DataFrame, n_files: int, n_bytes: int, row_groups: bool) -> DataFrame:
    """The same rows in the same order, in enough partitions to keep every core busy.

    A table that has a partition for each core stays as it is, so a large one is never shuffled. Fewer it has
    where its files are small, or cannot be cut: compressed text, and CSV, where a line break may be quoted.

    Args:
        frame: what the files hold.
        n_files: how many files these are.
        n_bytes: their size together.
        row_groups: whether it is Parquet: Spark cuts it at any byte, but one task reads a whole row group,
            which may be the whole file. Below 64 MB a core only whole files count as partitions of it.
    """
    from pyspark.sql import functions as F

    n_cores = frame.sparkSession.sparkContext.defaultParallelism
    n_now = frame.rdd.getNumPartitions()
    if row_groups and n_bytes < _LARGE_PART * n_cores:
        n_now = min(n_now, n_files)
    n_parts = max(min(4 * n_cores, n_bytes // _SMALL_PART), n_bytes // _LARGE_PART)
    if n_now >= n_cores or n_parts <= n_now:
        return frame
    (order,) = free_names(frame.columns, "order")
    numbered = frame.withColumn(order, F.monotonically_increasing_id())
    return numbered.repartitionByRange(n_parts, order).sortWithinPartitions(order).drop(order)


def _reader(spark: SparkSession, checked: CheckedInput, **options: str) -> DataFrameReader:
    reader = spark.read.options(**_STRICT, **options)
    if checked.recursive:
        return reader.option("recursiveFileLookup", "true")
    return reader if checked.base is None else reader.option("basePath", checked.base)


def _read_csv(spark: SparkSession, checked: CheckedInput) -> DataFrame:
    def read(table: CsvTable) -> DataFrame:
        from pyspark.sql.types import StringType, StructField, StructType

        reader = _reader(spark, checked, **_CSV, **_CSV_WHITE_SPACE, sep=table.separator, mode="FAILFAST")
        # With a type of their own, folders called code=007 would become the number 7.
        names = (*table.names, *(key for key in checked.keys if key not in table.names))
        schema = StructType([StructField(name, StringType()) for name in names])
        return reader.schema(schema).csv(list(table.paths))

    # Spark goes by the position of columns: files with another order are tables of their own.
    return functools.reduce(lambda one, other: one.unionByName(other), map(read, checked.csv))


def _read_parquet(spark: SparkSession, checked: CheckedInput) -> DataFrame:
    reader = _reader(spark, checked, mergeSchema="true")
    if not checked.nanoseconds:
        return reader.parquet(*checked.paths)
    from pyspark.sql.types import LongType, StructField, StructType

    from sparkxlmr.spark.annotation import quoted

    setting = "spark.sql.legacy.parquet.nanosAsLong"
    before = spark.conf.get(setting, "false")
    spark.conf.set(setting, "true")
    try:
        found = reader.parquet(*checked.paths).schema
    finally:
        spark.conf.set(setting, str(before))
    kinds = checked.nanoseconds
    schema = StructType([StructField(f.name, LongType()) if f.name in kinds else f for f in found])
    frame = reader.schema(schema).parquet(*checked.paths)
    return frame.select(
        *[_timestamp(name, kinds[name]) if name in kinds else quoted(name) for name in frame.columns]
    )


def _timestamp(name: str, is_instant: bool) -> Column:
    """The timestamp of a column of nanoseconds; Spark's have microseconds, so more digits are an error."""
    from pyspark.sql import functions as F

    from sparkxlmr.spark.annotation import quoted

    value = quoted(name)
    micros = (value / 1000).cast("decimal(20,0)")
    if is_instant:
        exact = F.timestamp_micros(micros.cast("bigint"))
    else:
        seconds = (micros / F.lit(1_000_000).cast("decimal(7,0)")).cast("decimal(18,6)")
        zero = F.lit(0)
        epoch = F.lit("1970-01-01 00:00:00").cast("timestamp_ntz")
        exact = epoch + F.make_dt_interval(zero, zero, zero, seconds)
    problem = F.lit(
        f"The column {name} has timestamps with digits below a microsecond. Expected "
        "microseconds, which Spark's timestamps have. To mend it: round them in pandas with "
        f"df[{name!r}].dt.floor('us')."
    )
    return F.when(value % 1000 != 0, F.raise_error(problem)).otherwise(exact).alias(name)


def _read_text(spark: SparkSession, checked: CheckedInput) -> DataFrame:
    from pyspark.sql import functions as F

    text = _reader(spark, checked).text(list(checked.paths))
    # A byte order mark is no part of the first line.
    value = F.regexp_replace(F.col("value"), "^\ufeff", "").alias("text")
    return text.select(value, *[name for name in text.columns if name != "value"])


def _read_json(spark: SparkSession, checked: CheckedInput) -> DataFrame:
    from sparkxlmr.spark.annotation import quoted

    options = {"mode": "FAILFAST", "multiLine": str(checked.whole).lower()}
    from pyspark.sql.types import StringType, StructField, StructType

    found = _json_schema(spark, checked, options)
    by_folder = set(checked.keys) - set(checked.columns[: len(checked.columns) - len(checked.keys)])
    schema: DataType = StructType(
        [StructField(f.name, StringType()) if f.name in by_folder else f for f in found]
    )
    for empty in checked.empty_objects:
        schema = with_empty_object(schema, empty.path)
    reader: Any = _reader(spark, checked, **options)
    frame: DataFrame = reader.schema(schema).json(list(checked.paths))
    # Spark sorts the columns by name; people expect the order of the file.
    order = [name for name in checked.columns if name in frame.columns]
    return frame.select(*[quoted(name) for name in [*order, *(c for c in frame.columns if c not in order)]])


def _json_schema(spark: SparkSession, checked: CheckedInput, options: dict[str, str]) -> Any:
    """The schema that Spark finds in JSON.

    Spark's own search takes the names of the files that it found for wildcards once more, and would look into
    others: where a path is escaped, it is given the lines.
    """
    if not any("\\" in path for path in checked.paths):
        return _reader(spark, checked, **options).json(list(checked.paths)).schema
    from pyspark.sql import DataFrame

    session: Any = spark
    text: Any = _reader(spark, checked).text(list(checked.paths), wholetext=checked.whole)
    lines = getattr(text.select("value")._jdf, "as")(session._jvm.org.apache.spark.sql.Encoders.STRING())
    reader: Any = spark.read.options(**options)
    return DataFrame(reader._jreader.json(lines), session).schema


def with_empty_object(kind: DataType, path: tuple[str, ...]) -> DataType:
    """A type with a map where JSON has an empty object (``{}``), whose column Spark's reader drops.

    Args:
        kind: the type that Spark found, without the object.
        path: names of fields down to the object; ``[]`` are the items of an array.
    """
    from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

    if not path:
        return kind
    head, rest = path[0], path[1:]
    if isinstance(kind, StructType):
        old = next((f.dataType for f in kind if f.name == head), None)
        if old is None:
            start: DataType = ArrayType(StructType()) if rest[:1] == ("[]",) else StructType()
            new = with_empty_object(start, rest) if rest else MapType(StringType(), StringType())
            return StructType([*kind, StructField(head, new)])
        replaced = with_empty_object(old, rest)
        return StructType([StructField(f.name, replaced) if f.name == head else f for f in kind])
    if isinstance(kind, ArrayType) and head == "[]":
        inner = kind.elementType
        if not rest and inner == StructType():
            return ArrayType(MapType(StringType(), StringType()))
        return ArrayType(with_empty_object(inner, rest))
    return kind


_READERS: dict[str, Any] = {
    "csv": _read_csv,
    "tsv": _read_csv,
    "parquet": _read_parquet,
    "txt": _read_text,
    "jsonl": _read_json,
}


def check_writable(frame: DataFrame, chosen: str) -> None:
    """Refuse columns that the format cannot hold.

    Raises:
        OutputError: CSV and a column of arrays, maps, structs or bytes.
    """
    if chosen != "csv":
        return
    from pyspark.sql.types import ArrayType, BinaryType, MapType, StructType

    nested = [
        f.name for f in frame.schema if isinstance(f.dataType, ArrayType | MapType | StructType | BinaryType)
    ]
    if nested:
        raise OutputError(
            f"CSV cannot hold the column{'s' * (len(nested) > 1)} {', '.join(nested)} (nested, or bytes)",
            "columns of plain values",
            "say --format parquet or --format jsonl",
        )


def write_table(frame: DataFrame, path: str, chosen: str) -> None:
    """Write the table into the folder ``path``, whatever is there, in one of ``OUTPUT_FORMATS``."""
    writer = frame.write.mode("overwrite")
    if chosen == "parquet":
        writer.parquet(path)
    elif chosen == "csv":
        writer.options(**_CSV, **_CSV_WHITE_SPACE).csv(path)
    else:
        # A null stays visible: every line has every column.
        writer.option("ignoreNullFields", "false").json(path)


def read_written(spark: SparkSession, path: str, chosen: str, schema: Any) -> DataFrame:
    """What :func:`write_table` wrote, with the schema that it had."""
    reader, path = spark.read.schema(schema), escaped(path)
    if chosen == "parquet":
        return reader.parquet(path)
    if chosen == "csv":
        return reader.options(**_CSV, **_CSV_WHITE_SPACE).csv(path)
    return reader.json(path)
