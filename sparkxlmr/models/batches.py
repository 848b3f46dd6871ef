"""Batches of raw texts for Keras: tokenized as they are needed, each padded no wider than it must be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SparkxlmrError

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
        return tf_dataset(self._epoch, self[0], self.y is not None, len(self))

    def _epoch(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()


class FirstError:
    """The first error of this package in a data pipeline.

    Frameworks wrap what a pipeline raises in errors of their own, whose text is that of a traceback.
    """

    def __init__(self) -> None:
        self.error: SparkxlmrError | None = None

    def keeping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose first error is kept as :attr:`error`."""

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except SparkxlmrError as error:
                self.error = self.error or error
                raise

        return run


def new_seed() -> int:
    """A number from numpy's global generator, which ``keras.utils.set_random_seed`` seeds."""
    return int(np.random.randint(2**31))


# --- tf.data ---


def tf_dataset(
    epoch: Callable[[], Iterator[Any]], sample: Any, has_labels: bool, n_batches: int | None = None
) -> Any:
    """Return a ``tf.data.Dataset`` of batches whose inputs differ in width.

    Args:
        epoch: makes an iterator over the batches, each ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``.
        sample: one of them.
        has_labels: whether labels and weights are the user's. Then their axes behind the first are fixed,
            which losses and metrics need to tell (n, 1) and one-hot rows from class indices; those that a
            preprocessor makes differ in width.
        n_batches: how many there are; None if that is not known.
    """
    import tensorflow as tf

    def spec(array: Any, is_fixed: bool) -> Any:
        array = np.asarray(array)
        inner = array.shape[1:] if is_fixed else (None,) * (array.ndim - 1)
        return tf.TensorSpec((None, *inner), array.dtype)

    inputs = keras.tree.map_structure(lambda array: spec(array, False), sample[0])
    signature = (inputs, *(spec(array, has_labels) for array in sample[1:]))
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    if n_batches is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_batches))
    return dataset.prefetch(tf.data.AUTOTUNE)


def is_tf_dataset(x: Any) -> bool:
    """Whether ``x`` is a ``tf.data.Dataset``; TensorFlow is not imported to find out."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(x, tensorflow.data.Dataset)


def holds_texts(dataset: Any) -> bool:
    """Whether the inputs of a ``tf.data.Dataset`` are strings."""
    x = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)[0]
    return all(getattr(spec, "dtype", None) == "string" for spec in keras.tree.flatten(x))


def map_texts(dataset: Any, samples: Samples, seed: int | None, converts_labels: bool = False) -> Any:
    """A ``tf.data.Dataset`` of batches of texts as one of what the model is fed.

    Its elements are batches of strings (or tuples of two for pairs), with labels and weights where the model
    takes them, as keras-hub expects them. ``seed`` as in :class:`TextBatches`. ``converts_labels`` is whether
    ``samples`` accepts text labels.

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
        y = _decoded(y)
        return keras.tree.flatten(keras.utils.pack_x_y_sample_weight(*samples(texts, y, weight, rng)))

    # What comes out is learnt from two texts that were made up: tf.data asks before it reads.
    texts = tuple(["a"] for _ in keras.tree.flatten(parts[0]))
    y, weight = (None if part is None else _one_row(part) for part in parts[1:])
    if converts_labels and getattr(parts[1], "dtype", None) == "string":
        # Text labels cannot be made up: the preprocessor may know only those of the dataset.
        y = next((_decoded(np.asarray(element[1])[:1]) for element in dataset.take(1)), y)
    made = keras.utils.pack_x_y_sample_weight(*samples(texts, y, weight, np.random.default_rng(0)))
    dtypes = [array.dtype for array in keras.tree.flatten(made)]
    shapes = [(None,) * array.ndim for array in keras.tree.flatten(made)]
    given = [part for part in keras.tree.flatten(parts[1:]) if part is not None]
    for i, part in enumerate(reversed(given), 1):  # axes of labels, as in tf_dataset
        if part.shape.rank == len(shapes[-i]):
            shapes[-i] = (None, *part.shape[1:])

    def one(count: Any, element: Any) -> Any:
        flat = tf.numpy_function(convert, [count, *keras.tree.flatten(element)], dtypes)
        for tensor, shape in zip(flat, shapes, strict=True):
            tensor.set_shape(shape)
        return keras.tree.pack_sequence_as(made, flat)

    return dataset.enumerate().map(one).prefetch(tf.data.AUTOTUNE)


def map_features(dataset: Any, check: Callable[[Any, Any, Any], Any], rank: int | None) -> Any:
    """A ``tf.data.Dataset`` of an encoder's inputs, each of whose batches is checked.

    Args:
        dataset: elements are inputs, labels and weights, as Keras takes them.
        check: raises an error of this package for inputs, labels and weights that do not fit.
        rank: of labels that are class indices; a last axis of 1 beyond it is dropped, of weights too. None
            for other labels.

    Raises:
        InputError: the inputs are ragged or sparse tensors.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    x = keras.utils.unpack_x_y_sample_weight(spec)[0]
    if any(isinstance(part, (tf.RaggedTensorSpec, tf.SparseTensorSpec)) for part in keras.tree.flatten(x)):
        raise InputError(
            "The dataset's inputs are ragged or sparse tensors",
            "dense ones",
            "pass dataset.map(...) with to_tensor()",
        )
    if not all(isinstance(part, tf.TensorSpec) for part in keras.tree.flatten(spec)):
        return dataset

    def squeezed(part: Any) -> Any:
        is_column = rank is not None and part is not None and part.shape.rank == rank + 1
        return tf.squeeze(part, -1) if is_column and part.shape[-1] == 1 else part

    def run(*flat: Any) -> np.int64:
        check(*keras.utils.unpack_x_y_sample_weight(keras.tree.pack_sequence_as(spec, flat)))
        return np.int64(0)

    def one(*element: Any) -> Any:
        element = element if len(element) > 1 or isinstance(spec, tuple) else element[0]
        checked = tf.numpy_function(run, keras.tree.flatten(element), tf.int64)
        with tf.control_dependencies([checked]):
            element = keras.tree.map_structure(tf.identity, element)
        if rank is None:
            return element
        x, y, weight = keras.utils.unpack_x_y_sample_weight(element)
        return keras.utils.pack_x_y_sample_weight(x, squeezed(y), squeezed(weight))

    return dataset.map(one)


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


def _decoded(labels: Any) -> Any:
    """Labels with ``str`` in place of the bytes that TensorFlow has for text."""
    if getattr(getattr(labels, "dtype", None), "kind", None) != "O":
        return labels
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in labels.flat]
    return np.array(texts, dtype=object).reshape(labels.shape)


def _one_row(spec: Any) -> np.ndarray:
    return np.zeros((1, *(n or 1 for n in spec.shape[1:])), spec.dtype.as_numpy_dtype)
