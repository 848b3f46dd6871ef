"""Files as Spark sees them: looking at, writing and replacing paths through Hadoop's file systems.

A path may be local, ``hdfs://``, ``s3a://`` or whatever else the session is set up for.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import InputError, OutputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_log = logging.getLogger(__name__)
_WILDCARDS = re.compile(r"[\\\[\]{}*?]")


def java_errors() -> tuple[type[Exception], ...]:
    """What a Java exception can arrive as: pyspark makes exceptions of its own of the kinds it knows."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    return (Py4JJavaError, PySparkException)


def escaped(path: str) -> str:
    """A path in the form in which Spark's readers take it by the letter.

    >>> print(escaped("/data/a[1].csv"))
    /data/a\\[1\\].csv
    """
    return _WILDCARDS.sub(r"\\\g<0>", path)


class Storage:
    """The file system that a path lies on, with the few operations that a job needs."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        context: Any = spark.sparkContext
        self._jvm = context._jvm
        self.path = self._jvm.org.apache.hadoop.fs.Path(path)
        self._fs = self.path.getFileSystem(context._jsc.hadoopConfiguration())

    def sibling(self, name: str) -> Any:
        """The Hadoop path of that name beside this one."""
        parent = self._fs.makeQualified(self.path).getParent()
        return self._jvm.org.apache.hadoop.fs.Path(parent, name)

    def exists(self, path: Any = None) -> bool:
        """Whether there is a file or folder at the path, or at another of this file system."""
        return bool(self._fs.exists(self.path if path is None else path))

    def matches(self) -> list[Any]:
        """Statuses of what the path, which may hold wildcards, names; what is called just so comes first."""
        if self.exists():
            return [self._fs.getFileStatus(self.path)]
        return list(self._fs.globStatus(self.path) or [])

    def data_files(self) -> Iterator[Any]:
        """Statuses of the files that the path names, inside folders too; hidden ones (`_`, `.`) left out."""
        for status in self.matches():
            if status.isFile():
                yield status
                continue
            inside = self._fs.listFiles(status.getPath(), True)
            skipped = len(status.getPath().toString())
            while inside.hasNext():
                found = inside.next()
                parts = found.getPath().toString()[skipped:].strip("/").split("/")
                if not any(part.startswith((".", "_")) for part in parts):
                    yield found

    def check_readable(self, status: Any) -> None:
        """Open and close a file, so that a missing permission is found before anything runs."""
        self._fs.open(status.getPath()).close()

    def is_folder_of_others(self) -> bool:
        """Whether the path is a folder that holds something and that no finished job of Spark wrote."""
        if not self._fs.getFileStatus(self.path).isDirectory():
            return False
        names = [status.getPath().getName() for status in self._fs.listStatus(self.path)]
        return bool(names) and "_SUCCESS" not in names

    def make_folder(self, path: Any) -> None:
        """Create a folder and its parents."""
        if not self._fs.mkdirs(path):
            raise OSError(f"The folder {path} could not be created")

    def rename(self, source: Any, target: Any) -> None:
        """Move a file or folder within this file system."""
        if not self._fs.rename(source, target):
            raise OSError(f"{source} could not be renamed to {target}")

    def delete(self, path: Any) -> None:
        """Remove a file or folder with all that is in it; nothing happens where there is none."""
        self._fs.delete(path, True)


def check_input(spark: SparkSession, path: str) -> tuple[str, list[Any]]:
    """The path to give to Spark's readers, and the data files that it names, the first of them opened once.

    The two paths differ where a file is called by characters that would else be wildcards (`a[1].csv`).

    Raises:
        InputError: there are none, or they may not be read.
    """
    try:
        storage = Storage(spark, path)
        by_the_letter = storage.exists()
        matches = storage.matches()
        files = list(storage.data_files()) if matches else []
        if files:
            storage.check_readable(files[0])
    except java_errors() as error:
        raise InputError(
            f"{path} cannot be opened ({_reason(error)})",
            "an input that this user may read",
            "check its permissions, and that Spark knows its file system",
        ) from error
    if not matches:
        raise InputError(
            f"There is no file or folder at {path}",
            "an existing file or folder",
            "check the path for typing errors",
        )
    if not files:
        raise InputError(f"The folder {path} holds no data file", "at least one file", "name another input")
    return escaped(path) if by_the_letter else path, files


def check_output(spark: SparkSession, path: str, overwrite: bool) -> None:
    """Refuse an output that would replace something unasked.

    Raises:
        OutputError: it exists and ``overwrite`` is false; or it is a folder full of something else.
    """
    try:
        storage = Storage(spark, path)
        exists = storage.exists()
        foreign = exists and storage.is_folder_of_others()
    except java_errors() as error:
        raise OutputError(
            f"{path} cannot be looked at ({_reason(error)})",
            "a place that this user may write to",
            "choose another",
        ) from error
    if foreign:
        raise OutputError(
            f"{path} is a folder with other things in it",
            "a new path, or a result of an earlier run (a folder with _SUCCESS in it)",
            "name another --output",
        )
    if exists and not overwrite:
        raise OutputError(f"{path} exists already", "a new path", "name another --output, or say --overwrite")


@dataclass
class Placed:
    """Whether a result has taken its place; :func:`replacing` keeps it true, whatever interrupts it."""

    done: bool = False


@contextmanager
def replacing(spark: SparkSession, path: str, placed: Placed) -> Iterator[str]:
    """Give a hidden folder beside ``path`` to write into; it takes the path's place when the block succeeds.

    What was at the path stays until then, and stays for good where the block fails or is interrupted. A
    process that is killed leaves the hidden folder behind, which no reader of Spark looks at.

    Raises:
        OutputError: the folder cannot be created there.
    """
    storage = Storage(spark, path)
    token = uuid.uuid4().hex[:8]
    name = storage.path.getName()
    unfinished = storage.sibling(f".{name}.{token}.unfinished")
    failures: tuple[type[Exception], ...] = (*java_errors(), OSError)
    try:
        storage.make_folder(unfinished)
    except failures as error:
        raise OutputError(
            f"Nothing can be written beside {path} ({_reason(error)})",
            "a place that this user may write to",
            "choose another",
        ) from error
    try:
        yield unfinished.toString()
        _put_in_place(storage, unfinished, storage.sibling(f".{name}.{token}.replaced"), placed)
    finally:
        _remove(storage, unfinished)


def _put_in_place(storage: Storage, unfinished: Any, replaced: Any, placed: Placed) -> None:
    replaces = storage.exists()
    try:
        if replaces:
            storage.rename(storage.path, replaced)
        storage.rename(unfinished, storage.path)
        placed.done = True
    except BaseException:
        # An interrupt may come when the file system has renamed already.
        placed.done = not storage.exists(unfinished)
        # Renaming to a folder that exists would put the one into the other.
        if replaces and not storage.exists() and storage.exists(replaced):
            storage.rename(replaced, storage.path)
        raise
    finally:
        if placed.done:
            _remove(storage, replaced)


def _remove(storage: Storage, path: Any) -> None:
    """Delete what is no longer needed; what cannot be deleted is hidden, and no reason to fail."""
    try:
        storage.delete(path)
    except java_errors() as error:
        _log.warning("%s could not be deleted: %s", path, _reason(error))


def _reason(error: BaseException) -> str:
    """The message of a Java exception, or of an error of this side, without frames."""
    thrown = getattr(error, "java_exception", None)
    said = str(error) if thrown is None else str(thrown.getMessage() or thrown.getClass().getSimpleName())
    return next(iter(said.strip().splitlines()), type(error).__name__)
