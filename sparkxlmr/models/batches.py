"""Batches of raw texts for Keras: tokenized as they are needed, each padded no wider than it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

Features = Callable[[tuple[list[str], ...]], dict[str, np.ndarray]]


class TextBatches(keras.utils.PyDataset):
    """Texts (and labels and weights) in batches of features.

    Args:
        texts: one list of texts, or two for pairs.
        features: makes a batch's arrays; the width is its own choice.
        y, sample_weight: arrays of n rows, or None.
        batch_size: texts in a batch.
        order: ``"given"``, ``"shuffled"`` anew for every epoch (numpy's global generator, which
            ``keras.utils.set_random_seed`` seeds), or by ``"length"``, longest first, so that batches pad
            little.
    """

    def __init__(
        self,
        texts: tuple[list[str], ...],
        features: Features,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        order: str = "given",
    ) -> None:
        super().__init__()
        self.texts = texts
        self.features = features
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        self.batch_size = batch_size
        self.shuffled = order == "shuffled"
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
        features = self.features(tuple([column[i] for i in rows] for column in self.texts))
        y = None if self.y is None else self.y[rows]
        if self.sample_weight is not None:
            return features, y, self.sample_weight[rows]
        return (features,) if y is None else (features, y)

    def on_epoch_end(self) -> None:
        if self.shuffled:
            np.random.shuffle(self.rows)

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
