"""Which errors Spark's daemon prints when a worker ends."""

from __future__ import annotations

import os
import sys
import traceback
from types import SimpleNamespace

import pytest

from sparkxlmr.spark import worker_exit
from sparkxlmr.spark.worker_exit import expect_closed_connection


@pytest.fixture
def daemon(monkeypatch):
    """Spark's daemon as the module that this process was started with."""
    module = SimpleNamespace(__spec__=SimpleNamespace(name="pyspark.daemon"), traceback=traceback)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def flush_closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", 0) as file:
        file.write(b"x")


def printed(daemon, worker, capsys) -> str:
    """What the daemon prints of an error of its function ``worker``."""
    try:
        worker()
    except BaseException:
        daemon.traceback.print_exc()
    return capsys.readouterr().err


def test_closed_connection_is_not_printed(daemon, capsys):
    def worker():
        raise BrokenPipeError(32, "Broken pipe")

    assert "BrokenPipeError" in printed(daemon, worker, capsys)
    expect_closed_connection()
    expect_closed_connection()
    assert printed(daemon, worker, capsys) == ""


def test_other_error_is_printed(daemon, capsys):
    def worker():
        raise ValueError("a real error")

    expect_closed_connection()
    assert "a real error" in printed(daemon, worker, capsys)


def test_error_before_closed_connection_is_printed(daemon, capsys):
    def worker():
        try:
            raise ValueError("a real error")
        finally:
            raise BrokenPipeError(32, "Broken pipe")

    expect_closed_connection()
    assert "a real error" in printed(daemon, worker, capsys)


def test_broken_pipe_of_function_is_printed(daemon, capsys):
    """For example of an engine's child process."""

    def worker():
        flush_closed_pipe()

    expect_closed_connection()
    assert "flush_closed_pipe" in printed(daemon, worker, capsys)


def test_other_process_is_left_alone(monkeypatch):
    module = SimpleNamespace(__spec__=None, traceback=traceback)
    monkeypatch.setitem(sys.modules, "__main__", module)
    expect_closed_connection()
    assert module.traceback is traceback
    assert not worker_exit.is_closed_connection(None)
