"""One process at a time, and no lock that outlives its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sparkxlmr.presets import locks
from sparkxlmr.presets.locks import locked


def test_a_lock_outlives_no_crash(tmp_path):
    """A process that is killed while it holds the lock leaves it free."""
    code = "import os, sys\nfrom sparkxlmr.presets.locks import locked\n"
    code += "with locked(sys.argv[1]):\n    print('held', flush=True)\n    os.kill(os.getpid(), 9)\n"
    crashed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert crashed.stdout == b"held\n"
    assert crashed.returncode != 0
    with locked(tmp_path / "lock"):
        pass


HOLDER = """
import sys, time
from sparkxlmr.presets.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux alone tells which process is stopped")
def test_locked_by_a_stopped_process(tmp_path, monkeypatch, caplog):
    """Who waits is told the file and the process, and goes on when that is continued."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05, raising=False)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        os.waitpid(holder.pid, os.WUNTRACED)
        waiting = threading.Thread(target=lambda: locked(tmp_path / "lock").__enter__(), daemon=True)
        waiting.start()
        deadline = time.monotonic() + 30
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(caplog.messages) == 1
        assert f"the lock {tmp_path / 'lock'}, held by process {holder.pid} on" in caplog.messages[0]
        assert "which is stopped" in caplog.messages[0]
        assert waiting.is_alive()
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.communicate()
    waiting.join(30)
    assert not waiting.is_alive()


def test_locked_without_waiting(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "PATIENCE", 0.05, raising=False)
    with locked(tmp_path / "lock"):
        time.sleep(0.2)
    assert caplog.messages == []


def test_locked_on_a_full_disk(tmp_path, monkeypatch):
    """The lock holds, also where its text cannot be written."""

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparkxlmr.presets.locks.os.pwrite", full)
    with locked(tmp_path / "lock"):
        pass
