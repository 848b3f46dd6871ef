"""File formats of tables: which name a path, its compression and its first bytes imply."""

from __future__ import annotations

from sparkxlmr.errors import SettingError

OUTPUT_FORMATS = ("parquet", "csv", "jsonl")
INPUT_FORMATS = (*OUTPUT_FORMATS, "tsv", "txt")

SUFFIXES = {
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
COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4", ".deflate", ".snappy")
#: First bytes of compressed files, and the suffix by which Spark's readers recognize them.
MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
PARQUET_MAGIC = b"PAR1"


def format_of(path: str) -> str | None:
    """The format that a path's suffix names, compression aside; None where it names none.

    >>> format_of("reviews.csv.gz"), format_of("s3a://bucket/out.jsonl"), format_of("folder")
    ('csv', 'jsonl', None)
    """
    name = path.rstrip("/").rsplit("/", 1)[-1].lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return SUFFIXES.get(name.rsplit(".", 1)[-1]) if "." in name else None


def compression_of(path: str) -> str:
    """The suffix of compression that a name ends in; ``""`` for none.

    >>> compression_of("a.csv.GZ"), compression_of("a.csv")
    ('.gz', '')
    """
    return next((ending for ending in COMPRESSIONS if path.lower().endswith(ending)), "")


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
