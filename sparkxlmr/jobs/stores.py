"""File systems for :mod:`exchange`: this machine's, through Python, and any other through Hadoop's classes.

Through Python a result is put in place, and an unfinished one removed, even where Spark's JVM is gone, as
after a signal to the whole process group.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import OutputError
from sparkxlmr.jobs.exchange import Store
from sparkxlmr.jobs.local_files import local_path
from sparkxlmr.jobs.storage import is_local_file_system, java_errors, reason_of
from sparkxlmr.jobs.temporary import temporary_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger(__name__)
_PATIENCE = 5.0  # seconds in which tasks that are being cancelled stop to write


def store_of(spark: SparkSession, path: str) -> tuple[Store, str]:
    """The file system of an output, and its path there, which for this machine's is absolute.

    Raises:
        OutputError: Spark does not know the file system, or cannot reach it.
    """
    local = local_path(path)
    if local is not None and is_local_file_system(spark, path):
        return LocalStore(), os.path.abspath(local)
    try:
        return HadoopStore(spark, path), path
    except java_errors() as error:
        raise OutputError(
            f"{path} cannot be looked at ({reason_of(error)})",
            "a place that this user may write to",
            "choose another",
        ) from error


def openable(path: str) -> str:
    """A path by which Spark reads a folder: one with a colon in its name through a link."""
    if ":" not in os.path.basename(path) or not os.path.isdir(path):
        return path
    link = temporary_folder() / "result"
    link.symlink_to(path)
    return str(link)


class LocalStore:
    """The file system of this machine."""

    errors: tuple[type[Exception], ...] = (OSError,)
    exclusive = True

    def split(self, path: str) -> tuple[str, str]:
        """The folder that a path is in, and its name there."""
        return os.path.split(os.path.abspath(path))

    def join(self, folder: str, name: str) -> str:
        """The path of a name in a folder."""
        return os.path.join(folder, name)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is at the path."""
        return os.path.lexists(path)

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none where it is a file or missing."""
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def age(self, path: str) -> float:
        """Seconds since the last change of a file or folder, not of what is in it."""
        return time.time() - os.lstat(path).st_mtime

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""
        os.makedirs(path, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a path where nothing is."""
        os.rename(source, target)

    def delete(self, path: str) -> None:
        """Remove a file or folder; one that cannot be removed is hidden, and no reason to fail."""
        if os.path.islink(path) or os.path.isfile(path):
            os.unlink(path)
            return
        until = time.monotonic() + _PATIENCE
        while os.path.lexists(path):
            shutil.rmtree(path, ignore_errors=True)
            if time.monotonic() > until:
                _log.warning("%s could not be deleted", path)
                return
            if os.path.lexists(path):
                time.sleep(0.05)

    @contextmanager
    def claim(self, path: str) -> Iterator[None]:
        """Hold a path against other processes, by a lock that the system frees when this one ends."""
        parent, name = self.split(path)
        lock = Path(parent, f".{name}.lock")
        descriptor = _locked(lock, path)
        try:
            yield
        finally:
            if descriptor is not None:
                lock.unlink(missing_ok=True)
                os.close(descriptor)

    def reason(self, error: BaseException) -> str:
        """One line about an error."""
        return str(getattr(error, "strerror", None) or error)


def _locked(lock: Path, path: str) -> int | None:
    """The descriptor of a locked file; None where the file system has no locks."""
    try:
        import fcntl
    except ImportError:  # no POSIX
        return None
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OutputError(
                f"Nothing can be written beside {path} ({error.strerror})",
                "a place that this user may write to",
                "choose another",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OutputError(
                f"Another process is writing {path} now",
                "an output of one process only",
                "name another --output, or wait until it is done",
            ) from error
        except OSError:  # a file system without locks
            os.close(descriptor)
            lock.unlink(missing_ok=True)
            return None
        # The process that held it may have removed the file between the two calls.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), os.stat(lock)):
            return descriptor
        os.close(descriptor)


class HadoopStore:
    """A file system that Spark's JVM reaches; it has no lock that a killed process would free."""

    exclusive = False

    def __init__(self, spark: SparkSession, path: str) -> None:
        context: Any = spark.sparkContext
        self._jvm: Any = context._jvm
        self.errors = java_errors()
        self._fs = self._path(path).getFileSystem(context._jsc.hadoopConfiguration())

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def split(self, path: str) -> tuple[str, str]:
        """The folder that a path is in, and its name there."""
        whole = self._fs.makeQualified(self._path(path))
        return str(whole.getParent().toString()), str(whole.getName())

    def join(self, folder: str, name: str) -> str:
        """The path of a name in a folder."""
        # One string: a name with a colon by itself would be taken for a URI.
        return f"{folder.rstrip('/')}/{name}"

    def exists(self, path: str) -> bool:
        """Whether a file or folder is at the path."""
        return bool(self._fs.exists(self._path(path)))

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none where it is a file or missing."""
        if not self.exists(folder) or not self._fs.getFileStatus(self._path(folder)).isDirectory():
            return []
        return [str(status.getPath().getName()) for status in self._fs.listStatus(self._path(folder))]

    def age(self, path: str) -> float:
        """Seconds since the last change of a file or folder, not of what is in it."""
        return time.time() - float(self._fs.getFileStatus(self._path(path)).getModificationTime()) / 1000

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""
        if not self._fs.mkdirs(self._path(path)):
            raise OSError(f"The folder {path} could not be created")

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a path where nothing is."""
        if not self._fs.rename(self._path(source), self._path(target)):
            raise OSError(f"{source} could not be renamed to {target}")

    def delete(self, path: str) -> None:
        """Remove a file or folder; one that cannot be removed is hidden, and no reason to fail."""
        try:
            self._fs.delete(self._path(path), True)
        except Exception as error:  # the JVM may be gone
            _log.warning("%s could not be deleted: %s", path, reason_of(error))

    @contextmanager
    def claim(self, path: str) -> Iterator[None]:
        """Nothing: see ``exclusive``."""
        yield

    def reason(self, error: BaseException) -> str:
        """One line about an error."""
        return reason_of(error)
