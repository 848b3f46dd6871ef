"""What all encoders share: presets, and the contract between an encoder and the heads on it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras

from sparkxlmr.models import families, weights
from sparkxlmr.presets.config import BackboneConfig
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset

B = TypeVar("B", bound="Backbone")


def text_inputs() -> dict[str, keras.KerasTensor]:
    """What every encoder reads: ``token_ids`` and ``padding_mask``, both (b, l) int32, b and l open."""
    return {
        name: keras.Input(shape=(None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")
    }


class Backbone(keras.Model):
    """Base of the encoders. ``Backbone.from_preset`` gives the right one for a preset.

    A family sets ``family``, builds its functional graph, and says with :meth:`unpack` what its outputs are.
    """

    family: ClassVar[str]
    token_embedding: keras.layers.Embedding

    @classmethod
    def from_preset(cls: type[B], preset: str | PathLike[str], load_weights: bool = True, **kwargs: Any) -> B:
        """The encoder of a preset, without its head.

        Args:
            preset: a built-in name, or the path of a preset or Hugging Face checkpoint folder.
            load_weights: False leaves the weights at their random start.
            kwargs: go to the constructor and replace what the preset says (``dtype="bfloat16"``,
                ``dropout=0.0``).

        Raises:
            PresetNotFoundError, NotAPresetError, DamagedModelError, WeightsError: see
                :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        opened = Preset.open(preset)
        backbone = families.backbone_class(cls, opened).from_shape(opened.config, **kwargs)
        if load_weights:
            weights.assign_backbone(backbone, opened.weights())
        return backbone

    @classmethod
    def from_shape(cls: type[B], config: BackboneConfig, **kwargs: Any) -> B:
        """An encoder of a described shape, its weights at their random start."""
        raise NotImplementedError(f"{cls.__name__} is not a family's encoder")

    def shape(self) -> BackboneConfig:
        """The numbers that make this encoder, as a preset keeps them."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's encoder")

    def save_to_preset(self, folder: str | PathLike[str], weights_dtype: str = "float32") -> Path:
        """Writes the encoder alone as a preset folder that keras-hub reads too.

        Raises:
            OutputError: the folder cannot be written.
        """
        config = self.shape()
        return write_preset(
            folder,
            config,
            None,
            None,
            weights.state_of(self),
            None,
            config.max_sequence_length,
            weights_dtype,
        )

    def unpack(self, outputs: Any) -> tuple[Any, Any | None]:
        """What calling the encoder gave, as (sequence (b, l, h), pooled (b, h) or None).

        Heads and engines read an encoder only through this, so that families whose calls answer differently
        share them.
        """
        return outputs, None

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """The layers with weights under the canonical prefix of their weights' names."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's encoder")
