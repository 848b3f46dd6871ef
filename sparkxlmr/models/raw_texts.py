"""Keras' loops on raw texts: what comes in is tokenized batch by batch, in front of the model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.batches import TextBatches, holds_texts, is_tf_dataset, map_texts, new_seed
from sparkxlmr.models.called_preprocessor import CalledPreprocessor, LimitedPreprocessor, is_called
from sparkxlmr.models.texts import Texts, as_texts

BATCH_SIZE = 32  # Keras' own default
# What is hidden from a masked language model while it is tested: the same at every test.
_TEST_SEED = 0


class RawTextModel(keras.Model):
    """A Keras model whose loops take raw texts where it has a preprocessor.

    Texts are a list or array of strings, a tuple of two for pairs, or a ``tf.data.Dataset`` of batches of
    them. Anything else, and everything where :attr:`preprocessor` is None, goes to Keras as it is.
    """

    backbone: Any
    preprocessor: Any  # a Preprocessor, any callable, or None

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """What the model would be fed for these samples: padded to the next of a few widths."""
        return keras.utils.pack_x_y_sample_weight(*self._samples(x, y, sample_weight, None))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        validation_batch_size: int | None = None,
        shuffle: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Trains as ``keras.Model.fit`` does, on raw texts where there is a preprocessor.

        Args:
            x: n texts, a tuple of two such lists for pairs, a ``tf.data.Dataset`` of batches, or what the
                encoder reads: a dict of int32 (n, length).
            y: labels, (n,) whole numbers for the loss that :meth:`compile` chooses; None where the model
                makes its own.
            batch_size: texts a step; 32 if None.
            sample_weight: (n,) factors of the loss.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``, or a data set.
            validation_split: the share of the texts, from the end, that is held out.
            validation_batch_size: ``batch_size`` if None.
            shuffle: whether texts come in another order in each epoch; a data set comes as it does.
            kwargs: ``epochs``, ``callbacks``, ``class_weight``, ``verbose``, ... of ``keras.Model.fit``.

        Returns:
            Keras' ``History``.

        Raises:
            InputError: inputs that are no texts, or not as many as labels or weights.
            SettingError: the preprocessor keeps more ids of a text than the encoder has positions for.
        """
        validation_batch_size = validation_batch_size or batch_size
        if validation_data is not None:
            validation_data = self._validation(validation_data, validation_batch_size)
        if self._is_raw_dataset(x):
            x, shuffle = map_texts(x, self._learn(), None), False  # as it comes
        if not self._is_raw(x):
            return super().fit(
                x=x,
                y=_array(y),
                batch_size=batch_size,
                sample_weight=_array(sample_weight),
                validation_data=validation_data,
                validation_split=validation_split,
                validation_batch_size=validation_batch_size,
                shuffle=shuffle,
                **kwargs,
            )
        texts = as_texts(x)
        if validation_split and validation_data is None:
            # As Keras: the last part, before anything is shuffled.
            n = int(len(texts[0]) * (1 - validation_split))
            held = tuple(column[n:] for column in texts)
            held_out = held, _cut(y, n, None), _cut(sample_weight, n, None)
            validation_data = self._batches(*held_out, validation_batch_size).feed()
            texts = tuple(column[:n] for column in texts)
            y, sample_weight = _cut(y, 0, n), _cut(sample_weight, 0, n)
        order = "shuffled" if shuffle else "given"
        batches = self._batches(texts, y, sample_weight, batch_size, order, seed=None)
        return super().fit(x=batches.feed(), validation_data=validation_data, shuffle=False, **kwargs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics as ``keras.Model.evaluate``, on raw texts where there is a preprocessor.

        Where tokens are hidden at random, they are the same at every call. Arguments and errors: :meth:`fit`.
        """
        if self._is_raw_dataset(x):
            x = map_texts(x, self._learn(), _TEST_SEED)
        elif self._is_raw(x):
            x, y = self._batches(as_texts(x), y, sample_weight, batch_size).feed(), None
            batch_size = sample_weight = None
        return super().evaluate(
            x=x, y=_array(y), batch_size=batch_size, sample_weight=_array(sample_weight), **kwargs
        )

    def predict(
        self, x: Any, batch_size: int | None = None, *, steps: int | None = None, **kwargs: Any
    ) -> Any:
        """The model's outputs as an array, one row a text, in the order of the texts.

        Raw texts are run in batches of similar length, each padded to the next of a few widths instead of
        always to ``sequence_length``; padding changes no output beyond float32 rounding.

        Args:
            x: as in :meth:`fit`; one text is a list of one.
            batch_size: texts run at once; 32 if None.
            steps: so many batches at most.
            kwargs: ``verbose``, ``callbacks`` of ``keras.Model.predict``.

        Returns:
            An array of n rows of the model's dtype.

        Raises:
            InputError, SettingError: as :meth:`fit`.
        """
        if self._is_raw_dataset(x):
            dataset = map_texts(_without_labels(x), self._answer(), _TEST_SEED)
            return super().predict(dataset, steps=steps, **kwargs)
        if not self._is_raw(x):
            return super().predict(x, batch_size=batch_size, steps=steps, **kwargs)
        texts = first_texts(as_texts(x), batch_size, steps)
        if not texts[0]:
            return self._no_answer()
        batches = TextBatches(texts, self._answer(), batch_size=batch_size or BATCH_SIZE, order="length")
        return in_given_order(super().predict(batches.feed(), **kwargs), batches.rows)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """One step of training on these samples; arguments and errors: :meth:`fit`."""
        return super().train_on_batch(*self._samples(x, y, sample_weight, None), **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Loss and metrics of these samples, as :meth:`evaluate` has them."""
        return super().test_on_batch(*self._samples(x, y, sample_weight, _TEST_SEED), **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for these inputs in one batch, as an array; see :meth:`predict`."""
        if self._is_raw(x):
            x = self._fitting_preprocessor().features(as_texts(x))
        return super().predict_on_batch(x)

    # --- what is raw, and what becomes of it ---

    def _is_raw(self, x: Any) -> bool:
        """Whether ``x`` is texts for the preprocessor; dicts and data sets go to Keras as they are."""
        if self.preprocessor is None or x is None or isinstance(x, (dict, keras.utils.PyDataset)):
            return False
        return isinstance(x, (str, list, tuple)) or hasattr(x, "__array__")

    def _is_raw_dataset(self, x: Any) -> bool:
        return self.preprocessor is not None and is_tf_dataset(x) and holds_texts(x)

    def _fitting_preprocessor(self) -> LimitedPreprocessor | CalledPreprocessor:
        """The preprocessor, known to make no longer texts than the encoder reads."""
        assert self.preprocessor is not None
        if is_called(self.preprocessor):
            return CalledPreprocessor(self.preprocessor)
        kept, most = self.preprocessor.sequence_length, self.backbone.max_sequence_length
        if kept > most:
            raise SettingError(
                f"The preprocessor keeps {kept} ids of a text (sequence_length)",
                f"at most {most}, the encoder's max_sequence_length",
                f"set preprocessor.sequence_length = {most}",
            )
        return LimitedPreprocessor(self.preprocessor, self.backbone)

    def _learn(self) -> Any:
        return self._fitting_preprocessor().samples

    def _answer(self) -> Any:
        features = self._fitting_preprocessor().features
        return lambda texts, y, sample_weight, rng: (features(texts), None, None)

    def _no_answer(self) -> np.ndarray:
        return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), dtype=self.compute_dtype)

    def _samples(self, x: Any, y: Any, sample_weight: Any, seed: int | None) -> tuple[Any, Any, Any]:
        y, sample_weight = _array(y), _array(sample_weight)
        if not self._is_raw(x):
            return x, y, sample_weight
        rng = np.random.default_rng(new_seed() if seed is None else seed)
        return self._learn()(as_texts(x), y, sample_weight, rng)

    def _validation(self, data: Any, batch_size: int | None) -> Any:
        if self._is_raw_dataset(data):
            return map_texts(data, self._learn(), _TEST_SEED)
        if isinstance(data, list) and not all(isinstance(text, str) for text in data):
            data = tuple(data)  # Keras takes a list of x and y, too
        elif self._is_raw(data) and not isinstance(data, tuple):
            data = (data,)  # texts alone, for a model that makes its own labels
        if not isinstance(data, tuple):
            return data
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self._is_raw(x):
            return keras.utils.pack_x_y_sample_weight(x, _array(y), _array(sample_weight))
        return self._batches(as_texts(x), y, sample_weight, batch_size).feed()

    def _batches(
        self,
        texts: Texts,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        order: str = "given",
        seed: int | None = _TEST_SEED,
    ) -> TextBatches:
        y, sample_weight = _array(y), _array(sample_weight)
        for what, values in (("labels", y), ("sample weights", sample_weight)):
            if values is not None and len(values) != len(texts[0]):
                raise InputError(
                    f"There are {len(texts[0])} texts and {len(values)} {what}",
                    f"as many {what} as texts",
                    "check both",
                )
        if y is not None and np.asarray(y).dtype.kind in "OSU":
            raise InputError(
                f"The labels are of dtype {np.asarray(y).dtype}",
                "numbers",
                "pass each label's place in classes: [classes.index(name) for name in names]",
            )
        size = batch_size or BATCH_SIZE
        return TextBatches(texts, self._learn(), y, sample_weight, size, order, seed)


def first_texts(texts: Texts, batch_size: int | None, steps: int | None) -> Texts:
    """The texts that so many batches hold; all where ``steps`` is None."""
    n = None if steps is None else steps * (batch_size or BATCH_SIZE)
    return tuple(column[:n] for column in texts)


def in_given_order(found: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What was found for the texts ``rows``, one row each, back in the order of the texts."""
    result = np.empty_like(found)
    result[rows] = found
    return result


def _without_labels(dataset: Any) -> Any:
    spec = dataset.element_spec
    if not isinstance(spec, tuple):
        return dataset
    if len(spec) == 2 and all(column.dtype == "string" for column in keras.tree.flatten(spec)):
        return dataset.map(lambda first, second: ((first, second),))  # pairs
    return dataset.map(lambda x, *rest: (x,))


def _array(values: Any) -> Any:
    # Keras takes a list of labels for a list of several outputs.
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def _cut(values: Any, start: int, stop: int | None) -> Any:
    return None if values is None else np.asarray(values)[start:stop]
