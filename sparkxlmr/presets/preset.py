"""A preset: one model on disk, opened by name or path, read without Keras."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sparkxlmr.errors import (
    DamagedModelError,
    NotAPresetError,
    PresetNotFoundError,
    SparkxlmrError,
    WrongTypeError,
)
from sparkxlmr.presets import (
    hugging_face,
    hugging_face_tokenizer,
    hugging_face_weights,
    keras_hub,
    keras_hub_weights,
    tables,
)
from sparkxlmr.presets.config import BackboneConfig, TaskConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents, Description, default_labels
from sparkxlmr.presets.files import known_sha256_of, sha256_of_files
from sparkxlmr.presets.foreign_files import missing_weights_error
from sparkxlmr.presets.handles import resolve
from sparkxlmr.text.families import ADDED_TOKENS, TRUNCATION_SIDE, tokenizer_for
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

__all__ = ["BackboneConfig", "Preset", "TaskConfig"]

_LATER = {ADDED_TOKENS, TRUNCATION_SIDE}
HUGGING_FACE, KERAS_HUB = "hugging_face", "keras_hub"
# Bytes of weights that are read whatever the files' size, and how often those may be read else.
_SURELY_FITS, _MOST_EXPANSION = 16 * 1024**2, 100


@dataclass(frozen=True, kw_only=True)
class Preset(Description):
    """A model folder that was looked at, weights not yet read.

    Attributes:
        path: the folder.
        name: the folder's own name; for a built-in preset that is its handle.
        vocabulary_path: the SentencePiece model, or the ``tokenizer.json`` of a checkpoint that has no other.
        layout: ``"keras_hub"`` or ``"hugging_face"``, whose folder it is.

    The others are those of :class:`~sparkxlmr.presets.contents.Description`; ``labels`` are ``LABEL_0``,
    ``LABEL_1``, ... where the preset names none.
    """

    path: Path
    name: str
    vocabulary_path: Path
    layout: str

    #: engines that run it; None: all
    engines: ClassVar[tuple[str, ...] | None] = None

    @property
    def family(self) -> str:
        """``"xlm_roberta"`` or ``"albert"``."""
        return self.config.family

    @property
    def task_kind(self) -> str | None:
        """``"text_classifier"``, ``"masked_lm"``, or None for a bare encoder."""
        return None if self.task is None else self.task.kind

    @property
    def max_length(self) -> int:
        """Tokens of a text at most, the special ones at its ends included."""
        return self.config.max_sequence_length

    @property
    def dimension(self) -> int:
        """Numbers of the vectors that the encoder makes."""
        return self.config.hidden_dim

    @classmethod
    def open(cls, handle: str | PathLike[str]) -> Preset:
        """Looks at a preset: a built-in name, a keras-hub preset folder, or a Hugging Face checkpoint folder.

        One that lies elsewhere (``hf://org/name``, ...) is fetched first: :mod:`sparkxlmr.presets.handles`.

        Raises:
            PresetNotFoundError: no built-in preset, no folder and no model on a hub is called so.
            EnvironmentNotReadyError: a model from elsewhere cannot be fetched, and there is no copy here.
            NotAPresetError: the folder or file there is of neither family, or its JSON files are spoilt.
            SettingError: they hold a number that no model can have.
            DamagedModelError: a weights file is missing, or the vocabulary. Only a model saved without any
                file of a tokenizer opens without vocabulary: it is fed with integers.
        """
        path = resolve(handle)
        try:
            if not (path / keras_hub.CONFIG).is_file():
                raise missing_weights_error(path) or NotAPresetError(
                    f"{path} has no {keras_hub.CONFIG}" if path.is_dir() else f"{path} is a file",
                    "a preset folder",
                    "pass the folder that save_to_preset wrote, or a Hugging Face checkpoint folder",
                )
            preset = cls._described(path)
            preset._check_files()
        except SparkxlmrError as error:
            if isinstance(error, WrongTypeError):
                raise _invalid_json_error(path, error) from error
            raise
        except OSError as error:
            raise PresetNotFoundError(
                f"The preset {path} cannot be reached: {error}",
                "a folder that this user may read",
                "check its permissions",
            ) from error
        # What reading a value of any other kind than the expected one can raise.
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise _invalid_json_error(path, error) from error
        return preset

    @classmethod
    def _described(cls, path: Path) -> Preset:
        if hugging_face.is_checkpoint(keras_hub.read_json(path / keras_hub.CONFIG)):
            told, layout = hugging_face.describe(path), HUGGING_FACE
            vocabulary = hugging_face_tokenizer.vocabulary_of(path, tables.of(told.config))
        else:
            told, layout, vocabulary = keras_hub.describe(path), KERAS_HUB, path / keras_hub.VOCABULARY
        parts: dict[str, Any] = {part.name: getattr(told, part.name) for part in fields(told)}
        return cls(**parts, path=path, name=path.name, vocabulary_path=vocabulary, layout=layout)

    def weights(self, dtype: str | None = "float32", head: bool = True) -> dict[str, np.ndarray]:
        """Reads all weights: names of :mod:`~sparkxlmr.presets.tables` to arrays, kernels as (in, out).

        Args:
            dtype: the dtype of the arrays; None leaves each as it is stored (float16 stays float16).
            head: False reads the encoder alone.

        Warns:
            UserWarning: an ALBERT checkpoint without pooler, read as an encoder: its ``pooled_output`` is the
                tanh of the first token's vector.

        Raises:
            DamagedModelError: a weights file cannot be read, or differs from the sha256 that was recorded
                when it was written.
            WeightsError: a weight is missing, unused or of another shape.
        """
        table = tables.entries(self.config, self.task if head else None)
        self._check_sizes(table)
        self._check_hashes()
        if self.layout == HUGGING_FACE:
            stored = hugging_face_weights.read_weights(self.path, self.config, self.task, head)
        else:
            stored = keras_hub_weights.read_weights(self.path, table)
        if dtype is None:
            return stored
        return {name: array.astype(dtype, copy=False) for name, array in stored.items()}

    def contents(self) -> Contents:
        """All of it, weights as they are stored: to be written in another place or layout.

        Raises:
            DamagedModelError, WeightsError: as :meth:`weights`.
            NotAPresetError: the vocabulary is of another family, or gives the mask another id than the
                checkpoint's other files.
        """
        proto = self.proto() if self.has_tokenizer else None
        if proto is not None:
            # The copy has the vocabulary alone: what contradicts it is refused here.
            self._tokenizer(proto)
        names = None
        if isinstance(self.task, TextClassifierConfig):
            names = None if self.labels == default_labels(self.task.num_classes) else self.labels
        return Contents(
            config=self.config,
            weights=self.weights(dtype=None),
            task=self.task,
            labels=names,
            proto=proto,
            sequence_length=self.sequence_length,
            truncate=self.truncate,
            tokenizer_settings=self.tokenizer_settings,
            masking=self.masking,
            encoder_state=self.encoder_state,
            task_state=self.task_state,
        )

    @property
    def has_tokenizer(self) -> bool:
        """Whether the preset brings its tokenizer; one saved from a task without preprocessor does not."""
        if self.layout == HUGGING_FACE:
            files = (self.vocabulary_path, self.path / hugging_face_tokenizer.TOKENIZER_CONFIG)
            return any(path.is_file() for path in files)
        return (self.path / keras_hub.TOKENIZER).is_file()

    def proto(self) -> bytes:
        """The SentencePiece model; rebuilt where a checkpoint has only a ``tokenizer.json``.

        Raises:
            NotAPresetError: the preset was saved without its tokenizer, or its ``tokenizer.json`` holds
                another kind of tokenizer, or other pieces than the SentencePiece model beside it.
        """
        if self._has_fast_tokenizer_only:
            return hugging_face_tokenizer.rebuilt_model(self.vocabulary_path, self.config.family)[0]
        proto = self.vocabulary().read_bytes()
        if self.layout == HUGGING_FACE and (self.path / hugging_face_tokenizer.FAST_TOKENIZER).is_file():
            tokenizer = tokenizer_for(self.config.family, proto, self.tokenizer_settings)
            hugging_face_tokenizer.check_same_vocabulary(self.path, tokenizer)
        return proto

    def text_tokenizer(self) -> SentencePieceTokenizer:
        """The family's tokenizer over the preset's vocabulary, with its settings.

        Raises:
            NotAPresetError: as :meth:`proto`, or the vocabulary is of another family, or has ids for which
                the encoder has no embedding.
        """
        tokenizer = self._tokenizer(self.proto())
        if tokenizer.vocabulary_size > self.config.vocabulary_size:
            raise NotAPresetError(
                f"The vocabulary of {self.path} has {tokenizer.vocabulary_size} ids, and its encoder "
                f"embeddings for {self.config.vocabulary_size}",
                "an embedding for each id",
                "copy or fetch the preset again; vocabulary and weights are of two models",
            )
        return tokenizer

    def _tokenizer(self, proto: bytes) -> SentencePieceTokenizer:
        tokenizer = tokenizer_for(self.config.family, proto, self.tokenizer_settings)
        if self.layout == HUGGING_FACE:
            hugging_face_tokenizer.check_mask_id(self.path, tokenizer)
        return tokenizer

    def vocabulary(self) -> Path:
        """The file of the SentencePiece model, known to be there; :meth:`proto` works without a file too.

        Raises:
            NotAPresetError: there is none.
        """
        if self._has_fast_tokenizer_only:
            raise NotAPresetError(
                f"{self.path} has its vocabulary only inside {self.vocabulary_path.name}",
                "a SentencePiece model",
                "save it as a preset first (save_to_preset)",
            )
        if not self.vocabulary_path.is_file():
            remedy = "save it again from a model with a preprocessor, or feed the model with integers"
            if self.layout == HUGGING_FACE:
                remedy = (
                    "copy the SentencePiece model or tokenizer.json of the model that it was fine-tuned from "
                    "into the folder"
                )
            raise NotAPresetError(
                f"The preset {self.path} has no tokenizer ({self.vocabulary_path.relative_to(self.path)})",
                "a preset that reads texts",
                remedy,
            )
        return self.vocabulary_path

    @property
    def _has_fast_tokenizer_only(self) -> bool:
        fast = hugging_face_tokenizer.FAST_TOKENIZER
        return self.layout == HUGGING_FACE and self.vocabulary_path.name == fast

    @property
    def content_hash(self) -> str:
        """sha256 (hex) over every file that the model's answers depend on, so not over a card or a bundle."""
        # Earlier releases ignored these settings: what they compiled of the same files is another model.
        settings = {key: self.tokenizer_settings[key] for key in _LATER & self.tokenizer_settings.keys()}
        told = f"{self.files_hash}\0{json.dumps(settings, sort_keys=True)}"
        return hashlib.sha256(told.encode()).hexdigest() if settings else self.files_hash

    @property
    def files_hash(self) -> str:
        """sha256 (hex) over :meth:`files` alone, which earlier releases recorded as the content hash."""
        return sha256_of_files(self.path, self.files())

    def _weights_files(self) -> list[Path]:
        if self.layout == HUGGING_FACE:
            return hugging_face_weights.weights_files(self.path)
        return keras_hub_weights.weights_files(self.path, has_head=self.task is not None)

    def files(self) -> list[Path]:
        """Every file that the model's answers depend on, in a fixed order."""
        names = [keras_hub.CONFIG, keras_hub.TASK, keras_hub.PREPROCESSOR]
        if self.layout == HUGGING_FACE:
            names.append(hugging_face_tokenizer.TOKENIZER_CONFIG)
            if self.family == "albert" and not self._has_fast_tokenizer_only:
                names.append(hugging_face_tokenizer.FAST_TOKENIZER)  # its normalizer
        elif self.tokenizer_settings:
            names.append(keras_hub.TOKENIZER)
        jsons = [self.path / name for name in names]
        return [
            *(path for path in jsons if path.is_file()),
            *self._weights_files(),
            *([self.vocabulary_path] if self.vocabulary_path.is_file() else []),
        ]

    def _check_files(self) -> None:
        needed = self._weights_files()
        if self.has_tokenizer:
            needed.append(self.vocabulary_path)
        for path in needed:
            if not path.is_file():
                foreign = missing_weights_error(self.path) if path != self.vocabulary_path else None
                raise foreign or DamagedModelError(
                    f"The preset {self.path} has no {path.relative_to(self.path)}",
                    "a whole preset folder",
                    "copy or fetch the preset again",
                )

    def _check_sizes(self, table: Sequence[tables.Entry]) -> None:
        """Small files can speak of many numbers: compressed or never written ones, or one storage for all."""
        asked = 4 * sum(math.prod(entry.shape) for entry in table)
        stored = sum(path.stat().st_size for path in self._weights_files() if path.is_file())
        if asked > max(_SURELY_FITS, _MOST_EXPANSION * stored):
            raise DamagedModelError(
                f"The weights of {self.path} have {asked} bytes, and hardly any are stored ({stored})",
                "weights that are stored",
                "check that configuration and weights belong together",
            )

    def _check_hashes(self) -> None:
        metadata = self.path / keras_hub.METADATA
        recorded = keras_hub.read_json(metadata).get(keras_hub.RECORDED) if metadata.is_file() else None
        for path in self._weights_files():
            wanted = recorded.get(path.name) if isinstance(recorded, dict) else None
            if wanted is not None and path.is_file() and known_sha256_of(path) != wanted:
                raise DamagedModelError(
                    f"{path} differs from what was saved (sha256 {known_sha256_of(path)[:12]}...)",
                    f"sha256 {str(wanted)[:12]}..., as {keras_hub.METADATA} records it",
                    "copy or fetch the preset again",
                )


def _invalid_json_error(path: Path, error: Exception) -> NotAPresetError:
    return NotAPresetError(
        f"A JSON file of {path} holds something else than a preset's does: {error!r:.200}",
        "the files as save_to_preset, keras-hub or Hugging Face write them",
        "copy or fetch the preset again",
    )
