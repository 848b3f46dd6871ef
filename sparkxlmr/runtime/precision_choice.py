"""Which precision runs a model, where the user leaves it open.

``"auto"`` is, in this order:

1. what the environment variable ``SPARKXLMR_PRECISION`` says on the driver;
2. ``bfloat16`` where what computes has the arithmetic, unless the model was measured and lost by it;
3. ``int8`` where the CPU has the arithmetic, and the model was measured and lost nothing to speak of;
4. ``float32``.

:mod:`sparkxlmr.presets.measured` has the limits.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.config import TextClassifierConfig
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.measured import LEAST_ANSWERS, SCORES, Measurement, measured_in
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.devices import (
    cpu_has_bfloat16,
    cpu_has_int8,
    gpu_has_bfloat16,
    gpu_visible,
    warn_no_bfloat16,
)
from sparkxlmr.runtime.engines import engine_named, engine_names
from sparkxlmr.runtime.quantization import INT8, Form, form_of

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.runtime.bundle import Bundle

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
#: Environment variable, read on the driver: the precision that "auto" means. For clusters of mixed CPUs whose
#: answers must be equal, and for whoever compares scores.
PRECISION = "SPARKXLMR_PRECISION"


@dataclass(frozen=True)
class Choice:
    """A precision, and why it was taken, in words."""

    precision: str
    why: str


def precision_for(
    model: Model | None, engine: str, precision: str = AUTO, gpu: bool = False, quantization: str = AUTO
) -> Choice:
    """The precision that an engine runs a model in; decided on the driver.

    - `model`: None: any model that was not measured.
    - `precision`: as the user set it; another one than "auto" is taken, or refused.
    - `gpu`: whether the tasks get a GPU. One that is not seen from here is taken to have bfloat16: a worker
      whose GPU or CPU has not computes in float32 (:func:`precision_here`).
    - `quantization`: of int8, as :func:`~sparkxlmr.runtime.quantization.form_of` takes it.

    Raises SettingError where the engine has no such precision, and what reading the model's measurements or
    its calibration raises.

    >>> precision_for(None, "openvino", "bfloat16").precision
    'bfloat16'
    """
    choices = engine_named(engine).precisions
    if precision != AUTO:
        return Choice(_known(precision, "The precision", choices, engine), "as it was set")
    if said := _environment():
        return Choice(_known(said, PRECISION, choices, engine), f"{PRECISION} says so")
    return _by_rule(model, engine, gpu and engine_named(engine).uses_gpu, quantization)


def precision_here(bundle: Bundle, precision: str) -> str:
    """The precision that this process opens a bundle in: as the driver chose it.

    bfloat16 that neither the GPU nor the CPU here has becomes float32, which is exact and here faster; that
    is logged once. `"auto"`: as :func:`precision_for` of a model that was not measured, among what the bundle
    is made for. Raises SettingError where its engine, or the bundle, has no such precision.
    """
    choices = Form(int8=INT8 in bundle.manifest.precisions).precisions(bundle.engine)
    if precision == AUTO and len(choices) == 1:
        return choices[0]
    on_gpu = engine_named(bundle.engine).uses_gpu and gpu_visible()
    chosen = precision_for(None, bundle.engine, precision, on_gpu).precision
    _known(chosen, "The precision", choices, f"{bundle.engine} with the bundle in {bundle.folder}")
    if chosen == BFLOAT16 and not is_computed_here(BFLOAT16, bundle.engine, on_gpu):
        warn_no_bfloat16("GPU" if on_gpu else "CPU")
        return FLOAT32
    return chosen


def is_computed_here(precision: str, engine: str, gpu: bool = False) -> bool:
    """Whether the hardware computes in that precision, and nothing has to be emulated. `gpu`: on one."""
    if precision == BFLOAT16:
        return _has_bfloat16(engine, gpu)
    if precision == INT8:
        return cpu_has_int8() and not gpu
    return precision == FLOAT32 or gpu


def _environment() -> str:
    said = os.environ.get(PRECISION, "").strip()
    return "" if said == AUTO else said


def _by_rule(model: Model | None, engine: str, gpu: bool, quantization: str) -> Choice:
    choices = engine_named(engine).precisions
    device = "GPU" if gpu else "CPU"
    against = []
    if BFLOAT16 not in choices:
        against.append(f"the engine {engine} has no bfloat16")
    elif engine == "tensorflow" and model is not None and not isinstance(model, Preset):
        against.append("a SavedModel computes in its own precision")
    elif not is_computed_here(BFLOAT16, engine, gpu):
        against.append(f"this {device} has no bfloat16 arithmetic")
    else:
        row = _measurement(model, engine, BFLOAT16)
        if row is None:
            return Choice(BFLOAT16, f"the {device} has the arithmetic, and the model was not measured")
        if not row.faults:
            return Choice(BFLOAT16, f"the {device} has the arithmetic, and {_told(row)}")
        against.append(f"in bfloat16 {'; '.join(row.faults)}")
    if INT8 in choices and not gpu:
        # Never without a measurement: what int8 does to a model is not known before.
        row = _measurement(model, engine, INT8, quantization)
        if row is None:
            against.append("int8 was not measured")
        elif row.faults:
            against.append(f"in int8 {'; '.join(row.faults)}")
        elif row.answers < LEAST_ANSWERS:
            against.append(f"int8 was measured on fewer than {LEAST_ANSWERS:,} texts")
        elif not is_computed_here(INT8, engine):
            against.append("this CPU has no int8 arithmetic")
        else:
            return Choice(INT8, f"{against[0]}, and {_told(row)}")
    return Choice(FLOAT32, ", and ".join(against))


def _has_bfloat16(engine: str, gpu: bool) -> bool:
    """Of a GPU where one is to compute; one that is not seen from here, a cluster's, is taken to have it."""
    if gpu:
        return gpu_has_bfloat16() or not gpu_visible()
    # Arm's is not OpenVINO's.
    return cpu_has_bfloat16() and (engine != "openvino" or platform.machine() in ("x86_64", "AMD64"))


def _measurement(
    model: Model | None, engine: str, precision: str, quantization: str = AUTO
) -> Measurement | None:
    if model is None or model.task_kind is None:
        return None
    if precision == INT8 and not isinstance(model, Preset):
        return None
    whole = model.whole if isinstance(model, Encoder) else model
    measured = measured_in(whole.path, whole.content_hash)
    if not measured.rows:
        return None
    source = form_of(model, engine, precision, quantization).source(model)
    revisions = {name: engine_named(name).revision for name in engine_names()}
    row = measured.of(model.task_kind, source, engine, precision, revisions)
    if row is not None and len(model.labels) == 1 and row.task == TextClassifierConfig.kind:
        # Earlier releases compared the one label, which is always equal.
        return row if row.compared == SCORES else None
    return row


def _told(row: Measurement) -> str:
    what = "a mean cosine of" if row.task == "encoder" else "an agreement of"
    return f"the model was measured: {what} {row.agreement:.4f} with float32"


def _known(precision: str, said_by: str, choices: tuple[str, ...], engine: str) -> str:
    if precision not in choices:
        raise SettingError(
            f"{said_by} is {precision!r}",
            f"'auto' or one of {choices}, which the engine {engine} has",
            "set one of these, or another engine",
        )
    return precision
