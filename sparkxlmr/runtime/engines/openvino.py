"""OpenVINO: the CPU engine. Weights stay in the file, mapped into memory and shared by all workers of a
host."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import cpu_has_bfloat16, warn_no_bfloat16

if TYPE_CHECKING:
    from sparkxlmr.presets.calibration import Calibration
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.presets.preset import Preset

GRAPH, WEIGHTS = "model.xml", "model.bin"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVinoEngine:
    name = "openvino"
    install = "pip install openvino"
    precisions = ("float32", "bfloat16", "int8")
    revision = 3
    uses_gpu = False

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
        try:
            # The weights are mapped, not read: OpenVINO's default for files.
            model = core.read_model(str(bundle.file(GRAPH)), str(bundle.file(WEIGHTS)))
            if precision == "int8" and has_bfloat16 and is_wide(model):
                settings["INFERENCE_PRECISION_HINT"] = "bf16"
            return OpenVinoRunner(core.compile_model(model, "CPU", settings))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()
            raise EngineError(
                f"OpenVINO {ov.__version__} cannot open {bundle.folder}: {reason[-1] if reason else error!r}",
                "a bundle compiled by this or an earlier release",
                "compile the preset again, or upgrade openvino",
            ) from error


class OpenVinoRunner:
    """Any width goes: one program takes all shapes, though it prepares for each and keeps that (planner)."""

    widths = None
    # Measured on two and twelve layers: from 512 tokens on speed is flat, from 2048 on it falls (caches).
    batch_tokens = 1024

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        # Contiguous int32, which OpenVINO reads in place; it cannot go back from that to copies.
        arrays = {name: np.ascontiguousarray(array, np.int32) for name, array in inputs.items()}
        with self._lock:
            self._request.infer(arrays, share_inputs=True)
            # A copy: the next call writes into the same memory.
            return np.array(self._request.get_output_tensor(0).data, np.float32)


ENGINE = OpenVinoEngine()
