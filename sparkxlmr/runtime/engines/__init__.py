"""The engines, siblings behind one protocol. Adding one is adding a file.

A module of this package whose name has no underscore is an engine of that name and defines `ENGINE`. It may
import its framework inside functions only, so that asking for names and installations costs nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.bundle import Bundle

if TYPE_CHECKING:
    from sparkxlmr.presets.calibration import Calibration
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.presets.preset import Preset


class Runner(Protocol):
    """A loaded model. `run` may be called from several threads."""

    @property
    def widths(self) -> tuple[int, ...] | None:
        """The few widths to pad to, for an engine that compiles for every shape it meets; None: any width."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a call beyond which this engine gains no speed on this machine."""

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        """Logits, or an encoder's vectors, of int32 arrays, by the names of the model's inputs.

        All models: `token_ids` and `padding_mask` (rows, width), the mask 1 on tokens and 0 on padding;
        ALBERT also `segment_ids` of that shape. A text classifier answers (rows, classes). A masked language
        model is also given `mask_positions` (n, 2), the row and the column of each mask of the batch, at
        least one, and answers (n, vocabulary). An encoder answers (rows, 2, hidden): the vector of the first
        token, and the mean of the vectors of all tokens, padding left out.

        Raises EngineError for inputs that the model's tables do not hold, and for whatever fails in the call
        (:mod:`~sparkxlmr.runtime.engines.engine_io`); the output of an earlier call is never returned.
        """


class Engine(Protocol):
    """What runs a bundle. `precisions`: all that it has, in any form of bundle; `revision` counts changes of
    `compile`; `uses_gpu`: whether it ever looks at one."""

    name: str
    precisions: tuple[str, ...]
    revision: int
    uses_gpu: bool

    @property
    def install(self) -> str:
        """The command that installs it on this machine."""

    def installed(self) -> bool:
        """Whether the framework is there; imports nothing."""

    def compile(self, model: Model, folder: Path) -> list[str]:
        """Writes the engine's files, weights as floats, into the empty `folder`; returns their names, with
        `/` below it."""

    def load(self, bundle: Bundle, precision: str, threads: int | None) -> Runner:
        """Opens the files of a verified bundle. `threads`: of one call; None leaves it to the engine.

        Raises EngineError where the engine is missing or cannot read the files.
        """


class Int8Engine(Engine, Protocol):
    """An engine with `"int8"` among its precisions."""

    def compile_int8(self, model: Preset, folder: Path, calibration: Calibration | None) -> list[str]:
        """As :meth:`Engine.compile`, weights as int8. With a calibration the ranges of what comes into the
        products are fixed by it, without one they are found while running."""

    def observe(
        self, model: Preset, inputs: Iterable[Mapping[str, NDArray[np.int32]]]
    ) -> dict[str, NDArray[np.float32]]:
        """Runs a preset in float32 on arrays as :meth:`Runner.run` takes them: the ranges of a calibration.

        Of the encoder every token counts, of the head what it reads; padding counts nowhere.
        """


def engine_names() -> tuple[str, ...]:
    """The names of all engines, installed or not, in alphabetical order.

    >>> engine_names()
    ('keras', 'openvino', 'tensorflow')
    """
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if "_" not in found.name))


def engine_named(name: str) -> Engine:
    """The engine of that name, installed or not. Raises SettingError where there is none."""
    if name not in engine_names():
        raise SettingError(
            f"The engine is {name!r}", f"'auto' or one of {engine_names()}", "set one of these engines"
        )
    engine: Engine = importlib.import_module(f"{__name__}.{name}").ENGINE
    return engine


def available() -> tuple[str, ...]:
    """The names of the engines that are installed here; no framework is imported."""
    return tuple(name for name in engine_names() if engine_named(name).installed())
