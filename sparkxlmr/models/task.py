"""What all tasks share: an encoder with a head, made from presets, fed with raw texts or with integers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.models import families, weights
from sparkxlmr.models.arguments import refuse_unknown
from sparkxlmr.models.backbone import Backbone, constructor_arguments, flags_in_config, serialized_dtype
from sparkxlmr.models.called_preprocessor import check_callable, is_called
from sparkxlmr.models.families import classproperty
from sparkxlmr.models.preprocessor import Preprocessor
from sparkxlmr.models.raw_texts import RawTextModel
from sparkxlmr.models.saved_preprocessor import deserialize_preprocessor, serialize_preprocessor
from sparkxlmr.models.trainable import keras_state, make_restored, restored, set_layer_flags
from sparkxlmr.presets import keras_hub_weights
from sparkxlmr.presets.config import TaskConfig
from sparkxlmr.presets.contents import Contents, KerasState
from sparkxlmr.presets.files import write_file_whole
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset

K = TypeVar("K", bound="Task")
# Arguments of the constructor's neighbours, and where they belong.
_ELSEWHERE = {
    "dtype": "pass dtype to the backbone, which the head follows, or to from_preset",
    "sequence_length": "pass sequence_length to the preprocessor",
    "load_weights": "pass load_weights to from_preset",
}


class Task(RawTextModel):
    """Base of the tasks: a functional model of an encoder and a head, with a preprocessor in front.

    With a preprocessor, ``fit``, ``evaluate``, ``predict`` and the ``*_on_batch`` methods take raw texts: a
    list or array of strings, a tuple of two for pairs, or a ``tf.data.Dataset`` of batches of them. Without
    one, or given a dict, they take what the encoder reads.

    Attributes:
        backbone: the encoder.
        preprocessor: what turns raw texts into the encoder's inputs: a preprocessor of this package, any
            function or Keras layer that returns them for a batch of texts, or None.

    Raises:
        SettingError: a preprocessor of another task or family, or a tokenizer with more ids than the encoder
            has rows for.
    """

    kind: ClassVar[str]
    backbone_cls: ClassVar[type[Backbone]]
    preprocessor_cls: ClassVar[type[Preprocessor]]
    learning_rate: ClassVar[float] = 5e-5  # of Adam, where compile() chooses

    backbone: Backbone

    def __init__(
        self,
        backbone: Backbone,
        preprocessor: Preprocessor | None,
        inputs: Any,
        outputs: Any,
        compile: bool = True,
        name: str | None = None,
        trainable: bool = True,
        layer_trainable: Mapping[str, bool] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            refuse_unknown(type(self), kwargs, constructor_arguments(type(self), Task), _ELSEWHERE)
        check_callable(preprocessor)
        if isinstance(preprocessor, Preprocessor):
            self._check_preprocessor(backbone, preprocessor)
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.dtype_policy = backbone.dtype_policy
        self.backbone = backbone
        self.preprocessor = preprocessor
        if not trainable:
            self.trainable = False  # after the layers are tracked; True leaves a frozen backbone frozen
        set_layer_flags(self, layer_trainable or {})
        if compile:
            self.compile()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "preprocessor":
            # No part of the model: Keras would save and list it among the layers.
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @classmethod
    def _check_preprocessor(cls, backbone: Backbone, preprocessor: Preprocessor) -> None:
        tokenizer = preprocessor.tokenizer
        if (preprocessor.kind, tokenizer.family) != (cls.kind, backbone.family):
            raise SettingError(
                f"The preprocessor is a {type(preprocessor).__name__} over a {type(tokenizer).__name__}",
                f"one for a {cls.__name__} on a {type(backbone).__name__}",
                f"pass a {cls.preprocessor_cls.__name__}",
            )
        n_ids, n_rows = tokenizer.vocabulary_size(), backbone.shape().vocabulary_size
        if n_ids > n_rows:
            raise SettingError(
                f"The tokenizer has {n_ids} ids, and the encoder a vocabulary_size of {n_rows}",
                "a row of the token embedding for each id",
                "pass the tokenizer that the encoder was trained with, or make the encoder with "
                "vocabulary_size=tokenizer.vocabulary_size()",
            )

    def compile(self, optimizer: Any = "auto", loss: Any = "auto", **kwargs: Any) -> None:
        """As ``keras.Model.compile``, where ``"auto"`` is a task's own choice; Adam with its usual rate.

        On TensorFlow ``jit_compile`` is off unless asked for: XLA would compile anew for every width that the
        batches bring.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = keras.optimizers.Adam(self.learning_rate)
        if keras.backend.backend() == "tensorflow":
            kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras leaves a model uncompiled whose `compile` is its own; this one takes the same arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    # --- the parts ---

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """As ``keras.Model.summary``, after a line that names the preprocessor."""
        if isinstance(self.preprocessor, Preprocessor):
            length, tokenizer = self.preprocessor.sequence_length, self.preprocessor.tokenizer
            (kwargs.get("print_fn") or print)(
                f'Preprocessor: "{type(self.preprocessor).__name__}", at most {length} ids of '
                f'"{type(tokenizer).__name__}" ({tokenizer.vocabulary_size():,} tokens)'
            )
        elif self.preprocessor is not None:
            name = getattr(self.preprocessor, "__name__", type(self.preprocessor).__name__)
            (kwargs.get("print_fn") or print)(f'Preprocessor: "{name}"')
        super().summary(*args, **kwargs)

    def head_config(self) -> TaskConfig:
        """The numbers that make the head, as a preset keeps them."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's task")

    def head_layers(self) -> dict[str, keras.layers.Layer]:
        """The head's layers with weights under the canonical prefix of their weights' names."""
        raise NotImplementedError(f"{type(self).__name__} is not a family's task")

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """The encoder's and the head's layers with weights; see :mod:`sparkxlmr.models.weights`."""
        return {**self.backbone.named_layers(), **self.head_layers()}

    def get_config(self) -> dict[str, Any]:
        backbone = keras.saving.serialize_keras_object(self.backbone)
        backbone["config"]["dtype"] = serialized_dtype(self)  # the head takes the encoder's
        return {
            "backbone": backbone,
            "preprocessor": serialize_preprocessor(self.preprocessor),
            "name": self.name,
            "trainable": self.trainable,
            **flags_in_config(self),
        }

    @classmethod
    def from_config(cls: type[K], config: dict[str, Any], custom_objects: Any = None) -> K:
        read = {
            "backbone": keras.saving.deserialize_keras_object,
            "preprocessor": deserialize_preprocessor,
        }
        parts: dict[str, Any] = {
            name: read[name](config[name], custom_objects=custom_objects) for name in read if name in config
        }
        return cls(**{**config, **parts})

    # --- presets ---

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The presets that have a name here; see :func:`sparkxlmr.models.families.presets_of`."""
        return families.presets_of(cls)

    @classmethod
    def from_preset(cls: type[K], preset: str | PathLike[str], load_weights: bool = True, **kwargs: Any) -> K:
        """A task from a preset: what it is called in Keras, and its weights, are the preset's.

        Args:
            preset: a built-in name, the path of a preset or Hugging Face checkpoint folder, or a handle
                (``hf://``, ``kaggle://``, an fsspec URL).
            load_weights: False leaves all weights at their random start.
            preprocessor: None feeds integers; left out, the preset's own is used.
            load_task_weights: False leaves the head alone at its random start.
            dtype: the dtype policy of encoder and head (``"bfloat16"``, ``"mixed_float16"``).
            kwargs: further arguments of the class, in place of what the preset says; ``num_classes`` puts a
                new head of so many classes, at its random start, on the preset's encoder.

        Raises:
            PresetNotFoundError, NotAPresetError, DamagedModelError, WeightsError: see
                :meth:`sparkxlmr.presets.preset.Preset.open`.
            SettingError: the preset has no head of this kind, and no new one was asked for.
        """
        load_head = kwargs.pop("load_task_weights", True)
        opened = Preset.open(preset)
        made = families.class_for(cls, opened, cls._kind_in(opened))
        if made.__module__.startswith(__package__):  # a user's class may take more than its signature shows
            known = [*constructor_arguments(made, Task), "dtype", "load_task_weights"]
            refuse_unknown(made, kwargs, known, _ELSEWHERE)
        head = made.saved_head(opened, kwargs)
        if "preprocessor" not in kwargs:
            preprocessor = made.preprocessor_cls.from_opened(opened) if opened.has_tokenizer else None
            kwargs["preprocessor"] = preprocessor
        dtype = {"dtype": kwargs.pop("dtype")} if "dtype" in kwargs else {}
        # A new head is none that was saved: its name and flags are those of a new model.
        state = KerasState() if head is None else opened.task_state
        settings = {**(head or {}), **kwargs}
        accepted = constructor_arguments(made, Task)
        if settings.get("output_function") is None and "output_function" not in accepted:
            settings.pop("output_function", None)  # a user's class that was written before this argument
        backbone = made.backbone_cls.from_opened(opened, **dtype)
        model = make_restored(
            lambda state: made(backbone, **state, **settings),
            {k: v for k, v in restored(state, made.default_name()).items() if k not in settings},
            accepted,
        )
        if load_weights and (head is None or not load_head):
            weights.assign(model.backbone, opened.weights(head=False))
        elif load_weights:
            weights.assign(model, opened.weights())
        return model

    @classmethod
    def saved_head(cls, preset: Preset, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments that make the preset's head again; None where a new head is to be made.

        ``asked`` are the arguments of :meth:`from_preset`.

        Raises:
            SettingError: the preset has no such head, and a new one was not asked for.
        """
        raise NotImplementedError(f"{cls.__name__} is not a task of one kind")

    @classmethod
    def _kind_in(cls, preset: Preset) -> str:
        kind = getattr(cls, "kind", None) or getattr(preset.task, "kind", None)
        if kind is None:
            raise NotAPresetError(
                f"The preset {preset.path} holds an encoder without a head",
                "one with a head, since Task.from_preset takes the kind of task from the preset",
                "load it with TextClassifier.from_preset(..., num_classes=...) or Backbone.from_preset",
            )
        return kind

    def save_to_preset(
        self,
        preset_dir: str | PathLike[str],
        max_shard_size: float | None = 10,
        *,
        weights_dtype: str = "float32",
    ) -> Path:
        """Writes the whole task as a preset folder that keras-hub reads too; the optimizer is not kept.

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

    def has_task_weights(self) -> bool:
        """Whether this task has weights beside its encoder's; every task here has."""
        return bool(self.head_layers())

    def save_task_weights(self, filepath: str | PathLike[str]) -> None:
        """Writes the head's weights alone, float32, as the ``task.weights.h5`` of a keras-hub preset.

        Raises:
            SettingError: a name that does not end in ``.weights.h5``, or the model was quantized.
            OutputError: the file cannot be written.
        """
        config, head = self.backbone.shape(), self.head_config()
        state = weights.state_of(self, head_only=True)

        def write(fresh: Path) -> None:
            keras_hub_weights.write_head(fresh, config, head, state, np.dtype("float32"))

        write_file_whole(weights.path_ending(filepath, ".weights.h5"), write)

    def load_task_weights(self, filepath: str | PathLike[str]) -> None:
        """Reads what :meth:`save_task_weights` or keras-hub wrote; the encoder stays as it is.

        Raises:
            SettingError: a name that does not end in ``.weights.h5``.
            DamagedModelError, WeightsError: no such file, or weights of another head.
        """
        path = weights.path_ending(filepath, ".weights.h5")
        head = keras_hub_weights.read_head(path, self.backbone.shape(), self.head_config())
        weights.assign(self, head, head_only=True)

    def export_to_transformers(self, path: str | PathLike[str]) -> Path:
        """Writes the task as a checkpoint folder that Hugging Face's ``transformers`` loads, head included.

        Raises:
            OutputError: the folder cannot be written.
        """
        from sparkxlmr.presets.hugging_face_export import export_checkpoint

        return export_checkpoint(path, self.contents())

    @classmethod
    def default_name(cls) -> str:
        """Return the name that Keras gives to the first model of this class."""
        return families.default_name(cls.backbone_cls.family, cls.kind)

    def contents(self, labels: Sequence[str] | None = None) -> Contents:
        """All that makes this model, as presets and checkpoints keep it."""
        config, preprocessor = self.backbone.shape(), self.preprocessor
        if preprocessor is not None and is_called(preprocessor):
            warnings.warn(
                f"The preprocessor is {preprocessor!r:.80}, whose own code a preset cannot hold. Pass "
                "preprocessor=... again to from_preset.",
                stacklevel=4,
            )
            preprocessor = preprocessor if isinstance(preprocessor, Preprocessor) else None
        return Contents(
            config=config,
            task=self.head_config(),
            labels=labels,
            weights=weights.state_of(self),
            encoder_state=self.backbone.keras_state(),
            task_state=keras_state(self, self.default_name()),
            **(
                {"sequence_length": config.max_sequence_length}
                if preprocessor is None
                else preprocessor.contents()
            ),
        )
