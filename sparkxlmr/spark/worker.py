"""What runs in an executor's Python worker: load a model once a process, predict batches with it.

:func:`predictor_for` loads; :func:`score_batches`, :func:`fill_batches` and :func:`embed_batches` predict.
Set the environment variable `SPARKXLMR_TRACE` (on executors: `spark.executorEnv.SPARKXLMR_TRACE`) to an
existing folder and each worker process writes there what it loads and scores, one JSON line an event: which
worker loaded what, when, and how many rows. Where nothing can be written there, one warning is logged.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark import TaskContext

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.child import ChildPredictor
from sparkxlmr.runtime.devices import gpu_visible, use_device
from sparkxlmr.runtime.row_classifier import RowAnswers, RowOptions, RowTexts, classify_rows
from sparkxlmr.runtime.row_embedder import EmbedOptions, embed_rows
from sparkxlmr.runtime.row_mask_filler import FillOptions, fill_rows
from sparkxlmr.spark.batches import Answers, Batch, columns_of, growing, in_parts, rows_of
from sparkxlmr.spark.distribution import arrived
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.text.finite import positions_of_rows

if TYPE_CHECKING:
    from sparkxlmr.runtime.bundle import Bundle
    from sparkxlmr.runtime.reader import Load, Reader

#: Models a worker process keeps loaded; the least recently used goes first.
MAX_LOADED = 3

#: Vectors that a worker hands over at a time.
MOST_VECTORS = 1024

TRACE = "SPARKXLMR_TRACE"
ANY = "any"
_log = logging.getLogger(__name__)

# What is open, in this process or in a child's: a model of any task.
_loaded: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


def score_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[Batch]
) -> Iterator[Any]:
    """Answers for each Arrow batch of array<string> values, as a struct with `columns`, row by row.

    `wire` and `settings` are a :class:`ModelRef` and the fields of :class:`RowOptions` as plain values.
    With its `pairs`, the first text of a row is the second one of the row's pairs. The model is loaded when
    the first row arrives: a task without rows loads nothing. Arrow arrays are answered with Arrow arrays,
    pandas Series with frames.
    """
    options = RowOptions(**settings)

    def answer(rows: RowTexts, model: Any) -> RowAnswers:
        if not options.pairs:
            return classify_rows(rows, model.logits, options)
        seconds, firsts = rows.parted()
        return classify_rows(firsts, model.logits, options, seconds)

    return _answered(wire, columns, documents, answer)


def fill_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[Batch]
) -> Iterator[Any]:
    """As :func:`score_batches`, for a masked language model; `settings` are those of :class:`FillOptions`."""
    options = FillOptions(**settings)
    return _answered(
        wire, columns, documents, lambda rows, model: fill_rows(rows.lists(), model.fill, options)
    )


def embed_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[Batch]
) -> Iterator[Any]:
    """As :func:`score_batches`, for an encoder; `settings` are those of :class:`EmbedOptions`.

    Answered in parts of few texts: vectors take more room than texts.
    """
    options = EmbedOptions(**settings)
    parts = (part for batch in documents for part in in_parts(batch, MOST_VECTORS))
    return _answered(
        wire, columns, parts, lambda rows, model: embed_rows(rows.lists(), model.embed, options)
    )


def _answered(
    wire: tuple[Any, ...],
    columns: Sequence[str],
    documents: Iterator[Batch],
    answer: Callable[[RowTexts, Any], Answers],
) -> Iterator[Any]:
    """`answer(rows, model)` for each batch; the model is loaded when the first row arrives.

    Raises NonFiniteOutputError, whose rows are counted from the first one that this task reads.
    """
    ref = ModelRef.from_wire(wire)
    context = TaskContext.get()
    where = "" if context is None else f"of partition {context.partitionId()}"
    n_before = 0
    for batch in growing(documents):
        started = time.perf_counter()
        rows = rows_of(batch)
        with positions_of_rows(first=n_before, where=where):
            answers = answer(rows, predictor_for(ref))
        n_before += len(rows.counts)
        _trace("score", model=ref.hash, rows=len(rows.counts), seconds=time.perf_counter() - started)
        yield columns_of(answers, columns, like=batch)


def predictor_for(ref: ModelRef) -> Any:
    """The loaded model of a reference: from this process's cache, else opened, checked and loaded now.

    Raises DamagedModelError, EngineError or NotAPresetError, each with one line that says what to do on
    the worker.
    """
    threads, device = n_threads(), device_of_task(ref)
    here = _claim(device)
    # What is loaded here is on this process's device or on none, whatever addresses its tasks have.
    key = (*ref.key, threads, None if here else device)
    predictor = _loaded.get(key)
    if getattr(predictor, "ended", False):
        predictor = None  # killed, say for memory: a task that is tried again gets another
    if predictor is None:
        started = time.perf_counter()
        predictor = (
            _load(ref, threads) if here else ChildPredictor(arrived(ref), ref.precision, threads, device)
        )
        _loaded[key] = predictor
        while len(_loaded) > MAX_LOADED:
            _loaded.popitem(last=False)
        seconds = time.perf_counter() - started
        _trace("load", model=ref.hash, way=ref.way, device=device, own_process=not here, seconds=seconds)
    _loaded.move_to_end(key)
    return predictor


def _load(ref: ModelRef, threads: int) -> Reader:
    from sparkxlmr.runtime.open_model import open_model

    load: Load | None = None
    if ref.shared:
        # Here, because only machines with a GPU come by.
        from sparkxlmr.runtime.gpu_process import SharedRunner

        def load(bundle: Bundle, precision: str, threads: int | None) -> SharedRunner:
            return SharedRunner(bundle, precision, ref.shared)

    return open_model(arrived(ref), ref.precision, threads, load)


def device_of_task(ref: ModelRef) -> str:
    """The GPU addresses that Spark assigned to the running task ("0", "0,1"), "" for none.

    :data:`ANY` where it does not matter: an engine without GPUs, or local mode, where Spark assigns none.
    """
    if not ref.assigned:
        return ANY
    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context is not None else None
    return ",".join(gpu.addresses) if gpu is not None else ""


def _claim(device: str) -> bool:
    """Whether the model may be loaded in this process, which then sees that device only.

    False where a framework here already holds another one: Spark reuses a worker for tasks of other
    addresses, and a framework keeps the device it was imported with. False also where the task has no GPU
    and the process sees one: to hide it here would hide it from the user's own functions, which run in the
    same workers.
    """
    if device == ANY:
        return True
    if not device:
        return not gpu_visible()
    try:
        use_device(device)
    except EngineError:
        return False
    return True


def n_threads() -> int:
    """CPU cores of the running task (`spark.task.cpus`); 1 outside of a task."""
    context = TaskContext.get()
    return max(1, context.cpus()) if context is not None else 1


def _trace(event: str, **facts: Any) -> None:
    folder = os.environ.get(TRACE)
    if not folder:
        return
    line = json.dumps({"event": event, "pid": os.getpid(), "time": time.time(), **facts})
    try:
        with (Path(folder) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:  # a folder that is missing or full on this host must not fail the job
        _warn_once(folder, error.strerror or str(error))


@lru_cache(maxsize=16)
def _warn_once(folder: str, reason: str) -> None:
    _log.warning("%s names %s, where nothing can be written (%s): no trace is kept.", TRACE, folder, reason)
