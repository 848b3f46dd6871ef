"""From what a user calls a model to a folder on this machine.

A handle is, in this order: the name of a built-in preset; a preset name of keras-hub
(:mod:`~sparkxlmr.presets.hub_names`); ``hf://org/name[@revision]``;
``kaggle://owner/model/framework/variation[/version]``; a URL that fsspec opens; the path of a folder, also as
``file:`` URL. Models from elsewhere come to lie in ``SPARKXLMR_HOME/hub``
(:mod:`~sparkxlmr.presets.hub_cache`). A :class:`~pathlib.Path` is always a path.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from sparkxlmr.errors import PresetNotFoundError
from sparkxlmr.presets import builtin, hub_fsspec, hub_hugging_face, hub_kaggle, hub_names
from sparkxlmr.presets.hub_cache import RemoteModel, folder_of
from sparkxlmr.presets.hub_secrets import shown

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[^/]+)?")
# A repository's page, which people copy out of the browser.
_PAGE = re.compile(r"(?:https?://)?(?:www\.)?huggingface\.co/([^/]+/[^/]+)(?:/.*)?")


def resolve(handle: str | PathLike[str]) -> Path:
    """The folder of a model; one from elsewhere is fetched, or found in the cache.

    Raises:
        PresetNotFoundError: there is no model of that handle.
        EnvironmentNotReadyError: it cannot be fetched: no network and no copy, no right to read it, or the
            package that fetches it (``pip install "sparkxlmr[hub]"``) is not installed.
        NotAPresetError, DamagedModelError: what lies there is no model of this package.

    >>> resolve("xlm_roberta_tiny_language_id").name
    'xlm_roberta_tiny_language_id'
    """
    if isinstance(handle, str):
        if handle in builtin.names():
            return builtin.locate(handle)
        if _PAGE.fullmatch(handle):
            raise _unknown(handle)
        model = _remote(hub_names.KERAS_HUB.get(handle, handle))
        if model is not None:
            return folder_of(model)
    return _local(handle)


def _remote(handle: str) -> RemoteModel | None:
    if handle.startswith(hub_hugging_face.SCHEME):
        return hub_hugging_face.HuggingFaceModel(handle)
    if handle.startswith(hub_kaggle.SCHEME):
        return hub_kaggle.KaggleModel(handle)
    if hub_fsspec.is_url(handle) and not handle.startswith("file:"):
        return hub_fsspec.StoredModel(handle)
    return None


def _local(handle: str | PathLike[str]) -> Path:
    try:
        for path in local_paths(handle):
            if path.exists():
                return path.absolute()
    except (OSError, ValueError, RuntimeError) as error:
        raise PresetNotFoundError(
            f"The preset {shown(handle)!r} cannot be reached: {getattr(error, 'strerror', None) or error}",
            f"a built-in name ({', '.join(builtin.names())}) or the path of a folder that may be read",
            "check the path and its permissions",
        ) from error
    raise _unknown(handle)


def _unknown(handle: str | PathLike[str]) -> PresetNotFoundError:
    shipped = ", ".join(builtin.names()) or "none in this installation"
    return PresetNotFoundError(
        f"There is no preset {shown(handle)!r}: no built-in preset and no folder is called so",
        f"a built-in name ({shipped}), a name of keras-hub ({', '.join(hub_names.KERAS_HUB)}), "
        f"{hub_hugging_face.FORM}, {hub_kaggle.FORM}, {hub_fsspec.FORM} or the path of a preset folder",
        _did_you_mean(handle),
    )


def _did_you_mean(handle: str | PathLike[str]) -> str:
    """The remedy for a handle that nothing has: what it resembles."""
    if isinstance(handle, str):
        page = _PAGE.fullmatch(handle)
        repository = page[1] if page else handle
        if _REPOSITORY.fullmatch(repository):
            return (
                f"did you mean {hub_hugging_face.SCHEME}{repository}? So a model of the Hugging Face hub is "
                "written; of a folder check the path"
            )
        known = [*builtin.names(), *hub_names.KERAS_HUB]
        if close := get_close_matches(handle, known, n=1, cutoff=0.8):
            return f"did you mean {close[0]}? Else check the path"
    return "check the spelling"


def local_paths(handle: str | PathLike[str]) -> list[Path]:
    """What a path or a ``file:`` URL may mean on this machine, the likeliest first."""
    if not isinstance(handle, str) or not handle.startswith("file:"):
        return [Path(handle).expanduser()]
    path = handle.removeprefix("file:").removeprefix("//localhost")
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    from urllib.request import url2pathname  # imports all that fetches URLs

    # Some write a blank as it is, some as %20.
    return [Path(path), Path(url2pathname(path))]
