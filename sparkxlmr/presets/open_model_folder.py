"""From a folder, or a handle, to what lies there: a preset, or a compiled model of another library."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.keras_hub import CONFIG
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.saved_graph import SavedGraph, is_saved_graph

#: what a stage runs
Model = Preset | SavedGraph


def open_folder(folder: Path) -> Model:
    """What lies in a folder of this machine; nothing is read but descriptions.

    Raises what :meth:`Preset.open` and :meth:`SavedGraph.open` raise.
    """
    return SavedGraph.open(folder) if is_saved_graph(folder) else Preset.open(folder)


def open_model(handle: str | PathLike[str]) -> Model:
    """What a handle means (see :mod:`~sparkxlmr.presets.handles`), fetched first where it lies elsewhere.

    Raises what :func:`open_folder` raises, PresetNotFoundError and EnvironmentNotReadyError.
    """
    return open_folder(resolve(handle))


def is_model(folder: Path) -> bool:
    """Whether a folder looks like a model: quick, and no promise that it can be opened."""
    return (folder / CONFIG).is_file() or is_saved_graph(folder)
