"""Text classification: a head on an encoder, shared by all families."""

from __future__ import annotations

from os import PathLike
from typing import Any, TypeVar

import keras

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.models import families, weights
from sparkxlmr.models.backbone import Backbone
from sparkxlmr.models.layers import dense
from sparkxlmr.models.preprocessor import TextClassifierPreprocessor
from sparkxlmr.models.task import Task
from sparkxlmr.presets.config import TextClassifierConfig, check_count, check_dropout
from sparkxlmr.presets.keras_hub import default_labels
from sparkxlmr.presets.preset import Preset

C = TypeVar("C", bound="TextClassifier")


class TextClassifier(Task):
    """Base of the text classifiers. ``TextClassifier.from_preset`` gives the right one for a preset.

    The head reads the encoder's pooled output where it has one, else the first token's vector: dropout, a
    dense layer of ``hidden_dim`` with tanh, dropout, and the logits; ``hidden_dim`` None leaves the dense
    layer out.

    Args:
        backbone: an encoder of the same family.
        num_classes: how many labels.
        preprocessor: turns raw texts into the encoder's inputs; None means that integers are fed.
        activation: on the logits, for example ``"softmax"``; None answers logits.
        hidden_dim: width of the dense layer before the logits.
        dropout: before each of the two dense layers.
        classes: label names in id order, kept in presets.
    """

    kind = "text_classifier"
    learning_rate = 5e-5

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        preprocessor: TextClassifierPreprocessor | None = None,
        activation: Any = None,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        classes: list[str] | tuple[str, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        check_count("num_classes", num_classes)
        check_dropout(dropout)
        if classes is not None and len(classes) != num_classes:
            raise SettingError(
                f"There are {len(classes)} label names for {num_classes} classes",
                "one name a class",
                "pass them in the order of the classes",
            )
        # === Layers ===
        dtype = backbone.dtype_policy
        pooled_dropout = keras.layers.Dropout(dropout, dtype=dtype, name="pooled_dropout")
        pooled_dense = (
            None if hidden_dim is None else dense(hidden_dim, "pooled_dense", dtype, activation="tanh")
        )
        output_dropout = keras.layers.Dropout(dropout, dtype=dtype, name="output_dropout")
        output_dense = dense(num_classes, "logits", dtype, activation=activation)

        # === Functional graph ===
        inputs = backbone.input
        sequence, pooled = backbone.unpack(backbone(inputs))
        x = pooled_dropout(sequence[:, 0, :] if pooled is None else pooled)
        if pooled_dense is not None:
            x = output_dropout(pooled_dense(x))
        super().__init__(inputs=inputs, outputs=output_dense(x), **kwargs)

        # === Config ===
        self.dtype_policy = dtype
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.pooled_dense = pooled_dense
        self.output_dense = output_dense
        self.num_classes = num_classes
        self.activation = keras.activations.get(activation)
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.classes = None if classes is None else tuple(map(str, classes))
        self.compile()

    def compile(
        self, optimizer: Any = "auto", loss: Any = "auto", *, metrics: Any = "auto", **kwargs: Any
    ) -> None:
        """As ``keras.Model.compile``; ``"auto"`` takes what keras-hub takes.

        That is Adam (5e-5), sparse categorical cross-entropy (from logits unless ``activation`` is softmax)
        and sparse categorical accuracy. On TensorFlow ``jit_compile`` is off unless asked for: XLA would
        compile anew for every width that the batches bring.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.Adam(self.learning_rate)
        if loss == "auto":
            from_logits = self.activation is not keras.activations.softmax
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        if metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy()]
        if keras.backend.backend() == "tensorflow":
            kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras leaves a model uncompiled whose `compile` is its own; this one takes the same arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def head_config(self) -> TextClassifierConfig:
        activation = keras.activations.serialize(self.activation)
        return TextClassifierConfig(
            num_classes=self.num_classes,
            hidden_dim=self.hidden_dim or self.backbone.shape().hidden_dim,
            activation=None if activation == "linear" else str(activation),
            dropout=self.dropout,
        )

    def head_layers(self) -> dict[str, keras.layers.Layer]:
        layers = {} if self.pooled_dense is None else {"classifier.dense": self.pooled_dense}
        return {**layers, "classifier.logits": self.output_dense}

    def get_config(self) -> dict[str, Any]:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
            "name": self.name,
            "trainable": self.trainable,
            "num_classes": self.num_classes,
            "activation": keras.activations.serialize(self.activation),
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
            "classes": self.classes,
        }

    @classmethod
    def from_config(cls: type[C], config: dict[str, Any], custom_objects: Any = None) -> C:
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("backbone", "preprocessor")
        }
        return cls(**{**config, **parts})

    @classmethod
    def from_preset(cls: type[C], preset: str | PathLike[str], load_weights: bool = True, **kwargs: Any) -> C:
        """A classifier from a built-in name, a preset folder or a Hugging Face checkpoint folder.

        Args:
            preset: the name or path.
            load_weights: False leaves all weights at their random start.
            num_classes: puts a new head of so many classes, at its random start, on the preset's encoder.
            preprocessor: None feeds integers; left out, the preset's own is used.
            dtype: the dtype policy of encoder and head (``"bfloat16"``, ``"mixed_float16"``).
            kwargs: further arguments of the class, in place of what the preset says.

        Raises:
            PresetNotFoundError, NotAPresetError, DamagedModelError, WeightsError: see
                :meth:`sparkxlmr.presets.preset.Preset.open`.
            SettingError: the preset has no head and ``num_classes`` is not given.
        """
        opened = Preset.open(preset)
        made = families.class_for(cls, opened, cls.kind)
        new_head = "num_classes" in kwargs
        if not new_head:
            kwargs = {**_saved_head(opened), **kwargs}
        if "preprocessor" not in kwargs:
            preprocessor = made.preprocessor_cls.from_opened(opened) if opened.has_tokenizer else None
            kwargs["preprocessor"] = preprocessor
        encoder = {"dtype": kwargs.pop("dtype")} if "dtype" in kwargs else {}
        model = made(made.backbone_cls.from_shape(opened.config, **encoder), **kwargs)
        if load_weights:
            state = opened.weights()
            if new_head:
                weights.assign_backbone(model.backbone, state)
            else:
                weights.assign(model, state)
        return model


def _saved_head(preset: Preset) -> dict[str, Any]:
    task = preset.task
    if task is None:
        raise SettingError(
            f"The preset {preset.path} holds an encoder without a head",
            "num_classes, for a new head",
            "pass num_classes=..., then train",
        )
    if not isinstance(task, TextClassifierConfig):
        raise NotAPresetError(
            f"The preset {preset.path} holds a {task.kind}",
            f"a {TextClassifier.kind}",
            "pass num_classes=... for a new head on its encoder",
        )
    return {
        "num_classes": task.num_classes,
        "activation": task.activation,
        "hidden_dim": task.hidden_dim,
        "dropout": task.dropout,
        # Names that only stand in for missing ones are not the model's own.
        "classes": None if preset.labels == default_labels(task.num_classes) else preset.labels,
    }
