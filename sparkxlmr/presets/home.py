"""The folders of this machine where sparkxlmr keeps what it makes or fetches."""

from __future__ import annotations

import getpass
import os
import re
import stat
import tempfile
from pathlib import Path

from sparkxlmr.errors import EnvironmentNotReadyError

HOME = "SPARKXLMR_HOME"


def home() -> Path:
    """``$SPARKXLMR_HOME``, else ``sparkxlmr`` in the user's cache folder.

    The cache folder is ``$XDG_CACHE_HOME``, else ``~/.cache``. A user without a home folder, or with one that
    he cannot write to, as in many containers, gets ``home`` in his own temporary folder. Only that one is
    made here.

    Raises:
        EnvironmentNotReadyError: ``$SPARKXLMR_HOME`` begins with the home folder of a user who has none, or
            the temporary folder is open to others.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, SPARKXLMR_HOME="/data/models"):
    ...     home().as_posix()
    '/data/models'
    """
    chosen = os.environ.get(HOME)
    if chosen:
        try:
            return Path(chosen).expanduser()
        except RuntimeError as error:
            raise EnvironmentNotReadyError(
                f"{HOME} is {chosen!r}, and that user has no home folder",
                "the path of a folder",
                f"set {HOME} to a whole path",
            ) from error
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sparkxlmr"
        if _is_writable(cache):
            return cache
    except RuntimeError:
        pass  # a user id that the system has no entry for, and no $HOME
    return private_folder(temporary_folder(), HOME) / "home"


def folder_in_home(name: str) -> Path:
    """The folder of that name in :func:`home`, made where it is not there.

    Raises:
        EnvironmentNotReadyError: it cannot be made.
    """
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"The folder {folder} cannot be made: {error.strerror}",
            "a folder for compiled models that this user may write to",
            f"set {HOME} to such a folder",
        ) from error
    return folder


def temporary_folder() -> Path:
    """``sparkxlmr-<user>`` in the system's temporary folder; nothing is made."""
    user = str(os.getuid()) if hasattr(os, "getuid") else re.sub(r"\W", "_", getpass.getuser())
    return Path(tempfile.gettempdir()).absolute() / f"sparkxlmr-{user}"


def private_folder(folder: Path, setting: str) -> Path:
    """Makes ``folder`` with mode 0700, or holds the one that is there to be the user's own.

    Args:
        setting: the environment variable by which a user names another folder; for the message.

    Raises:
        EnvironmentNotReadyError: it belongs to another user or others may write to it (what lies in it is
            trusted), or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"The folder {folder} cannot be made: {error.strerror}",
            "a folder that only this user can write to",
            f"set {setting} to a folder of your own",
        ) from error
    foreign = hasattr(os, "getuid") and found.st_uid != os.getuid()
    # Windows keeps a user's temporary folder from other users by itself, and tells nothing by these bits.
    open_to_others = os.name == "posix" and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if foreign or open_to_others or not stat.S_ISDIR(found.st_mode):
        raise EnvironmentNotReadyError(
            f"{folder} belongs to another user, is open to others, or is no folder",
            "a folder that only this user can write to",
            f"remove it, or set {setting} to a folder of your own",
        )
    return folder


def _is_writable(folder: Path) -> bool:
    """Whether the folder can be written to, or be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    return os.access(there, os.W_OK | os.X_OK)
