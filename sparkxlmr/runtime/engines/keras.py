"""Keras: whichever backend is installed, JAX, torch or TensorFlow; the engine of GPUs where TensorFlow is not
at hand. The bundle is the preset's numbers and its weights as safetensors: nothing in it is code or a pickle,
and every backend reads the same one."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError, SettingError
from sparkxlmr.presets import tables
from sparkxlmr.presets.config import (
    AlbertConfig,
    BackboneConfig,
    MaskedLMConfig,
    TaskConfig,
    TextClassifierConfig,
)
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engines.engine_io import Limits, check_inputs, check_output, engine_call
from sparkxlmr.runtime.engines.keras_backends import Backend, installed_backends, opened_backend

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model

NUMBERS, WEIGHTS = "model.json", "model.safetensors"
# Widths between powers of two: a third of the padding, and a program more for each.
WIDTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_ENCODERS: dict[str, type[BackboneConfig]] = {"xlm_roberta": BackboneConfig, "albert": AlbertConfig}
_HEADS: dict[str, type[TaskConfig]] = {head.kind: head for head in (TextClassifierConfig, MaskedLMConfig)}
# Fewer rows than this are not worth a call of their own.
_LEAST_ROWS = 16
_log = logging.getLogger(__name__)
Inputs = Mapping[str, NDArray[np.int32]]


class KerasEngine:
    name = "keras"
    precisions = ("float32", "bfloat16", "float16")
    revision = 1
    uses_gpu = True

    @property
    def install(self) -> str:
        jax = "'jax[cuda12]'" if gpu_visible() and sys.platform == "linux" else "jax"
        return f"pip install {jax}, or torch, or tensorflow, beside keras"

    def installed(self) -> bool:
        return importlib.util.find_spec("keras") is not None and bool(installed_backends())

    def compile(self, model: Model, folder: Path) -> list[str]:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        from sparkxlmr.presets.saved_graph import SavedGraph

        if isinstance(model, SavedGraph):
            raise SettingError(
                f"{model.path} is a compiled graph", "a preset or a checkpoint", "set the engine to 'auto'"
            )
        numbers = {
            "encoder": model.config.arguments(),
            "head": None if model.task is None else asdict(model.task),
        }
        (folder / NUMBERS).write_text(json.dumps(numbers, indent=1, sort_keys=True), encoding="ascii")
        weights = {name: np.ascontiguousarray(array) for name, array in model.weights(dtype=None).items()}
        try:
            save_file({name: _stored(array) for name, array in weights.items()}, folder / WEIGHTS)
        except SafetensorError as error:  # a disk that is full, for one
            raise OSError(str(error)) from error
        return [NUMBERS, WEIGHTS]

    def load(self, bundle: Bundle, precision: str, threads: int | None) -> KerasRunner:
        from sparkxlmr.presets.safetensors_file import stored_tensors

        backend = opened_backend(threads)
        if precision == "float16" and not backend.on_gpu:
            _log.warning("There is no GPU for Keras on %s: it computes in float32.", backend.name)
            precision = "float32"
        # Imports Keras, whose backend is chosen by now.
        from sparkxlmr.runtime.engines.keras_graph import graph_of

        config, task = _numbers(bundle)
        stored = stored_tensors(bundle.file(WEIGHTS))
        arrays = {name: tensor.read() for name, tensor in stored.items()}
        tables.check(arrays, tables.entries(config, task), str(bundle.folder))
        graph = graph_of(config, task, precision)
        limits = Limits.of(bundle.manifest, config.vocabulary_size, config.max_sequence_length)
        return KerasRunner(backend, backend.compiled(graph, precision), graph.on_device(arrays), limits)


class KerasRunner:
    """A compiled model. Where the backend compiles for every shape, texts are padded to a few widths, and
    their number to powers of two."""

    def __init__(self, backend: Backend, function: Any, weights: Mapping[str, Any], limits: Limits) -> None:
        self._function, self._weights, self._limits = function, weights, limits
        self._few_shapes = backend.few_shapes
        self._lock = threading.Lock()
        self.widths = WIDTHS if backend.few_shapes else None
        self.batch_tokens = 65536 if backend.on_gpu else 2048

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        given = check_inputs(inputs, self._limits)
        with engine_call(ENGINE.name, given):
            return check_output(self._run(dict(given)), given, self._limits)

    def _run(self, given: dict[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        if not self._few_shapes:
            return self._answer(given)
        if "mask_positions" in given:
            masks = given.pop("mask_positions")
            whole = {name: _with_rows(array, _power(len(array))) for name, array in given.items()}
            whole["mask_positions"] = _with_rows(masks, _power(len(masks)))
            return self._answer(whole)[: len(masks)]
        rows = len(given["token_ids"])
        answers = []
        for start, stop, size in _pieces(rows):
            part = {name: _with_rows(array[start:stop], size) for name, array in given.items()}
            answers.append(self._answer(part)[: stop - start])
        return np.concatenate(answers)

    def _answer(self, inputs: Inputs) -> NDArray[np.float32]:
        with self._lock:
            answer: NDArray[np.float32] = self._function(self._weights, inputs)
        return answer


def _numbers(bundle: Bundle) -> tuple[BackboneConfig, TaskConfig | None]:
    """The encoder's and the head's. Raises EngineError where this release does not know them."""
    try:
        numbers = json.loads(bundle.file(NUMBERS).read_text(encoding="ascii"))
        config = _ENCODERS[bundle.manifest.family](**numbers["encoder"])
        head = numbers["head"]
        return config, None if head is None else _HEADS[bundle.manifest.task](**head)
    except (ValueError, LookupError, TypeError) as error:
        raise EngineError(
            f"The engine keras cannot read {bundle.folder}: {error!r:.200}",
            "a bundle compiled by this or an earlier release",
            "compile the preset again, or use a newer sparkxlmr",
        ) from error


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """As it is kept: float16 stays, all else is float32."""
    return array if array.dtype == np.float16 else array.astype(np.float32, copy=False)


def _power(n: int) -> int:
    """The least power of two that is not below n, which is at least 1."""
    return 1 << (n - 1).bit_length()


def _pieces(rows: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, rows with padding) of the calls that run so many rows: each a power of two, of which at
    most an eighth is padding, or few.

    >>> list(_pieces(300)), list(_pieces(250))
    ([(0, 256, 256), (256, 288, 32), (288, 300, 16)], [(0, 250, 256)])
    """
    start = 0
    while start < rows:
        left = rows - start
        size = _power(left)
        if size > _LEAST_ROWS and size - left > size // 8:
            size //= 2
        yield start, min(start + size, rows), size
        start += size


def _with_rows(array: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
    """The array, rows of zeros below it."""
    if len(array) == rows:
        return array
    filled = np.zeros((rows, *array.shape[1:]), np.int32)
    filled[: len(array)] = array
    return filled


ENGINE = KerasEngine()
