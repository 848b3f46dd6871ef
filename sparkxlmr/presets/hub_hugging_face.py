"""Models of the Hugging Face hub, or of the mirror that ``HF_ENDPOINT`` names: ``hf://org/name[@revision]``.

``huggingface_hub`` tells addresses, revisions and files, sends the token (``HF_TOKEN`` or the stored login)
and speaks with the server; the bytes are taken from it here, because its own downloads begin anew after a
break.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets import hub_errors
from sparkxlmr.presets.hub_download import download
from sparkxlmr.presets.hub_secrets import shown

SCHEME = "hf://"
FORM = "hf://org/name[@revision]"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HANDLE = re.compile(rf"({_NAME}(?:/{_NAME})?)(?:@(.+?))?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What its HTTP library is called differs between releases.
_TRANSPORTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
_WORTH_A_BAR = 4 * 2**20


class HuggingFaceModel:
    """One repository at one revision; see :class:`~sparkxlmr.presets.hub_cache.RemoteModel`."""

    def __init__(self, handle: str) -> None:
        """Raises PresetNotFoundError where the handle has another form. Nothing is asked of the hub yet."""
        self.handle = shown(handle)
        match = _HANDLE.fullmatch(handle.removeprefix(SCHEME))
        if match is None:
            raise hub_errors.not_found(self.handle, "that names no repository", FORM)
        self._repository: str = match[1]
        self.asked: str = match[2] or ""
        self.pinned = self.asked if _COMMIT.fullmatch(self.asked) else None
        self.name = self._repository.rpartition("/")[2]
        self.place = "hugging_face/" + self._repository.replace("/", "--")
        self._listed: dict[str, Any] | None = None

    def newest(self) -> str:
        return self._list(self.asked or None)

    def fetch(self, revision: str, name: str, target: Path) -> bool:
        if self._listed is None:
            self._list(revision)
        file = (self._listed or {}).get(name)
        if file is None:
            return False
        if file.size is None:
            raise DamagedModelError(f"The size of {name} of {self.handle} is not told", "it", "use the hub")
        sha256 = file.lfs.sha256 if file.lfs is not None else None
        download(target, file.size, lambda at: self._bytes(revision, name, at, file.size), _broke, sha256)
        return True

    def explained(self, error: Exception) -> Exception:
        if isinstance(error, ImportError):
            return hub_errors.no_package(self.handle, "huggingface_hub")
        from huggingface_hub import errors

        if isinstance(error, errors.OfflineModeIsEnabled):
            return hub_errors.Unreachable(
                f"{self.handle} cannot be fetched: HF_HUB_OFFLINE is set",
                "network access, or a copy that was fetched before",
                "unset HF_HUB_OFFLINE, or copy the model's folder here and pass its path",
            )
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, errors.HFValidationError):
            return hub_errors.not_found(self.handle, hub_errors.one_line(error), FORM)
        if isinstance(error, errors.RevisionNotFoundError):
            what = f"the repository has no revision {self.asked!r}"
            return hub_errors.not_found(self.handle, what, "a branch, a tag or a commit of it")
        if status == 401 and "Invalid credentials" in str(error):
            return hub_errors.refused(
                self.handle,
                "the hub does not know the token that was sent",
                "renew HF_TOKEN (or the stored login), or unset it for a public model",
            )
        if isinstance(error, errors.GatedRepoError) or status == 403:
            return hub_errors.refused(
                self.handle,
                "its publisher asks for an agreement first (gated repository)",
                "agree to it on the model's page, and set HF_TOKEN to a token that may read it",
            )
        if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404):
            return hub_errors.not_found(
                self.handle,
                "the hub has no such repository, or a private one",
                FORM,
                "check the spelling; for a private repository set HF_TOKEN to a token that may read it",
            )
        if _broke(error) or isinstance(error, OSError | ValueError):
            return hub_errors.out_of_reach(self.handle, error, "; a mirror is named by HF_ENDPOINT")
        return error

    def _list(self, revision: str | None) -> str:
        """Asks for the commit of a revision, and keeps what files it has."""
        _check_online()
        from huggingface_hub import HfApi, constants

        api = HfApi(endpoint=_endpoint(), library_name="sparkxlmr")
        info = hub_errors.within(
            hub_errors.PATIENCE,
            lambda: api.model_info(
                self._repository,
                revision=revision,
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
                files_metadata=True,
            ),
        )
        if not _COMMIT.fullmatch(str(info.sha)):  # it becomes the name of a folder
            told = str(info.sha)[:50]
            raise DamagedModelError(f"{self.handle} is at commit {told!r}", "a hash", "use another mirror")
        self._listed = {file.rfilename: file for file in info.siblings or ()}
        return str(info.sha)

    def _bytes(self, revision: str, name: str, at: int, size: int) -> Iterator[bytes]:
        from huggingface_hub import constants, get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm

        url = hf_hub_url(self._repository, name, revision=revision, endpoint=_endpoint())
        headers = build_hf_headers(library_name="sparkxlmr") | {"Accept-Encoding": "identity"}
        if at:
            headers["Range"] = f"bytes={at}-"
        # Off where a log takes the output, and for files that are there in a moment.
        bar = tqdm(
            desc=name, total=size, initial=at, unit="B", unit_scale=True,
            disable=None if size >= _WORTH_A_BAR else True,
        )  # fmt: skip
        with (
            bar,
            get_session().stream(
                "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
            ) as response,
        ):
            hf_raise_for_status(response)
            # A server that knows no ranges sends all from the start on.
            skip = at if response.status_code != 206 else 0
            for chunk in response.iter_bytes():
                kept, skip = chunk[skip:], max(0, skip - len(chunk))
                if kept:
                    bar.update(len(kept))
                    yield kept


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _check_online() -> None:
    # The library reads this when it is imported; here it counts when it is set later too.
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE"):
        from huggingface_hub.errors import OfflineModeIsEnabled

        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")


def _broke(error: Exception) -> bool:
    """Whether the connection failed; an answer that says no is none of these."""
    if getattr(error, "response", None) is not None:
        return False
    library = type(error).__module__.partition(".")[0]
    return library in _TRANSPORTS or isinstance(error, ConnectionError | TimeoutError)
