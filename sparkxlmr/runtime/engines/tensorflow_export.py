"""A preset as a SavedModel. Run in a process of its own:
`python -m sparkxlmr.runtime.engines.tensorflow_export FOLDER TARGET KIND`.

What is computed is Keras' :mod:`~sparkxlmr.runtime.engines.keras_graph`, traced once for each precision. The
traced functions take the weights as arguments, so that one set of variables, as small as they were stored,
serves all of them, and whoever loads them casts each weight once and not in every call.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkxlmr.presets.config import MaskedLMConfig

if TYPE_CHECKING:
    from sparkxlmr.presets.preset import Preset

PRECISIONS = ("float32", "bfloat16", "float16")


def export_saved_model(preset: Preset, folder: Path) -> None:
    """Writes the preset's model; Keras must be on the TensorFlow backend.

    The object that `tf.saved_model.load` gives has `weights`, a list of variables, and for each precision a
    function of that name: called with the weights, each cast to what the function takes, and then the int32
    inputs of :class:`sparkxlmr.runtime.engines.Runner`, all dimensions open, it answers float32 logits, or an
    encoder's vectors.
    """
    import tensorflow as tf

    from sparkxlmr.runtime.engines.keras_graph import graph_of

    graphs = {precision: graph_of(preset.config, preset.task, precision) for precision in PRECISIONS}
    read = [preset.weights(dtype=None)]
    kept = tf.float16 if all(array.dtype == np.float16 for array in read[0].values()) else tf.float32
    # Of each weight as little as tells in what a graph takes it.
    samples = {name: np.zeros((1,) * array.ndim, np.float32) for name, array in read[0].items()}
    # Given away: what was read goes as soon as it is a tensor.
    weights = graphs["float32"].on_device(read.pop())
    names = sorted(weights)
    shapes = {name: weights[name].shape for name in names}
    holder = tf.Module()
    # One by one, so that no weight lies here twice for long.
    holder.weights = [tf.Variable(tf.cast(weights.pop(name), kept), name=name) for name in names]
    for precision, graph in graphs.items():
        taken = graph.on_device(samples)
        specs = [tf.TensorSpec(shapes[name], taken[name].dtype) for name in names]
        setattr(holder, precision, _traced(graph, names, specs, preset))
    tf.saved_model.save(holder, str(folder), signatures={})


def _traced(graph: Any, names: list[str], weights: list[Any], preset: Preset) -> Any:
    import tensorflow as tf

    texts = ("token_ids", "padding_mask", *(("segment_ids",) if preset.family == "albert" else ()))
    inputs = [tf.TensorSpec((None, None), tf.int32, name) for name in texts]
    if isinstance(preset.task, MaskedLMConfig):
        inputs.append(tf.TensorSpec((None, 2), tf.int32, "mask_positions"))

    def answer(*tensors: Any) -> Any:
        given = {spec.name: x for spec, x in zip(inputs, tensors[len(names) :], strict=True)}
        return graph(dict(zip(names, tensors, strict=False)), given)

    # The graph is whole as it is: AutoGraph would only look for loops in it.
    return tf.function(answer, input_signature=[*weights, *inputs], autograph=False)


if __name__ == "__main__":
    from sparkxlmr.presets.encoder import Encoder
    from sparkxlmr.presets.preset import Preset

    _source, _target, _kind = sys.argv[1:]
    _preset = Preset.open(_source)
    export_saved_model(Encoder.of(_preset) if _kind == Encoder.kind else _preset, Path(_target))
