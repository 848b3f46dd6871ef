"""Files that are hashed, and files that must be whole when they take their place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from sparkxlmr.errors import OutputError
from sparkxlmr.presets.disk import described

# what was hashed before in this process, by what tells that a file is still the same one
_HASHES: dict[tuple[str, int, int, int, int], str] = {}
_PARTIAL = re.compile(r"\.(compiling|old|packing|unpacking)-[0-9a-f]{32}")
_DAY = 24 * 3600.0


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file's bytes, all of which are read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256_of(path: Path) -> str:
    """As :func:`sha256_of`; read once in a process for a path with its size, inode and times of change."""
    status = path.stat()
    key = (str(path), status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
    if key not in _HASHES:
        _HASHES[key] = sha256_of(path)
    return _HASHES[key]


def sha256_of_files(folder: Path, files: Iterable[Path]) -> str:
    """One SHA-256 (hex) over files below ``folder``, in the order given, their names included."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{known_sha256_of(path)}\n".encode())
    return total.hexdigest()


def partial_path(folder: Path, purpose: str) -> Path:
    """A new hidden name in ``folder`` for what is being made; made whole, it is renamed to its own name.

    ``purpose``: ``"compiling"``, ``"old"``, ``"packing"`` or ``"unpacking"``. What processes that were killed
    left there under such names more than a day ago is removed.

    >>> partial_path(Path("models"), "packing").name[:9]
    '.packing-'
    """
    for left in folder.glob(".*-*"):
        if _PARTIAL.fullmatch(left.name) and _is_old(left):
            # Another process may be removing it too, and what cannot be removed is in nobody's way.
            with suppress(OSError):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return folder / f".{purpose}-{uuid.uuid4().hex}"


def write_file_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Lets ``write`` fill a file beside, which takes the place of ``path`` once it is complete and on disk.

    Raises:
        OutputError: the file cannot be written; what stood at ``path`` is still there.
    """
    fresh = path.with_name(f".writing-{uuid.uuid4().hex}")
    try:
        write(fresh)
        to_disk(fresh)
        fresh.replace(path)
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError where it cannot close the file
        raise OutputError(
            f"{path} cannot be written: {described(error, path.parent)}",
            "a folder with room that this user may write to",
            "make room there, or choose another folder",
        ) from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _DAY
    except FileNotFoundError:
        return False


def to_disk(path: Path) -> None:
    """Waits until a file, or all files of a folder, are on the disk.

    Called before the rename that puts them in place: after a power cut they are there whole or not at all.
    """
    for part in [path] if path.is_file() else sorted(path.rglob("*")):
        if part.is_file():
            # "r+b": Windows flushes only what may be written.
            with part.open("r+b") as file:
                os.fsync(file.fileno())
