"""Which errors Spark's daemon prints when a worker ends."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparkxlmr.spark import worker_exit
from sparkxlmr.spark.compat import SPARK_VERSION
from sparkxlmr.spark.worker_exit import expect_closed_connection

CHECKOUT = Path(__file__).parents[2]


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


needs_daemon = pytest.mark.skipif(
    SPARK_VERSION < (4, 1) or not Path("/proc/self").exists(),
    reason="older daemons print nothing; the end of a worker is looked up in /proc",
)
# A worker's program for Spark's own daemon: the other side of the connection is closed before it writes.
WORKER = """
import sys
from sparkxlmr.spark.worker_exit import expect_closed_connection

def main(infile, outfile):
    if QUIET:
        expect_closed_connection()
    infile.read()
    for _ in range(100):
        try:
            outfile.write(bytes(100_000))
        except OSError:
            pass
    if ERROR:
        raise ValueError("a real error")
    outfile.write(b"x")
    sys.exit(-1)
"""


def daemon_stderr(folder, quiet, error=False) -> str:
    """What the daemon of the installed Spark prints when the connection to its worker is closed."""
    program = WORKER.replace("QUIET", str(quiet)).replace("ERROR", str(error))
    (folder / "pyspark_closed.py").write_text(program)
    added = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(CHECKOUT)]),
        "PYTHON_WORKER_FACTORY_SECRET": "secret",
        "PYTHON_DAEMON_KILL_WORKER_ON_FLUSH_FAILURE": "1",
        "SPARK_REUSE_WORKER": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pyspark.daemon", "pyspark_closed"],
        env=os.environ | added, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    port = struct.unpack("!i", process.stdout.read(4))[0]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rwb")
        worker = struct.unpack("!i", stream.read(4))[0]
        stream.write(struct.pack("!i", 6) + b"secret")
        stream.flush()
        assert stream.read(6) == struct.pack("!i", 2) + b"ok"
        stream.close()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.communicate(timeout=60)[1].decode()


@needs_daemon
def test_daemon_prints_nothing_of_closed_connection(tmp_path):
    assert "Traceback" not in daemon_stderr(tmp_path, quiet=True)


@needs_daemon
def test_daemon_prints_error_before_closed_connection(tmp_path):
    assert "ValueError: a real error" in daemon_stderr(tmp_path, quiet=True, error=True)


@needs_daemon
def test_daemon_without_this_module_prints_traceback(tmp_path):
    """Once Spark no longer does, the module can go."""
    assert "BrokenPipeError" in daemon_stderr(tmp_path, quiet=False)
