"""Files of this machine: which ones a path names, and their decompressed, decoded text."""

from __future__ import annotations

import bz2
import codecs
import glob
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs.formats import MAGIC, compression_of, format_of
from sparkxlmr.jobs.records import RecordError

STDIN = "-"
_WILDCARDS = re.compile(r"[\[{*?]")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SNIFFED = 4096
_NO_TEXT = {
    b"PK\x03\x04": (
        "the file is a ZIP archive, as an Excel workbook is",
        "unpack it, or save the sheet as CSV",
    ),
    b"PAR1": ("the file is Parquet", "say --input-format parquet"),
}


@dataclass(frozen=True)
class LocalFiles:
    """What a path names.

    ``files``: the data files, in order; ``root``: the folder that was named, if it was one; ``hidden``: files
    of a known format that are left out because Spark's readers take names with ``_`` or ``.`` for hidden;
    ``streams``: whether the one file is a pipe, a device or the standard input.
    """

    files: tuple[Path, ...]
    root: Path | None = None
    hidden: tuple[Path, ...] = ()
    streams: bool = False


def local_path(path: str) -> str | None:
    """The path on this machine that a path or a ``file:`` URI names; None for another file system's URI.

    >>> local_path("file:///data/a.csv"), local_path("data/10:00.csv"), local_path("hdfs://host/a")
    ('/data/a.csv', 'data/10:00.csv', None)
    """
    if path == STDIN or os.path.lexists(path):
        return path
    if path.startswith("file:"):
        return re.sub(r"^file:(?://[^/]*(?=/))?", "", path)
    return None if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:/", path) else path


def find_files(path: str) -> LocalFiles:
    """The data files of a path of this machine: a file, a folder, wildcards, a pipe, or ``-``.

    A name that exists as it is written comes before its meaning as a pattern. Within folders hidden names
    (``_``, ``.``) are left out.

    Raises:
        InputError: there are none, or they may not be read.
    """
    if path == STDIN:
        return LocalFiles((Path("/dev/stdin"),), streams=True)
    if os.path.exists(path):
        matches = [Path(path).absolute()]
    else:
        matches = [Path(found).absolute() for found in expand(path)] if _WILDCARDS.search(path) else []
    if not matches:
        raise InputError(
            f"There is no file or folder at {path}",
            "an existing file or folder",
            "check the path for typing errors",
        )
    files: list[Path] = []
    hidden: list[Path] = []
    for match in matches:
        if not match.is_dir():
            files.append(match)
            continue
        for found in _files_below(match):
            is_hidden = any(map(_is_hidden, found.relative_to(match).parts))
            (hidden if is_hidden else files).append(found)
    hidden = [file for file in hidden if format_of(file.name) is not None]
    if not files:
        names = f"; {_names(hidden)} begin with _ or ." if hidden else ""
        raise InputError(
            f"The folder {path} holds no data file{names}",
            "at least one file whose name does not begin with _ or .",
            "name another input" if not hidden else "rename them, or name one of them as the input",
        )
    root = matches[0] if len(matches) == 1 and matches[0].is_dir() else None
    # What /dev/stdin and the like lead to is this process' own, even where it is a regular file.
    streams = len(files) == 1 and (
        not stat.S_ISREG(os.stat(files[0]).st_mode) or files[0].parts[1] in ("dev", "proc")
    )
    return LocalFiles(tuple(files), root, tuple(hidden), streams)


def expand(pattern: str) -> list[str]:
    """The existing paths that a pattern names; ``{a,b}`` stands for either, as in Hadoop's patterns."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        # A hidden name is matched by its first character only, as Spark leaves it out.
        return [found for found in sorted(glob.glob(pattern)) if not _is_hidden(os.path.basename(found))]
    before, behind = pattern[: braces.start()], pattern[braces.end() :]
    found = [path for option in braces[1].split(",") for path in expand(before + option + behind)]
    return list(dict.fromkeys(found))


def _files_below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    try:
        for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names))
    except OSError as error:
        raise cannot_open(str(error.filename or folder), error) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _names(files: list[Path]) -> str:
    return ", ".join(file.name for file in files[:3]) + (", ..." if len(files) > 3 else "")


def cannot_open(path: str, error: OSError) -> InputError:
    """The error of a file that this user may not read, or that is gone."""
    return InputError(
        f"{path} cannot be opened ({error.strerror or error})",
        "an input that this user may read",
        "check its permissions",
    )


def first_bytes(path: Path) -> bytes:
    """The first bytes of a regular file, still compressed; raises InputError where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(_SNIFFED)
    except OSError as error:
        raise cannot_open(str(path), error) from error


def compression(path: Path) -> str:
    """How a regular file is compressed, by its first bytes, else by its name; ``""``: not at all."""
    start = first_bytes(path)
    found = next((suffix for magic, suffix in MAGIC.items() if start.startswith(magic)), None)
    if found is not None:
        return found
    named = compression_of(path.name)
    return "" if named in MAGIC.values() else named


def can_decompress(path: Path) -> bool:
    """Whether :func:`open_bytes` reads a file; not Hadoop's own layouts of LZ4 and Snappy."""
    return compression(path) in ("", ".deflate", *MAGIC.values())


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file.

    Raises:
        InputError: it cannot be opened, or its compressed data are damaged.
    """
    kind = compression(path)
    try:
        with path.open("rb") as raw:
            yield _decompressed(raw, kind)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # what bz2 and zstd raise on damaged data
            raise _damaged(path, error) from error
        if error.filename == path:
            raise cannot_open(str(path), error) from error
        raise


def _decompressed(raw: IO[bytes], kind: str) -> IO[bytes]:
    if kind == ".gz":
        unpacked: Any = gzip.GzipFile(fileobj=raw)
        return unpacked
    if kind == ".bz2":
        return bz2.BZ2File(raw)
    if kind == ".deflate":
        return io.BytesIO(zlib.decompress(raw.read()))
    if kind == ".zst":
        import pyarrow as pa

        stream: Any = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        return stream
    return raw


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(
        f"{path} cannot be decompressed ({error})", "a complete compressed file", "copy or compress it again"
    )


def encoding_of(path: Path, asked: str | None = None) -> str:
    """The encoding of a text file: the one asked for, else by its byte order mark, else UTF-8.

    Raises:
        SettingError: there is no encoding of the name asked for.
        RecordError: the file is UTF-16 without a byte order mark, or no text at all.
    """
    with open_bytes(path) as file:
        start = file.read(_SNIFFED)
    for magic, (problem, fix) in _NO_TEXT.items():
        if start.startswith(magic):
            raise RecordError(0, problem, fix)
    if asked is not None:
        try:
            name = codecs.lookup(asked).name
            " ".encode(name).decode(name)
        except (LookupError, TypeError) as error:
            raise SettingError(
                f"The encoding is {asked!r}",
                "one that Python knows, e.g. latin-1 or utf-16",
                "check its name",
            ) from error
        return "utf-8-sig" if name == "utf-8" else name
    found = next((encoding for bom, encoding in _BOMS if start.startswith(bom)), "utf-8-sig")
    if found == "utf-8-sig" and len(start) >= 4:
        even, odd = start[0::2].count(0), start[1::2].count(0)
        if max(even, odd) > 0.4 * len(start) / 2 and min(even, odd) == 0:
            raise RecordError(
                1,
                "the text is UTF-16 without a byte order mark",
                f"say --encoding utf-16-{'le' if odd else 'be'}, or save the file as UTF-8",
            )
    return found


@contextmanager
def open_text(path: Path, encoding: str, newline: str | None = "") -> Iterator[TextIO]:
    """The text of a file, its line ends as they are (``newline=""``) or all as ``\\n`` (None).

    Raises:
        InputError: as :func:`open_bytes`.
        RecordError: bytes that the encoding does not have, with their line.
    """
    with open_bytes(path) as file:
        text = io.TextIOWrapper(_Buffered(file), encoding=encoding, newline=newline)
        try:
            yield text
        except UnicodeDecodeError as error:
            raise _undecodable(path, encoding, error) from error
        finally:
            text.detach()


def _undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> RecordError:
    """The error with the line of the first bytes that cannot be decoded, which are searched once more."""
    line, found = 0, error.object[error.start : error.end]
    if encoding.startswith("utf-8"):
        with open_bytes(path) as file:
            for number, content in enumerate(_Buffered(file), 1):
                try:
                    content.decode("utf-8")
                except UnicodeDecodeError as inner:
                    line, found = number, content[inner.start : inner.end]
                    break
    return not_decodable(line, found, encoding)


def not_decodable(line: int, found: bytes, encoding: str = "utf-8") -> RecordError:
    """The error of bytes that are not text in an encoding."""
    shown = " ".join(f"0x{byte:02x}" for byte in found[:4])
    said = "UTF-8" if encoding.startswith("utf-8") else encoding
    return RecordError(
        line,
        f"the bytes {shown} are no {said}",
        "name the file's encoding, e.g. --encoding latin-1 (cp1252 on Windows), or convert it: "
        "iconv -f latin1 -t utf-8",
    )


class _Buffered(io.BufferedReader):
    """A buffer over any readable stream that leaves the stream open."""

    def __init__(self, stream: Any) -> None:
        super().__init__(_Raw(stream), buffer_size=1 << 18)


class _Raw(io.RawIOBase):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self._stream.read(len(target))
        target[: len(data)] = data
        return len(data)
