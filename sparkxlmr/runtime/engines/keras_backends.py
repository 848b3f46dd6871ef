"""What differs between Keras' backends: choosing one, what must be set before it is imported, compiling."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError
from sparkxlmr.models.tensorflow_log import quiet_import
from sparkxlmr.runtime.devices import gpu_visible

#: in the order in which one is taken
BACKENDS = ("jax", "torch", "tensorflow")
CHOICE = "KERAS_BACKEND"
# What JAX needs to see an NVIDIA GPU; torch and TensorFlow are built for GPUs or not.
_JAX_ON_GPU = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_log = logging.getLogger(__name__)

Function = Callable[[Mapping[str, Any], Mapping[str, NDArray[np.int32]]], NDArray[np.float32]]


@dataclass(frozen=True)
class Backend:
    """A backend that Keras runs on in this process.

    - `on_gpu`: whether it computes on one.
    - `few_shapes`: whether it compiles a program for every shape of the inputs that it meets.
    - `compiled`: of a function of weights and inputs, and a precision, the compiled function; it takes NumPy
      arrays and answers one, float32.
    """

    name: str
    on_gpu: bool
    few_shapes: bool
    compiled: Callable[[Any, str], Function]


def installed_backends() -> tuple[str, ...]:
    """The backends that are installed here, the one that is taken first; nothing is imported.

    `KERAS_BACKEND` chooses; else JAX comes before torch and TensorFlow, but last where there is a GPU that it
    was not installed for.
    """
    found = [name for name in BACKENDS if _is_there(name)]
    named = os.environ.get(CHOICE)
    if named:
        return (named,) if named in found else ()
    if "jax" in found and gpu_visible() and not any(map(_is_there, _JAX_ON_GPU)):
        found.append(found.pop(found.index("jax")))
    return tuple(found)


def opened_backend(threads: int | None) -> Backend:
    """Imports Keras on its backend: the one it has in this process already, else the first that is installed.

    `threads`: of one call on a CPU; None leaves it to the backend. Raises EngineError where Keras is on a
    backend that does not run here.
    """
    keras = sys.modules.get("keras")
    name = keras.backend.backend() if keras is not None else next(iter(installed_backends()), None)
    if name not in BACKENDS:
        raise EngineError(
            f"Keras is on the backend {name or os.environ.get(CHOICE)!r} here",
            f"one of {BACKENDS} that is installed",
            f"install one, and set {CHOICE} to it or leave it out",
        )
    _set_before_import(name, threads)
    named = os.environ.get(CHOICE)
    os.environ[CHOICE] = name  # Keras reads it once; what this process starts later is to choose for itself
    try:
        with quiet_import():
            importlib.import_module("keras")
    except ImportError as error:
        raise EngineError(
            f"Keras does not start on the backend {name}: {error}",
            f"keras and {name} that work together",
            f"install another {name}, or set {CHOICE} to another backend",
        ) from error
    finally:
        if named is None:
            del os.environ[CHOICE]
    return {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[name](threads)


def _set_before_import(name: str, threads: int | None) -> None:
    if name == "jax":
        # Several tasks may share a GPU: take memory as it is needed, not three quarters of it at once.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        if threads is not None:
            # XLA's pool has one thread for each core that the host has, unless told so.
            os.environ.setdefault("PJRT_NPROC", str(threads))


def _jax(threads: int | None) -> Backend:
    import jax

    def compiled(graph: Any, precision: str) -> Function:
        function = jax.jit(graph)
        # On GPUs JAX multiplies float32 in TF32 unless told not to: 10 bits, where float32 means 23.
        products = "highest" if precision == "float32" else "default"

        def run(weights: Mapping[str, Any], inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
            with jax.default_matmul_precision(products):
                return np.asarray(function(weights, dict(inputs)))

        return run

    return Backend("jax", jax.default_backend() == "gpu", True, compiled)


def _torch(threads: int | None) -> Backend:
    import torch
    from keras import ops

    on_gpu = torch.cuda.is_available()
    if threads is not None and not on_gpu:
        torch.set_num_threads(threads)

    def compiled(graph: Any, precision: str) -> Function:
        # On a CPU compiling needs a C++ compiler, which workers have not. One program serves all shapes.
        function = torch.compile(graph) if on_gpu else graph

        def run(weights: Mapping[str, Any], inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
            with torch.inference_mode():
                tensors = {name: ops.convert_to_tensor(array) for name, array in inputs.items()}
                answer: NDArray[np.float32] = function(weights, tensors).cpu().numpy()
            return answer

        return run

    return Backend("torch", on_gpu, False, compiled)


def _tensorflow(threads: int | None) -> Backend:
    import tensorflow as tf

    if threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError as error:  # one pool a process, made when it first computed
            _log.warning("TensorFlow was in use before with other threads than %d: %s", threads, error)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):
            tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # as above
    on_gpu = bool(gpus)

    def compiled(graph: Any, precision: str) -> Function:
        # XLA compiles for every shape; without it one graph serves all.
        function = tf.function(graph, jit_compile=on_gpu, reduce_retracing=not on_gpu)

        def run(weights: Mapping[str, Any], inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
            tensors = {name: tf.constant(array) for name, array in inputs.items()}
            return np.asarray(function(dict(weights), tensors).numpy())

        return run

    return Backend("tensorflow", on_gpu, on_gpu, compiled)


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
