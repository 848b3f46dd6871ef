"""What all encoders share: presets, and the contract between an encoder and the heads on it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras

from sparkxlmr.errors import WrongTypeError
from sparkxlmr.models import families, lora, weights
from sparkxlmr.models.arguments import known_arguments, refuse_unknown
from sparkxlmr.models.checked_model import own_inputs
from sparkxlmr.models.families import classproperty
from sparkxlmr.models.trainable import keras_state, layer_flags, make_restored, restored, set_layer_flags
from sparkxlmr.presets.config import BackboneConfig, check_count
from sparkxlmr.presets.contents import Contents, KerasState
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset

B = TypeVar("B", bound="Backbone")


def text_inputs(*names: str) -> dict[str, keras.KerasTensor]:
    """Inputs of these names: ids, masks or positions, each (b, l) int32, b and l open."""
    return {name: keras.Input(shape=(None,), dtype="int32", name=name) for name in names}


def serialized_dtype(model: keras.Model) -> dict[str, Any]:
    """The config of a model's dtype policy, which tells of each layer that was quantized."""
    policy = model.dtype_policy
    if not isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        quantized = [layer for layer in model._flatten_layers() if layer.quantization_mode is not None]
        if quantized:
            policy = keras.dtype_policies.DTypePolicyMap(default_policy=policy)
            for layer in quantized:
                policy[layer.path] = layer.dtype_policy
    return keras.dtype_policies.serialize(policy)


def flags_in_config(model: keras.Model) -> dict[str, Any]:
    """The entry of a config that keeps which layers of a model are frozen; empty where none differs."""
    flags = layer_flags(model)
    return {"layer_trainable": flags} if flags else {}


def constructor_arguments(cls: type, base: type) -> list[str]:
    """The arguments that users can pass to a backbone's or task's constructor."""
    graph = ("config", "inputs", "outputs")  # what a family hands to the base class
    return [name for name in known_arguments(cls, base) if name not in graph]


def check_backbone(task_class: type, backbone: Any) -> None:
    """Raise WrongTypeError if ``backbone`` is not a :class:`Backbone`."""
    if not isinstance(backbone, Backbone):
        raise WrongTypeError(
            f"{task_class.__name__} was called with the backbone {backbone!r:.80} of type "
            f"{type(backbone).__name__}",
            "a Backbone of this package",
            f"pass Backbone.from_preset(...), or call {task_class.__name__}.from_preset(...)",
        )


class Backbone(keras.Model):
    """Base of the encoders. ``Backbone.from_preset`` gives the right one for a preset.

    A family sets ``family``, builds its functional graph, and says with :meth:`unpack` what its outputs are.
    The numbers that made an encoder (``vocabulary_size``, ``num_layers``, ``hidden_dim``, ...) are its
    attributes, as in keras-hub.

    Args:
        config, inputs, outputs, dtype: the parameters and the graph that a family builds.
        name: the model's name in Keras.
        trainable: False freezes all layers.
        layer_trainable: flags of single layers by path (``"transformer_layer_0/attention"``), applied last.

    Raises:
        WrongTypeError: an unknown argument.
        SettingError: ``layer_trainable`` names a layer that the model does not have.
    """

    family: ClassVar[str]
    token_embedding: keras.layers.Embedding
    embeddings_norm: keras.layers.LayerNormalization

    def __init__(
        self,
        config: BackboneConfig,
        inputs: Any,
        outputs: Any,
        dtype: Any,
        name: str | None = None,
        trainable: bool = True,
        layer_trainable: Mapping[str, bool] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            refuse_unknown(type(self), kwargs, constructor_arguments(type(self), Backbone))
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.trainable = trainable  # after the layers are tracked, since each of them is set too
        set_layer_flags(self, layer_trainable or {})
        self.dtype_policy = keras.dtype_policies.get(dtype)  # a functional model does not take it
        self._shape = config
        for name, value in config.arguments().items():
            setattr(self, name, value)

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The presets that have a name here, each with its description; see :mod:`families`."""
        return families.presets_of(cls)

    @classmethod
    def from_preset(cls: type[B], preset: str | PathLike[str], load_weights: bool = True, **kwargs: Any) -> B:
        """The encoder of a preset, without its head.

        Args:
            preset: a built-in name, the path of a preset or Hugging Face checkpoint folder, or a handle
                (``hf://``, ``kaggle://``, an fsspec URL).
            load_weights: False leaves the weights at their random start.
            kwargs: go to the constructor and replace what the preset says (``dtype="bfloat16"``,
                ``dropout=0.0``).

        Raises:
            PresetNotFoundError, NotAPresetError, DamagedModelError, WeightsError: see
                :meth:`sparkxlmr.presets.preset.Preset.open`.
        """
        opened = Preset.open(preset)
        made = families.class_for(cls, opened, "backbone")
        backbone = made.from_opened(opened, **kwargs)
        if load_weights:
            weights.assign(backbone, opened.weights(head=False))
        return backbone

    @classmethod
    def saved_state(cls, preset: Preset) -> dict[str, Any]:
        """The constructor's arguments for the name and the frozen layers that a preset keeps."""
        return restored(preset.encoder_state, families.default_name(cls.family, "backbone"))

    @classmethod
    def from_opened(cls: type[B], preset: Preset, **kwargs: Any) -> B:
        """Return the encoder of an open preset with random weights; ``kwargs`` replace what is stored."""
        accepted = constructor_arguments(cls, Backbone)
        return make_restored(
            lambda state: cls.from_shape(preset.config, **state, **kwargs),
            {name: value for name, value in cls.saved_state(preset).items() if name not in kwargs},
            accepted,
        )

    @classmethod
    def from_shape(cls: type[B], config: BackboneConfig, **kwargs: Any) -> B:
        """An encoder of a described shape, its weights at their random start."""
        return cls(**{**config.arguments(), **kwargs})

    def shape(self) -> BackboneConfig:
        """The numbers that make this encoder, as a preset keeps them."""
        return self._shape

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialized_dtype(self),
            **self._shape.arguments(),
            **flags_in_config(self),
        }

    @classmethod
    def from_config(cls: type[B], config: dict[str, Any], custom_objects: Any = None) -> B:
        return cls(**{**config, "dtype": keras.dtype_policies.get(config.get("dtype"))})

    def save_to_preset(
        self,
        preset_dir: str | PathLike[str],
        max_shard_size: float | None = 10,
        *,
        weights_dtype: str = "float32",
    ) -> Path:
        """Writes the encoder alone as a preset folder that keras-hub reads too.

        Args:
            preset_dir: the folder; what stood there under the same file names is replaced.
            max_shard_size: an encoder of more gigabytes is written in several files.
            weights_dtype: ``"float32"``, or ``"float16"`` for half the size.

        Raises:
            WeightsError: a weight too large for float16.
            SettingError: the model was quantized.
            OutputError: the folder cannot be written.
        """
        return write_preset(preset_dir, self.contents(), weights_dtype, max_shard_size)

    def export_to_transformers(self, path: str | PathLike[str]) -> Path:
        """Writes the encoder as a checkpoint folder that Hugging Face's ``transformers`` loads.

        Raises:
            OutputError: the folder cannot be written.
        """
        from sparkxlmr.presets.hugging_face_export import export_checkpoint

        return export_checkpoint(path, self.contents())

    def contents(self) -> Contents:
        """All that makes this encoder, as presets and checkpoints keep it."""
        config = self.shape()
        return Contents(
            config=config,
            weights=weights.state_of(self),
            sequence_length=config.max_sequence_length,
            encoder_state=self.keras_state(),
        )

    def keras_state(self) -> KerasState:
        """The name and the frozen layers, as a preset keeps them."""
        return keras_state(self, families.default_name(self.family, "backbone"))

    @property
    def embeddings_layer_norm(self) -> keras.layers.LayerNormalization:
        """keras-hub's name of :attr:`embeddings_norm`."""
        return self.embeddings_norm

    # --- LoRA ---

    def default_lora_layer_names(self) -> list[str]:
        """The layers that LoRA adds to by default: query and value, as in its paper (Hu et al. 2021)."""
        return ["query", "value"]

    def enable_lora(self, rank: int, target_layer_names: list[str] | None = None) -> None:
        """Freezes the encoder but for two small matrices in some of its layers; compile the model afterwards.

        Presets, ``.keras`` files and exports hold the sum of the kernels and what the matrices add. Biases
        stay frozen, so that :meth:`save_lora_weights` writes all that was trained (keras-hub trains the
        biases of these layers and does not write them).

        Args:
            rank: of the matrices.
            target_layer_names: layers by name (``"query"``, ``"key"``, ``"value"``, ``"output"``, ``"up"``,
                ``"down"``, ``"projection"``, ``"pooler"``), or by keras-hub's names
                (``"attention_output"``, ``"feedforward_intermediate_dense"``,
                ``"feedforward_output_dense"``, ``"embedding_projection"``, ``"pooled_dense"``); None takes
                :meth:`default_lora_layer_names`.

        Raises:
            SettingError: a name that no layer with a kernel has, or a ``rank`` below 1.
        """
        check_count("rank", rank)
        names = self.default_lora_layer_names() if target_layer_names is None else target_layer_names
        lora.enable(self, rank, lora.names_like(self, names))

    def save_lora_weights(self, filepath: str | PathLike[str]) -> None:
        """Writes what LoRA adds, without the encoder, to a file whose name ends in ``.lora.h5``.

        Raises:
            SettingError: another name, or no LoRA.
            OutputError: the file cannot be written.
        """
        lora.save(self, filepath)

    def load_lora_weights(self, filepath: str | PathLike[str]) -> None:
        """Reads what :meth:`save_lora_weights` wrote, and enables LoRA where it is not.

        Raises:
            SettingError: another name, or layers that this encoder has not.
            DamagedModelError, WeightsError: no such file, or matrices that do not fit.
        """
        lora.load(self, filepath)

    # --- what heads and weights read ---

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = (own_inputs(self, args[0], self.limits()), *args[1:])
        return super().__call__(*args, **kwargs)

    def limits(self) -> dict[str, int]:
        """The largest values and one of the inputs by name, and ``"length"``: the most columns."""
        config = self.shape()
        limits = {"token_ids": config.vocabulary_size, "length": config.max_sequence_length}
        n_segments = getattr(config, "num_segments", None)
        return limits if n_segments is None else {**limits, "segment_ids": n_segments}

    def unpack(self, outputs: Any) -> tuple[Any, Any | None]:
        """What calling the encoder gave, as (sequence (b, l, h), pooled (b, h) or None).

        Heads and engines read an encoder only through this, so that families whose calls answer differently
        share them.
        """
        return outputs, None

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """The layers with weights under the canonical prefix of their weights' names."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's encoder")
