"""ALBERT's weights: this package's names, keras-hub's places, Hugging Face's keys."""

from __future__ import annotations

from collections.abc import Iterator

from sparkxlmr.presets.config import AlbertConfig, TextClassifierConfig
from sparkxlmr.presets.tables.entry import Architecture, Entry
from sparkxlmr.presets.tables.layers import (
    MASKED_LM_GROUPS,
    dense,
    encoder_layer,
    encoder_layer_groups,
    hub_layer,
    masked_lm_head,
    norm,
)

_HF_LAYER = {
    "attention.query": "attention.query",
    "attention.key": "attention.key",
    "attention.value": "attention.value",
    "attention.output": "attention.dense",
    "attention.norm": "attention.LayerNorm",
    "feed_forward.up": "ffn",
    "feed_forward.down": "ffn_output",
    "feed_forward.norm": "full_layer_layer_norm",
}


def _encoder(config: AlbertConfig, kind: str | None) -> Iterator[Entry]:
    width, hidden = config.embedding_dim, config.hidden_dim
    for part, rows, place, key, copies in (
        ("token", config.vocabulary_size, "reversible_embedding", "word", ("predictions.decoder.weight",)),
        ("position", config.max_sequence_length, "position_embedding", "position", ()),
        ("segment", config.num_segments, "embedding", "token_type", ()),
    ):
        shape, keys = (rows, width), (f"embeddings.{key}_embeddings.weight",)
        hub = f"layers/{place}/vars/0"
        yield Entry(f"embeddings.{part}", shape, "model", hub, shape, keys, hf_copies=copies)
    yield from norm("embeddings.norm", width, "layers/layer_normalization", "embeddings.LayerNorm")
    key = "encoder.embedding_hidden_mapping_in"
    yield from dense("embeddings.projection", (width, hidden), "layers/dense", key)
    for group, inner, i in _layers(config):
        name, hub = f"groups.{group}.layers.{inner}", f"layers/{hub_layer(i)}"
        hf = f"encoder.albert_layer_groups.{group}.albert_layers.{inner}"
        yield from encoder_layer(config, name, hub, hf, _HF_LAYER)
    # A classifier reads the pooler. Hugging Face's masked language models have none, and its bare encoders
    # may lack it: then the first token's vector goes through it as it is, to tanh.
    may_lack = kind != "text_classifier"
    yield from dense("pooler", (hidden, hidden), "layers/dense_1", "pooler", may_lack=may_lack)


def _classifier(config: AlbertConfig, task: TextClassifierConfig) -> Iterator[Entry]:
    shape = (config.hidden_dim, task.num_classes)
    yield from dense("classifier.logits", shape, "layers/dense", "classifier", head=True)


def _masked_lm(config: AlbertConfig, task: object) -> Iterator[Entry]:
    return masked_lm_head(
        config, "predictions.dense", "predictions.LayerNorm", "predictions.bias", "predictions.decoder.bias"
    )


def _layers(config: AlbertConfig) -> Iterator[tuple[int, int, int]]:
    """Each layer with weights of its own: its group, its place there, and its number among all of them."""
    for i in range(config.num_groups * config.num_inner_repetitions):
        yield *divmod(i, config.num_inner_repetitions), i


def _encoder_groups(config: AlbertConfig) -> dict[str, str]:
    groups = {
        "": "albert_backbone",
        "layers/add": "embeddings_add",
        "layers/dense": "embedding_projection",
        "layers/dense_1": "pooled_dense",
        "layers/dropout": "embeddings_dropout",
        "layers/embedding": "segment_embedding",
        "layers/input_layer": "token_ids",
        "layers/input_layer_1": "segment_ids",
        "layers/input_layer_2": "padding_mask",
        "layers/layer_normalization": "embeddings_layer_norm",
        "layers/position_embedding": "position_embedding",
        "layers/reversible_embedding": "token_embedding",
    }
    for group, inner, i in _layers(config):
        groups.update(encoder_layer_groups(i, f"group_{group}_inner_layer_{inner}"))
    return groups


ARCHITECTURE = Architecture(
    family="albert",
    hub_module="keras_hub.src.models.albert",
    hub_name="albert",
    hub_class="Albert",
    hf_type="albert",
    hf_class="Albert",
    hf_prefix="albert.",
    hf_vocabulary="spiece.model",
    hf_ignored=("embeddings.position_ids", "embeddings.token_type_ids"),
    # The sentence-order head of the published checkpoints' pretraining.
    hf_ignored_heads=("sop_classifier.classifier.weight", "sop_classifier.classifier.bias"),
    encoder=_encoder,
    heads={"text_classifier": _classifier, "masked_lm": _masked_lm},
    encoder_groups=_encoder_groups,
    head_groups={
        "text_classifier": {"layers/dense": "logits", "layers/dropout": "output_dropout"},
        "masked_lm": {"layers/input_layer_3": "mask_positions", **MASKED_LM_GROUPS},
    },
)
