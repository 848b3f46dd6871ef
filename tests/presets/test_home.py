"""Where what is made or fetched is kept, also for users without a home folder."""

from __future__ import annotations

import os
import tempfile

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError
from sparkxlmr.presets.home import folder_in_home, home


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("SPARKXLMR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert home() == tmp_path / "sparkxlmr"


@pytest.mark.skipif(os.name != "posix", reason="the system's list of users is POSIX's")
def test_a_user_without_home_gets_a_private_folder(monkeypatch, tmp_path):
    import pwd

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("SPARKXLMR_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    found = home()
    assert found.parent == tmp_path / f"sparkxlmr-{os.getuid()}"
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert folder_in_home("bundles").is_dir()
    monkeypatch.setenv("SPARKXLMR_HOME", "~/models")
    with pytest.raises(EnvironmentNotReadyError, match="SPARKXLMR_HOME"):
        home()


def test_a_home_that_cannot_be_written_to(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("SPARKXLMR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert home().is_relative_to(tmp_path / "tmp")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "file"))
    with pytest.raises(EnvironmentNotReadyError, match="SPARKXLMR_HOME"):
        folder_in_home("bundles")
