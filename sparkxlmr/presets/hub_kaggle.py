"""Models of Kaggle, where keras-hub's presets are published.

``kaggle://owner/model/framework/variation[/version]``: ``kagglehub`` fetches them, file by file; it goes on
where a download broke off and compares each file's MD5. A public model needs no login; another one is read
with ``KAGGLE_API_TOKEN``, ``KAGGLE_USERNAME`` and ``KAGGLE_KEY``, or ``~/.kaggle``. It is not asked for whole
models: those of many files it unpacks from an archive, and it follows whatever names a listing holds.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets import hub_errors
from sparkxlmr.presets.home import folder_in_home
from sparkxlmr.presets.hub_download import keep_on
from sparkxlmr.presets.hub_files import CONFIG
from sparkxlmr.presets.hub_secrets import shown

SCHEME = "kaggle://"
FORM = "kaggle://owner/model/framework/variation[/version]"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HANDLE = re.compile(rf"({_NAME}/{_NAME}/{_NAME}/({_NAME}))(?:/([1-9][0-9]{{0,8}}))?/?")
_LONGEST_CONNECT = 5.0
_own_cache = threading.RLock()


class KaggleModel:
    """One variation of a model at one version; see :class:`~sparkxlmr.presets.hub_cache.RemoteModel`."""

    asked = ""

    def __init__(self, handle: str) -> None:
        """Raises PresetNotFoundError where the handle has another form. Nothing is asked of Kaggle yet."""
        self.handle = shown(handle)
        match = _HANDLE.fullmatch(handle.removeprefix(SCHEME))
        if match is None:
            raise hub_errors.not_found(self.handle, "that names no model of Kaggle", FORM)
        self._model: str = match[1]
        self.name: str = match[2]
        self.pinned: str | None = match[3]
        self.place = f"kaggle/{self._model}"
        self._was_reached = False

    def newest(self) -> str:
        # Its answer to "which version?" is a path, that of a small file.
        with tempfile.TemporaryDirectory(prefix=".asking-", dir=folder_in_home("hub")) as cache:
            place = self._download(self._model, CONFIG, Path(cache))
        version = place.parent.name
        if not version.isdecimal():  # it becomes the name of a folder
            told = f"{self.handle} is at version {version[:50]!r}"
            raise DamagedModelError(told, "a number", "name a version in the handle")
        return version

    def fetch(self, revision: str, name: str, target: Path) -> bool:
        if target.is_file():
            return True
        kept = target.parents[name.count("/")] / ".kagglehub"
        found: list[Path] = []

        def attempt() -> Exception | None:
            try:
                found.append(self._download(f"{self._model}/{revision}", name, kept))
            except Exception as error:
                if _broke(error):
                    return error
                if name == CONFIG or not _is_missing(error):
                    raise
            return None

        keep_on(attempt, lambda: sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()))
        for place in found:
            target.parent.mkdir(parents=True, exist_ok=True)
            place.replace(target)
        return bool(found)

    def explained(self, error: Exception) -> Exception:
        if isinstance(error, ImportError):
            return hub_errors.no_package(self.handle, "kagglehub")
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            return hub_errors.refused(
                self.handle,
                "it is private, or its publisher asks for an agreement first",
                "agree to it on the model's page, and set KAGGLE_API_TOKEN to a token of yours",
            )
        if _is_missing(error):
            what = "Kaggle has no such model or version, or there is no config.json in it"
            return hub_errors.not_found(self.handle, what, FORM)
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return hub_errors.not_found(self.handle, hub_errors.one_line(error), FORM)
        if type(error).__name__ == "DataCorruptionError":
            return DamagedModelError(
                f"A file of {self.handle} came damaged", "the MD5 that Kaggle tells", "open it again"
            )
        if _broke(error) or isinstance(error, OSError):
            return hub_errors.out_of_reach(self.handle, error)
        return error

    def _download(self, handle: str, name: str, cache: Path) -> Path:
        import kagglehub

        if not self._was_reached:
            hub_errors.within(hub_errors.PATIENCE, _reach)
            self._was_reached = True
        with _cache_of_its_own(cache):
            return Path(kagglehub.model_download(handle, path=name))


def _reach() -> None:
    """Raises OSError where Kaggle cannot be reached; kagglehub itself would wait for minutes."""
    # Here, because every use of a preset imports this module.
    import urllib.error
    import urllib.request

    from kagglesdk.kaggle_env import get_endpoint, get_env

    try:
        urllib.request.urlopen(get_endpoint(get_env()), timeout=_LONGEST_CONNECT).close()
    except urllib.error.HTTPError:
        pass  # an answer, whatever it says
    except urllib.error.URLError as error:
        # Certificates of a company's proxy are known to kagglehub (REQUESTS_CA_BUNDLE), not here.
        if not isinstance(error.reason, ssl.SSLError):
            raise


@contextmanager
def _cache_of_its_own(folder: Path) -> Iterator[None]:
    """Lets kagglehub keep its files in a folder of ours; it takes that from the environment alone."""
    settings = {
        "KAGGLEHUB_CACHE": str(folder),
        # Its caches on Kaggle and Colab hand out folders that are not ours to move.
        "DISABLE_KAGGLE_CACHE": "true",
        "DISABLE_COLAB_CACHE": "true",
    }
    log = logging.getLogger("kagglehub")  # writes to standard output, which is the user's
    with _own_cache:
        before, level = {name: os.environ.get(name) for name in settings}, log.level
        os.environ.update(settings)
        if "KAGGLEHUB_VERBOSITY" not in os.environ:
            log.setLevel(logging.WARNING)
        try:
            yield
        finally:
            log.setLevel(level)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _broke(error: Exception) -> bool:
    """Whether the connection failed; an answer that says no is none of these."""
    if getattr(error, "response", None) is not None:
        return False
    library = type(error).__module__.partition(".")[0]
    return library in ("requests", "urllib3") or isinstance(error, ConnectionError | TimeoutError)


def _is_missing(error: Exception) -> bool:
    return getattr(getattr(error, "response", None), "status_code", None) == 404
