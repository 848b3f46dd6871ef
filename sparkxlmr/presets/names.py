"""From the name that a user calls a model to the model: built in, in a folder of models, or elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from sparkxlmr.errors import PresetNotFoundError
from sparkxlmr.presets import builtin, hub_fsspec, hub_names
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.home import HOME, home
from sparkxlmr.presets.hub_secrets import shown
from sparkxlmr.presets.open_model_folder import Model, is_model, open_folder, open_model

#: what a model's folder may be called to be found by its name
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,254}")


def open_named(handle: str | PathLike[str], places: Sequence[str] = ()) -> Model:
    """The model of a name or of any other handle.

    A plain name that is not built in is looked up first in the folders `places` (paths or URLs), then in
    `SPARKXLMR_HOME` and `SPARKXLMR_HOME/models`; after them it is a handle as
    :func:`~sparkxlmr.presets.handles.resolve` takes it.

    Raises:
        PresetNotFoundError: there is no such model; for names of Spark NLP's models the message says how to
            get one.
        EnvironmentNotReadyError, NotAPresetError, DamagedModelError: as
            :func:`~sparkxlmr.presets.open_model_folder.open_model`.
    """
    if not isinstance(handle, str) or not _NAME.fullmatch(handle) or handle in builtin.names():
        return open_model(handle)
    folder = find(handle, places)
    if folder is not None:
        return open_folder(folder)
    try:
        return open_model(handle)
    except PresetNotFoundError as error:
        looked = ", ".join(shown(place) for place in (*places, home(), home() / "models"))
        raise PresetNotFoundError(
            f"There is no model {handle!r}: it is not built in, and not in {looked}",
            error.expected,
            f"{hub_names.SPARK_NLP.get(handle, error.remedy)}. A model that you have is found by its"
            f" name as a folder of {HOME} or of the setting spark.sparkxlmr.models",
        ) from error


def find(name: str, places: Sequence[str] = ()) -> Path | None:
    """The folder of the first model of that name in the places, then in `SPARKXLMR_HOME`; fetched from a URL.

    A place without it, or that is not there, is passed over. Raises EnvironmentNotReadyError where a URL
    cannot be reached.
    """
    everywhere: list[str | Path] = [*places, home(), home() / "models"]
    for place in everywhere:
        folder = _in(place, name)
        if folder is not None and is_model(folder):
            return folder
    return None


def within(place: str | PathLike[str], name: str | PathLike[str]) -> str | Path:
    """The handle of a model in a folder, or below a URL, which no Path may hold.

    >>> within("s3://bucket/models/", "tiny")
    's3://bucket/models/tiny'
    """
    if isinstance(place, str) and hub_fsspec.is_url(place):
        return f"{place.rstrip('/')}/{name}"
    return Path(place) / name


def _in(place: str | Path, name: str) -> Path | None:
    handle = within(place, name)
    if isinstance(handle, Path):
        return handle.expanduser()
    try:
        return resolve(handle)
    except PresetNotFoundError:
        return None
