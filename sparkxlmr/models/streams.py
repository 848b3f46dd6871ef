"""Batches that a ``PyDataset`` or a generator yields, prepared one by one for Keras' loops."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError
from sparkxlmr.models.batches import new_seed, tf_dataset

# From inputs, labels, weights and a random generator to what Keras takes: (x, y, sample_weight).
Prepare = Callable[[Any, Any, Any, np.random.Generator], tuple[Any, ...]]


def is_stream(x: Any) -> bool:
    """Whether ``x`` is a ``PyDataset``, a generator or another iterator, each item one batch."""
    return isinstance(x, (keras.utils.PyDataset, Iterator))


def is_foreign_loader(x: Any) -> bool:
    """Whether ``x`` is a loader of torch or grain, which Keras reads itself; its batches are not prepared."""
    return any(
        kind.__module__.startswith(("torch.utils.data", "grain."))
        for kind in type(x).__mro__
        if kind is not object
    )


def prepared(
    x: Any, prepare: Prepare, holds_texts: Callable[[Any], bool], seed: int | None, shuffle: bool = False
) -> Any:
    """Return what Keras' loops take in place of a ``PyDataset`` or an iterator of batches.

    Args:
        x: it; a batch is ``inputs``, ``(inputs,)``, ``(inputs, labels)`` or ``(inputs, labels, weights)``.
        prepare: makes what the model is fed of a batch.
        holds_texts: whether a batch's inputs are texts, whose widths then differ from batch to batch.
        seed: of the generators that ``prepare`` is given; None draws another one for each epoch.
        shuffle: whether a ``PyDataset``'s batches come in another order in each epoch, where this function
            iterates over them; else Keras does.

    Raises:
        InputError: there is no batch.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    if isinstance(x, keras.utils.PyDataset):
        batches = PreparedBatches(x, prepare, seed)
        if batches.num_batches == 0:
            raise _no_batches(x)
        if not on_tensorflow:
            return batches
        inputs, labels, _ = unpacked(x[0])
        if not holds_texts(inputs):
            return batches
        n_batches = batches.num_batches
        return tf_dataset(lambda: batches.epoch(shuffle), batches[0], labels is not None, n_batches)
    first = next(x, None)
    if first is None:
        raise _no_batches(x)
    generators = (np.random.default_rng((new_seed() if seed is None else seed, i)) for i in count())
    items: Iterator[Any] = (
        _packed(prepare, batch, rng) for batch, rng in zip(chain([first], x), generators, strict=False)
    )
    inputs, labels, _ = unpacked(first)
    if not on_tensorflow or not holds_texts(inputs):
        return items
    start = next(items)
    items = chain([start], items)
    return tf_dataset(lambda: items, start, labels is not None)


class PreparedBatches(keras.utils.PyDataset):
    """The batches of another ``PyDataset``, prepared; see :func:`prepared`."""

    def __init__(self, batches: keras.utils.PyDataset, prepare: Prepare, seed: int | None) -> None:
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self.batches = batches
        self.prepare = prepare
        self.fixed_seed = seed
        self.seed = new_seed() if seed is None else seed

    @property
    def num_batches(self) -> int | None:
        return self.batches.num_batches

    def __getitem__(self, index: int) -> Any:
        return _packed(self.prepare, self.batches[index], np.random.default_rng((self.seed, index)))

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()
        self.seed = new_seed() if self.fixed_seed is None else self.fixed_seed

    def epoch(self, shuffle: bool) -> Iterator[Any]:
        """Yield an epoch's batches; up to ``workers`` of them are prepared at a time, in threads."""
        self.on_epoch_begin()
        indices: Any = count() if self.num_batches is None else range(self.num_batches)
        if shuffle and self.num_batches is not None:
            indices = random.sample(indices, self.num_batches)
        if self.workers <= 1:
            yield from (self[index] for index in indices)
        else:
            yield from _in_threads(self.__getitem__, indices, self.workers, self.max_queue_size)
        self.on_epoch_end()


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """A batch of a stream as (inputs, labels, weights).

    A list of texts is a batch's inputs, not its inputs, labels and weights.

    >>> unpacked(["one text", "another"])
    (['one text', 'another'], None, None)

    Raises:
        InputError: a tuple of more than three parts, or inputs that are a single text.
    """
    if isinstance(batch, list) and batch and all(isinstance(text, (str, bytes)) for text in batch):
        return batch, None, None
    if isinstance(batch, (list, tuple)) and not 1 <= len(batch) <= 3:
        raise InputError(
            f"A batch is a {type(batch).__name__} of {len(batch)} parts",
            "(inputs,), (inputs, labels) or (inputs, labels, sample_weight)",
            "put pairs into a tuple of their own: ((first_texts, second_texts), labels)",
        )
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    parts = x if isinstance(x, tuple) else (x,)
    if any(isinstance(part, (str, bytes)) or getattr(part, "shape", None) == () for part in parts):
        raise InputError(
            f"An item is {batch!r:.80}, whose input is a single text",
            "batches, whose inputs are lists or arrays of texts",
            "pass list(texts) in place of a generator of texts, or yield lists",
        )
    return x, y, weight


def _packed(prepare: Prepare, batch: Any, rng: np.random.Generator) -> tuple[Any, ...]:
    x, y, weight = prepare(*unpacked(batch), rng)
    if weight is not None:
        return x, y, weight
    return (x,) if y is None else (x, y)


def _in_threads(fetch: Callable[[int], Any], indices: Any, workers: int, ahead: int) -> Iterator[Any]:
    pending: deque[Any] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for index in indices:
            pending.append(pool.submit(fetch, index))
            if len(pending) > max(ahead, workers):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _no_batches(x: Any) -> InputError:
    return InputError(
        f"The {type(x).__name__} has no batches", "at least one", "check that it is not used up already"
    )
