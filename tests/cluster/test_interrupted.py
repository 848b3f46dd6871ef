"""A real run that is interrupted, or killed, while it writes: what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

N_ROWS = 400_000  # a minute of work: the signal comes in its middle
DEADLINE = 120


def until_it_writes(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a task has begun a file beside the place of the output."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        if any(folder.glob(".out.parquet.*/_temporary/*/*")):
            return
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"nothing was being written: {process.communicate()}")


@pytest.mark.skipif(sys.platform == "win32", reason="the signals are POSIX's")
@pytest.mark.parametrize(
    "sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["interrupted", "terminated", "killed"]
)
def test_nothing_that_looks_complete_is_left(sent: signal.Signals, tmp_path: Path) -> None:
    texts = tmp_path / "in.txt"
    texts.write_text("".join(f"line {row} of a long file, one like the other\n" for row in range(N_ROWS)))
    out = tmp_path / "out.parquet"
    command = [sys.executable, "-m", "sparkxlmr", "classify", str(texts), "--output", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until_it_writes(tmp_path, process)
    process.send_signal(sent)
    said = process.communicate(timeout=DEADLINE)[1]

    assert not out.exists()
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert left == ["in.txt"]
    if sent is not signal.SIGKILL:
        assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
        assert process.returncode == 1
        # Tasks that Spark ends on the way may have the last word in its own log.
        assert "sparkxlmr: Interrupted: nothing was written." in said


@pytest.mark.skipif(sys.platform == "win32", reason="the signals are POSIX's")
def test_a_signal_to_the_whole_process_group_leaves_nothing(tmp_path: Path) -> None:
    """As `timeout`, systemd and container runtimes send it: Spark's JVM ends at the same time."""
    texts = tmp_path / "in.txt"
    texts.write_text("".join(f"line {row} of a long file, one like the other\n" for row in range(N_ROWS)))
    command = [sys.executable, "-m", "sparkxlmr", "classify", str(texts)]
    command += ["--output", str(tmp_path / "out.parquet")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until_it_writes(tmp_path, process)
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 1
    assert "sparkxlmr: Interrupted: nothing was written." in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks of files are POSIX's")
def test_a_second_command_on_one_output_is_refused(tmp_path: Path) -> None:
    texts = tmp_path / "in.txt"
    texts.write_text("".join(f"line {row} of a long file, one like the other\n" for row in range(N_ROWS)))
    command = [sys.executable, "-m", "sparkxlmr", "classify", str(texts)]
    command += ["--output", str(tmp_path / "out.parquet")]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until_it_writes(tmp_path, first)
    second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert second.returncode == 2
    assert "Another process is writing" in second.stderr
    first.send_signal(signal.SIGTERM)
    assert "nothing was written" in first.communicate(timeout=DEADLINE)[1]
