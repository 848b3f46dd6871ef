"""The encoder of a preset: what of any model, whatever its head, makes vectors of texts."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sparkxlmr.presets.preset import Preset


@dataclass(frozen=True, kw_only=True)
class Encoder(Preset):
    """A preset without its head. It is compiled, and found again, as a model of its own; on disk it is the
    preset `whole` that it was made of.

    >>> encoder = Encoder.of(Preset.open("xlm_roberta_tiny_language_id"))
    >>> encoder.task_kind, encoder.task, encoder.labels
    ('encoder', None, ())
    """

    kind: ClassVar[str] = "encoder"

    whole: Preset = field(repr=False)

    @classmethod
    def of(cls, preset: Preset) -> Encoder:
        """The encoder of a text classifier, of a masked language model, or of a bare encoder."""
        parts: dict[str, Any] = {part.name: getattr(preset, part.name) for part in fields(Preset)}
        return cls(**{**parts, "task": None, "labels": ()}, whole=preset)

    @property
    def task_kind(self) -> str:
        return self.kind

    def weights(self, dtype: str | None = "float32", head: bool = False) -> dict[str, np.ndarray]:
        """As :meth:`Preset.weights`, of the encoder alone. A pooler that is not there is not missed."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* has no pooler")
            return self.whole.weights(dtype, head=False)

    def files(self) -> list[Path]:
        return self.whole.files()

    @property
    def content_hash(self) -> str:
        """sha256 (hex), another one than the preset's."""
        return hashlib.sha256(f"{self.kind}\0{self.whole.content_hash}".encode()).hexdigest()
