"""Which engine runs a model, where the user leaves it open. Decided on the driver.

:mod:`sparkxlmr.runtime.precision_choice` decides in what it computes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sparkxlmr.errors import EngineError, SettingError
from sparkxlmr.runtime.engines import available, engine_named, engine_names

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model

#: What "auto" takes, the first that is installed, without and with a GPU.
ON_CPU, ON_GPU = ("openvino", "tensorflow", "keras"), ("tensorflow", "keras", "openvino")
_log = logging.getLogger(__name__)


def engine_for(model: Model, name: str, gpu: bool = False) -> str:
    """The engine that runs a model: as :func:`resolve_engine`, among those that read what it lies in.

    Raises SettingError for an engine that does not read it, and what :func:`resolve_engine` raises.
    """
    if model.engines is None:
        return resolve_engine(name, gpu)
    if name == "auto":
        order = sorted(model.engines, key=lambda engine: engine_named(engine).uses_gpu is not gpu)
        installed = available()
        return next((engine for engine in order if engine in installed), None) or require_installed(order[0])
    require_readable(model, name)
    return require_installed(name)


def require_readable(model: Model, engine: str) -> None:
    """Raises SettingError where the engine does not read the format that a model lies in."""
    if model.engines is not None and engine_named(engine).name not in model.engines:
        raise SettingError(
            f"The engine is {engine!r}, which does not read {model.path}",
            f"one of {', '.join(map(repr, model.engines))}",
            "set the engine to 'auto'",
        )


def resolve_engine(name: str, gpu: bool = False) -> str:
    """The engine that runs: `name` itself, or for `"auto"` the one that fits this machine.

    `gpu`: whether the tasks get a GPU (`spark.task.resource.gpu.amount`, or in local mode a GPU that is
    visible). `"auto"` takes the first of :data:`ON_GPU` or :data:`ON_CPU` that is installed; openvino on a
    machine with a GPU leaves it idle, and the log says so. Raises SettingError for an unknown name,
    EngineError for an engine that is not installed here.
    """
    if name != "auto":
        return require_installed(name)
    installed = available()
    chosen = next((engine for engine in (ON_GPU if gpu else ON_CPU) if engine in installed), None)
    if chosen is None:
        raise EngineError(
            "No engine is installed",
            f"one of {engine_names()}",
            "; or ".join(engine_named(engine).install for engine in engine_names()),
        )
    if gpu and chosen == "openvino":
        _log.warning(
            "There is a GPU, but no engine for it is installed (pip install 'sparkxlmr[gpu]'): "
            "the model runs on the CPU with %s.",
            chosen,
        )
    return chosen


def require_installed(name: str) -> str:
    """`name`, if it is an engine that is installed here. Raises SettingError or EngineError."""
    engine = engine_named(name)
    if not engine.installed():
        there = available()
        raise EngineError(
            f"The engine {name!r} is not installed here",
            f"one that is ({', '.join(there)})" if there else "an installed engine",
            f"{engine.install}, on the driver and every executor, or set the engine to 'auto'",
        )
    return name
