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

from collections.abc import Iterator

from sparkxlmr.presets.config import BackboneConfig, TaskConfig
from sparkxlmr.presets.tables import albert, xlm_roberta
from sparkxlmr.presets.tables.entry import Architecture, Entry, check, refuse_names, refuse_shape

__all__ = ["ARCHITECTURES", "Architecture", "Entry", "check", "entries", "of", "refuse_names", "refuse_shape"]

ARCHITECTURES = {table.family: table for table in (xlm_roberta.ARCHITECTURE, albert.ARCHITECTURE)}


def of(config: BackboneConfig) -> Architecture:
    """The architecture whose encoder this is."""
    return ARCHITECTURES[config.family]


def entries(config: BackboneConfig, task: TaskConfig | None = None) -> tuple[Entry, ...]:
    """All weights of a model: the encoder's, then the head's where there is one."""
    architecture = of(config)
    encoder = architecture.encoder(config, None if task is None else task.kind)
    head: Iterator[Entry] = iter(()) if task is None else architecture.heads[task.kind](config, task)
    return (*encoder, *head)
