"""The parts of a post-layer-norm transformer encoder (Vaswani et al. 2017; RoBERTa's form of it).

A layer takes its parts as arguments, so that a family which shares or reshapes them builds from the same
ones.
Shapes: b texts, l token ids, h ``hidden_dim``; padding masks are (b, l), 1 where a token stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from sparkxlmr.presets.config import BackboneConfig

_MASKED = -1e9  # added to a float32 score; its softmax is exactly 0


def initializer() -> keras.initializers.Initializer:
    """BERT's and RoBERTa's: a truncated normal of standard deviation 0.02."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


@keras.saving.register_keras_serializable(package="sparkxlmr")
def gelu_tanh(x: Any) -> Any:
    """GELU by its tanh approximation: Hugging Face's ``gelu_new`` and ``gelu_pytorch_tanh``."""
    return keras.activations.gelu(x, approximate=True)


def activation_named(name: str | None) -> Callable[[Any], Any]:
    """The function of an activation's name in a model's numbers: ``"gelu"`` is exact, ``"gelu_tanh"`` not.

    Any name that Keras knows works too.
    """
    return gelu_tanh if name == "gelu_tanh" else keras.activations.get(name)


def freeze_sublayers(layer: keras.layers.Layer) -> None:
    """Freeze the layers that a frozen layer has created: ``trainable=False`` came before them."""
    if not layer.trainable:
        for sublayer in layer._flatten_layers(include_self=False):
            sublayer.trainable = False


def dense(units: int, name: str, dtype: Any = None, activation: Any = None) -> keras.layers.Dense:
    """A dense layer with the initial values of this model family; kernel (in, out)."""
    return keras.layers.Dense(
        int(units), activation=activation, kernel_initializer=initializer(), dtype=dtype, name=name
    )


def embedding(n: int, dim: int, name: str, dtype: Any = None) -> keras.layers.Embedding:
    """An embedding (n, dim) with the initial values of this model family.

    Called with ``reverse=True`` it multiplies by its own transpose: a masked language model's tied output.
    """
    return keras.layers.ReversibleEmbedding(
        int(n),  # Keras refuses NumPy's integers
        int(dim),
        embeddings_initializer=initializer(),
        reverse_dtype=keras.dtype_policies.get(dtype).compute_dtype,  # its own variable's, if not said
        dtype=dtype,
        name=name,
    )


@keras.saving.register_keras_serializable(package="sparkxlmr")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector for each place to its input (b, l, h); l at most ``max_length``."""

    def __init__(self, max_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_length = int(max_length)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.max_length, input_shape[-1]), initializer=initializer()
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        length = ops.shape(inputs)[1]
        return inputs + ops.cast(self.embeddings[:length], inputs.dtype)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        # Said outright: some backends would trace with lengths above max_length to find it out.
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length}


@keras.saving.register_keras_serializable(package="sparkxlmr")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Token embedding plus position embedding: int32 ids (b, l) to (b, l, h); keras-hub's ``embeddings``.

    The two layers are those of an encoder, with the same weights: freezing this layer freezes them.
    """

    def __init__(
        self, token_embedding: keras.layers.Layer, position_embedding: PositionEmbedding, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.position_embedding = position_embedding
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.position_embedding(self.token_embedding(inputs))


@keras.saving.register_keras_serializable(package="sparkxlmr")
class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product attention of a sequence to itself: (b, l, h) to (b, l, h)."""

    def __init__(self, num_heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        hidden_dim = input_shape[-1]
        assert hidden_dim is not None
        self.head_dim = hidden_dim // self.num_heads
        for part in ("query", "key", "value", "output"):
            layer = dense(hidden_dim, part, self.dtype_policy)
            layer.build(input_shape)
            setattr(self, f"{part}_dense", layer)
        self.probabilities_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        freeze_sublayers(self)
        self.built = True

    def call(self, inputs: Any, padding_mask: Any, training: bool | None = None) -> Any:
        query = self._heads(self.query_dense(inputs))
        key = self._heads(self.key_dense(inputs))
        value = self._heads(self.value_dense(inputs))
        scores = ops.matmul(query * self.head_dim**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        # In float32 whatever the policy: bfloat16 cannot tell close scores apart once they are large.
        hidden = (1.0 - ops.cast(padding_mask, "float32")) * _MASKED
        probabilities = ops.softmax(ops.cast(scores, "float32") + hidden[:, None, None, :])
        probabilities = self.probabilities_dropout(ops.cast(probabilities, value.dtype), training=training)
        mixed = ops.transpose(ops.matmul(probabilities, value), (0, 2, 1, 3))
        return self.output_dense(ops.reshape(mixed, ops.shape(inputs)))

    def _heads(self, x: Any) -> Any:
        """(b, l, h) to (b, heads, l, head)."""
        length = ops.shape(x)[1]
        return ops.transpose(ops.reshape(x, (-1, length, self.num_heads, self.head_dim)), (0, 2, 1, 3))

    def compute_output_spec(self, inputs: Any, padding_mask: Any, training: Any = None) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable(package="sparkxlmr")
class FeedForward(keras.layers.Layer):
    """Two dense layers with an activation between them: (b, l, h) to (b, l, h)."""

    def __init__(self, intermediate_dim: int, activation: str = "gelu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        hidden_dim = input_shape[-1]
        assert hidden_dim is not None
        activation = activation_named(self.activation)
        self.up_dense = dense(self.intermediate_dim, "up", self.dtype_policy, activation)
        self.up_dense.build(input_shape)
        self.down_dense = dense(hidden_dim, "down", self.dtype_policy)
        self.down_dense.build((*input_shape[:-1], self.intermediate_dim))
        freeze_sublayers(self)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.down_dense(self.up_dense(inputs))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable(package="sparkxlmr")
class EncoderLayer(keras.layers.Layer):
    """Attention, then feed-forward, each dropped out, added to its input and normalised; (b, l, h) to that.

    Args:
        attention: called with the sequence and the padding mask.
        feed_forward: called with the sequence.
        dropout: of what each of the two adds.
        layer_norm_epsilon: of both normalisations.
    """

    def __init__(
        self,
        attention: keras.layers.Layer,
        feed_forward: keras.layers.Layer,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention = attention
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        for part in ("attention", "feed_forward"):
            norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name=f"{part}_norm"
            )
            setattr(self, f"{part}_norm", norm)
            drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name=f"{part}_dropout")
            setattr(self, f"{part}_dropout", drop)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for part in (self.attention, self.feed_forward, self.attention_norm, self.feed_forward_norm):
            if not part.built:
                part.build(input_shape)
        freeze_sublayers(self)
        self.built = True

    def call(self, inputs: Any, padding_mask: Any, training: bool | None = None) -> Any:
        mixed = self.attention(inputs, padding_mask=padding_mask, training=training)
        x = self.attention_norm(inputs + self.attention_dropout(mixed, training=training))
        return self.feed_forward_norm(x + self.feed_forward_dropout(self.feed_forward(x), training=training))

    def compute_output_spec(self, inputs: Any, padding_mask: Any, training: Any = None) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "attention": keras.saving.serialize_keras_object(self.attention),
            "feed_forward": keras.saving.serialize_keras_object(self.feed_forward),
            "dropout": self.dropout,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EncoderLayer:
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("attention", "feed_forward")
        }
        return cls(**{**config, **parts})


def normalized(
    config: BackboneConfig, name: str, dtype: Any = None
) -> tuple[keras.layers.LayerNormalization, keras.layers.Dropout]:
    """A layer norm and the dropout behind it, with an encoder's numbers."""
    return (
        keras.layers.LayerNormalization(
            epsilon=config.layer_norm_epsilon, dtype=dtype, name=f"{name}_layer_norm"
        ),
        keras.layers.Dropout(config.dropout, dtype=dtype, name=f"{name}_dropout"),
    )


def encoder_layer(config: BackboneConfig, name: str, dtype: Any = None) -> EncoderLayer:
    """One layer of an encoder with these numbers."""
    attention_dropout = config.dropout if config.attention_dropout is None else config.attention_dropout
    return EncoderLayer(
        SelfAttention(config.num_heads, attention_dropout, dtype=dtype, name="attention"),
        FeedForward(config.intermediate_dim, config.activation, dtype=dtype, name="feed_forward"),
        dropout=config.dropout,
        layer_norm_epsilon=config.layer_norm_epsilon,
        dtype=dtype,
        name=name,
    )


def named_parts(prefix: str, layer: EncoderLayer) -> dict[str, keras.layers.Layer]:
    """The layers with weights of an encoder layer under their canonical names."""
    found: dict[str, keras.layers.Layer] = {
        f"{prefix}.attention.{part}": getattr(layer.attention, f"{part}_dense")
        for part in ("query", "key", "value", "output")
    }
    found[f"{prefix}.attention.norm"] = layer.attention_norm
    found[f"{prefix}.feed_forward.up"] = layer.feed_forward.up_dense
    found[f"{prefix}.feed_forward.down"] = layer.feed_forward.down_dense
    found[f"{prefix}.feed_forward.norm"] = layer.feed_forward_norm
    return found
