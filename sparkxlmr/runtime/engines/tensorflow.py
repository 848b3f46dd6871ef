"""TensorFlow: the GPU engine, and the CPU's where OpenVINO has no wheels. The model travels as a SavedModel.

The SavedModel is made from the Keras model in a process of its own: making it needs Keras on the TensorFlow
backend and a second of every GPU's memory, and this process may use neither. Running it needs TensorFlow
only.
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
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.runtime.bundle import Bundle

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.presets.preset import Preset

SAVED_MODEL = "saved_model"
_GRAPH = f"{SAVED_MODEL}/saved_model.pb"
ENDPOINT = "logits"
_log = logging.getLogger(__name__)


class TensorFlowEngine:
    name = "tensorflow"
    install = "pip install 'sparkxlmr[cpu]', or 'sparkxlmr[gpu]' where there are GPUs"
    precisions = ("float32",)
    revision = 1
    uses_gpu = True

    def installed(self) -> bool:
        return importlib.util.find_spec("tensorflow") is not None

    def compile(self, model: Model, folder: Path) -> list[str]:
        from sparkxlmr.presets.saved_graph import SavedGraph

        if isinstance(model, SavedGraph):
            _export_in_child("sparkxlmr.runtime.engines.tensorflow_import", model.path, folder / SAVED_MODEL)
        elif _backend_here() == "tensorflow":
            export_saved_model(model, folder / SAVED_MODEL)
        else:
            _export_in_child(__name__, model.path, folder / SAVED_MODEL, str(model.task_kind))
        written = (folder / SAVED_MODEL).rglob("*")
        return sorted(path.relative_to(folder).as_posix() for path in written if path.is_file())

    def load(self, bundle: Bundle, precision: str, threads: int | None) -> TensorFlowRunner:
        # Else TensorFlow writes a page about the CPU into every worker's log.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        _use_threads(tf, threads)
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Several tasks may share the GPU: take memory as it is needed, not all of it at once.
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
        try:
            loaded = tf.saved_model.load(str(bundle.file(_GRAPH).parent))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise EngineError(
                f"TensorFlow {tf.__version__} cannot open {bundle.folder}: {str(error).splitlines()[0]}",
                "a bundle compiled by this or an earlier release",
                "compile the preset again, or upgrade tensorflow",
            ) from error
        return TensorFlowRunner(loaded, on_gpu=bool(gpus))


class TensorFlowRunner:
    """Any width goes: the graph has dynamic shapes and is not compiled for each."""

    widths = None

    def __init__(self, loaded: Any, on_gpu: bool) -> None:
        # The signature alone would let the variables be freed.
        self._loaded = loaded
        self._signature = loaded.signatures[ENDPOINT]
        self.batch_tokens = 65536 if on_gpu else 4096

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        import tensorflow as tf

        tensors = {name: tf.constant(array, tf.int32) for name, array in inputs.items()}
        (answer,) = self._signature(**tensors).values()
        return np.asarray(answer.numpy(), np.float32)


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


def export_saved_model(preset: Preset, folder: Path) -> None:
    """Writes the model of the preset as a SavedModel with one signature, `logits`.

    Its int32 inputs are those of :class:`sparkxlmr.runtime.engines.Runner`, all dimensions open; it answers
    float32 `logits` before any activation, or an encoder's vectors. Keras must be on the TensorFlow backend.
    """
    import tensorflow as tf

    from sparkxlmr.models.backbone import Backbone
    from sparkxlmr.models.masked_lm import MaskedLM
    from sparkxlmr.models.text_classifier import TextClassifier
    from sparkxlmr.models.weights import assign
    from sparkxlmr.presets.encoder import Encoder

    model: Any
    answer: Callable[[Any, dict[str, Any]], Any] = _classified
    if isinstance(preset, Encoder):
        model = backbone = Backbone.from_preset(preset.path, load_weights=False, dtype="float32")
        assign(backbone, preset.weights())
        answer = _encoded
    elif isinstance(preset.task, MaskedLMConfig):
        model = MaskedLM.from_preset(preset.path, preprocessor=None, dtype="float32")
        backbone = model.backbone
    else:
        model = TextClassifier.from_preset(preset.path, preprocessor=None, activation=None, dtype="float32")
        backbone = model.backbone
    inputs = [tf.TensorSpec((None, None), tf.int32, name) for name in backbone.input]
    if isinstance(preset.task, MaskedLMConfig):
        inputs.append(tf.TensorSpec((None, 2), tf.int32, "mask_positions"))
        answer = _filled

    def logits(*tensors: Any) -> dict[str, Any]:
        return {"logits": answer(model, {spec.name: x for spec, x in zip(inputs, tensors, strict=True)})}

    holder = tf.Module()
    holder.variables_of_the_model = [variable.value for variable in model.variables]
    holder.logits = tf.function(logits, input_signature=inputs)
    tf.saved_model.save(holder, str(folder), signatures={ENDPOINT: holder.logits.get_concrete_function()})


def _classified(model: Any, inputs: dict[str, Any]) -> Any:
    return model(inputs, training=False)


def _encoded(backbone: Any, inputs: dict[str, Any]) -> Any:
    sequence, _ = backbone.unpack(backbone(inputs, training=False))
    return text_vectors(sequence, inputs["padding_mask"])


def text_vectors(sequence: Any, padding_mask: Any) -> Any:
    """Of (rows, width, hidden) the first token's vector and the mean over all tokens: (rows, 2, hidden)."""
    import tensorflow as tf

    counted = tf.cast(padding_mask, sequence.dtype)[:, None]
    n_tokens = tf.maximum(tf.reduce_sum(counted, axis=2, keepdims=True), 1)
    return tf.concat([sequence[:, :1], tf.matmul(counted, sequence) / n_tokens], axis=1)


def _filled(model: Any, inputs: dict[str, Any]) -> Any:
    import tensorflow as tf

    mask_positions = inputs.pop("mask_positions")
    sequence, _ = model.backbone.unpack(model.backbone(inputs, training=False))
    # To the head each mask is a text of one token: logits exist at the masks only.
    x = tf.gather_nd(sequence, mask_positions)[:, None]
    return model.masked_lm_head(x, tf.zeros(tf.shape(x)[:2], tf.int32))[:, 0]


def _backend_here() -> str | None:
    """Keras's backend in this process; None where it is not imported and so not chosen yet."""
    keras = sys.modules.get("keras")
    return keras.backend.backend() if keras is not None else None


def _export_in_child(module: str, model: Path, folder: Path, *arguments: str) -> None:
    package_root = str(Path(__file__).parents[3])
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-m", module, str(model), str(folder), *arguments]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if child.returncode:
        said = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        raise EngineError(
            f"TensorFlow could not export {model}: {said[-1]}",
            "keras and tensorflow that work together",
            "see the log for the whole message, or use the engine openvino",
        ) from RuntimeError(child.stderr)


ENGINE = TensorFlowEngine()

if __name__ == "__main__":
    from sparkxlmr.presets.encoder import Encoder
    from sparkxlmr.presets.preset import Preset

    _source, _target, _kind = sys.argv[1:]
    _preset = Preset.open(_source)
    export_saved_model(Encoder.of(_preset) if _kind == Encoder.kind else _preset, Path(_target))
