"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

# what was hashed before in this process, by what tells that a file is still the same one
_HASHES: dict[tuple[str, int, int], str] = {}


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file's bytes; computed once in a process for a path, time of change and size."""
    status = path.stat()
    key = (str(path), status.st_mtime_ns, status.st_size)
    if key not in _HASHES:
        with path.open("rb") as file:
            _HASHES[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _HASHES[key]
