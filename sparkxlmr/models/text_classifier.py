"""Text classification: a head on an encoder, shared by all families."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.backbone import Backbone, check_backbone
from sparkxlmr.models.layers import dense
from sparkxlmr.models.preprocessor import TextClassifierPreprocessor
from sparkxlmr.models.task import Task
from sparkxlmr.models.texts import is_one
from sparkxlmr.presets import output_function as output_functions
from sparkxlmr.presets.config import (
    TextClassifierConfig,
    check_count,
    check_dropout,
    check_output_function,
)
from sparkxlmr.presets.contents import Contents, default_labels, label_names
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.text.finite import check_finite

# Losses that compare each output with a label of its own.
_ELEMENTWISE_LOSSES = (keras.losses.BinaryCrossentropy, keras.losses.MeanSquaredError)


class ScoredLabel(NamedTuple):
    """One label of a text and its score: what the model's output function, or its ``activation``, gives."""

    label: str
    score: float


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
        output_function: ``"softmax"``, ``"sigmoid"`` or ``"identity"``, the function by which
            :meth:`predict_labels` and the Spark stages turn the logits of a model without ``activation`` into
            scores. None takes the one of transformers: sigmoid for one class, softmax for several.
        compile: whether to compile as ``compile()`` does.

    Raises:
        SettingError: a number that no head can have, label names that are not one a class, or an unknown
            output function.
        WrongTypeError: ``backbone`` is not a :class:`Backbone`.
    """

    kind = "text_classifier"

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        preprocessor: TextClassifierPreprocessor | None = None,
        activation: Any = None,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        classes: Sequence[str] | None = None,
        output_function: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_backbone(type(self), backbone)
        num_classes, dropout = check_count("num_classes", num_classes), check_dropout(dropout)
        is_linear = keras.activations.get(activation) is keras.activations.linear
        check_output_function(output_function, None if is_linear else activation)
        if hidden_dim is not None:
            hidden_dim = check_count("hidden_dim", hidden_dim)
        if classes is not None:
            classes = label_names(classes, num_classes)
        # === Layers ===
        dtype = backbone.dtype_policy
        # With a single dropout it is the one before the logits, keras-hub's name of it in ALBERT.
        name = "output_dropout" if hidden_dim is None else "pooled_dropout"
        pooled_dropout = keras.layers.Dropout(dropout, dtype=dtype, name=name)
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
        # compile() needs these.
        self.activation = keras.activations.get(activation)
        self.num_classes, self.output_function = num_classes, output_function
        super().__init__(backbone, preprocessor, inputs, output_dense(x), **kwargs)

        # === Config ===
        self.pooled_dropout = None if pooled_dense is None else pooled_dropout
        self.output_dropout = pooled_dropout if pooled_dense is None else output_dropout
        self.pooled_dense = pooled_dense
        self.output_dense = output_dense
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.classes = classes

    def compile(
        self, optimizer: Any = "auto", loss: Any = "auto", *, metrics: Any = "auto", **kwargs: Any
    ) -> None:
        """As ``keras.Model.compile``; ``"auto"`` takes what keras-hub takes.

        That is Adam (5e-5, for ALBERT 1e-5; too low for the tiny models of this package, see
        docs/coming_from_keras_hub.md), sparse categorical cross-entropy (from logits unless
        ``activation`` is softmax) and sparse categorical accuracy. As in transformers, the loss is the mean
        squared error where ``output_function`` is ``"identity"`` (regression), and binary cross-entropy with
        binary accuracy where it is ``"sigmoid"`` (multi-label: labels of shape (n, classes) of 0 and 1) or
        there is one class, for which sparse categorical cross-entropy is always 0. On TensorFlow
        ``jit_compile`` is off by default: XLA would compile again for every width of the batches.
        """
        usual_loss, usual_metric = self._usual_loss_and_metric()
        if isinstance(loss, str) and loss == "auto":
            loss = usual_loss
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [usual_metric]
        super().compile(optimizer, loss, metrics=metrics, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """As ``keras.Model.compute_loss``.

        Raises:
            InputError: the loss compares each class with a label, and the labels are not (n, classes).
        """
        compares_each = isinstance(self.loss, _ELEMENTWISE_LOSSES)
        if self.num_classes > 1 and compares_each and tuple(y.shape)[1:] != (self.num_classes,):
            # The backends broadcast (n, 1), and (n,) where n is the number of classes.
            raise InputError(
                f"The labels have the shape {tuple(y.shape)}, and the loss is {type(self.loss).__name__}",
                f"(n, {self.num_classes}), a number for each class",
                "pass one row of numbers for each text; for class indices compile with "
                "loss='sparse_categorical_crossentropy', or leave output_function out",
            )
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **kwargs)

    def _usual_loss_and_metric(self) -> tuple[Any, Any]:
        losses, metrics = keras.losses, keras.metrics
        is_multi_label = self.output_function == output_functions.SIGMOID
        if self.output_function == output_functions.IDENTITY:
            return losses.MeanSquaredError(), metrics.MeanSquaredError()
        if self.num_classes > 1 and not is_multi_label:
            from_logits = self.activation is not keras.activations.softmax
            loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
            return loss, metrics.SparseCategoricalAccuracy()
        has_logits = self.activation is keras.activations.linear
        threshold = 0.0 if has_logits else 0.5
        return losses.BinaryCrossentropy(from_logits=has_logits), metrics.BinaryAccuracy(threshold=threshold)

    def predict_labels(self, texts: Any, top_k: int | None = None, batch_size: int | None = None) -> Any:
        """The names of the likeliest labels; :attr:`classes`, or ``LABEL_0``, ... where there are none.

        Args:
            texts: one text, a list of texts, or a tuple of two of these for pairs; a dict of integers where
                there is no preprocessor.
            top_k: None answers a name for each text; a number that many :class:`ScoredLabel` for each, best
                first. Scores are the ``output_function`` of logits, by default their softmax, or the sigmoid
                of a single one; those of an ``activation`` stay as it gave them.
            batch_size: texts run at once; 32 if None.

        Returns:
            One answer for one text, else a list of answers.

        Raises:
            SettingError: ``top_k`` below 1, or a softmax over one class.
            NonFiniteOutputError: the outputs of some texts are NaN or infinite; it has their positions.
        """
        if top_k is not None:
            top_k = check_count("top_k", top_k)
        function = self._output_function()
        outputs = self.predict(texts, batch_size=batch_size, verbose=0).astype(np.float32)
        check_finite(outputs, self.kind)
        scores = outputs if function is None else output_functions.scores(outputs, function)
        names = self.classes or default_labels(self.num_classes)
        best = np.argsort(-scores, axis=-1, kind="stable")[:, :top_k]
        if top_k is None:
            answers: list[Any] = [names[row[0]] for row in best]
        else:
            answers = [
                [ScoredLabel(names[i], float(scores[row, i])) for i in ids] for row, ids in enumerate(best)
            ]
        return answers[0] if is_one(texts) else answers

    def _output_function(self) -> str | None:
        """The function from the model's outputs to scores; None where its activation gives them already.

        Raises:
            SettingError: a softmax over one class.
        """
        if self.activation is keras.activations.linear:
            return output_functions.output_function(self.num_classes, self.output_function)
        if self.activation is keras.activations.softmax:
            output_functions.output_function(self.num_classes, output_functions.SOFTMAX)
        return None

    # --- the parts, and presets ---

    def head_config(self) -> TextClassifierConfig:
        activation = keras.activations.serialize(self.activation)
        return TextClassifierConfig(
            num_classes=self.num_classes,
            hidden_dim=self.hidden_dim,
            activation=None if activation == "linear" else str(activation),
            dropout=self.dropout,
            output_function=self.output_function,
        )

    def head_layers(self) -> dict[str, keras.layers.Layer]:
        layers = {} if self.pooled_dense is None else {"classifier.dense": self.pooled_dense}
        return {**layers, "classifier.logits": self.output_dense}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "activation": keras.activations.serialize(self.activation),
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
            "classes": self.classes,
            "output_function": self.output_function,
        }

    def save_to_preset(
        self,
        preset_dir: str | PathLike[str],
        max_shard_size: float | Sequence[str] | None = 10,
        classes: Sequence[str] | None = None,
        *,
        weights_dtype: str = "float32",
    ) -> Path:
        """Writes the whole task as a preset folder that keras-hub reads too; the optimizer is not kept.

        Args:
            preset_dir: the folder; what stood there under the same file names is replaced.
            max_shard_size: an encoder of more gigabytes is written in several files. (Label names may stand
                in this place, which was theirs before.)
            classes: label names in id order; None keeps those that the model already has.
            weights_dtype: ``"float32"``, or ``"float16"`` for half the size.

        Raises:
            SettingError: label names that are not one a class, or the model was quantized.
            WeightsError: a weight too large for float16.
            OutputError: the folder cannot be written.
        """
        size: Any = max_shard_size
        if size is not None and not isinstance(size, Real):
            classes, size = size, 10
        return write_preset(preset_dir, self.contents(classes), weights_dtype, size)

    def contents(self, labels: Sequence[str] | None = None) -> Contents:
        return super().contents(self.classes if labels is None else labels)

    @classmethod
    def saved_head(cls, preset: Preset, asked: dict[str, Any]) -> dict[str, Any] | None:
        if "num_classes" in asked:
            return None
        task = preset.task
        if not isinstance(task, TextClassifierConfig):
            holds = "an encoder without a head" if task is None else f"the head of a {task.kind}"
            raise SettingError(
                f"The preset {preset.path} holds {holds}",
                "num_classes, for a new head",
                "pass num_classes=..., then train",
            )
        # Names that only stand in for missing ones are not the model's own.
        own = preset.labels != default_labels(task.num_classes)
        head = {**vars(task), "classes": preset.labels if own else None}
        if keras.activations.get(asked.get("activation")) is not keras.activations.linear:
            head["output_function"] = None  # the caller's activation takes its place
        return head


Classifier = TextClassifier  # keras-nlp's name
