"""A folder that is full or read-only gives the package's error, which names it and what to set."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError, OutputError
from sparkxlmr.presets import files, stored_model
from sparkxlmr.presets.disk import writing_below
from sparkxlmr.presets.files import partial_path, write_file_whole
from sparkxlmr.presets.locks import locked

FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


def failing(error):
    def fail(*arguments, **keywords):
        raise error

    return fail


@pytest.mark.parametrize("error", [FULL, READ_ONLY, PermissionError(errno.EACCES, "Permission denied")])
def test_writing_below_message(tmp_path, error):
    with (
        pytest.raises(EnvironmentNotReadyError, match=rf"cannot be written to: {error.strerror}") as raised,
        writing_below(tmp_path / "models", "SPARKXLMR_HOME"),
    ):
        raise error
    assert str(tmp_path / "models") in str(raised.value)
    assert "MiB free" in str(raised.value)
    assert "set SPARKXLMR_HOME to another folder" in str(raised.value)


@pytest.mark.parametrize("call", ["open", "mkdir"])
def test_locked_folder_not_writable(tmp_path, monkeypatch, call):
    if call == "open":
        monkeypatch.setattr("sparkxlmr.presets.locks.os.open", failing(READ_ONLY))
    else:
        monkeypatch.setattr(Path, "mkdir", failing(FULL))
    with pytest.raises(EnvironmentNotReadyError, match=r"SPARKXLMR_HOME.*SPARKXLMR_HOST_FOLDER"):
        locked(tmp_path / "locks" / "x").__enter__()


def test_stored_model_full_disk(tmp_path, monkeypatch):
    """Where the model of a saved stage is put: the saved stage is not blamed."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    entry = {"format": 1, "name": "m", "hash": "0" * 64, "files": {}}
    with pytest.raises(EnvironmentNotReadyError, match=r"models cannot be written to: No space") as raised:
        stored_model.kept(entry, "hdfs://saved", failing(FULL))
    assert "hdfs://saved" not in str(raised.value)
    monkeypatch.setattr(stored_model.tempfile, "mkdtemp", failing(READ_ONLY))
    with pytest.raises(EnvironmentNotReadyError, match="Read-only file system"):
        stored_model.kept(entry, "hdfs://saved", lambda *_: None)


def test_write_file_whole_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "to_disk", failing(FULL))
    with pytest.raises(OutputError, match=r"measured\.json cannot be written: No space left"):
        write_file_whole(tmp_path / "measured.json", lambda path: path.write_text("x"))
    assert list(tmp_path.iterdir()) == []


def test_partial_path_read_only_folder(tmp_path, monkeypatch):
    """What was left there by killed processes cannot be removed; that is no reason to fail."""
    left = tmp_path / f".packing-{'0' * 32}"
    left.touch()
    monkeypatch.setattr(files, "_is_old", lambda path: True)
    monkeypatch.setattr(Path, "unlink", failing(READ_ONLY))
    assert partial_path(tmp_path, "packing").parent == tmp_path
