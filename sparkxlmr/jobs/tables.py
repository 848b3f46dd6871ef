"""Tables in files: CSV, JSON lines, Parquet and plain text, read as they are and written the same way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import InputError, OutputError, SettingError
from sparkxlmr.jobs.outcome import readable
from sparkxlmr.jobs.storage import check_input, escaped

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

OUTPUT_FORMATS = ("parquet", "csv", "jsonl")
INPUT_FORMATS = (*OUTPUT_FORMATS, "tsv", "txt")

_SUFFIXES = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "txt": "txt",
    "text": "txt",
    "md": "txt",
    "log": "txt",
}
_COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4", ".deflate", ".snappy")

# Quotes doubled inside quotes and line breaks allowed there: the CSV of spreadsheets, pandas and RFC 4180.
_CSV = {"header": "true", "quote": '"', "escape": '"', "multiLine": "true"}
_CSV_WHITE_SPACE = {"ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}

_SMALL_PART = 64 << 10
_LARGE_PART = 64 << 20
_LINES_LOOKED_AT = 100


def format_of(path: str) -> str | None:
    """The format that a path's suffix names, compression aside; None where it names none.

    >>> format_of("reviews.csv.gz"), format_of("s3a://bucket/out.jsonl"), format_of("folder")
    ('csv', 'jsonl', None)
    """
    name = path.rstrip("/").rsplit("/", 1)[-1].lower()
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    return _SUFFIXES.get(name.rsplit(".", 1)[-1]) if "." in name else None


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


def output_format(path: str, asked: str | None = None) -> str:
    """The format to write: the one asked for, else the path's suffix, else parquet.

    Raises:
        SettingError: it is not one of ``OUTPUT_FORMATS``.

    >>> output_format("languages.csv"), output_format("languages"), output_format("languages.csv", "jsonl")
    ('csv', 'parquet', 'jsonl')
    """
    chosen = asked or format_of(path) or "parquet"
    if chosen not in OUTPUT_FORMATS:
        raise SettingError(
            f"The output format would be {chosen!r}",
            f"one of {', '.join(OUTPUT_FORMATS)}",
            "say it with --format",
        )
    return chosen


def read_table(spark: SparkSession, path: str, input_format: str | None = None) -> DataFrame:
    """The table in a file or folder, all its columns in their order; nothing but its schema is read yet.

    CSV columns are strings, so that writing them changes nothing. A line of plain text is a row,
    in the column ``text``. Rows are spread over the cores, see :func:`spread`, in their order.

    Raises:
        InputError: missing, not permitted, of an unknown format, or without a schema that can be read.
    """
    by_spark, files = check_input(spark, path)
    first = files[0].getPath().getName()
    chosen = input_format or format_of(path) or format_of(first)
    if chosen is None:
        raise InputError(
            f"The name of {path} does not say what format it has",
            f"a name that ends in .{', .'.join(_SUFFIXES)}",
            "rename it, or say --input-format to sparkxlmr classify",
        )
    try:
        frame = _READERS[chosen](spark, by_spark)
        columns = frame.columns
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as {chosen}: {readable(error)}", f"a {chosen} file", "check the file"
        ) from error
    if not columns or columns == ["_corrupt_record"]:
        raise InputError(
            f"{path} has no readable schema as {chosen}",
            "at least one named column",
            "check the file and its format",
        )
    return spread(frame, len(files), sum(status.getLen() for status in files), chosen == "parquet")


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


def _read_csv(spark: SparkSession, path: str, separator: str = ",") -> DataFrame:
    options = {**_CSV, **_CSV_WHITE_SPACE, "sep": separator, "mode": "FAILFAST"}
    return _with_schema(spark, path, options, "csv").csv(path)


def _read_tsv(spark: SparkSession, path: str) -> DataFrame:
    return _read_csv(spark, path, separator="\t")


def _read_parquet(spark: SparkSession, path: str) -> DataFrame:
    return spark.read.parquet(path)


def _read_text(spark: SparkSession, path: str) -> DataFrame:
    from pyspark.sql import functions as F

    from sparkxlmr.spark.compat import valid_utf8

    # Bytes that are no UTF-8 would make a Parquet file that other readers refuse; CSV and JSON mend them too.
    return spark.read.text(path).select(valid_utf8(F.col("value")).alias("text"))


def _read_json(spark: SparkSession, path: str) -> DataFrame:
    from sparkxlmr.spark.annotation import quoted

    lines = [row[0] for row in spark.read.text(path).head(_LINES_LOOKED_AT)]
    first = next((line.strip() for line in lines if line.strip()), "")
    # One JSON document over many lines, as some tools write *.json.
    whole = first.startswith("[") or first == "{"
    options = {"mode": "FAILFAST", "multiLine": str(whole).lower()}
    frame = _with_schema(spark, path, options, "json", whole).json(path)
    # Spark sorts the columns by name; people expect the order of the file.
    order = [name for name in _keys_in_order(lines) if name in frame.columns]
    return frame.select(*[quoted(name) for name in [*order, *(c for c in frame.columns if c not in order)]])


def _with_schema(
    spark: SparkSession, path: str, options: dict[str, str], kind: str, whole: bool = False
) -> DataFrameReader:
    """A reader with these options; where the path is escaped, with the schema of its lines too.

    Spark's own search for a schema takes the names of the files that it found for wildcards once more, and
    would look into others.
    """
    reader: Any = spark.read.options(**options)
    if "\\" in path:
        from pyspark.sql import DataFrame

        session: Any = spark
        text: Any = spark.read.text(path, wholetext=whole)
        lines = getattr(text._jdf, "as")(session._jvm.org.apache.spark.sql.Encoders.STRING())
        reader = reader.schema(DataFrame(getattr(reader._jreader, kind)(lines), session).schema)
    found: DataFrameReader = reader
    return found


def _keys_in_order(lines: list[str]) -> list[str]:
    keys: dict[str, None] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(row))
    return list(keys)


_READERS: dict[str, Any] = {
    "csv": _read_csv,
    "tsv": _read_tsv,
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
