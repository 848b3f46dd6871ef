"""Temporary folders for copies of inputs, which go with the work, or at the latest with the process.

A folder is locked by the process that made it, for as long as that process lives. What a killed process left
is found by its free lock, and removed by the next one that needs such a folder.
"""

from __future__ import annotations

import atexit
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

# With the machine's name: a lock in a folder that several machines share may be seen on one of them only.
_PREFIX = f"sparkxlmr-input-{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"
_LOCK = ".lock"  # a hidden name: Spark does not read it

_made: dict[Path, tuple[int, int | None]] = {}
"""The folders, each with the process that made it and the descriptor of its lock."""
_in_block: ContextVar[list[Path] | None] = ContextVar("_in_block", default=None)


def temporary_folder() -> Path:
    """A new folder, which is removed at the end of a block of :func:`folders_removed`, or of the process."""
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    _made[folder] = (os.getpid(), _locked(folder / _LOCK, os.O_CREAT | os.O_RDWR))
    found = _in_block.get()
    if found is not None:
        found.append(folder)
    return folder


@contextmanager
def folders_removed(only_after_errors: bool = False) -> Iterator[None]:
    """Remove the folders that are made in the block when it ends; ``only_after_errors``: where it raises."""
    before = _in_block.get()
    made: list[Path] = []
    token = _in_block.set(made)
    try:
        yield
    except BaseException:
        remove_folders(made)
        raise
    else:
        if not only_after_errors:
            remove_folders(made)
        elif before is not None:
            before.extend(made)
    finally:
        _in_block.reset(token)


def remove_folders(paths: Iterable[str | Path]) -> None:
    """Remove the folders of this process that hold one of the paths; a forked process removes none."""
    for path in map(Path, paths):
        for folder in (path, *path.parents):
            pid, lock = _made.get(folder, (0, None))
            if pid != os.getpid():
                continue
            del _made[folder]
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)


@atexit.register
def _remove_all() -> None:
    remove_folders(list(_made))


def _locked(path: Path, flags: int) -> int | None:
    """The descriptor of a locked file; None where it is locked already, or cannot be."""
    try:
        import fcntl
    except ImportError:  # no POSIX
        return None
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(parent: Path) -> None:
    # Between its making and its lock a folder has no lock file, and is not touched.
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder in _made:
            continue
        lock = _locked(folder / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        if lock is None:
            continue
        with suppress(OSError):
            if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
