"""XLM-RoBERTa's weights: this package's names, keras-hub's places, Hugging Face's keys."""

from __future__ import annotations

from collections.abc import Iterator

from sparkxlmr.presets.config import BackboneConfig, TextClassifierConfig
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

_EMBEDDINGS = "layers/token_and_position_embedding"
_HF_LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward.norm": "output.LayerNorm",
}


def _encoder(config: BackboneConfig, kind: str | None) -> Iterator[Entry]:
    tokens = (config.vocabulary_size, config.hidden_dim)
    positions = (config.max_sequence_length, config.hidden_dim)
    yield Entry(
        "embeddings.token",
        tokens,
        "model",
        f"{_EMBEDDINGS}/token_embedding/vars/0",
        tokens,
        ("embeddings.word_embeddings.weight",),
        hf_copies=("lm_head.decoder.weight",),
    )
    yield Entry(
        "embeddings.position",
        positions,
        "model",
        f"{_EMBEDDINGS}/position_embedding/vars/0",
        positions,
        ("embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"),
        "positions",
    )
    yield from norm(
        "embeddings.norm", config.hidden_dim, "layers/layer_normalization", "embeddings.LayerNorm"
    )
    for i in range(config.num_layers):
        hub = f"layers/{hub_layer(i)}"
        yield from encoder_layer(config, f"layers.{i}", hub, f"encoder.layer.{i}", _HF_LAYER)


def _classifier(config: BackboneConfig, task: TextClassifierConfig) -> Iterator[Entry]:
    hidden = task.hidden_dim or config.hidden_dim
    shape = (config.hidden_dim, hidden)
    yield from dense("classifier.dense", shape, "layers/dense", "classifier.dense", head=True)
    shape = (hidden, task.num_classes)
    yield from dense("classifier.logits", shape, "layers/dense_1", "classifier.out_proj", head=True)


def _masked_lm(config: BackboneConfig, task: object) -> Iterator[Entry]:
    return masked_lm_head(
        config, "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder.bias"
    )


def _encoder_groups(config: BackboneConfig) -> dict[str, str]:
    groups = {
        "": "xlm_roberta_backbone",
        "layers/dropout": "embeddings_dropout",
        "layers/input_layer": "token_ids",
        "layers/input_layer_1": "padding_mask",
        "layers/layer_normalization": "embeddings_layer_norm",
        _EMBEDDINGS: "embeddings",
        f"{_EMBEDDINGS}/position_embedding": "position_embedding",
        f"{_EMBEDDINGS}/token_embedding": "token_embedding",
    }
    for i in range(config.num_layers):
        groups.update(encoder_layer_groups(i, f"transformer_layer_{i}"))
    return groups


ARCHITECTURE = Architecture(
    family="xlm_roberta",
    hub_module="keras_hub.src.models.xlm_roberta",
    hub_name="xlm_roberta",
    hub_class="XLMRoberta",
    hf_type="xlm-roberta",
    hf_class="XLMRoberta",
    hf_prefix="roberta.",
    hf_vocabulary="sentencepiece.bpe.model",
    # Counted positions, and the pooler, which no head here reads.
    hf_ignored=(
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    ),
    hf_ignored_heads=(),
    encoder=_encoder,
    heads={"text_classifier": _classifier, "masked_lm": _masked_lm},
    encoder_groups=_encoder_groups,
    head_groups={
        "text_classifier": {
            "layers/dense": "pooled_dense",
            "layers/dense_1": "logits",
            "layers/dropout": "pooled_dropout",
            "layers/dropout_1": "output_dropout",
        },
        "masked_lm": {"layers/input_layer_2": "mask_positions", **MASKED_LM_GROUPS},
    },
)
