"""TensorFlow: the GPU engine, and the CPU's where OpenVINO has no wheels. The model travels as a SavedModel.

The SavedModel is made in a process of its own (:mod:`~sparkxlmr.runtime.engines.tensorflow_export`): making
it needs Keras on the TensorFlow backend and a second of every GPU's memory, and this process may use neither.
Running it needs TensorFlow only.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError
from sparkxlmr.models.tensorflow_log import quiet_import
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engines.engine_io import Limits, check_inputs, check_output, engine_call

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model

SAVED_MODEL = "saved_model"
_GRAPH = f"{SAVED_MODEL}/saved_model.pb"
# The one signature of a model that another library made, and of this engine's own of its first revision.
ENDPOINT = "logits"
_EXPORT = "sparkxlmr.runtime.engines.tensorflow_export"
_IMPORT = "sparkxlmr.runtime.engines.tensorflow_import"
# What the system says of a disk that cannot be written to, and TensorFlow repeats.
_DISK = ("No space left on device", "Disk quota exceeded", "Read-only file system", "File too large")
_TABLES = ("embeddings.token", "embeddings.position")
_log = logging.getLogger(__name__)


class TensorFlowEngine:
    name = "tensorflow"
    precisions = ("float32", "bfloat16", "float16")
    revision = 2
    uses_gpu = True

    @property
    def install(self) -> str:
        # tensorflow-cpu has no wheels for macOS, and CUDA's are Linux's only.
        extra = "gpu" if gpu_visible() else "cpu"
        return f"pip install 'sparkxlmr[{extra if sys.platform == 'linux' else 'tensorflow'}]'"

    def installed(self) -> bool:
        return importlib.util.find_spec("tensorflow") is not None

    def compile(self, model: Model, folder: Path) -> list[str]:
        from sparkxlmr.presets.saved_graph import SavedGraph

        if isinstance(model, SavedGraph):
            _run_in_child(_IMPORT, model.path, folder / SAVED_MODEL)
        elif _backend_here() == "tensorflow":
            from sparkxlmr.runtime.engines.tensorflow_export import export_saved_model

            export_saved_model(model, folder / SAVED_MODEL)
        else:
            _run_in_child(_EXPORT, model.path, folder / SAVED_MODEL, str(model.task_kind))
        written = (folder / SAVED_MODEL).rglob("*")
        return sorted(path.relative_to(folder).as_posix() for path in written if path.is_file())

    def load(self, bundle: Bundle, precision: str, threads: int | None) -> TensorFlowRunner:
        # Else TensorFlow writes a page about the CPU into every worker's log.
        with quiet_import():
            import tensorflow as tf

        _use_threads(tf, threads)
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Several tasks may share the GPU: take memory as it is needed, not all of it at once.
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
        # On GPUs TensorFlow multiplies float32 in TF32 unless told not to: 10 bits, where float32 means 23.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        precision = _precision_here(precision, bool(gpus))
        try:
            # Weights wait on the CPU until they are cast: no GPU holds them twice.
            with tf.device("CPU:0"):
                loaded = tf.saved_model.load(str(bundle.file(_GRAPH).parent))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise EngineError(
                f"TensorFlow {tf.__version__} cannot open {bundle.folder}: {str(error).splitlines()[0]}",
                "a bundle compiled by this or an earlier release",
                "compile the preset again, or upgrade tensorflow",
            ) from error
        limits = Limits.of(bundle.manifest, *(_rows(loaded, name) for name in _TABLES))
        return TensorFlowRunner(_function(tf, loaded, precision, bool(gpus)), limits, on_gpu=bool(gpus))


class TensorFlowRunner:
    """Any width goes: the graph has dynamic shapes and is not compiled for each.

    XLA, which compiles for each shape, is not used: on a CPU it was measured to gain next to nothing in
    float32, and to cost nearly half of the speed in bfloat16. On GPUs it was not measured.

    - `function`: takes int32 tensors by the names of the model's inputs.
    - `limits`: what the model accepts and returns.
    """

    widths = None

    def __init__(self, function: Callable[..., Any], limits: Limits, on_gpu: bool) -> None:
        self._function, self._limits = function, limits
        self.batch_tokens = 65536 if on_gpu else 4096

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        import tensorflow as tf

        arrays = check_inputs(inputs, self._limits)
        with engine_call(ENGINE.name, arrays):
            tensors = {name: tf.constant(array, tf.int32) for name, array in arrays.items()}
            output = self._function(**tensors).numpy()
        return check_output(output, arrays, self._limits)


def _rows(loaded: Any, name: str) -> int | None:
    """Rows of a table of this engine's own SavedModels; of another library's the names say nothing."""
    weights = getattr(loaded, "weights", ())
    return next((int(x.shape[0]) for x in weights if x.name.partition(":")[0] == name), None)


def _function(tf: Any, loaded: Any, precision: str, on_gpu: bool) -> Callable[..., Any]:
    """The model's function of its inputs, holding its weights in that precision."""
    if ENDPOINT in loaded.signatures:
        if precision != "float32":
            _log.warning("This SavedModel has one precision, its own: it computes in float32.")
        signature = loaded.signatures[ENDPOINT]

        def signed(**inputs: Any) -> Any:
            _ = loaded  # the signature alone would let the variables be freed
            return next(iter(signature(**inputs).values()))

        return signed
    (traced,) = getattr(loaded, precision).concrete_functions
    specs = traced.structured_input_signature[0]
    own, read = specs[: len(loaded.weights)], specs[len(loaded.weights) :]
    with tf.device("GPU:0" if on_gpu else "CPU:0"):
        weights = [tf.cast(x, spec.dtype) for x, spec in zip(loaded.weights, own, strict=True)]
    bound = tf.function(lambda *inputs: traced(*weights, *inputs), input_signature=read, autograph=False)
    function = bound.get_concrete_function()
    names = [spec.name for spec in read]
    return lambda **inputs: function(*(inputs[name] for name in names))


def _precision_here(precision: str, on_gpu: bool) -> str:
    """A CPU's float16 is slower than its float32; what it lacks of bfloat16 was seen before."""
    if precision == "float16" and not on_gpu:
        _log.warning("There is no GPU for TensorFlow here: it computes in float32, not in float16.")
        return "float32"
    return precision


def _use_threads(tf: Any, threads: int | None) -> None:
    """TensorFlow has one pool a process, made when it first computes; a later wish can only be logged."""
    if threads is None or tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # The graph is one chain of operations: there is nothing to run beside another.
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        _log.warning("TensorFlow was in use before with other threads than %d: %s", threads, error)


def _backend_here() -> str | None:
    """Keras's backend in this process; None where it is not imported and so not chosen yet."""
    keras = sys.modules.get("keras")
    return keras.backend.backend() if keras is not None else None


def _run_in_child(module: str, model: Path, folder: Path, *arguments: str) -> None:
    package_root = str(Path(__file__).parents[3])
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-m", module, str(model), str(folder), *arguments]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if child.returncode:
        said = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        full = next((reason for reason in _DISK if reason in child.stderr), None)
        if full is not None:
            raise OSError(f"TensorFlow cannot write its SavedModel ({full})") from RuntimeError(child.stderr)
        raise EngineError(
            f"TensorFlow could not export {model}: {said[-1]}",
            "keras and tensorflow that work together",
            "see the log for the whole message, or use the engine openvino",
        ) from RuntimeError(child.stderr)


ENGINE = TensorFlowEngine()
