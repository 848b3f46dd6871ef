"""One process at a time, across the processes of a host."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: str | Path) -> Iterator[None]:
    """Holds the lock `file` for the block; waits for as long as another process or thread holds it.

    The system frees the lock when its holder ends, however it ends. The empty file stays: removing it would
    let two processes hold two locks of one name.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt
    import time

    def _wait_for(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError:
                # Held by another; Windows' own waiting call gives up after ten seconds.
                time.sleep(0.05)
            else:
                return
else:
    import fcntl

    def _wait_for(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
