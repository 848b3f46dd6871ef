"""The models that were fetched: a folder each below ``SPARKXLMR_HOME/hub``, there whole or not at all.

``hub/<place of the model>/<revision>/<its name>`` is one revision. While it is fetched it is called
``.fetching`` there, a name that is kept when the connection breaks, so that the next try goes on.
``newest-...`` beside the revisions tells which one a handle without revision meant when it was last asked.
"""

from __future__ import annotations

import errno
import logging
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from sparkxlmr.errors import EnvironmentNotReadyError, SparkxlmrError
from sparkxlmr.presets.files import to_disk
from sparkxlmr.presets.home import folder_in_home
from sparkxlmr.presets.hub_errors import Unreachable
from sparkxlmr.presets.hub_files import gather
from sparkxlmr.presets.hub_secrets import discreet
from sparkxlmr.presets.locks import locked

_log = logging.getLogger(__name__)
_FETCHING = ".fetching"
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
Answer = TypeVar("Answer")


class RemoteModel(Protocol):
    """A model on a hub. Its methods may raise what they like: :meth:`explained` makes it presentable."""

    @property
    def handle(self) -> str:
        """The handle as it may be shown, without credentials."""

    @property
    def place(self) -> str:
        """Its folder in the cache, the same for all revisions."""

    @property
    def name(self) -> str:
        """What the folder of one revision is called."""

    @property
    def asked(self) -> str:
        """The branch, tag or the like that the handle names; "" where it names none."""

    @property
    def pinned(self) -> str | None:
        """The revision, where the handle names one that can never change."""

    def newest(self) -> str:
        """Asks the hub which revision the handle means."""

    def fetch(self, revision: str, name: str, target: Path) -> bool:
        """Brings one file to ``target``, from where an earlier call stopped; False where there is none."""

    def explained(self, error: Exception) -> Exception:
        """The error that a user should see instead; an error of the program itself is given back as it is."""


def folder_of(model: RemoteModel) -> Path:
    """The folder of a model, fetched where it is not in the cache yet.

    A pinned revision that is in the cache is found without network. For a handle without one the hub is asked
    for the newest; where it cannot be reached, the one that was found last time is taken.

    Raises:
        PresetNotFoundError: the hub has no such model or revision.
        EnvironmentNotReadyError: it cannot be reached and there is no copy, or this user may not read it.
        NotAPresetError, DamagedModelError: what lies there is no model of this package.
    """
    place = folder_in_home("hub") / model.place
    try:
        if model.pinned is not None:
            return _whole(model, model.pinned, place)
        try:
            revision = _explaining(model, model.newest)
            folder = _whole(model, revision, place)
        except Unreachable as error:
            return _last(model, place, error)
        _remember(model, revision, place)
        return folder
    except SparkxlmrError:
        raise
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"{model.handle} cannot be kept in {place}: {error.strerror or error}",
            "a folder with enough space that this user may write to",
            "make room there, or set SPARKXLMR_HOME to another folder",
        ) from error


def _last(model: RemoteModel, place: Path, error: Unreachable) -> Path:
    """The revision that the handle meant when the hub was last reached."""
    note = _note(model, place)
    revision = note.read_text(encoding="utf-8") if note.is_file() else ""
    folder = place / revision / model.name
    if not revision or not folder.is_dir():
        raise error
    _log.warning("%s. Taken instead: the copy of revision %s", error.came.rstrip("."), revision[:12])
    return folder


def _whole(model: RemoteModel, revision: str, place: Path) -> Path:
    whole = place / revision / model.name
    if not whole.is_dir():
        with locked(place / f"{revision}.lock"):
            if not whole.is_dir():  # another process may just have fetched it
                _fetch(model, revision, whole)
    return whole


def _fetch(model: RemoteModel, revision: str, whole: Path) -> None:
    fetching = whole.parent / _FETCHING
    fetching.mkdir(parents=True, exist_ok=True)
    _log.info("Fetching %s (%s)", model.handle, revision[:12])

    def fetch(name: str) -> Path | None:
        target = fetching / name
        return target if _explaining(model, lambda: model.fetch(revision, name, target)) else None

    gather(fetch, model.handle)
    for left in fetching.glob(".*"):
        # A folder of ours, or a file that a system put there (.DS_Store, .nfs0001).
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    to_disk(fetching)
    fetching.rename(whole)


def _explaining(model: RemoteModel, call: Callable[[], Answer]) -> Answer:
    try:
        with discreet():
            return call()
    except SparkxlmrError:
        raise
    except Exception as error:
        explained = model.explained(error)
        if explained is error or (isinstance(error, OSError) and error.errno in _DISK):
            raise
        # Not "from error": the libraries' messages quote URLs that are signed, and headers.
        raise explained from None


def _note(model: RemoteModel, place: Path) -> Path:
    return place / f"newest-{quote(model.asked, safe='')}"


def _remember(model: RemoteModel, revision: str, place: Path) -> None:
    note = _note(model, place)
    try:
        if note.is_file() and note.read_text(encoding="utf-8") == revision:
            return
        fresh = note.with_name(f".newest-{uuid.uuid4().hex}")
        fresh.write_text(revision, encoding="utf-8")
        fresh.replace(note)
    except OSError as error:
        text = "%s cannot be written (%s): without network %s is not found again"
        _log.warning(text, note, error, model.handle)
