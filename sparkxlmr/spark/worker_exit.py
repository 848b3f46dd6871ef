"""A Python worker ends without a traceback when Spark has closed the connection to it.

``show`` and ``limit`` take the rows they need and close the connection. The daemon of Spark 4.1 and later
then prints the ``BrokenPipeError`` of the worker's last flush each time, although nothing is missing: the
error of a function was sent before, and one of the JVM is reported by the JVM.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

#: The module that a worker process was started with, and its function that flushes the connection at the end.
DAEMON, FLUSHES = "pyspark.daemon", "worker"


class _DaemonTraceback:
    """The module ``traceback`` for Spark's daemon: does not print that a connection was closed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def print_exc(self, *arguments: Any, **options: Any) -> None:
        if not is_closed_connection(sys.exc_info()[1]):
            traceback.print_exc(*arguments, **options)


def expect_closed_connection() -> None:
    """In a worker of Spark's daemon, let it end without a traceback; elsewhere do nothing."""
    main: Any = sys.modules.get("__main__")
    started = getattr(getattr(main, "__spec__", None), "name", "")
    if started == DAEMON and getattr(main, "traceback", None) is traceback:
        main.traceback = _DaemonTraceback()


def is_closed_connection(error: BaseException | None) -> bool:
    """Whether the daemon's own flush raised the error, and no other error came before it."""
    if error is None:
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None or frame.tb_frame.f_code.co_name != FLUSHES:
        return False
    found: BaseException | None = error
    while isinstance(found, (BrokenPipeError, ConnectionResetError)):
        found = found.__context__
    return found is None
