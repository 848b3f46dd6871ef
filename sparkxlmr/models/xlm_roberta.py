"""XLM-RoBERTa (Conneau et al. 2020): what this family does not share with others."""

from __future__ import annotations

from typing import Any

import keras

from sparkxlmr.models.backbone import Backbone, check_backbone, text_inputs
from sparkxlmr.models.layers import (
    PositionEmbedding,
    TokenAndPositionEmbedding,
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
from sparkxlmr.presets.config import BackboneConfig


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaBackbone(Backbone):
    """XLM-R's encoder: calling it gives the sequence, (b, l, ``hidden_dim``).

    Args:
        vocabulary_size: rows of the token embedding.
        num_layers, num_heads, hidden_dim, intermediate_dim: the encoder's shape.
        dropout: of embeddings, attention and layers while training.
        max_sequence_length: the most ids that fit.
        dtype: a dtype policy, for example ``"bfloat16"`` or ``"mixed_float16"``.
        layer_norm_epsilon: of every normalisation.
        activation: of the feed-forward layers: ``"gelu"``, ``"gelu_tanh"`` or ``"relu"``.
        attention_dropout: of the attention's probabilities while training; None is ``dropout``.

    The last three are 1e-5, ``"gelu"`` and ``dropout`` in every published XLM-R; keras-hub cannot read
    presets with others.

    Raises:
        SettingError: a number that no encoder can have (:class:`sparkxlmr.presets.config.BackboneConfig`).

    >>> import numpy as np
    >>> backbone = XLMRobertaBackbone(vocabulary_size=50, num_layers=1, num_heads=2, hidden_dim=8,
    ...                               intermediate_dim=16, max_sequence_length=12)
    >>> x = {"token_ids": np.ones((2, 5), "int32"), "padding_mask": np.ones((2, 5), "int32")}
    >>> backbone.predict(x, verbose=0).shape
    (2, 5, 8)
    """

    family = "xlm_roberta"

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        max_sequence_length: int = 512,
        dtype: Any = None,
        layer_norm_epsilon: float = 1e-5,
        activation: str = "gelu",
        attention_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        config = BackboneConfig(
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
        )
        # Keras' layers take no NumPy integers, of which the config has made Python's.
        vocabulary_size, hidden_dim = config.vocabulary_size, config.hidden_dim
        max_sequence_length = config.max_sequence_length
        # === Layers ===
        token_embedding = embedding(vocabulary_size, hidden_dim, "token_embedding", dtype)
        position_embedding = PositionEmbedding(max_sequence_length, dtype=dtype, name="position_embedding")
        embeddings_norm, embeddings_dropout = normalized(config, "embeddings", dtype)
        transformer_layers = [
            encoder_layer(config, f"transformer_layer_{i}", dtype) for i in range(num_layers)
        ]

        # === Functional graph ===
        inputs = text_inputs("token_ids", "padding_mask")
        x = position_embedding(token_embedding(inputs["token_ids"]))
        x = embeddings_dropout(embeddings_norm(x))
        for layer in transformer_layers:
            x = layer(x, padding_mask=inputs["padding_mask"])
        super().__init__(config, inputs, x, dtype, **kwargs)

        # === Config ===
        self.token_embedding = token_embedding
        self.position_embedding = position_embedding
        self.embeddings_dropout = embeddings_dropout
        self.embeddings_norm = embeddings_norm
        self.transformer_layers = transformer_layers
        self.start_token_index = 0

    @property
    def embeddings(self) -> TokenAndPositionEmbedding:
        """The token and the position embedding as one layer, as in keras-hub; it shares their weights."""
        return TokenAndPositionEmbedding(
            self.token_embedding, self.position_embedding, dtype=self.dtype_policy, name="embeddings"
        )

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        found: dict[str, keras.layers.Layer] = {
            "embeddings.token": self.token_embedding,
            "embeddings.position": self.position_embedding,
            "embeddings.norm": self.embeddings_norm,
        }
        for i, layer in enumerate(self.transformer_layers):
            found.update(named_parts(f"layers.{i}", layer))
        return found


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaTokenizer(Tokenizer):
    """XLM-R's SentencePiece tokenizer, which reads special tokens spelled in a text as such."""

    family = "xlm_roberta"
    backbone_cls = XLMRobertaBackbone


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaTextClassifierPreprocessor(TextClassifierPreprocessor):
    """``<s> text </s>``, and ``<s> first </s></s> second </s>`` for pairs."""

    backbone_cls = XLMRobertaBackbone
    tokenizer_cls = XLMRobertaTokenizer


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaMaskedLMPreprocessor(MaskedLMPreprocessor):
    """The same with tokens hidden behind ``<mask>``."""

    backbone_cls = XLMRobertaBackbone
    tokenizer_cls = XLMRobertaTokenizer


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaTextClassifier(TextClassifier):
    """A classification head on XLM-R; arguments as :class:`~sparkxlmr.models.text_classifier.TextClassifier`.

    ``hidden_dim`` None takes the encoder's own, as keras-hub does.

    >>> import numpy as np
    >>> backbone = XLMRobertaBackbone(vocabulary_size=50, num_layers=1, num_heads=2, hidden_dim=8,
    ...                               intermediate_dim=16, max_sequence_length=12)
    >>> classifier = XLMRobertaTextClassifier(backbone, num_classes=3, activation="softmax")
    >>> x = {"token_ids": np.ones((2, 5), "int32"), "padding_mask": np.ones((2, 5), "int32")}
    >>> classifier.predict(x, verbose=0).sum(axis=1).round(3).tolist()
    [1.0, 1.0]
    """

    backbone_cls = XLMRobertaBackbone
    preprocessor_cls = XLMRobertaTextClassifierPreprocessor

    def __init__(
        self,
        backbone: XLMRobertaBackbone,
        num_classes: int,
        preprocessor: XLMRobertaTextClassifierPreprocessor | None = None,
        activation: Any = None,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check_backbone(type(self), backbone)
        super().__init__(
            backbone,
            num_classes,
            preprocessor,
            activation,
            backbone.shape().hidden_dim if hidden_dim is None else hidden_dim,
            dropout,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="sparkxlmr")
class XLMRobertaMaskedLM(MaskedLM):
    """XLM-R guessing hidden tokens; arguments as :class:`~sparkxlmr.models.masked_lm.MaskedLM`.

    >>> import numpy as np
    >>> backbone = XLMRobertaBackbone(vocabulary_size=50, num_layers=1, num_heads=2, hidden_dim=8,
    ...                               intermediate_dim=16, max_sequence_length=12)
    >>> masked_lm = XLMRobertaMaskedLM(backbone)
    >>> x = {"token_ids": np.ones((2, 5), "int32"), "padding_mask": np.ones((2, 5), "int32"),
    ...      "mask_positions": np.array([[1, 3, 4]] * 2)}
    >>> masked_lm.predict(x, verbose=0).shape
    (2, 3, 50)
    """

    backbone_cls = XLMRobertaBackbone
    preprocessor_cls = XLMRobertaMaskedLMPreprocessor


# Names of keras-nlp, which keras-hub has too.
XLMRobertaClassifier = XLMRobertaTextClassifier
XLMRobertaPreprocessor = XLMRobertaTextClassifierPreprocessor
