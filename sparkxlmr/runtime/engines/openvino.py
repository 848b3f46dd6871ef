"""OpenVINO: the CPU engine. Weights stay in the file, mapped into memory and shared by all workers of a
host."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import cpu_has_bfloat16, warn_no_bfloat16
from sparkxlmr.runtime.engines.engine_io import Limits, check_inputs, check_output, engine_call

if TYPE_CHECKING:
    from sparkxlmr.presets.calibration import Calibration
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.engines.openvino_request import Request

GRAPH, WEIGHTS = "model.xml", "model.bin"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
# As in pyproject.toml: elsewhere pip finds nothing to install.
_WHEELS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")}


class OpenVinoEngine:
    name = "openvino"
    precisions = ("float32", "bfloat16", "int8")
    revision = 3
    uses_gpu = False

    @property
    def install(self) -> str:
        if (sys.platform, platform.machine()) in _WHEELS:
            return "pip install openvino"
        return f"no wheels for {sys.platform} on {platform.machine()}, use tensorflow or keras"

    def installed(self) -> bool:
        return importlib.util.find_spec("openvino") is not None

    def compile(self, model: Model, folder: Path) -> list[str]:
        from sparkxlmr.presets.saved_graph import SavedGraph
        from sparkxlmr.runtime.engines.openvino_graph import fits_float16, task_graph, write_graph

        if isinstance(model, SavedGraph):
            from sparkxlmr.runtime.engines.openvino_import import imported_graph

            # Its weights stay as they are stored.
            write_graph(imported_graph(model), folder / GRAPH, half=False)
            return [GRAPH, WEIGHTS]
        weights = model.weights()
        graph = task_graph(weights, model.config, model.task)
        write_graph(graph, folder / GRAPH, half=fits_float16(weights))
        return [GRAPH, WEIGHTS]

    def compile_int8(self, model: Preset, folder: Path, calibration: Calibration | None) -> list[str]:
        from sparkxlmr.runtime.engines.openvino_graph import write_graph
        from sparkxlmr.runtime.engines.openvino_int8 import int8_graph

        graph = int8_graph(model.weights(), model.config, model.task, calibration)
        # The scales stay float32: they are few.
        write_graph(graph, folder / GRAPH, half=False)
        return [GRAPH, WEIGHTS]

    def observe(
        self, model: Preset, inputs: Iterable[Mapping[str, NDArray[np.int32]]]
    ) -> dict[str, NDArray[np.float32]]:
        from sparkxlmr.runtime.engines.openvino_int8 import observed_ranges

        return observed_ranges(model, inputs)

    def load(self, bundle: Bundle, precision: str, threads: int | None) -> OpenVinoRunner:
        import openvino as ov

        from sparkxlmr.runtime.engines.openvino_request import Request
        from sparkxlmr.runtime.engines.openvino_tables import Tables, table_sizes

        sizes: list[Tables] = []

        def opened() -> Any:
            """The compiled model; again after a call that failed, and then of files that are still whole."""
            model, compiled = _compiled(bundle.verify() if sizes else bundle, precision, threads)
            sizes.append(table_sizes(model, bundle.manifest.family))
            return compiled

        try:
            request = Request(opened)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()
            raise EngineError(
                f"OpenVINO {ov.__version__} cannot open {bundle.folder}: {reason[-1] if reason else error!r}",
                "a bundle compiled by this or an earlier release",
                "compile the preset again, or upgrade openvino",
            ) from error
        limits = Limits.of(bundle.manifest, sizes[0].vocabulary_size, sizes[0].positions)
        return OpenVinoRunner(request, limits)


def _compiled(bundle: Bundle, precision: str, threads: int | None) -> tuple[Any, Any]:
    """The bundle's graph, and the same compiled for this CPU."""
    import openvino as ov

    from sparkxlmr.runtime.engines.openvino_int8 import is_wide

    core = ov.Core()
    hint = _HINTS[precision]
    # OpenVINO itself would emulate bfloat16 on any AVX-512.
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    has_bfloat16 = cpu_has_bfloat16() and capable
    if not has_bfloat16:
        if precision == "bfloat16":
            warn_no_bfloat16("CPU")
        hint = "f32"
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": hint,
        # Pinned, the workers of a host would all sit on its first cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    # The weights are mapped, not read: OpenVINO's default for files.
    model = core.read_model(str(bundle.file(GRAPH)), str(bundle.file(WEIGHTS)))
    if precision == "int8" and has_bfloat16 and is_wide(model):
        settings["INFERENCE_PRECISION_HINT"] = "bf16"
    return model, core.compile_model(model, "CPU", settings)


class OpenVinoRunner:
    """Any width goes: one program takes all shapes, though it prepares for each and keeps that (planner)."""

    widths = None
    # Measured on two and twelve layers: from 512 tokens on speed is flat, from 2048 on it falls (caches).
    batch_tokens = 1024

    def __init__(self, request: Request, limits: Limits) -> None:
        self._request, self._limits = request, limits

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        arrays = check_inputs(inputs, self._limits)
        with engine_call(ENGINE.name, arrays):
            (output,) = self._request.run(arrays)
        return check_output(output, arrays, self._limits)


ENGINE = OpenVinoEngine()
