"""Raw texts to what an encoder reads: Keras layers with keras-hub's names, which need no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.models import families
from sparkxlmr.models.batches import on_tensors
from sparkxlmr.models.families import classproperty
from sparkxlmr.models.packers import MultiSegmentPacker
from sparkxlmr.models.preprocessing_layer import PreprocessingLayer, as_rows
from sparkxlmr.models.texts import Texts, as_texts, is_one
from sparkxlmr.models.tokenizer import Tokenizer
from sparkxlmr.presets.config import check_count
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preprocessor
from sparkxlmr.text.packing import pack, width_for
from sparkxlmr.text.segments import check_truncate, join_encoded, separator_ids
from sparkxlmr.text.tokenizer import Encoded

P = TypeVar("P", bound="Preprocessor")


class Preprocessor(PreprocessingLayer):
    """Base of the preprocessors: texts, or pairs of texts, to what an encoder reads.

    A Keras layer: subclasses may override :meth:`call`, and tasks then use it.

    Args:
        tokenizer: a tokenizer of the same family.
        sequence_length: how many ids are kept of a text, start and end token included.
        truncate: how a pair that is too long is shortened: ``"round_robin"`` or ``"waterfall"``.
        name, dtype, trainable: as for every Keras layer.

    Called with one text or a list of texts, or with a tuple of two or more of these for pairs and further
    segments; answers int32 arrays
    of ``sequence_length`` columns, as keras-hub's, with labels and weights passed on where they came along.
    ``dataset.map(preprocessor)`` works on a ``tf.data.Dataset``, in batches or not. Tasks use
    :meth:`features` and :meth:`samples`, which pad no wider than needed.

    Raises:
        SettingError: a tokenizer of another family, a ``sequence_length`` below 4, or an unknown
            ``truncate``; the last two when the attributes are set, too.

    >>> name = "xlm_roberta_tiny_language_id"
    >>> preprocessor = TextClassifierPreprocessor.from_preset(name, sequence_length=8)
    >>> x, y = preprocessor(["one text", "and another"], [0, 1])
    >>> {name: (str(array.dtype), array.shape) for name, array in x.items()}
    {'token_ids': ('int32', (2, 8)), 'padding_mask': ('int32', (2, 8))}
    """

    kind: ClassVar[str]
    tokenizer_cls: ClassVar[type[Tokenizer]]
    backbone_cls: ClassVar[Any]
    tokenizer: Tokenizer

    def __init__(
        self,
        tokenizer: Tokenizer,
        sequence_length: int = 512,
        truncate: str = "round_robin",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(tokenizer, Tokenizer):
            raise SettingError(
                f"tokenizer is {tokenizer!r:.80} of type {type(tokenizer).__name__}",
                f"a {self.tokenizer_cls.__name__}" if hasattr(self, "tokenizer_cls") else "a Tokenizer",
                "pass one, or the result of Tokenizer.from_preset",
            )
        expected = getattr(self, "tokenizer_cls", None)
        if expected is not None and tokenizer.family != expected.family:
            raise SettingError(
                f"tokenizer is a {type(tokenizer).__name__}, of another family than {type(self).__name__}",
                f"a {expected.__name__}",
                "pass the tokenizer that the encoder was trained with, and the preprocessor of its family",
            )
        self.tokenizer = tokenizer
        self._packer: MultiSegmentPacker | None = None
        self._packer_text: Any = None
        self.sequence_length = sequence_length
        self.truncate = truncate

    @property
    def sequence_length(self) -> int:
        """How many ids are kept of a text, start and end token included; that of :attr:`packer` too."""
        return self.packer.sequence_length

    @sequence_length.setter
    def sequence_length(self, value: int) -> None:
        count = check_count("sequence_length", value)
        if count < 4:
            raise SettingError(
                f"sequence_length is {count}",
                "at least 4, the special tokens of a pair",
                "pass a larger number",
            )
        self.packer.sequence_length = count

    @property
    def truncate(self) -> str:
        """How segments that are too long are shortened; that of :attr:`packer` too."""
        return self.packer.truncate

    @truncate.setter
    def truncate(self, value: str) -> None:
        check_truncate(value)
        self.packer.truncate = value

    @property
    def packer(self) -> MultiSegmentPacker:
        """The layer that joins tokenized segments, with this preprocessor's settings."""
        text, old = self.tokenizer.text, self._packer
        if old is None or self._packer_text is not text:  # the tokenizer may get another vocabulary
            self._packer_text = text
            self._packer = MultiSegmentPacker(
                512 if old is None else old.sequence_length,
                start_value=text.bos_id,
                end_value=text.eos_id,
                sep_value=separator_ids(text),
                pad_value=text.pad_id,
                truncate="round_robin" if old is None else old.truncate,
            )
        assert self._packer is not None
        return self._packer

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The presets that have a name here; see :func:`sparkxlmr.models.families.presets_of`."""
        return families.presets_of(cls)

    @classmethod
    def from_preset(cls: type[P], preset: str | PathLike[str], **kwargs: Any) -> P:
        """The preprocessor of a preset; ``kwargs`` (``sequence_length``, ...) replace its settings.

        Raises:
            PresetNotFoundError, NotAPresetError: see :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        return cls.from_opened(Preset.open(preset), **kwargs)

    @classmethod
    def from_opened(cls: type[P], preset: Preset, **kwargs: Any) -> P:
        """The same for a preset that is open already."""
        made = families.class_for(cls, preset, f"{cls.kind}_preprocessor")
        if "tokenizer" not in kwargs:
            kwargs["tokenizer"] = made.tokenizer_cls.from_opened(preset)
        return made(**{**cls.saved_settings(preset), **kwargs})

    @classmethod
    def saved_settings(cls, preset: Preset) -> dict[str, Any]:
        """The constructor's arguments that a preset keeps, the tokenizer left out."""
        return {"sequence_length": preset.sequence_length, "truncate": preset.truncate}

    def call(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return the encoder's inputs, with labels and weights if any: see :class:`Preprocessor`."""
        return keras.utils.pack_x_y_sample_weight(on_tensors(self._whole_width, x), y, sample_weight)

    def _whole_width(self, x: Any) -> Any:
        features = self.features(as_texts(x, one_sample=True), self.sequence_length)
        return {name: array[0] for name, array in features.items()} if is_one(x) else features

    def compute_output_spec(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return the shapes and dtypes of the outputs for symbolic inputs."""
        batch = (x[0] if isinstance(x, tuple) else x).shape
        names = self.features((["a"],))
        spec = {
            name: keras.KerasTensor((*batch, self.sequence_length), dtype="int32", name=name)
            for name in names
        }
        return keras.utils.pack_x_y_sample_weight(spec, y, sample_weight)

    def encode(self, texts: Texts) -> Encoded:
        """The ids of some texts, pairs or further segments (see :func:`as_texts`), cut to
        ``sequence_length``.
        """
        text = self.tokenizer.text
        if self.tokenizer.is_customized():
            columns = [as_rows(self.tokenizer(column))[0] if column else [] for column in texts]
            return join_encoded(text, columns, self.sequence_length, self.truncate)
        if len(texts) == 1:
            return text.encode(texts[0], self.sequence_length)
        if len(texts) > 2:
            columns = [text.tokenize(column) for column in texts]
            return join_encoded(text, columns, self.sequence_length, self.truncate)
        return text.encode_pairs(list(zip(*texts, strict=True)), self.sequence_length, self.truncate)

    def pack(self, encoded: Encoded, width: int | None = None) -> dict[str, np.ndarray]:
        """The encoder's inputs, each int32 of shape (n, width); see :meth:`features`."""
        if width is None:
            width = width_for(max(map(len, encoded.ids), default=0), self.sequence_length)
        token_ids, padding_mask = pack(encoded.ids, self.tokenizer.text.pad_id, width)
        found = {"token_ids": token_ids, "padding_mask": padding_mask}
        if encoded.segment_ids is not None:
            found["segment_ids"] = pack(encoded.segment_ids, 0, width)[0]
        return found

    def features(self, texts: Texts, width: int | None = None) -> dict[str, np.ndarray]:
        """What a model is fed to predict on some texts (see :func:`as_texts`), int32 of shape (n, width).

        ``width`` None takes the next of a few widths that holds the longest, so that compilers meet few
        shapes.
        """
        return self.pack(self.encode(texts), width)

    def samples(self, texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """``(x, y, sample_weight)`` as a model is fed to learn from some texts, or to be tested on them.

        ``rng`` is where a preprocessor that hides tokens takes its chances from.
        """
        return self.features(texts), y, sample_weight

    def save_to_preset(self, preset_dir: str | PathLike[str]) -> Path:
        """Writes it, tokenizer included, into a preset folder, beside an encoder that was saved there.

        Raises:
            OutputError: the folder cannot be written.
        """
        settings = self.contents()
        settings |= settings.pop("masking", {})
        return write_preprocessor(preset_dir, self.tokenizer.family, kind=self.kind, **settings)

    def contents(self) -> dict[str, Any]:
        """What a preset keeps of it: arguments of :class:`sparkxlmr.presets.contents.Contents`."""
        return {
            "proto": self.tokenizer.text.proto,
            "tokenizer_settings": dict(self.tokenizer.settings),
            "sequence_length": self.sequence_length,
            "truncate": self.truncate,
        }

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the tokenizer as Keras serializes it."""
        return {
            **super().get_config(),
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "sequence_length": self.sequence_length,
            "truncate": self.truncate,
        }

    @classmethod
    def from_config(cls: type[P], config: dict[str, Any]) -> P:
        """A preprocessor from what :meth:`get_config` gave."""
        tokenizer = config["tokenizer"]
        if isinstance(tokenizer, dict):
            tokenizer = keras.saving.deserialize_keras_object(tokenizer)
        return cls(**{**config, "tokenizer": tokenizer})

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, config) = super().__reduce__()
        return rebuild, (cls, {**config, "tokenizer": self.tokenizer})


class TextClassifierPreprocessor(Preprocessor):
    """Texts, or pairs, to ``{"token_ids", "padding_mask"}``, and ``"segment_ids"`` for ALBERT.

    Arguments and errors: :class:`Preprocessor`.
    """

    kind = "text_classifier"


def rows_of(encoded: Encoded, rows: Sequence[int]) -> Encoded:
    """Some of the texts."""
    segment_ids = encoded.segment_ids
    return Encoded(
        [encoded.ids[i] for i in rows],
        [encoded.truncated[i] for i in rows],
        None if segment_ids is None else [segment_ids[i] for i in rows],
    )
