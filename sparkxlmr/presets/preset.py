"""A preset: one model on disk, opened by name or path, read without Keras."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError
from sparkxlmr.presets import hugging_face, keras_hub
from sparkxlmr.presets.config import BackboneConfig, TaskConfig
from sparkxlmr.presets.files import known_sha256_of
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.tables import Entry, entries

__all__ = ["BackboneConfig", "Preset", "TaskConfig"]


@dataclass(frozen=True)
class Preset:
    """A model folder that was looked at, weights not yet read.

    Attributes:
        path: the folder.
        name: the folder's own name; for a built-in preset that is its handle.
        config: the encoder.
        task: the head, or None for a bare encoder.
        labels: one name a class in id order; ``LABEL_0``, ``LABEL_1``, ... where the preset names none.
        vocabulary_path: the SentencePiece model.
        sequence_length: how many ids of a text the model is meant to read.
        truncate: how a pair that is too long is shortened (``"round_robin"`` or ``"waterfall"``).
        layout: ``"keras_hub"`` or ``"hugging_face"``, whose folder it is.
    """

    path: Path
    name: str
    config: BackboneConfig
    task: TaskConfig | None
    labels: tuple[str, ...]
    vocabulary_path: Path
    sequence_length: int
    truncate: str
    layout: str

    @classmethod
    def open(cls, handle: str | PathLike[str]) -> Preset:
        """Looks at a preset: a built-in name, a keras-hub preset folder, or a Hugging Face checkpoint folder.

        One that lies elsewhere (``hf://org/name``, ...) is fetched first: :mod:`sparkxlmr.presets.handles`.

        Raises:
            PresetNotFoundError: no built-in preset, no folder and no model on a hub is called so.
            EnvironmentNotReadyError: a model from elsewhere cannot be fetched, and there is no copy here.
            NotAPresetError: the folder or file there is not one of XLM-R, or its JSON files are spoilt.
            SettingError: they hold a number that no model can have.
            DamagedModelError: a weights file is missing, or the vocabulary. Only a keras-hub preset that was
                saved without tokenizer opens without vocabulary: its model is fed with integers.
        """
        path = resolve(handle)
        config_path = path / keras_hub.CONFIG
        if not config_path.is_file():
            raise NotAPresetError(
                f"{path} has no {keras_hub.CONFIG}" if path.is_dir() else f"{path} is a file",
                "a preset folder",
                "pass the folder that save_to_preset wrote, or a Hugging Face checkpoint folder",
            )
        try:
            preset = cls._described(path)
            preset._check_files()
        except SparkxlmrError:
            raise
        # What reading a value of any other kind than the expected one can raise.
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise NotAPresetError(
                f"A JSON file of {path} holds something else than a preset's does: {error!r:.200}",
                "the files as save_to_preset, keras-hub or Hugging Face write them",
                "copy or fetch the preset again",
            ) from error
        return preset

    @classmethod
    def _described(cls, path: Path) -> Preset:
        if hugging_face.is_checkpoint(keras_hub.read_json(path / keras_hub.CONFIG)):
            config, task, labels = hugging_face.describe(path)
            return cls(
                path=path,
                name=path.name,
                config=config,
                task=task,
                labels=labels,
                vocabulary_path=path / hugging_face.VOCABULARY,
                sequence_length=min(keras_hub.DEFAULT_SEQUENCE_LENGTH, config.max_sequence_length),
                truncate=keras_hub.DEFAULT_TRUNCATE,
                layout="hugging_face",
            )
        told = keras_hub.describe(path)
        return cls(
            path=path,
            name=path.name,
            config=told.config,
            task=told.task,
            labels=told.labels,
            vocabulary_path=path / keras_hub.VOCABULARY,
            sequence_length=told.sequence_length,
            truncate=told.truncate,
            layout="keras_hub",
        )

    def weights(self, dtype: str | None = "float32") -> dict[str, np.ndarray]:
        """Reads all weights: names of :mod:`~sparkxlmr.presets.tables` to arrays, kernels as (in, out).

        Args:
            dtype: the dtype of the arrays; None leaves each as it is stored (float16 stays float16).

        Raises:
            DamagedModelError: a weights file cannot be read, or differs from the sha256 that was recorded
                when it was written.
            WeightsError: a weight is missing, unused or of another shape.
        """
        self._check_hashes()
        stored = self._reader(self.path, entries(self.config, self.task))
        if dtype is None:
            return stored
        return {name: array.astype(dtype, copy=False) for name, array in stored.items()}

    @property
    def has_tokenizer(self) -> bool:
        """Whether the preset brings its tokenizer; one saved from a task without preprocessor does not."""
        return self.layout == "hugging_face" or (self.path / keras_hub.TOKENIZER).is_file()

    def vocabulary(self) -> Path:
        """:attr:`vocabulary_path`, known to be there.

        Raises:
            NotAPresetError: the preset was saved without its tokenizer.
        """
        if not self.vocabulary_path.is_file():
            raise NotAPresetError(
                f"The preset {self.path} has no tokenizer ({self.vocabulary_path.relative_to(self.path)})",
                "a preset that reads texts",
                "save it again from a model with a preprocessor, or feed the model with integers",
            )
        return self.vocabulary_path

    @property
    def content_hash(self) -> str:
        """sha256 (hex) over every file that the model's answers depend on, so not over a card or a bundle."""
        total = hashlib.sha256()
        for path in self._files():
            total.update(f"{path.relative_to(self.path).as_posix()}\0{known_sha256_of(path)}\n".encode())
        return total.hexdigest()

    @property
    def _reader(self) -> Callable[[Path, tuple[Entry, ...]], dict[str, np.ndarray]]:
        return hugging_face.read_weights if self.layout == "hugging_face" else keras_hub.read_weights

    def _weights_files(self) -> list[Path]:
        if self.layout == "hugging_face":
            return hugging_face.weights_files(self.path)
        files = [self.path / keras_hub.MODEL_WEIGHTS]
        return files if self.task is None else [*files, self.path / keras_hub.TASK_WEIGHTS]

    def _files(self) -> list[Path]:
        jsons = [self.path / name for name in (keras_hub.CONFIG, keras_hub.TASK, keras_hub.PREPROCESSOR)]
        return [
            *(path for path in jsons if path.is_file()),
            *self._weights_files(),
            *([self.vocabulary_path] if self.vocabulary_path.is_file() else []),
        ]

    def _check_files(self) -> None:
        needed = self._weights_files()
        if self.layout == "keras_hub":
            # Sharded weights are there, and refused with a reason when they are read.
            needed = [path for path in needed if not path.with_suffix(".json").is_file()]
        if self.has_tokenizer:
            needed.append(self.vocabulary_path)
        for path in needed:
            if not path.is_file():
                raise DamagedModelError(
                    f"The preset {self.path} has no {path.relative_to(self.path)}",
                    "a whole preset folder",
                    "copy or fetch the preset again",
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
