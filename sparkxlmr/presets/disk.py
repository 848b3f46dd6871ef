"""The error for a folder that cannot be written to: full, read-only, or another user's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparkxlmr.errors import EnvironmentNotReadyError

_MIB = 2**20


@contextmanager
def writing_below(folder: Path, setting: str) -> Iterator[None]:
    """Turn an OSError of the block, which writes below a folder of this package, into the package's error.

    Args:
        folder: the folder that the message names; it need not exist.
        setting: the environment variable by which a user names another folder.

    Raises:
        EnvironmentNotReadyError: naming the folder, the reason, the free space and the setting.
    """
    try:
        yield
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"{folder} cannot be written to: {described(error, folder)}",
            "a folder with room that this user may write to",
            f"make room there, or set {setting} to another folder",
        ) from error


def described(error: Exception, folder: Path) -> str:
    """The reason of a failed write, and what is free on the folder's disk.

    >>> described(OSError(28, "No space left on device"), Path("/"))
    'No space left on device (... MiB free)'
    """
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[-300:] or type(error).__name__
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
        return f"{reason} ({shutil.disk_usage(there).free / _MIB:,.0f} MiB free)"
    except (OSError, StopIteration):
        return reason
