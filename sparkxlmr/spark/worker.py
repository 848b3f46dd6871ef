"""What runs in an executor's Python worker: load a model once a process, predict batches with it.

:func:`predictor_for` loads; :func:`score_batches`, :func:`fill_batches` and :func:`embed_batches` predict.
Set the environment variable `SPARKXLMR_TRACE` (on executors: `spark.executorEnv.SPARKXLMR_TRACE`) to an
existing folder and each worker process writes there what it loads and scores, one JSON line an event: which
worker loaded what, when, and how many rows.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark import TaskContext

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.child import ChildPredictor
from sparkxlmr.runtime.devices import gpu_visible, use_device
from sparkxlmr.runtime.row_classifier import RowAnswers, RowOptions, Texts, classify_rows
from sparkxlmr.runtime.row_embedder import EmbeddedRows, EmbedOptions, embed_rows
from sparkxlmr.runtime.row_mask_filler import FilledRows, FillOptions, fill_rows
from sparkxlmr.spark.distribution import arrived
from sparkxlmr.spark.model_ref import ModelRef

if TYPE_CHECKING:
    from sparkxlmr.runtime.bundle import Bundle
    from sparkxlmr.runtime.reader import Load, Reader

#: Models a worker process keeps loaded; the least recently used goes first.
MAX_LOADED = 3

#: Vectors that a worker hands over at a time.
MOST_VECTORS = 1024

#: Rows of a task's first answer, and how much longer each next one is until a whole Arrow batch is answered.
FIRST_ANSWER, GROWTH = 32, 4

TRACE = "SPARKXLMR_TRACE"
ANY = "any"

# What is open, in this process or in a child's: a model of any task.
_loaded: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


def score_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[pd.Series]
) -> Iterator[pd.DataFrame]:
    """Answers for each Arrow batch of array<string> values, as a frame with `columns`, row by row.

    `wire` and `settings` are a :class:`ModelRef` and the fields of :class:`RowOptions` as plain values.
    With its `pairs`, the first text of a row is the second one of the row's pairs. The model is loaded when
    the first row arrives: a task without rows loads nothing.
    """
    options = RowOptions(**settings)

    def answer(rows: list[Texts | None], model: Any) -> RowAnswers:
        if not options.pairs:
            return classify_rows(rows, model.logits, options)
        seconds = [row[0] if row else None for row in rows]
        return classify_rows([row[1:] if row else None for row in rows], model.logits, options, seconds)

    return _answered(wire, columns, documents, answer)


def fill_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[pd.Series]
) -> Iterator[pd.DataFrame]:
    """As :func:`score_batches`, for a masked language model; `settings` are those of :class:`FillOptions`."""
    options = FillOptions(**settings)
    return _answered(wire, columns, documents, lambda rows, model: fill_rows(rows, model.fill, options))


def embed_batches(
    wire: tuple[Any, ...], settings: dict[str, Any], columns: Sequence[str], documents: Iterator[pd.Series]
) -> Iterator[pd.DataFrame]:
    """As :func:`score_batches`, for an encoder; `settings` are those of :class:`EmbedOptions`.

    Answered in parts of few texts: on its way to Spark each number is a Python object.
    """
    options = EmbedOptions(**settings)
    parts = (part for batch in documents for part in _in_parts(batch, MOST_VECTORS))
    return _answered(wire, columns, parts, lambda rows, model: embed_rows(rows, model.embed, options))


def growing(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
    """The same rows, the first batch cut into parts that grow.

    Spark takes a limit (`show`) below one projection only; above two it reads answers until it has enough and
    then ends the task, which has answered a few dozen rows by then and not thousands.

    >>> [len(part) for part in growing(iter([pd.Series(range(1000)), pd.Series(range(1000))]))]
    [32, 128, 512, 328, 1000]
    """
    for batch in itertools.islice(batches, 1):
        start, size = 0, FIRST_ANSWER
        while start < len(batch) or start == 0:
            yield batch.iloc[start : start + size]
            start, size = start + size, size * GROWTH
    yield from batches


def _in_parts(batch: pd.Series, most: int) -> Iterator[pd.Series]:
    """A batch cut so that a part holds at most so many texts, or one row."""
    start, held = 0, 0
    for row, value in enumerate(batch.tolist()):
        count = 0 if value is None or isinstance(value, float) else len(value)
        if held and held + count > most:
            yield batch.iloc[start:row]
            start, held = row, 0
        held += count
    yield batch.iloc[start:]


def _answered(
    wire: tuple[Any, ...],
    columns: Sequence[str],
    documents: Iterator[pd.Series],
    answer: Callable[[list[Texts | None], Any], Any],
) -> Iterator[pd.DataFrame]:
    """`answer(rows, model)` for each batch; the model is loaded when the first row arrives."""
    ref = ModelRef.from_wire(wire)
    for batch in growing(documents):
        started = time.perf_counter()
        rows = [texts_of(value) for value in batch.tolist()]
        answers = answer(rows, predictor_for(ref))
        _trace("score", model=ref.hash, rows=len(rows), seconds=time.perf_counter() - started)
        yield as_frame(answers, columns)


def texts_of(value: Any) -> Texts | None:
    """The texts of a row as pandas hands them over, whatever its version: None for a null row or a null text.

    A null row arrives as None or as NaN, a null string within it likewise.
    """
    if value is None or isinstance(value, float):
        return None
    return [text if isinstance(text, str) else None for text in value]


def as_frame(answers: RowAnswers | FilledRows | EmbeddedRows, columns: Sequence[str]) -> pd.DataFrame:
    """The named fields of the answers, lists, as object columns, which Spark turns into arrays.

    >>> from sparkxlmr.runtime.row_classifier import RowAnswers
    >>> as_frame(RowAnswers(source=[[0], []], label=[[4], []]), ["source", "label"]).values.tolist()
    [[[0], [4]], [[], []]]
    """
    values = {item.name: getattr(answers, item.name) for item in fields(answers)}
    return pd.DataFrame({name: _objects(values[name]) for name in columns})


def _objects(items: Sequence[Any]) -> pd.Series:
    """Each item one cell; arrays of equal length must not become a matrix."""
    return pd.Series(list(items), dtype=object)


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
    if folder:
        line = json.dumps({"event": event, "pid": os.getpid(), "time": time.time(), **facts})
        with (Path(folder) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
