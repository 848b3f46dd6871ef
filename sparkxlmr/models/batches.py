"""Batches of raw texts for Keras: tokenized as they are needed, each padded no wider than it must be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError

# From a batch's texts, labels, weights and chances to what Keras takes.
Samples = Callable[[tuple[list[Any], ...], Any, Any, np.random.Generator], tuple[Any, ...]]


class TextBatches(keras.utils.PyDataset):
    """Texts (and labels and weights) in batches of samples.

    Args:
        texts: one list of texts, or two for pairs; whatever ``samples`` reads that has a length.
        samples: makes a batch's arrays; the width is its own choice.
        y, sample_weight: arrays of n rows, or None.
        batch_size: texts in a batch.
        order: ``"given"``, ``"shuffled"`` anew for every epoch (numpy's global generator, which
            ``keras.utils.set_random_seed`` seeds), or by ``"length"``, longest first, so that batches pad
            little.
        seed: the chances that ``samples`` is given: the same in every epoch from a number, other ones in
            each from None.
    """

    def __init__(
        self,
        texts: tuple[Sequence[Any], ...],
        samples: Samples,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        order: str = "given",
        seed: int | None = 0,
    ) -> None:
        super().__init__()
        self.texts = texts
        self.samples = samples
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        self.batch_size = batch_size
        self.shuffled = order == "shuffled"
        self.fixed_seed = seed
        n_chars = np.zeros(len(texts[0]), dtype=np.int64)
        for column in texts:
            n_chars += np.fromiter(map(len, column), dtype=np.int64, count=len(column))
        if order == "length":
            self.rows = np.argsort(-n_chars, kind="stable")
        else:
            self.rows = np.arange(len(n_chars))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        x, y, weight = self.samples(
            tuple([column[i] for i in rows] for column in self.texts),
            None if self.y is None else self.y[rows],
            None if self.sample_weight is None else self.sample_weight[rows],
            np.random.default_rng((self.seed, index)),
        )
        if weight is not None:
            return x, y, weight
        return (x,) if y is None else (x, y)

    def on_epoch_end(self) -> None:
        if self.shuffled:
            np.random.shuffle(self.rows)
        self.seed = new_seed() if self.fixed_seed is None else self.fixed_seed

    def feed(self) -> Any:
        """What Keras' loops of the active backend take.

        On TensorFlow Keras fixes the width from the first two batches, so there the open width is said
        outright.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        signature = keras.tree.map_structure(
            lambda array: tf.TensorSpec((None,) + (None,) * (array.ndim - 1), array.dtype), self[0]
        )
        dataset = tf.data.Dataset.from_generator(self._epoch, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(tf.data.AUTOTUNE)

    def _epoch(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()


def new_seed() -> int:
    """A number from numpy's global generator, which ``keras.utils.set_random_seed`` seeds."""
    return int(np.random.randint(2**31))


# --- tf.data ---


def is_tf_dataset(x: Any) -> bool:
    """Whether ``x`` is a ``tf.data.Dataset``; TensorFlow is not imported to find out."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(x, tensorflow.data.Dataset)


def holds_texts(dataset: Any) -> bool:
    """Whether the inputs of a ``tf.data.Dataset`` are strings."""
    x = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)[0]
    return all(getattr(spec, "dtype", None) == "string" for spec in keras.tree.flatten(x))


def map_texts(dataset: Any, samples: Samples, seed: int | None) -> Any:
    """A ``tf.data.Dataset`` of batches of texts as one of what the model is fed.

    Its elements are batches of strings (or tuples of two for pairs), with labels and weights where the model
    takes them, as keras-hub expects them. ``seed`` as in :class:`TextBatches`.

    Raises:
        InputError: the dataset is not batched.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    parts = keras.utils.unpack_x_y_sample_weight(spec)
    if any(column.shape.rank == 0 for column in keras.tree.flatten(parts[0])):
        raise InputError(
            "The dataset's elements are single texts",
            "a dataset of batches",
            "pass dataset.batch(32)",
        )

    def convert(count: Any, *flat: Any) -> list[np.ndarray]:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(keras.tree.pack_sequence_as(spec, flat))
        columns = x if isinstance(x, tuple) else (x,)
        texts = tuple([text.decode("utf-8", "replace") for text in column] for column in columns)
        rng = np.random.default_rng((new_seed() if seed is None else seed, int(count)))
        return keras.tree.flatten(keras.utils.pack_x_y_sample_weight(*samples(texts, y, weight, rng)))

    # What comes out is learnt from two texts that were made up: tf.data asks before it reads.
    texts = tuple(["a"] for _ in keras.tree.flatten(parts[0]))
    y, weight = (None if part is None else _one_row(part) for part in parts[1:])
    made = keras.utils.pack_x_y_sample_weight(*samples(texts, y, weight, np.random.default_rng(0)))
    dtypes = [array.dtype for array in keras.tree.flatten(made)]
    ranks = [array.ndim for array in keras.tree.flatten(made)]

    def one(count: Any, element: Any) -> Any:
        flat = tf.numpy_function(convert, [count, *keras.tree.flatten(element)], dtypes)
        for tensor, rank in zip(flat, ranks, strict=True):
            tensor.set_shape((None,) * rank)
        return keras.tree.pack_sequence_as(made, flat)

    return dataset.enumerate().map(one).prefetch(tf.data.AUTOTUNE)


def on_tensors(preprocess: Callable[[Any], Any], x: Any) -> Any:
    """``preprocess(x)``; where ``dataset.map`` traces it, ``x`` is tensors whose texts come later.

    ``preprocess`` answers arrays whose widths do not depend on the texts.
    """
    tensorflow = sys.modules.get("tensorflow")
    flat = keras.tree.flatten(x)
    if tensorflow is None or not any(map(tensorflow.is_symbolic_tensor, flat)):
        return preprocess(x)
    preprocess = tensorflow.autograph.experimental.do_not_convert(preprocess)  # plain Python, not a graph
    single = flat[0].shape.rank == 0
    made = preprocess(keras.tree.map_structure(lambda _: "a" if single else np.array(["a"]), x))
    arrays = [np.asarray(array) for array in keras.tree.flatten(made)]

    def convert(*columns: Any) -> list[Any]:
        return keras.tree.flatten(preprocess(keras.tree.pack_sequence_as(x, columns)))

    found = tensorflow.numpy_function(convert, flat, [array.dtype for array in arrays])
    for tensor, array in zip(found, arrays, strict=True):
        tensor.set_shape(array.shape if single else (None, *array.shape[1:]))
    return keras.tree.pack_sequence_as(made, found)


def _one_row(spec: Any) -> np.ndarray:
    return np.zeros((1, *(n or 1 for n in spec.shape[1:])), spec.dtype.as_numpy_dtype)
