"""Keras' loops on raw texts: what comes in is tokenized batch by batch, in front of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.models.batches import (
    FirstError,
    TextBatches,
    holds_texts,
    is_tf_dataset,
    map_features,
    map_texts,
    new_seed,
)
from sparkxlmr.models.called_preprocessor import (
    CalledPreprocessor,
    LimitedPreprocessor,
    check_fits,
    is_called,
)
from sparkxlmr.models.checked_model import CheckedModel
from sparkxlmr.models.input_checks import as_labels, check_size
from sparkxlmr.models.preprocessor import Preprocessor
from sparkxlmr.models.streams import is_foreign_loader, is_stream, prepared
from sparkxlmr.models.texts import Texts, as_texts, is_text

BATCH_SIZE = 32  # Keras' own default
# What is hidden from a masked language model while it is tested: the same at every test.
_TEST_SEED = 0


class RawTextModel(CheckedModel):
    """A Keras model whose loops take raw texts where it has a preprocessor.

    Texts are a list or array of strings, a tuple of two for pairs, or a ``tf.data.Dataset``, ``PyDataset`` or
    generator of batches of them. A dict of arrays, and everything where :attr:`preprocessor` is None, goes to
    Keras as it is. Labels and arrays that a backend would misread are refused on all backends.
    """

    backbone: Any
    preprocessor: Any  # a Preprocessor, any callable, or None

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """What the model would be fed for these samples: padded to the next of a few widths."""
        is_raw = self._is_raw(x)
        y = as_labels(y, any_dtype=is_raw and is_called(self.preprocessor))
        sample_weight = as_labels(sample_weight, "weights")
        if is_raw:
            rng = np.random.default_rng(new_seed())
            samples = self._fitting_preprocessor(needs_labels=False).samples
            x, y, sample_weight = samples(as_texts(x), y, sample_weight, rng)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

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
            x: n texts, a tuple of two such lists for pairs, a ``tf.data.Dataset``, ``PyDataset`` or generator
                of batches, or what the encoder reads: a dict of int32 (n, length).
            y: labels, (n,) or (n, 1) class indices for the loss that :meth:`compile` chooses; None where the
                model makes its own.
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
            InputError: inputs that are no texts, or not as many as labels or weights; no inputs; labels that
                no class has, where the loss reads class indices; ids that the encoder has no embedding for.
            SettingError: the preprocessor keeps more ids of a text than the encoder has positions for, or a
                ``batch_size`` or ``validation_split`` that leaves nothing to train on.
        """
        check_size("batch_size", batch_size)
        check_size("validation_batch_size", validation_batch_size)
        _check_split(validation_split)
        validation_batch_size = validation_batch_size or batch_size
        with self._loop() as errors:
            if self._is_raw(x):
                texts = as_texts(x)
                if validation_split and validation_data is None:
                    # As Keras: the last part, before anything is shuffled.
                    n = _n_training(len(texts[0]), validation_split)
                    held = tuple(column[n:] for column in texts)
                    validation_data = held, _cut(y, n, None), _cut(sample_weight, n, None)
                    texts = tuple(column[:n] for column in texts)
                    y, sample_weight = _cut(y, 0, n), _cut(sample_weight, 0, n)
                order = "shuffled" if shuffle else "given"
                batches = self._batches(errors, texts, y, sample_weight, batch_size, order, seed=None)
                x, y, sample_weight, batch_size, shuffle = batches, None, None, None, False
                validation_split = 0.0
            else:
                x, y, sample_weight = self._checked(errors, x, y, sample_weight, self._learn, None, shuffle)
                # A data set and a generator come as they do.
                shuffle = shuffle and not (is_tf_dataset(x) or isinstance(x, Iterator))
            if validation_data is not None:
                validation_data = self._validation(errors, validation_data, validation_batch_size)
            return super().fit(
                x=x,
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_data=validation_data,
                validation_split=validation_split,
                validation_batch_size=validation_batch_size,
                shuffle=shuffle,
                **kwargs,
            )

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
        if kwargs.get("_use_cached_eval_dataset"):  # fit, whose validation data are prepared already
            return super().evaluate(x=x, y=y, batch_size=batch_size, sample_weight=sample_weight, **kwargs)
        check_size("batch_size", batch_size)
        with self._loop() as errors:
            if self._is_raw(x):
                x = self._batches(errors, as_texts(x), y, sample_weight, batch_size)
                batch_size = y = sample_weight = None
            else:
                x, y, sample_weight = self._checked(errors, x, y, sample_weight, self._learn, _TEST_SEED)
            return super().evaluate(x=x, y=y, batch_size=batch_size, sample_weight=sample_weight, **kwargs)

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
        check_size("batch_size", batch_size)
        with self._loop() as errors:
            if not self._is_raw(x):
                if self._is_raw_dataset(x):
                    x = _without_labels(x)
                x, _, _ = self._checked(errors, x, None, None, self._answer, _TEST_SEED)
                return super().predict(x, batch_size=batch_size, steps=steps, **kwargs)
            texts = first_texts(as_texts(x), batch_size, steps)
            if not texts[0]:
                return self._no_answer()
            answer = errors.keeping(self._answer())
            batches = TextBatches(texts, answer, batch_size=batch_size or BATCH_SIZE, order="length")
            return in_given_order(super().predict(batches.feed(), **kwargs), batches.rows)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """One step of training on these samples; arguments and errors: :meth:`fit`."""
        with self._loop():
            return super().train_on_batch(*self._samples(x, y, sample_weight, None), **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Loss and metrics of these samples, as :meth:`evaluate` has them."""
        with self._loop():
            return super().test_on_batch(*self._samples(x, y, sample_weight, _TEST_SEED), **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's outputs for these inputs in one batch, as an array; see :meth:`predict`."""
        with self._loop():
            if self._is_raw(x):
                texts = as_texts(x)
                if not texts[0]:
                    return self._no_answer()
                x = self._fitting_preprocessor().features(texts)
            else:
                self._check_inputs(x)
            return super().predict_on_batch(x)

    # --- what is raw, and what becomes of it ---

    def _is_raw(self, x: Any) -> bool:
        """Whether ``x`` must be texts for the preprocessor: all but dicts and what yields batches."""
        return not (
            self.preprocessor is None
            or x is None
            or isinstance(x, Mapping)
            or is_tf_dataset(x)
            or is_stream(x)
            or is_foreign_loader(x)
        )

    def _is_raw_dataset(self, x: Any) -> bool:
        return self.preprocessor is not None and is_tf_dataset(x) and holds_texts(x)

    def _fitting_preprocessor(self, needs_labels: bool = True) -> LimitedPreprocessor | CalledPreprocessor:
        """The preprocessor, known to make no longer texts than the encoder reads.

        ``needs_labels`` is whether samples without labels are refused, where it is called.
        """
        assert self.preprocessor is not None
        if isinstance(self.preprocessor, Preprocessor):
            check_fits(self.preprocessor, self.backbone)
        if is_called(self.preprocessor):
            return CalledPreprocessor(self.preprocessor, self._checked_result, needs_labels)
        return LimitedPreprocessor(self.preprocessor, self.backbone)

    def _learn(self) -> Any:
        return self._fitting_preprocessor().samples

    def _answer(self) -> Any:
        features = self._fitting_preprocessor().features
        return lambda texts, y, sample_weight, rng: (features(texts), None, None)

    def _no_answer(self) -> np.ndarray:
        return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), dtype=self.compute_dtype)

    def _samples(self, x: Any, y: Any, sample_weight: Any, seed: int | None) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng(new_seed() if seed is None else seed)
        return self._prepared(self._learn, x, y, sample_weight, rng)

    def _prepared(
        self, samples: Callable[[], Any], x: Any, y: Any, sample_weight: Any, rng: np.random.Generator
    ) -> tuple[Any, Any, Any]:
        """One batch as the model is fed with it, checked; ``samples`` makes what reads texts."""
        predicts = samples == self._answer
        if predicts and is_text(y):
            x = (x, y)  # pairs, since labels are numbers
        if predicts:
            y = sample_weight = None
        if not self._is_raw(x):
            sample_weight = self._checked_weights(sample_weight)
            return x, self._checked_batch(x, y, sample_weight, has_labels=not predicts), sample_weight
        texts = as_texts(x)
        if not predicts:
            y, sample_weight = self._checked_samples(texts, y, sample_weight)
        return samples()(texts, y, sample_weight, rng)

    def _checked(
        self,
        errors: FirstError,
        x: Any,
        y: Any,
        sample_weight: Any,
        samples: Callable[[], Any],
        seed: int | None,
        shuffle: bool = False,
    ) -> tuple[Any, Any, Any]:
        """``x`` that is no texts, labels and weights as Keras takes them: checked here, or batch by batch."""
        if self._is_raw_dataset(x):
            made = errors.keeping(self._checking(samples))
            return self._followed(map_texts(x, made, seed, is_called(self.preprocessor))), y, sample_weight
        if is_tf_dataset(x):
            check = partial(self._checked_batch, has_labels=samples != self._answer, follow=False)
            x = map_features(x, errors.keeping(check), self._label_rank())
            return self._followed(x), y, sample_weight
        if is_stream(x):
            if y is None and sample_weight is None:  # else Keras refuses them
                prepare = errors.keeping(partial(self._prepared, samples))
                x = self._followed(prepared(x, prepare, self._is_raw, seed, shuffle))
            return x, y, sample_weight
        if is_foreign_loader(x):
            return x, y, sample_weight
        y, sample_weight = as_labels(y), self._checked_weights(sample_weight)
        return x, self._checked_batch(x, y, sample_weight, samples != self._answer), sample_weight

    def _checking(self, samples: Callable[[], Any]) -> Any:
        """The same as ``samples()``, which checks labels first."""
        made = samples()

        def checked(texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> Any:
            if samples != self._answer:
                y, sample_weight = self._checked_samples(texts, y, sample_weight, follow=False)
            return made(texts, y, sample_weight, rng)

        return checked

    def _validation(self, errors: FirstError, data: Any, batch_size: int | None) -> Any:
        if isinstance(data, list) and not all(isinstance(text, str) for text in data):
            data = tuple(data)  # Keras takes a list of x and y, too
        elif self._is_raw(data) and not isinstance(data, tuple):
            data = (data,)  # texts alone, for a model that makes its own labels
        if not isinstance(data, tuple):
            return self._checked(errors, data, None, None, self._learn, _TEST_SEED)[0]
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self._is_raw(x):
            parts = self._checked(errors, x, y, sample_weight, self._learn, _TEST_SEED)
            return keras.utils.pack_x_y_sample_weight(*parts)
        return self._batches(errors, as_texts(x), y, sample_weight, batch_size)

    def _batches(
        self,
        errors: FirstError,
        texts: Texts,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        order: str = "given",
        seed: int | None = _TEST_SEED,
    ) -> Any:
        """What Keras' loops of the active backend take for raw texts."""
        y, sample_weight = self._checked_samples(texts, y, sample_weight)
        size = batch_size or BATCH_SIZE
        samples = errors.keeping(self._learn())
        return self._followed(TextBatches(texts, samples, y, sample_weight, size, order, seed).feed())


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


def _check_split(split: float) -> None:
    if not 0 <= split < 1:
        raise SettingError(f"validation_split is {split!r}", "a number from 0 to below 1", "0.1 is usual")


def _n_training(n: int, split: float) -> int:
    """How many of ``n`` texts are trained on; as Keras, at least one on each side."""
    n_training = int(n * (1 - split))
    if not 0 < n_training < n:
        raise SettingError(
            f"validation_split is {split} for {n} texts",
            "a share that leaves at least one text on each side",
            "pass more texts, or validation_data",
        )
    return n_training


def _cut(values: Any, start: int, stop: int | None) -> Any:
    return None if values is None else np.asarray(values)[start:stop]
