"""Where each weight stands: this package's name, keras-hub's place in its h5 files, Hugging Face's key.

One table per architecture, read in both directions. A weight has one *canonical* name and shape; kernels are
(in, out) as Keras multiplies them. keras-hub stores attention kernels as (hidden, heads, head) and Hugging
Face stores every kernel transposed; the table knows both.

>>> from sparkxlmr.presets.config import BackboneConfig
>>> config = BackboneConfig(100, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
>>> entry = next(e for e in entries(config) if e.name == "layers.0.attention.query.kernel")
>>> entry.shape, entry.hub_path, entry.hub_shape
((8, 8), 'layers/transformer_encoder/_self_attention_layer/query_dense/vars/0', (8, 2, 4))
>>> entry.hf_keys
('encoder.layer.0.attention.self.query.weight',)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sparkxlmr.errors import WeightsError
from sparkxlmr.presets.config import BackboneConfig, TaskConfig

HF_PREFIX = "roberta."
# Keys a Hugging Face checkpoint may carry which no output depends on: counted positions, and the pooler that
# the sequence classifier does not use.
HF_IGNORED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


@dataclass(frozen=True)
class Entry:
    """One weight: its name and shape here, in keras-hub's h5 file, and at Hugging Face.

    ``hub_file`` is ``"model"`` (``model.weights.h5``) or ``"task"`` (``task.weights.h5``). ``hf_keys`` stand
    without the ``roberta.`` prefix, which only the encoder's keys (not ``hf_head``) may have. ``hf_rule`` is
    ``"same"``, ``"transpose"`` or ``"positions"``.
    """

    name: str
    shape: tuple[int, ...]
    hub_file: str
    hub_path: str
    hub_shape: tuple[int, ...]
    hf_keys: tuple[str, ...]
    hf_rule: str = "same"
    hf_head: bool = False

    def from_hf(self, arrays: list[np.ndarray]) -> np.ndarray:
        """The canonical array of Hugging Face's; the order is that of ``hf_keys``."""
        if self.hf_rule == "transpose":
            return arrays[0].T
        if self.hf_rule == "positions":
            # Hugging Face begins positions at pad_id + 1 = 2, and adds the one token type to every place.
            positions, token_types = arrays
            return positions[2:] + token_types[0]
        return arrays[0]


def entries(config: BackboneConfig, task: TaskConfig | None = None) -> tuple[Entry, ...]:
    """All weights of a model: the encoder's, then the head's where there is one."""
    head = () if task is None else tuple(_classifier(config, task))
    return (*_embeddings(config), *_layers(config), *head)


def check(weights: Mapping[str, np.ndarray], expected: Iterable[Entry], where: str) -> None:
    """Each expected weight is there in its shape, and nothing else.

    Raises:
        WeightsError: names missing, unused, or of another shape, all of them named (the first few of many).
    """
    shapes = {entry.name: entry.shape for entry in expected}
    refuse_names(shapes.keys() - weights.keys(), weights.keys() - shapes.keys(), where)
    for name, shape in shapes.items():
        refuse_shape(name, weights[name].shape, shape, where)


def refuse_names(missing: Iterable[str], unused: Iterable[str], where: str) -> None:
    """Raises WeightsError where either list has a name."""
    missing, unused = sorted(missing), sorted(unused)
    if not missing and not unused:
        return
    parts = [
        f"{title}: {_few(names)}" for title, names in (("missing", missing), ("not used", unused)) if names
    ]
    raise WeightsError(
        f"The weights of {where} do not fit the model ({'; '.join(parts)})",
        "exactly the weights that its configuration asks for",
        "check that configuration and weights belong together",
    )


def refuse_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...], where: str) -> None:
    """Raises WeightsError where the two shapes differ."""
    if tuple(found) != tuple(expected):
        raise WeightsError(
            f"The weight {name} of {where} has the shape {tuple(found)}",
            f"the shape {tuple(expected)}",
            "check that configuration and weights belong together",
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _norm(name: str, dim: int, hub: str, hf: str) -> Iterator[Entry]:
    for i, (ours, theirs) in enumerate((("gamma", "weight"), ("beta", "bias"))):
        yield Entry(f"{name}.{ours}", (dim,), "model", f"{hub}/vars/{i}", (dim,), (f"{hf}.{theirs}",))


def _embeddings(config: BackboneConfig) -> Iterator[Entry]:
    tokens = (config.vocabulary_size, config.hidden_dim)
    positions = (config.max_sequence_length, config.hidden_dim)
    hub = "layers/token_and_position_embedding"
    yield Entry(
        "embeddings.token",
        tokens,
        "model",
        f"{hub}/token_embedding/vars/0",
        tokens,
        ("embeddings.word_embeddings.weight",),
    )
    yield Entry(
        "embeddings.position",
        positions,
        "model",
        f"{hub}/position_embedding/vars/0",
        positions,
        ("embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"),
        "positions",
    )
    yield from _norm(
        "embeddings.norm", config.hidden_dim, "layers/layer_normalization", "embeddings.LayerNorm"
    )


def _layers(config: BackboneConfig) -> Iterator[Entry]:
    hidden, inner, heads, head = (
        config.hidden_dim,
        config.intermediate_dim,
        config.num_heads,
        config.head_dim,
    )
    for i in range(config.num_layers):
        ours, hub, hf = f"layers.{i}", f"layers/{hub_layer(i)}", f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            yield from _dense(
                f"{ours}.attention.{part}",
                (hidden, hidden),
                f"{hub}/_self_attention_layer/{part}_dense",
                f"{hf}.attention.self.{part}",
                ((hidden, heads, head), (heads, head)),
            )
        yield from _dense(
            f"{ours}.attention.output",
            (hidden, hidden),
            f"{hub}/_self_attention_layer/output_dense",
            f"{hf}.attention.output.dense",
            ((heads, head, hidden), (hidden,)),
        )
        yield from _norm(
            f"{ours}.attention.norm",
            hidden,
            f"{hub}/_self_attention_layer_norm",
            f"{hf}.attention.output.LayerNorm",
        )
        yield from _dense(
            f"{ours}.feed_forward.up",
            (hidden, inner),
            f"{hub}/_feedforward_intermediate_dense",
            f"{hf}.intermediate.dense",
        )
        yield from _dense(
            f"{ours}.feed_forward.down",
            (inner, hidden),
            f"{hub}/_feedforward_output_dense",
            f"{hf}.output.dense",
        )
        yield from _norm(
            f"{ours}.feed_forward.norm", hidden, f"{hub}/_feedforward_layer_norm", f"{hf}.output.LayerNorm"
        )


def _classifier(config: BackboneConfig, task: TaskConfig) -> Iterator[Entry]:
    dense, logits = (config.hidden_dim, task.hidden_dim), (task.hidden_dim, task.num_classes)
    yield from _dense("classifier.dense", dense, "layers/dense", "classifier.dense", head=True)
    yield from _dense("classifier.logits", logits, "layers/dense_1", "classifier.out_proj", head=True)


def _dense(
    name: str,
    shape: tuple[int, int],
    hub: str,
    hf: str,
    hub_shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
    head: bool = False,
) -> Iterator[Entry]:
    kernel, bias = hub_shapes or (shape, shape[1:])
    file = "task" if head else "model"
    yield Entry(f"{name}.kernel", shape, file, f"{hub}/vars/0", kernel, (f"{hf}.weight",), "transpose", head)
    yield Entry(f"{name}.bias", shape[1:], file, f"{hub}/vars/1", bias, (f"{hf}.bias",), "same", head)


def hub_layer(i: int) -> str:
    """Keras numbers a class's layers from the second: ``transformer_encoder``, ``transformer_encoder_1``."""
    return f"transformer_encoder_{i}" if i else "transformer_encoder"
