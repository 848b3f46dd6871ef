"""Checks around an engine call, the same for every engine: inputs before it, the output and errors after it.

Called with ids beyond its tables, a framework does what it likes: OpenVINO and JAX return numbers, TensorFlow
raises on a CPU and returns zeros on a GPU. None of that may become a label.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError, SparkxlmrError
from sparkxlmr.runtime.bundle import Manifest

Inputs = Mapping[str, NDArray[np.int32]]
#: number of segments of every family that reads segment ids
_SEGMENTS = 2
# How frameworks word a failed allocation. "could not create" is oneDNN's, which names no reason.
_MEMORY = re.compile(
    r"bad_?alloc|\bOOM\b|alloc(at|\b)|out.of.memory|RESOURCE_EXHAUSTED|could not create|MemoryError"
    r"|failed to map segment|start new thread",
    re.I,
)


@dataclass(frozen=True)
class Limits:
    """What a loaded model accepts and returns.

    Attributes:
        task: ``"text_classifier"``, ``"masked_lm"`` or ``"encoder"``.
        inputs: names of the inputs.
        max_width: tokens of a row at most.
        n_labels: classes of a text classifier.
        vocabulary_size: rows of the token table; None where the engine cannot tell.
    """

    task: str
    inputs: tuple[str, ...]
    max_width: int
    n_labels: int = 0
    vocabulary_size: int | None = None

    @classmethod
    def of(
        cls, manifest: Manifest, vocabulary_size: int | None = None, positions: int | None = None
    ) -> Limits:
        """The limits of a bundle whose engine files have tables of these sizes (None: not known)."""
        names = ["token_ids", "padding_mask"]
        if manifest.family == "albert":
            names.append("segment_ids")
        if manifest.task == "masked_lm":
            names.append("mask_positions")
        width = manifest.max_length if positions is None else min(manifest.max_length, positions)
        return cls(manifest.task, tuple(names), width, len(manifest.labels), vocabulary_size)


def check_inputs(inputs: Mapping[str, NDArray[Any]], limits: Limits) -> dict[str, NDArray[np.int32]]:
    """Return the inputs of one call as contiguous int32 arrays.

    Args:
        inputs: arrays as :meth:`sparkxlmr.runtime.engines.Runner.run` takes them, of any integer or boolean
            dtype and any memory layout.
        limits: what the model accepts.

    Raises:
        EngineError: a name is missing or unknown, a shape or dtype is wrong, a row is too wide, or a value is
            outside its range.

    >>> ids = np.array([[0, 5, 2]])
    >>> limits = Limits("text_classifier", ("token_ids", "padding_mask"), max_width=8, vocabulary_size=10)
    >>> sorted(check_inputs({"token_ids": ids, "padding_mask": ids >= 0}, limits))
    ['padding_mask', 'token_ids']
    """
    if set(inputs) != set(limits.inputs):
        raise _wrong(f"the inputs are {sorted(inputs)}", f"{sorted(limits.inputs)}")
    for name, array in inputs.items():
        if array.ndim != 2 or array.dtype.kind not in "iub":
            raise _wrong(f"{name} has shape {array.shape} and dtype {array.dtype}", "integers (rows, width)")
    rows, width = shape = inputs["token_ids"].shape
    if not rows or not 1 <= width <= limits.max_width:
        raise _wrong(f"token_ids has shape {shape}", f"at least one row, of 1 to {limits.max_width} tokens")
    for name in ("padding_mask", "segment_ids"):
        if name in inputs and inputs[name].shape != shape:
            raise _wrong(f"{name} has shape {inputs[name].shape}", f"{shape}, the shape of token_ids")
    _check_range(inputs, "token_ids", limits.vocabulary_size or np.iinfo(np.int32).max)
    _check_range(inputs, "padding_mask", 2)
    if "segment_ids" in inputs:
        _check_range(inputs, "segment_ids", _SEGMENTS)
    if "mask_positions" in inputs:
        _check_positions(inputs["mask_positions"], shape)
    return {name: np.ascontiguousarray(array, np.int32) for name, array in inputs.items()}


def check_output(output: NDArray[Any], inputs: Inputs, limits: Limits) -> NDArray[np.float32]:
    """Return the output of one call as float32.

    Raises:
        EngineError: its shape is not what :meth:`sparkxlmr.runtime.engines.Runner.run` promises.
    """
    rows = len(inputs["token_ids"])
    if limits.task == "masked_lm":
        rows = len(inputs["mask_positions"])
        fits = output.ndim == 2 and output.shape[1] == (limits.vocabulary_size or output.shape[1])
        expected = f"({rows}, {limits.vocabulary_size or 'vocabulary'})"
    elif limits.task == "text_classifier":
        fits = output.ndim == 2 and output.shape[1] == limits.n_labels
        expected = f"({rows}, {limits.n_labels})"
    else:
        fits = output.ndim == 3 and output.shape[1] == 2
        expected = f"({rows}, 2, hidden)"
    if not fits or len(output) != rows:
        raise EngineError(
            f"An engine call of {inputs['token_ids'].shape} tokens returned shape {output.shape}",
            expected,
            "compile or export the model again",
        )
    return np.asarray(output, np.float32)


@contextmanager
def engine_call(engine: str, inputs: Inputs) -> Iterator[None]:
    """Turn whatever a framework raises in the block into an EngineError that names the likely cause."""
    try:
        yield
    except SparkxlmrError:
        raise
    # Each framework has exception classes of its own, which only their modules name.
    except Exception as error:
        raise failed_call(engine, inputs["token_ids"].shape, error) from error


def failed_call(engine: str, shape: tuple[int, ...], error: Exception) -> EngineError:
    """The error for an engine call of `shape` (rows, width) that raised `error`."""
    # The last lines of OpenVINO's messages and the first ones of TensorFlow's name the cause.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    reason = lines[0] if len(lines) == 1 else f"{lines[0][:200]} ... {lines[-1]}"
    came = f"The engine {engine} failed on a batch of {shape[0]} x {shape[-1]} tokens"
    came += f" ({type(error).__name__}: {reason[:400]})"
    limit = memory_limit()
    if limit is None and not (isinstance(error, MemoryError) or _MEMORY.search(str(error))):
        return EngineError(came, "an engine that runs this model here", "report the message with its model")
    if limit is None:
        return EngineError(
            came,
            "enough memory for the batch",
            "free memory, or set a smaller batch size or a smaller maximal sentence length",
        )
    return _limited(came, limit)


@contextmanager
def engine_loading(engine: str, folder: Path) -> Iterator[None]:
    """Turn errors of the block, which opens a model, into an EngineError that names a memory limit.

    Where there is no limit, or the error has another cause, it stays as it is.
    """
    try:
        yield
    except Exception as error:
        limit = memory_limit()
        is_own = isinstance(error, SparkxlmrError)
        if limit is None or (is_own and not _MEMORY.search(str(error))):
            raise
        came = f"The engine {engine} cannot open {folder} ({type(error).__name__}: {str(error)[-200:]})"
        raise _limited(came, limit) from error


def _limited(came: str, limit: int) -> EngineError:
    return EngineError(
        f"{came}. This process may use at most {limit / 2**20:.0f} MiB of address space (RLIMIT_AS; Spark "
        "sets it from spark.executor.pyspark.memory), which is the likely cause",
        "enough memory for the model and the batch",
        "raise or unset that limit, or set a smaller batch size or a smaller maximal sentence length",
    )


def memory_limit() -> int | None:
    """Bytes of address space that this process may use (RLIMIT_AS); None without a limit, and on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _check_range(inputs: Mapping[str, NDArray[Any]], name: str, stop: int) -> None:
    low, high = int(inputs[name].min()), int(inputs[name].max())
    if low < 0 or high >= stop:
        raise _wrong(f"{name} holds values from {low} to {high}", f"0 to {stop - 1}")


def _check_positions(positions: NDArray[Any], shape: tuple[int, ...]) -> None:
    """(n, 2): row and column of each mask."""
    if positions.shape[1] != 2 or not len(positions):
        raise _wrong(f"mask_positions has shape {positions.shape}", "(n, 2), n at least 1")
    if positions.min() < 0 or (positions >= np.array(shape)).any():
        raise _wrong(
            f"mask_positions reaches from {positions.min(0).tolist()} to {positions.max(0).tolist()}",
            f"rows and columns of a batch of shape {shape}",
        )


def _wrong(came: str, expected: str) -> EngineError:
    return EngineError(
        f"An engine call has inputs that the model does not take: {came}",
        expected,
        "compile the model again from files that belong together (weights, vocabulary, configuration)",
    )
