"""Input files as Spark sees them, through Hadoop's file systems.

A path may be local, ``hdfs://``, ``s3a://`` or whatever else the session is set up for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import InputError
from sparkxlmr.jobs.local_files import local_path
from sparkxlmr.jobs.local_input import escaped

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def java_errors() -> tuple[type[Exception], ...]:
    """What a Java exception can arrive as: pyspark makes exceptions of its own of the kinds it knows."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    return (Py4JJavaError, PySparkException)


class Storage:
    """The file system that a path lies on, with the few operations that a job needs."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        context: Any = spark.sparkContext
        self._jvm = context._jvm
        self.path = self._jvm.org.apache.hadoop.fs.Path(path)
        self._fs = self.path.getFileSystem(context._jsc.hadoopConfiguration())

    def exists(self) -> bool:
        """Whether there is a file or folder at the path."""
        return bool(self._fs.exists(self.path))

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


def is_local_file_system(spark: SparkSession, path: str) -> bool:
    """Whether a path lies on this machine's disk, and everything that reads it runs on this machine."""
    if local_path(path) is None or not str(spark.sparkContext.master).startswith("local"):
        return False
    context: Any = spark.sparkContext
    default = context._jvm.org.apache.hadoop.fs.FileSystem.getDefaultUri(context._jsc.hadoopConfiguration())
    # Paths are given to Spark without a scheme.
    return bool(default.getScheme() == "file")


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
            f"{path} cannot be opened ({reason_of(error)})",
            "an input that this user may read",
            "check its permissions, and that Spark knows its file system",
        ) from error
    if not matches:
        raise InputError(
            f"There is no file or folder at {path}",
            "an existing file or folder",
            "check the path for typing errors",
        )
    if len(files) == 1 and matches[0].isFile() and files[0].getPath().getName().startswith(("_", ".")):
        raise InputError(
            f"The name of {path} begins with _ or ., which Spark's readers take for hidden",
            "a name that begins otherwise",
            "rename it",
        )
    if not files:
        raise InputError(f"The folder {path} holds no data file", "at least one file", "name another input")
    return escaped(path) if by_the_letter else path, files


def reason_of(error: BaseException) -> str:
    """The message of a Java exception, or of an error of this side, without frames."""
    thrown = getattr(error, "java_exception", None)
    said = str(error) if thrown is None else str(thrown.getMessage() or thrown.getClass().getSimpleName())
    return next(iter(said.strip().splitlines()), type(error).__name__)
