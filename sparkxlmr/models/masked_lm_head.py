"""The head of a masked language model: from an encoder's vectors to logits over the vocabulary."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sparkxlmr.models.layers import activation_named, dense, freeze_sublayers


@keras.saving.register_keras_serializable(package="sparkxlmr")
class MaskedLMHead(keras.layers.Layer):
    """Guesses the tokens at some positions: dense, activation, layer norm, tied token matrix and bias.

    Called with the sequence (b, l, h) and int32 positions (b, p) it answers logits (b, p, vocabulary). The
    output matrix is the token embedding's own (Press and Wolf 2017); only the vectors at the positions are
    computed further, so that memory follows p and not l.

    Args:
        token_embedding: the encoder's, called with ``reverse=True``.
        activation: its name in a model's numbers (``"gelu"``, ``"gelu_tanh"``, ``"relu"``).
        layer_norm_epsilon: of the normalisation.
    """

    def __init__(
        self,
        token_embedding: keras.layers.Embedding,
        activation: str = "gelu",
        layer_norm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, inputs_shape: Any, mask_positions_shape: Any = None) -> None:
        dim = self.token_embedding.output_dim
        policy = self.dtype_policy
        self.dense = dense(dim, "intermediate_dense", policy, activation_named(self.activation))
        self.dense.build(inputs_shape)
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=policy, name="intermediate_layer_norm"
        )
        self.norm.build((*inputs_shape[:-1], dim))
        self.bias = self.add_weight(
            name="output_bias", shape=(self.token_embedding.input_dim,), initializer="zeros"
        )
        freeze_sublayers(self)
        self.built = True

    def call(self, inputs: Any, mask_positions: Any) -> Any:
        # One index into all rows: take_along_axis makes int64 of it, which TensorFlow logs as an error.
        batch, width, dim = ops.shape(inputs)
        first = ops.expand_dims(ops.arange(batch, dtype="int32") * width, -1)
        x = ops.take(ops.reshape(inputs, (-1, dim)), ops.cast(mask_positions, "int32") + first, axis=0)
        logits = self.token_embedding(self.norm(self.dense(x)), reverse=True)
        return logits + ops.cast(self.bias, logits.dtype)

    def compute_output_spec(self, inputs: Any, mask_positions: Any) -> keras.KerasTensor:
        shape = (*mask_positions.shape, self.token_embedding.input_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MaskedLMHead:
        embedding = keras.saving.deserialize_keras_object(config["token_embedding"])
        return cls(**{**config, "token_embedding": embedding})
