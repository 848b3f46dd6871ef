"""The forms of a bundle: weights as floats, or as int8, and how int8 finds the ranges of what it multiplies.

int8 multiplies int8 weights with int8 activations. `"static"`: the ranges of the activations are those of
the preset's calibration, so rounding them costs next to nothing; `"dynamic"`: each token's range is found
while running, which needs no calibration. `"auto"`: static where the preset has a calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.calibration import Calibration, calibration_of, source_of
from sparkxlmr.presets.open_model_folder import Model
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.engines import Int8Engine, engine_named

INT8 = "int8"
#: what a stage's `quantization` may be
QUANTIZATIONS = ("auto", "dynamic", "static")


@dataclass(frozen=True)
class Form:
    """One of the two: weights as floats, or (`int8`) as int8; `calibration`: of the static kind, else None.

    >>> Form().suffix, Form(int8=True).suffix
    ('', '-int8')
    """

    int8: bool = False
    calibration: Calibration | None = None

    @property
    def suffix(self) -> str:
        """What a bundle's folder is called after its engine's name."""
        return "-int8" if self.int8 else ""

    def precisions(self, engine: str) -> tuple[str, ...]:
        """What a bundle of this form runs in."""
        return tuple(name for name in engine_named(engine).precisions if (name == INT8) is self.int8)

    def source(self, model: Model) -> str:
        """sha256 (hex) of all that a bundle of this form is made from."""
        return source_of(model.content_hash, self.calibration) if self.int8 else model.content_hash

    def compile(self, model: Model, engine: str, folder: Path) -> list[str]:
        """As the engine's `compile`, in this form."""
        if not self.int8:
            return engine_named(engine).compile(model, folder)
        assert isinstance(model, Preset)
        return cast(Int8Engine, engine_named(engine)).compile_int8(model, folder, self.calibration)


def form_of(model: Model, engine: str, precision: str, quantization: str = "auto") -> Form:
    """The form of bundle in which the engine runs a model in a precision.

    Raises SettingError where the engine has no such precision, the model is no preset (int8 needs its
    weights by name), or `"static"` is asked of a preset without calibration; what reading the calibration
    raises.
    """
    choices = engine_named(engine).precisions
    if precision not in choices:
        raise SettingError(
            f"The precision is {precision!r}",
            f"one of {choices}, which the engine {engine} has",
            "set one of these, or another engine",
        )
    if precision != INT8:
        return Form()
    if not isinstance(model, Preset):
        raise SettingError(
            f"The precision is 'int8', and {model.path} is the compiled model of another library",
            "a preset, whose weights are known by name",
            "convert the model to a preset, or set the precision to 'float32'",
        )
    return Form(int8=True, calibration=_calibration(model, quantization))


def _calibration(preset: Preset, quantization: str) -> Calibration | None:
    if quantization not in QUANTIZATIONS:
        raise SettingError(
            f"The quantization is {quantization!r}", f"one of {QUANTIZATIONS}", "set one of these"
        )
    found = None if quantization == "dynamic" else calibration_of(preset)
    if found is None and quantization == "static":
        raise SettingError(
            f"The quantization is 'static', and {preset.path} has no calibration of its weights",
            "a preset that `sparkxlmr quantize` has seen",
            "run `sparkxlmr quantize MODEL TEXTS --output FOLDER`, or set the quantization to 'auto'",
        )
    return found
