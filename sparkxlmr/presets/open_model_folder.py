"""From a folder, or a handle, to what lies there: a preset, or a compiled model of another library."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.keras_hub import CONFIG
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.saved_graph import SavedGraph, is_saved_graph
from sparkxlmr.presets.spark_nlp_stage import is_spark_nlp_stage, laid_out

#: what a stage runs
Model = Preset | SavedGraph


def open_folder(folder: Path) -> Model:
    """What lies in a folder of this machine; nothing is read but descriptions.

    A classifier that Spark NLP saved is unpacked once. Raises what :meth:`Preset.open`,
    :meth:`SavedGraph.open` and :func:`~sparkxlmr.presets.spark_nlp_stage.laid_out` raise.
    """
    if is_spark_nlp_stage(folder):
        return replace(SavedGraph.open(laid_out(folder)), name=folder.name)
    return SavedGraph.open(folder) if is_saved_graph(folder) else Preset.open(folder)


def open_model(handle: str | PathLike[str]) -> Model:
    """What a handle means (see :mod:`~sparkxlmr.presets.handles`), fetched first where it lies elsewhere.

    Raises what :func:`open_folder` raises, PresetNotFoundError and EnvironmentNotReadyError.
    """
    return open_folder(resolve(handle))


def is_model(folder: Path) -> bool:
    """Whether a folder looks like a model: quick, and no promise that it can be opened."""
    return (folder / CONFIG).is_file() or is_saved_graph(folder) or is_spark_nlp_stage(folder)
