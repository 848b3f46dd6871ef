"""Folders for copies of inputs: they go with the work, the process, or at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sparkxlmr.errors import InputError
from sparkxlmr.jobs import table_job
from sparkxlmr.jobs.local_input import check_local
from sparkxlmr.jobs.local_texts import read_texts
from sparkxlmr.jobs.temporary import folders_removed, remove_folders, temporary_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """The folder in which temporary ones are made, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def utf16(tmp_path) -> str:
    path = tmp_path / "wide.csv"
    path.write_bytes("text\none\n".encode("utf-16"))
    return str(path)


def _run_python(program: str) -> subprocess.Popen[str]:
    program = f"from sparkxlmr.jobs.temporary import temporary_folder\n{program}"
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_check_local_error_leaves_no_copy(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(
        [sys.executable, "-c", f"open({str(tmp_path / 'pipe')!r}, 'w').write('a\\n\"')"]
    )
    with pytest.raises(InputError, match="never closed"):
        check_local(str(tmp_path / "pipe"), "csv")
    assert writer.wait(10) == 0
    assert not list(place.iterdir())


def test_read_texts_leaves_no_copy(utf16, place):
    assert read_texts(utf16).texts == ["one"]
    assert not list(place.iterdir())


def test_run_job_failed_leaves_no_copy_of_checked_input(utf16, place, monkeypatch):
    def fail(*_):
        temporary_folder()
        raise InputError("a problem", "an expectation", "a fix")

    checked = check_local(utf16)
    assert Path(checked.files[0]).is_relative_to(place)
    monkeypatch.setattr(table_job, "require_classic", fail)
    with pytest.raises(InputError):
        table_job.run_job(None, None, None, checked=checked)
    assert not list(place.iterdir())
    assert Path(utf16).exists()


def test_folders_removed_keeps_folders_of_enclosing_work():
    outer = temporary_folder()
    with folders_removed():
        inner = temporary_folder()
        with folders_removed(only_after_errors=True):
            innermost = temporary_folder()
        assert innermost.exists()
    assert (outer.exists(), inner.exists(), innermost.exists()) == (True, False, False)
    remove_folders([outer / "file"])
    assert not outer.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_temporary_folder_exit_of_forked_process_keeps_it(place):
    process = _run_python(
        "import os, sys\nfolder = temporary_folder()\nif os.fork() == 0: sys.exit()\n"
        "os.wait()\nprint(folder.exists())"
    )
    said, _ = process.communicate(timeout=30)
    assert said.split() == ["True"]
    assert not list(place.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="no POSIX locks")
def test_temporary_folder_killed_process_next_start_removes_its_folder():
    process = _run_python("print(temporary_folder(), flush=True)\ninput()")
    try:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        temporary_folder()
        assert left.exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    mine = temporary_folder()
    assert not left.exists()
    assert mine.exists()
