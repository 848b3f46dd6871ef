"""ALBERT (Lan et al. 2019): what this family does not share with others."""

from __future__ import annotations

from typing import Any

import keras

from sparkxlmr.errors import WrongTypeError
from sparkxlmr.models.backbone import Backbone, text_inputs
from sparkxlmr.models.layers import (
    PositionEmbedding,
    dense,
    embedding,
    encoder_layer,
    named_parts,
    normalized,
)
from sparkxlmr.models.masked_lm import MaskedLM
from sparkxlmr.models.masked_lm_preprocessor import MaskedLMPreprocessor
from sparkxlmr.models.preprocessor import TextClassifierPreprocessor
from sparkxlmr.models.text_classifier import TextClassifier
from sparkxlmr.models.tokenizer import Tokenizer
from sparkxlmr.presets.config import AlbertConfig


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertBackbone(Backbone):
    """ALBERT's encoder: calling it gives ``{"sequence_output": (b, l, h), "pooled_output": (b, h)}``.

    The text passes ``num_layers`` times through a group of ``num_inner_repetitions`` layers; ``num_groups``
    groups share the passes evenly, and a group's weights exist once however often it is passed.

    Args:
        vocabulary_size: rows of the token embedding.
        num_layers: passes through a group; a multiple of ``num_groups``.
        num_heads, hidden_dim, intermediate_dim: the shape of each layer.
        embedding_dim: width of the embeddings, which are projected to ``hidden_dim``.
        num_groups: groups of layers with weights of their own.
        num_inner_repetitions: layers of a group.
        dropout: of embeddings, attention and layers while training.
        max_sequence_length: the most ids that fit.
        num_segments: rows of the segment embedding.
        dtype: a dtype policy, for example ``"bfloat16"`` or ``"mixed_float16"``.
        layer_norm_epsilon: of every normalisation.
        activation: of the feed-forward layers: ``"gelu"``, ``"gelu_tanh"`` or ``"relu"``.
        attention_dropout: of the attention's probabilities while training; None is ``dropout``.

    The last three are 1e-12, ``"gelu_tanh"`` and ``dropout`` in every published ALBERT; keras-hub cannot read
    presets with others.

    Raises:
        SettingError: a number that no encoder can have (:class:`sparkxlmr.presets.config.AlbertConfig`).

    >>> import numpy as np
    >>> backbone = AlbertBackbone(vocabulary_size=50, num_layers=4, num_heads=2, embedding_dim=4,
    ...                           hidden_dim=8, intermediate_dim=16, num_groups=2, max_sequence_length=12)
    >>> x = {name: np.ones((2, 5), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    >>> {name: answer.shape for name, answer in backbone.predict(x, verbose=0).items()}
    {'sequence_output': (2, 5, 8), 'pooled_output': (2, 8)}
    """

    family = "albert"

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        embedding_dim: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_groups: int = 1,
        num_inner_repetitions: int = 1,
        dropout: float = 0.0,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        dtype: Any = None,
        layer_norm_epsilon: float = 1e-12,
        activation: str = "gelu_tanh",
        attention_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        config = AlbertConfig(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            layer_norm_epsilon=layer_norm_epsilon,
            activation=activation,
            attention_dropout=attention_dropout,
            embedding_dim=embedding_dim,
            num_groups=num_groups,
            num_inner_repetitions=num_inner_repetitions,
            num_segments=num_segments,
        )
        # === Layers ===
        token_embedding = embedding(vocabulary_size, embedding_dim, "token_embedding", dtype)
        segment_embedding = embedding(num_segments, embedding_dim, "segment_embedding", dtype)
        position_embedding = PositionEmbedding(max_sequence_length, dtype=dtype, name="position_embedding")
        embeddings_norm, embeddings_dropout = normalized(config, "embeddings", dtype)
        embeddings_projection = dense(hidden_dim, "embedding_projection", dtype)
        groups = [
            [
                encoder_layer(config, f"group_{group}_inner_layer_{inner}", dtype)
                for inner in range(num_inner_repetitions)
            ]
            for group in range(num_groups)
        ]
        pooled_dense = dense(hidden_dim, "pooled_dense", dtype, activation="tanh")

        # === Functional graph ===
        inputs = text_inputs("token_ids", "segment_ids", "padding_mask")
        embeddings_add = keras.layers.Add(dtype=dtype, name="embeddings_add")
        x = embeddings_add([token_embedding(inputs["token_ids"]), segment_embedding(inputs["segment_ids"])])
        x = embeddings_dropout(embeddings_norm(position_embedding(x)))
        x = embeddings_projection(x)
        for number in range(num_layers):
            for layer in groups[number * num_groups // num_layers]:
                x = layer(x, padding_mask=inputs["padding_mask"])
        outputs = {"sequence_output": x, "pooled_output": pooled_dense(x[:, 0, :])}
        super().__init__(config, inputs, outputs, dtype, **kwargs)

        # === Config ===
        self.token_embedding = token_embedding
        self.segment_embedding = segment_embedding
        self.position_embedding = position_embedding
        self.embeddings_add = embeddings_add
        self.embeddings_dropout = embeddings_dropout
        self.embeddings_norm = embeddings_norm
        self.embeddings_projection = embeddings_projection
        self.transformer_layers = groups
        self.pooled_dense = pooled_dense
        self.cls_token_index = 0

    def unpack(self, outputs: Any) -> tuple[Any, Any | None]:
        return outputs["sequence_output"], outputs["pooled_output"]

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        found: dict[str, keras.layers.Layer] = {
            "embeddings.token": self.token_embedding,
            "embeddings.position": self.position_embedding,
            "embeddings.segment": self.segment_embedding,
            "embeddings.norm": self.embeddings_norm,
            "embeddings.projection": self.embeddings_projection,
        }
        for g, group in enumerate(self.transformer_layers):
            for j, layer in enumerate(group):
                found.update(named_parts(f"groups.{g}.layers.{j}", layer))
        return {**found, "pooler": self.pooled_dense}


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertTokenizer(Tokenizer):
    """ALBERT's SentencePiece tokenizer; ``settings`` says what is done to a text first."""

    family = "albert"
    backbone_cls = AlbertBackbone


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertTextClassifierPreprocessor(TextClassifierPreprocessor):
    """``[CLS] text [SEP]``, and ``[CLS] first [SEP] second [SEP]`` for pairs, with ``segment_ids``."""

    backbone_cls = AlbertBackbone
    tokenizer_cls = AlbertTokenizer


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertMaskedLMPreprocessor(MaskedLMPreprocessor):
    """The same with tokens hidden behind ``[MASK]``."""

    backbone_cls = AlbertBackbone
    tokenizer_cls = AlbertTokenizer


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertTextClassifier(TextClassifier):
    """A classification head on ALBERT's pooled output: dropout and the logits.

    Arguments as :class:`~sparkxlmr.models.text_classifier.TextClassifier`; Adam's rate is 1e-5 here.

    >>> import numpy as np
    >>> backbone = AlbertBackbone(vocabulary_size=50, num_layers=2, num_heads=2, embedding_dim=4,
    ...                           hidden_dim=8, intermediate_dim=16, max_sequence_length=12)
    >>> classifier = AlbertTextClassifier(backbone, num_classes=3, activation="softmax")
    >>> x = {name: np.ones((2, 5), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    >>> classifier.predict(x, verbose=0).sum(axis=1).round(3).tolist()
    [1.0, 1.0]
    """

    backbone_cls = AlbertBackbone
    preprocessor_cls = AlbertTextClassifierPreprocessor
    learning_rate = 1e-5

    def __init__(
        self,
        backbone: AlbertBackbone,
        num_classes: int,
        preprocessor: AlbertTextClassifierPreprocessor | None = None,
        activation: Any = None,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        # Configs of this class have a hidden_dim of None, as those of all text classifiers have one.
        if kwargs.pop("hidden_dim", None) is not None:
            raise WrongTypeError(
                f"{type(self).__name__} was called with hidden_dim",
                "none: ALBERT's pooler is the dense layer before the logits",
                "leave hidden_dim out",
            )
        super().__init__(backbone, num_classes, preprocessor, activation, dropout=dropout, **kwargs)


@keras.saving.register_keras_serializable(package="sparkxlmr")
class AlbertMaskedLM(MaskedLM):
    """ALBERT guessing hidden tokens; arguments as :class:`~sparkxlmr.models.masked_lm.MaskedLM`.

    >>> import numpy as np
    >>> backbone = AlbertBackbone(vocabulary_size=50, num_layers=2, num_heads=2, embedding_dim=4,
    ...                           hidden_dim=8, intermediate_dim=16, max_sequence_length=12)
    >>> x = {name: np.ones((2, 5), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    >>> x["mask_positions"] = np.array([[1, 3, 4]] * 2)
    >>> AlbertMaskedLM(backbone).predict(x, verbose=0).shape
    (2, 3, 50)
    """

    backbone_cls = AlbertBackbone
    preprocessor_cls = AlbertMaskedLMPreprocessor


# Names of keras-nlp, which keras-hub has too.
AlbertClassifier = AlbertTextClassifier
AlbertPreprocessor = AlbertTextClassifierPreprocessor
