"""What all tasks share: an encoder with a head, fed with raw texts or with integers."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from sparkxlmr.errors import InputError
from sparkxlmr.models import weights
from sparkxlmr.models.backbone import Backbone
from sparkxlmr.models.batches import TextBatches
from sparkxlmr.models.preprocessor import TextClassifierPreprocessor, as_texts
from sparkxlmr.presets.config import TaskConfig
from sparkxlmr.presets.writer import write_preset

K = TypeVar("K", bound="Task")
_BATCH_SIZE = 32  # Keras' own default


class Task(keras.Model):
    """Base of the tasks: a functional model of an encoder and a head, with a preprocessor in front.

    With a preprocessor, ``fit``, ``evaluate``, ``predict`` and the ``*_on_batch`` methods take raw texts: a
    list or array of strings, or a tuple of two for pairs. Without one, or given a dict, they take what the
    encoder reads.

    Attributes:
        backbone: the encoder.
        preprocessor: what turns raw texts into the encoder's inputs, or None.
        classes: label names in id order, or None.
    """

    kind: ClassVar[str]
    backbone_cls: ClassVar[type[Backbone]]
    preprocessor_cls: ClassVar[type[TextClassifierPreprocessor]]

    backbone: Backbone
    preprocessor: TextClassifierPreprocessor | None
    classes: tuple[str, ...] | None

    def head_config(self) -> TaskConfig:
        """The numbers that make the head, as a preset keeps them."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's task")

    def head_layers(self) -> dict[str, keras.layers.Layer]:
        """The head's layers with weights under the canonical prefix of their weights' names."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's task")

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """The encoder's and the head's layers with weights; see :mod:`sparkxlmr.models.weights`."""
        return {**self.backbone.named_layers(), **self.head_layers()}

    def save_to_preset(
        self,
        folder: str | PathLike[str],
        classes: list[str] | tuple[str, ...] | None = None,
        weights_dtype: str = "float32",
    ) -> Path:
        """Writes the whole task as a preset folder that keras-hub reads too; the optimizer is not kept.

        Args:
            classes: label names in id order; None keeps those that the model already has.
            weights_dtype: ``"float32"``, or ``"float16"`` for half the size.

        Raises:
            SettingError: label names that are not one a class.
            WeightsError: a weight too large for float16.
            OutputError: the folder cannot be written.
        """
        config, preprocessor = self.backbone.shape(), self.preprocessor
        length = config.max_sequence_length if preprocessor is None else preprocessor.sequence_length
        return write_preset(
            folder,
            config,
            self.head_config(),
            self.classes if classes is None else classes,
            weights.state_of(self),
            None if preprocessor is None else preprocessor.tokenizer.text.proto,
            length,
            weights_dtype,
            "round_robin" if preprocessor is None else preprocessor.truncate,
        )

    # --- raw texts in Keras' loops ---

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """What the model would be fed for these samples: padded to the next of a few widths."""
        if self._is_raw(x):
            assert self.preprocessor is not None
            x = self.preprocessor.features(as_texts(x))
        return keras.utils.pack_x_y_sample_weight(
            x,
            None if y is None else np.asarray(y),
            None if sample_weight is None else np.asarray(sample_weight),
        )

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

        Raises:
            InputError: inputs that are no texts, or not as many as labels.
        """
        if validation_data is not None:
            validation_data = self._validation(validation_data, validation_batch_size or batch_size)
        if not self._is_raw(x):
            return super().fit(
                x=x,
                y=None if y is None else _array(y),
                batch_size=batch_size,
                sample_weight=sample_weight,
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
            validation_data = self._batches(
                held, _cut(y, n, None), _cut(sample_weight, n, None), validation_batch_size or batch_size
            ).feed()
            texts = tuple(column[:n] for column in texts)
            y, sample_weight = _cut(y, 0, n), _cut(sample_weight, 0, n)
        batches = self._batches(texts, y, sample_weight, batch_size, "shuffled" if shuffle else "given")
        return super().fit(x=batches.feed(), validation_data=validation_data, shuffle=False, **kwargs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics as ``keras.Model.evaluate``, on raw texts where there is a preprocessor."""
        if self._is_raw(x):
            return super().evaluate(
                x=self._batches(as_texts(x), y, sample_weight, batch_size).feed(), **kwargs
            )
        y = None if y is None else _array(y)
        return super().evaluate(x=x, y=y, batch_size=batch_size, sample_weight=sample_weight, **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """The model's outputs as an array, one row a text, in the order of the texts.

        Raw texts are run in batches of similar length, each padded to the next of a few widths instead of
        always to ``sequence_length``; padding changes no output beyond float32 rounding.
        """
        if not self._is_raw(x):
            return super().predict(x, batch_size=batch_size, **kwargs)
        texts = as_texts(x)
        if not texts[0]:
            return np.zeros((0, *self.output_shape[1:]), dtype=np.float32)
        batches = self._batches(texts, None, None, batch_size, "length")
        found = super().predict(batches.feed(), **kwargs)
        result = np.empty_like(found)
        result[batches.rows] = found
        return result

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        return super().train_on_batch(*self._unpacked(x, y, sample_weight), **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        return super().test_on_batch(*self._unpacked(x, y, sample_weight), **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        return super().predict_on_batch(self._unpacked(x, None, None)[0])

    def _is_raw(self, x: Any) -> bool:
        """Whether ``x`` is texts for the preprocessor; dicts and datasets go to Keras as they are."""
        if self.preprocessor is None or x is None or isinstance(x, (dict, keras.utils.PyDataset)):
            return False
        return isinstance(x, (str, list, tuple)) or hasattr(x, "__array__")

    def _unpacked(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        return keras.utils.unpack_x_y_sample_weight(self.preprocess_samples(x, y, sample_weight))

    def _validation(self, data: Any, batch_size: int | None) -> Any:
        if not isinstance(data, tuple):
            return data
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self._is_raw(x):
            return keras.utils.pack_x_y_sample_weight(x, _array(y), sample_weight)
        return self._batches(as_texts(x), y, sample_weight, batch_size).feed()

    def _batches(
        self,
        texts: tuple[list[str], ...],
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        order: str = "given",
    ) -> TextBatches:
        assert self.preprocessor is not None
        y = None if y is None else _array(y)
        if y is not None and len(y) != len(texts[0]):
            raise InputError(
                f"There are {len(texts[0])} texts and {len(y)} labels",
                "as many labels as texts",
                "check both",
            )
        features = self.preprocessor.features
        return TextBatches(texts, features, y, sample_weight, batch_size or _BATCH_SIZE, order)


def _array(values: Any) -> Any:
    # Keras takes a list of labels for a list of several outputs.
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def _cut(values: Any, start: int, stop: int | None) -> Any:
    return None if values is None else np.asarray(values)[start:stop]
