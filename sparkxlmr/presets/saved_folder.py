"""A folder that Spark wrote, read without Spark: on this machine, or where fsspec reaches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any, Protocol

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError
from sparkxlmr.presets.handles import local_paths
from sparkxlmr.presets.hub_fsspec import StoredModel, is_url
from sparkxlmr.presets.hub_secrets import shown

METADATA = "metadata"
#: Bytes of a stage's metadata at most; of a model with 100,000 files it would be some MB.
_MOST_METADATA = 64 << 20


class SavedFolder(Protocol):
    """A folder by names relative to it, with ``/``."""

    #: what it is called in messages, without secrets
    shown: str

    def names(self, below: str) -> list[str]:
        """Names of what lies directly in the folder `below`, in order; none where there is no such folder."""

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read from any place."""


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path

    def names(self, below: str) -> list[str]:
        folder = self._path / below
        return sorted(found.name for found in folder.iterdir()) if folder.is_dir() else []

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class RemoteFolder:
    """A folder in a storage that fsspec opens, with the storage's own credentials."""

    def __init__(self, url: str) -> None:
        self.shown = shown(url)
        self._explained = StoredModel(url).explained
        try:
            from fsspec.core import url_to_fs

            self._storage, root = url_to_fs(url)
        except Exception as error:
            raise self._explained(error) from error
        self._root = str(root).rstrip("/")

    def names(self, below: str) -> list[str]:
        try:
            listed = self._storage.ls(f"{self._root}/{below}".rstrip("/"), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:
            raise self._explained(error) from error
        return sorted(str(name).rstrip("/").rpartition("/")[2] for name in listed)

    def open(self, name: str) -> IO[bytes]:
        try:
            opened: IO[bytes] = self._storage.open(f"{self._root}/{name}", "rb")
        except Exception as error:
            raise self._explained(error) from error
        return opened


def saved_folder(path: str | PathLike[str]) -> SavedFolder:
    """The folder of a path, a ``file:`` URL, or a URL that fsspec opens.

    Raises:
        PresetNotFoundError: there is none.
        EnvironmentNotReadyError: the storage cannot be reached or read, or what reads it (fsspec, s3fs, ...)
            is not installed.
    """
    folder: SavedFolder
    why = ""
    if isinstance(path, str) and is_url(path) and not path.startswith("file:"):
        folder = RemoteFolder(path)
        if folder.names(""):
            return folder
    else:
        try:
            for place in local_paths(path):
                if place.is_dir():
                    return LocalFolder(place)
        except (OSError, RuntimeError) as error:  # a name that no folder can have, the home of nobody
            why = f" ({getattr(error, 'strerror', None) or error})"
    raise PresetNotFoundError(
        f"There is no folder {shown(path) if isinstance(path, str) else path}{why}",
        "the folder of a saved pipeline, or its URL",
        "check the path",
    )


def metadata_of(folder: SavedFolder, below: str = "") -> dict[str, Any]:
    """The metadata of the stage that was saved in the folder `below`, as Spark ML writes them.

    Raises:
        NotAPresetError: there are none.
        DamagedModelError: they cannot be read.
    """
    place = f"{below}/{METADATA}".lstrip("/")
    for name in folder.names(place):
        # Spark's files of no rows, and its marks, come beside.
        if name.startswith("part-"):
            with folder.open(f"{place}/{name}") as file:
                line = file.read(_MOST_METADATA).strip()
            if line:
                return _parsed(line, f"{folder.shown}/{place}")
    raise NotAPresetError(
        f"{folder.shown}/{below} has no {METADATA}",
        "a folder that save() of a fitted pipeline wrote",
        "check the path",
    )


def _parsed(line: bytes, source: str) -> dict[str, Any]:
    try:
        metadata = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedModelError(
            f"{source} cannot be read ({error!r:.200})",
            "one line of JSON, as Spark ML writes it",
            "save the pipeline again",
        ) from error
    words = ("class", "uid")
    maps = ("paramMap", "defaultParamMap")
    if not isinstance(metadata, dict) or not (
        all(isinstance(metadata.get(word), str) for word in words)
        and all(isinstance(metadata.get(name, {}), dict) for name in maps)
    ):
        raise DamagedModelError(
            f"{source} does not describe a stage",
            f"the entries {', '.join((*words, *maps))}",
            "save the pipeline again",
        )
    return metadata


def files_below(folder: SavedFolder, below: str, suffix: str) -> Iterator[str]:
    """The files of a folder that Spark wrote as a table: neither hidden ones nor marks."""
    for name in folder.names(below):
        if name.endswith(suffix) and not name.startswith((".", "_")):
            yield f"{below}/{name}"
