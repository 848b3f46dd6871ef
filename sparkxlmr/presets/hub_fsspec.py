"""Models in any storage that fsspec opens: ``s3://``, ``gs://``, ``abfss://``, ``memory://``, ...

The storage's own package (s3fs, gcsfs, adlfs, ...) reads the credentials where it always does: the
environment, a profile, the machine's role, or fsspec's configuration files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparkxlmr.presets import hub_errors
from sparkxlmr.presets.hub_download import download
from sparkxlmr.presets.hub_files import FOLDERS
from sparkxlmr.presets.hub_secrets import redacted, shown

FORM = "a URL that fsspec opens (s3://, gs://, abfss://, memory://, ...)"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")
_BLOCK = 8 * 2**20
# What a preset is made of; a card that changes makes no new revision.
_SUFFIXES = (".json", ".h5", ".safetensors", ".bin", ".model", ".spm")
# What storages call a file's hash or, failing that, its time.
_MARKS = ("ETag", "etag", "content_md5", "md5Hash", "LastModified", "last_modified", "mtime", "created")


def is_url(handle: str) -> bool:
    """Whether a handle is a URL, chained ones (``simplecache::s3://...``) included."""
    return _URL.match(handle) is not None


class StoredModel:
    """A preset folder in a storage; see :class:`~sparkxlmr.presets.hub_cache.RemoteModel`.

    A storage has no revisions: one is what names, sizes and change marks (ETag, time) of its files sum up to.
    """

    asked = ""
    pinned = None

    def __init__(self, url: str) -> None:
        """Nothing is asked of the storage yet."""
        self.handle = shown(url)
        self._url = url
        public = redacted(url).partition("?")[0].rstrip("/")
        words = re.findall(r"[A-Za-z0-9._-]+", public)
        self.name = (words[-1].lstrip(".")[:100] if words else "") or "model"
        # Of the address without password, but with a user, who may be a container, and with a query, which
        # may name another version.
        address = re.sub(r"(://[^/?#:@]*):[^/?#]*@", r"\1@", url)
        key = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.place = f"fsspec/{'-'.join(words)[:80].lstrip('.')}-{key}"
        self._files: dict[str, dict[str, Any]] = {}
        self._storage: Any = None

    def newest(self) -> str:
        listed = hub_errors.within(hub_errors.PATIENCE, self._list)
        return hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()

    def fetch(self, revision: str, name: str, target: Path) -> bool:
        file = self._files.get(name)
        if file is None:
            return False
        download(target, int(file["size"]), lambda at: self._bytes(file["name"], at), _broke)
        return True

    def explained(self, error: Exception) -> Exception:
        if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == "fsspec":
            return hub_errors.no_package(self.handle, "fsspec")
        if isinstance(error, ImportError):
            return hub_errors.Unreachable(
                f"The package for {self.handle} is not installed ({hub_errors.one_line(error)})",
                "fsspec's package for this storage",
                "install it, for example with pip install s3fs, gcsfs or adlfs",
            )
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            why = "the storage has no such folder"
            return hub_errors.not_found(self.handle, why, "the folder of a model")
        if isinstance(error, PermissionError):
            return hub_errors.refused(
                self.handle,
                hub_errors.one_line(error),
                "give this process credentials that may list and read it, in the storage's own way",
            )
        if isinstance(error, ValueError) and "protocol" in str(error).lower():
            return hub_errors.not_found(self.handle, hub_errors.one_line(error), FORM)
        # Storages raise what they like; the program's own mistakes cannot be told from theirs.
        return hub_errors.out_of_reach(self.handle, error)

    def _list(self) -> list[str]:
        from fsspec.core import url_to_fs

        self._storage, root = url_to_fs(self._url)
        self._storage.invalidate_cache()
        root = root.rstrip("/")
        marks = []
        for folder in FOLDERS:
            path = f"{root}/{folder}" if folder else root
            try:
                listed = self._storage.ls(path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                if folder:
                    continue
                raise
            for file in listed:
                base = str(file["name"]).rstrip("/").rpartition("/")[2]
                if file.get("type") == "file" and base.endswith(_SUFFIXES) and file.get("size") is not None:
                    name = f"{folder}/{base}" if folder else base
                    self._files[name] = file
                    marks.append(f"{name}\0{file['size']}\0{self._mark(file)}")
        return marks

    def _mark(self, file: dict[str, Any]) -> str:
        """What changes when a file does."""
        for key in _MARKS:
            if file.get(key) is not None:
                return str(file[key])
        return str(self._storage.ukey(file["name"]))

    def _bytes(self, path: str, at: int) -> Iterator[bytes]:
        with self._storage.open(path, "rb", block_size=_BLOCK) as file:
            file.seek(at)
            while chunk := file.read(_BLOCK):
                yield chunk


def _broke(error: Exception) -> bool:
    return not isinstance(error, FileNotFoundError | PermissionError | NotImplementedError)
