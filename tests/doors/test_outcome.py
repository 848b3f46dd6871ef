"""Whatever goes wrong becomes an exit code and one readable line."""

from __future__ import annotations

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
