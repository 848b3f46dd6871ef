"""One process at a time, across the processes of a host."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparkxlmr.presets.disk import writing_below

#: Seconds of waiting after which a message names the lock and the process that holds it.
PATIENCE = 5.0

_SETTINGS = "SPARKXLMR_HOME (on executors also SPARKXLMR_HOST_FOLDER)"
_MOST_BYTES = 256
_log = logging.getLogger(__name__)


@contextmanager
def locked(file: str | Path) -> Iterator[None]:
    """Holds the lock `file` for the block; waits for as long as another process or thread holds it.

    The system frees the lock when its holder ends, however it ends. The file stays: removing it would let two
    processes hold two locks of one name. It names the process that holds it, and who waits longer than
    :data:`PATIENCE` seconds logs that name: a holder may be stopped, or wait for input itself.

    Raises EnvironmentNotReadyError where the file cannot be made.
    """
    file = Path(file)
    with writing_below(file.parent, _SETTINGS):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        message = threading.Timer(PATIENCE, _log_wait, (file,))
        message.daemon = True
        with suppress(RuntimeError):  # under a memory limit there may be no thread to have
            message.start()
        try:
            _wait_for(descriptor)
        finally:
            message.cancel()
        _name_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _log_wait(file: Path) -> None:
    """Logs who holds a lock. In a thread of its own, while this process waits."""
    try:
        pid, _, host = file.read_text(encoding="utf-8", errors="replace")[:_MOST_BYTES].strip().partition(" ")
    except OSError:  # Windows lets no other process read a locked file
        pid, host = "", ""
    holder = f"process {pid} on {host}" if pid.isdecimal() else "another process"
    if pid.isdecimal() and host == socket.gethostname() and _is_stopped(int(pid)):
        holder += ", which is stopped (continue it with kill -CONT, or end it)"
    _log.warning("Waiting for the lock %s, held by %s.", file, holder)


def _is_stopped(pid: int) -> bool:
    """Whether a process of this machine is stopped (Ctrl-Z, SIGSTOP, a debugger); Linux alone tells."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] in (["T"], ["t"])


def _name_holder(descriptor: int) -> None:
    if sys.platform == "win32":
        return  # the lock covers the file's first byte, which no other process can read then
    with suppress(OSError):  # a full disk: the lock holds without its text
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)


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
