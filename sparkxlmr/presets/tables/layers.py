"""The weights of the layers that the architectures share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sparkxlmr.presets.config import BackboneConfig
from sparkxlmr.presets.tables.entry import Entry, Shape


def dense(
    name: str,
    shape: tuple[int, int],
    hub: str,
    hf: str,
    *,
    hub_shapes: tuple[Shape, Shape] | None = None,
    head: bool = False,
    may_lack: bool = False,
) -> Iterator[Entry]:
    """Kernel (in, out) and bias; ``hub_shapes`` where keras-hub stores them by heads.

    ``may_lack``: a checkpoint without them gets the identity, so that the layer hands on what it reads.
    """
    file = "task" if head else "model"
    shapes = hub_shapes or (shape, shape[1:])
    kernel = Entry(f"{name}.kernel", shape, file, f"{hub}/vars/0", shapes[0], (f"{hf}.weight",), "transpose")
    bias = Entry(f"{name}.bias", shape[1:], file, f"{hub}/vars/1", shapes[1], (f"{hf}.bias",))
    for entry, absent in ((kernel, "identity"), (bias, "zeros")):
        yield replace(entry, hf_head=head, hf_absent=absent if may_lack else None)


def norm(name: str, dim: int, hub: str, hf: str, *, head: bool = False) -> Iterator[Entry]:
    """Scale and offset of a layer normalisation."""
    file = "task" if head else "model"
    for i, (ours, theirs) in enumerate((("gamma", "weight"), ("beta", "bias"))):
        key = f"{hf}.{theirs}"
        yield Entry(f"{name}.{ours}", (dim,), file, f"{hub}/vars/{i}", (dim,), (key,), hf_head=head)


def encoder_layer(
    config: BackboneConfig, name: str, hub: str, hf: str, hf_names: Mapping[str, str]
) -> Iterator[Entry]:
    """One layer: attention and feed-forward, each with its normalisation.

    ``hf_names``: what follows ``hf`` in Hugging Face's keys, by what follows ``name`` in the canonical ones.
    """
    hidden, inner = config.hidden_dim, config.intermediate_dim
    heads, head = config.num_heads, config.head_dim
    by_heads = {
        **dict.fromkeys(("query", "key", "value"), ((hidden, heads, head), (heads, head))),
        "output": ((heads, head, hidden), (hidden,)),
    }
    for part, hub_shapes in by_heads.items():
        ours, theirs = f"attention.{part}", f"{hub}/_self_attention_layer/{part}_dense"
        key = f"{hf}.{hf_names[ours]}"
        yield from dense(f"{name}.{ours}", (hidden, hidden), theirs, key, hub_shapes=hub_shapes)
    for ours, place, shape in (
        ("feed_forward.up", "_feedforward_intermediate_dense", (hidden, inner)),
        ("feed_forward.down", "_feedforward_output_dense", (inner, hidden)),
    ):
        yield from dense(f"{name}.{ours}", shape, f"{hub}/{place}", f"{hf}.{hf_names[ours]}")
    for ours, place in (
        ("attention.norm", "_self_attention_layer_norm"),
        ("feed_forward.norm", "_feedforward_layer_norm"),
    ):
        yield from norm(f"{name}.{ours}", hidden, f"{hub}/{place}", f"{hf}.{hf_names[ours]}")


def masked_lm_head(
    config: BackboneConfig, hf_dense: str, hf_norm: str, hf_bias: str, hf_bias_copy: str
) -> Iterator[Entry]:
    """Dense and normalisation before the tied token matrix, and the bias after it."""
    hub, width = "layers/masked_lm_head", config.token_dim
    yield from dense(
        "masked_lm.dense",
        (config.hidden_dim, width),
        f"{hub}/_intermediate_dense",
        hf_dense,
        head=True,
    )
    yield from norm("masked_lm.norm", width, f"{hub}/_intermediate_layer_norm", hf_norm, head=True)
    rows = (config.vocabulary_size,)
    yield Entry(
        "masked_lm.bias",
        rows,
        "task",
        f"{hub}/vars/0",
        rows,
        (hf_bias,),
        hf_head=True,
        hf_copies=(hf_bias_copy,),
    )


# --- what keras-hub's layers are called ---

# The groups of a masked language model's head; the number of its input layer follows the encoder's inputs.
MASKED_LM_GROUPS = {
    "layers/masked_lm_head": "mlm_head",
    "layers/masked_lm_head/_intermediate_dense": "intermediate_dense",
    "layers/masked_lm_head/_intermediate_layer_norm": "intermediate_layer_norm",
}


def hub_layer(i: int) -> str:
    """Keras numbers a class's layers from the second: ``transformer_encoder``, ``transformer_encoder_1``."""
    return f"transformer_encoder_{i}" if i else "transformer_encoder"


def encoder_layer_groups(i: int, name: str) -> dict[str, str]:
    """The ``vars`` groups of the encoder layer number ``i``, which Keras calls ``name``."""
    number = f"_{i}" if i else ""
    groups = {
        "": name,
        "/_feedforward_dropout": "feedforward_dropout",
        "/_feedforward_intermediate_dense": "feedforward_intermediate_dense",
        "/_feedforward_layer_norm": "feedforward_layer_norm",
        "/_feedforward_output_dense": "feedforward_output_dense",
        "/_self_attention_dropout": "self_attention_dropout",
        "/_self_attention_layer": "self_attention_layer",
        "/_self_attention_layer/_dropout_layer": f"dropout{number}",
        "/_self_attention_layer/_softmax": f"softmax{number}",
        "/_self_attention_layer/key_dense": "key",
        "/_self_attention_layer/output_dense": "attention_output",
        "/_self_attention_layer/query_dense": "query",
        "/_self_attention_layer/value_dense": "value",
        "/_self_attention_layer_norm": "self_attention_layer_norm",
    }
    return {f"layers/{hub_layer(i)}{part}": layer for part, layer in groups.items()}
