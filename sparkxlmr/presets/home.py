"""The one folder of this machine where sparkxlmr keeps what it makes or fetches."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``$SPARKXLMR_HOME``, else ``sparkxlmr`` in the user's cache folder.

    The cache folder is ``$XDG_CACHE_HOME``, else ``~/.cache``. Nothing is made here.

    >>> os.environ["SPARKXLMR_HOME"] = "/data/models"
    >>> home().as_posix()
    '/data/models'
    >>> del os.environ["SPARKXLMR_HOME"]
    """
    chosen = os.environ.get("SPARKXLMR_HOME")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "sparkxlmr"
