"""How a command ends: exit codes, and one readable line for whatever went wrong."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sparkxlmr.errors import InputError, NotAPresetError, OutputError, PresetNotFoundError, SettingError

DONE = 0
FAILED = 1
WRONG_USE = 2

_WRONG_USE_ERRORS = (SettingError, InputError, OutputError, PresetNotFoundError, NotAPresetError)
"""What another command line would mend; all of it is found before a row is scored."""

_CAUSE = re.compile(r"^(?:Caused by: |: )?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt)): (.*)$")
_MODULE = re.compile(r"No module named '(\w+)")
# How Spark's text shows that a worker, or its executor, ended without an error of its own.
_WORKER_ENDED = re.compile(
    r"Python worker exited unexpectedly|Python worker process terminated|ExecutorLostFailure"
    r"|(?:IOException|SocketException): (?:Broken pipe|Connection reset)|java\.io\.EOFException"
)
_CRASH = re.compile(r"Fatal Python error: ([^\n]+)")
_ATTEMPTS = re.compile(r"failed (\d+) times")
_RAISED_BY_SQL = "[USER_RAISED_EXCEPTION] "
_WRAPPERS = ("SparkException", "Py4JJavaError", "PythonException", "AnalysisException", "UDFRaisedException")


_IMPORTED = time.perf_counter()


class Interrupted(KeyboardInterrupt):
    """An interrupt of which is known what it leaves behind; the message says it."""


def run(action: Callable[[], int], debug: bool = False) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong use, 1 anything else.

    Args:
        action: the command; its own return value is the exit code where it raises nothing.
        debug: print the traceback too.
    """
    try:
        # What start() ignores is ignored for this command only.
        with warnings.catch_warnings(), _printing_everything(), _interrupted_by_sigterm():
            return action()
    except KeyboardInterrupt as error:
        code, line = FAILED, f"Interrupted: {error}." if isinstance(error, Interrupted) else "Interrupted."
        if debug:
            traceback.print_exc()
    except Exception as error:
        code = WRONG_USE if isinstance(error, _WRONG_USE_ERRORS) else FAILED
        line = readable(error)
        if debug:
            traceback.print_exc()
    with _printing_everything():
        print(f"sparkxlmr: {line}", file=sys.stderr)
    return code


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that nothing unfinished is left behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread handles signals
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        # None: the handler before was not installed by Python, which cannot install it again.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def _printing_everything() -> Iterator[None]:
    """Print a character that the console's encoding lacks as ``?``, which is no reason to fail."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    before = [(stream, stream.errors) for stream in streams if _is_strict(stream)]
    for stream, _ in before:
        stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream, errors in before:
            stream.reconfigure(errors=errors)


def _is_strict(stream: Any) -> bool:
    return hasattr(stream, "reconfigure") and getattr(stream, "errors", None) in ("strict", "surrogateescape")


def process_seconds() -> float:
    """Seconds since this process was started, the interpreter's start included where the system tells it."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as file:
            uptime = float(file.read().split()[0])
        age = uptime - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        age = 0.0
    # In a container /proc/uptime may be the container's own, which is less than the process' start.
    return age if age > 0 else time.perf_counter() - _IMPORTED


def readable(error: BaseException) -> str:
    """One line that says what went wrong, without Java frames or a traceback."""
    kind = type(error).__name__
    if isinstance(error, ImportError):
        return f"{kind}: {error}"
    return readable_text(f"{kind}: {error}").removeprefix(f"{kind}: ")


def readable_text(text: str) -> str:
    """The innermost cause named in the text of an error of Spark, which may hold two stacks of frames.

    >>> readable_text('''PythonException: Traceback (most recent call last):
    ...   File "worker.py", line 1, in f
    ... sparkxlmr.errors.EngineError: The engine openvino is not installed on this executor.
    ...     at org.apache.spark.api.python.BasePythonRunner''')
    'The engine openvino is not installed on this executor.'
    >>> readable_text("PythonException: ...\\nModuleNotFoundError: No module named 'sparkxlmr'").split(".")[0]
    "The executors' Python lacks the package sparkxlmr"
    """
    found = [match.groups() for match in map(_CAUSE.match, map(str.strip, text.splitlines())) if match]
    causes = [
        (kind.rsplit(".", 1)[-1], said.strip())
        for kind, said in found
        if kind.rsplit(".", 1)[-1] not in _WRAPPERS and said.strip()
    ]
    missing = next((said for kind, said in causes if kind == "ModuleNotFoundError"), None)
    if missing is not None and _MODULE.search(missing):
        name = _MODULE.findall(missing)[0]
        return (
            f"The executors' Python lacks the package {name}. Expected sparkxlmr, and what it needs, in the "
            "Python that spark.pyspark.python names. To mend it: send an environment along with --archives "
            "env.tar.gz#env, made by `make cluster-env`."
        )
    if not any(kind.endswith("Error") and kind != "Py4JError" for kind, _ in causes):
        ended = _worker_ended(text)
        if ended is not None:
            return ended
    if not causes:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return first[:500]
    # A Python error of a worker is printed before the Java exceptions that carry it.
    kind, said = next(((k, s) for k, s in causes if k.endswith("Error") and k != "Py4JError"), causes[-1])
    said = re.sub(r"\s*SQLSTATE: \w+$", "", said)
    plain = kind in ("RuntimeError", "Exception") or _is_ours(kind) or said.startswith(_RAISED_BY_SQL)
    said = said.removeprefix(_RAISED_BY_SQL)
    return (said if plain else f"{kind}: {said}")[:1000]


def _worker_ended(text: str) -> str | None:
    """One line with the likely cause where a worker ended without an error of its own, else None.

    >>> _worker_ended("SparkException: Task 0 in stage 1.0 failed 4 times\\n"
    ...               "java.io.IOException: Broken pipe\\n at org.apache.spark.api.python.PythonRunner")[:72]
    'A Python worker ended unexpectedly, 4 times (IOException: Broken pipe). '
    """
    sign = _WORKER_ENDED.search(text)
    if sign is None or not ("Python" in text or "ExecutorLostFailure" in text):
        return None
    crash, attempts = _CRASH.search(text), _ATTEMPTS.search(text)
    times = f", {attempts[1]} times" if attempts and attempts[1] != "1" else ""
    if crash is not None:
        return (
            f"A Python worker crashed{times}: {crash[1].strip()}. Expected an engine that runs this model. "
            "To mend it: try another engine or precision; --debug shows where it crashed."
        )
    return (
        f"A Python worker ended unexpectedly{times} ({sign[0]}). Expected a process that lives as long as "
        "its task. To mend it: most likely the memory did not suffice (the system's log, dmesg, names the "
        "process that it ended). Run fewer tasks at a time (--master local[1]), take a smaller model or "
        "precision int8, or give a cluster's executors more memory (spark.executor.memoryOverhead)."
    )


def _is_ours(kind: str) -> bool:
    from sparkxlmr import errors

    return hasattr(errors, kind)
