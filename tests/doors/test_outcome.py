"""Whatever goes wrong becomes an exit code and one readable line."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from sparkxlmr.errors import DamagedModelError, EngineError, InputError, OutputError, SettingError
from sparkxlmr.jobs import outcome

OURS = """An error occurred while calling o123.parquet.
: org.apache.spark.SparkException: Job aborted due to stage failure
Traceback (most recent call last):
  File "worker.py", line 12, in score_batches
sparkxlmr.errors.DamagedModelError: model.bin has another content. Expected its hash. To mend it: copy it.

	at org.apache.spark.api.python.BasePythonRunner.handle(PythonRunner.scala:1)
Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
"""
JAVA = """An error occurred while calling o1.csv.
: org.apache.spark.SparkException: Job aborted.
	at org.apache.spark.sql.errors.QueryExecutionErrors$.x(QueryExecutionErrors.scala:1)
Caused by: java.io.IOException: No space left on device
	at java.base/java.io.FileOutputStream.write(FileOutputStream.java:1)
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OURS, "model.bin has another content. Expected its hash. To mend it: copy it."),
        (JAVA, "IOException: No space left on device"),
        (
            "PythonException: \n  An exception was thrown from the Python worker:\nValueError: no",
            "ValueError: no",
        ),
        ("Caused by: x.SparkRuntimeException: [USER_RAISED_EXCEPTION] Too many digits.", "Too many digits."),
        ("EngineError: The engine is missing. SQLSTATE: 38000", "The engine is missing."),
        ("something without a name\nmore", "something without a name"),
    ],
)
def test_the_innermost_cause_is_one_line(text, line):
    assert outcome.readable_text(text) == line


def test_a_worker_without_the_package_is_told_what_it_lacks():
    line = outcome.readable_text("Caused by: x\nModuleNotFoundError: No module named 'sparkxlmr'\n at y")
    assert "lacks the package sparkxlmr" in line
    assert "make cluster-env" in line


KILLED = """An error occurred while calling o123.parquet.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 2.0 failed 4 times, most
recent failure: Lost task 1.3 in stage 2.0 (TID 7) (host executor driver): CAUSE
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handle(PythonRunner.scala:1)
Caused by: CAUSE
"""


@pytest.mark.parametrize(
    "cause",
    [
        "java.io.IOException: Broken pipe",
        "java.net.SocketException: Connection reset",
        "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
        "java.io.EOFException",
    ],
)
def test_readable_text_of_killed_worker(cause):
    line = outcome.readable_text(KILLED.replace("CAUSE", cause))
    assert line.startswith("A Python worker ended unexpectedly, 4 times (")
    assert "most likely the memory did not suffice" in line
    assert "local[1]" in line


def test_readable_text_of_worker_error_before_broken_pipe():
    text = KILLED.replace("CAUSE", "java.io.IOException: Broken pipe")
    assert outcome.readable_text(text + "\nEngineError: The engine is missing.") == "The engine is missing."


def test_readable_text_of_crash_in_native_code():
    cause = "Python worker exited unexpectedly: Fatal Python error: Segmentation fault"
    line = outcome.readable_text(KILLED.replace("CAUSE", cause))
    assert line.startswith("A Python worker crashed, 4 times: Segmentation fault.")
    assert "memory" not in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingError("a"), 2),
        (InputError("a"), 2),
        (OutputError("a"), 2),
        (DamagedModelError("a"), 1),
        (EngineError("a"), 1),
        (RuntimeError("a"), 1),
        (KeyboardInterrupt(), 1),
        (outcome.Interrupted("nothing was written"), 1),
    ],
)
def test_exit_codes(error, code, capsys):
    def action():
        raise error

    assert outcome.run(action) == code
    said = capsys.readouterr().err
    assert said.startswith("sparkxlmr: ")
    assert said.count("\n") == 1


def test_debug_prints_the_traceback_too(capsys):
    def action():
        raise EngineError("a")

    assert outcome.run(action, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err
    assert outcome.run(lambda: 0) == 0


SIGTERM = """
import signal
from sparkxlmr.jobs import outcome

before = signal.getsignal(signal.SIGTERM)
code = outcome.run(lambda: signal.raise_signal(signal.SIGTERM) or 0)
assert signal.getsignal(signal.SIGTERM) is before
raise SystemExit(code)
"""


def test_sigterm_ends_a_command_as_ctrl_c_does():
    """In a process of its own: pytest's faulthandler gives signals a stack that is too small with AMX."""
    done = subprocess.run([sys.executable, "-c", SIGTERM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "sparkxlmr: Interrupted.\n")


def test_a_console_that_lacks_a_character_is_no_failure(monkeypatch):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    def action():
        print("日本")
        raise InputError("été.csv is not there")

    assert outcome.run(action) == 2
    out.flush()
    err.flush()
    assert out.buffer.getvalue() == b"??\n"
    assert err.buffer.getvalue() == b"sparkxlmr: ?t?.csv is not there.\n"
    assert out.errors == "strict"


def test_process_seconds_count_from_the_start_of_the_process():
    program = (
        "import time; time.sleep(0.3)\n"
        "from sparkxlmr.jobs.outcome import process_seconds\nprint(process_seconds())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) >= (0.25 if sys.platform == "linux" else 0)


def test_process_seconds_uptime_of_container_counts_from_import(monkeypatch):
    def opened(path, **options):
        content = f"1 (python) {'1000000 ' * 20}" if path == "/proc/self/stat" else "5.0 5.0"
        return io.StringIO(content)

    monkeypatch.setattr(outcome, "open", opened, raising=False)
    assert outcome.process_seconds() > 0
