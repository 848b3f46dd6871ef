"""A TensorFlow SavedModel of another library as one with a bundle's names. Run in a process of its own:
`python -m sparkxlmr.runtime.engines.tensorflow_import FOLDER TARGET`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sparkxlmr.presets.saved_graph import CLASSIFIER, SavedGraph, too_small_tables, wrong_outputs
from sparkxlmr.presets.tensorflow_folder import SIGNATURE
from sparkxlmr.runtime.engines.tensorflow import ENDPOINT


def import_saved_model(model: SavedGraph, folder: Path) -> None:
    """Writes the model as the engine's own SavedModels are: one signature of int32 inputs and one output.

    That nothing but computing is in it was seen when it was looked at. Raises NotAPresetError where its
    answers are not as many as its labels.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model.path))
    served = loaded.signatures[SIGNATURE]
    wanted = served.structured_input_signature[1]
    names = ("token_ids", "padding_mask", *(("segment_ids",) if model.family == "albert" else ()))

    def answer(*tensors: Any) -> dict[str, Any]:
        given = dict(zip(names, tensors, strict=True))
        # XLM-R has no segments, but some exports of it ask for them: all are the first.
        given.setdefault("segment_ids", tf.zeros_like(given["token_ids"]))
        inputs = {theirs: tf.cast(given[ours], wanted[theirs].dtype) for ours, theirs in model.inputs.items()}
        x = tf.cast(served(**inputs)[model.output], tf.float32)
        return {"logits": x if model.task_kind == CLASSIFIER else _text_vectors(x, given["padding_mask"])}

    holder = tf.Module()
    holder.variables_of_the_model = list(served.variables)
    specs = [tf.TensorSpec((None, None), tf.int32, name) for name in names]
    holder.answer = tf.function(answer, input_signature=specs)
    endpoint = holder.answer.get_concrete_function()
    sample = [tf.ones((2, 3), tf.int32) for _ in names]
    shape = tuple(endpoint(*sample)["logits"].shape)
    if model.task_kind == CLASSIFIER and shape != (2, len(model.labels)):
        raise wrong_outputs(model.path, shape, len(model.labels))
    # On a CPU, TensorFlow refuses ids and positions beyond its tables; on a GPU it would take zeros for them.
    longest = tf.fill((1, model.max_length), model.text_tokenizer().vocabulary_size - 1)
    try:
        endpoint(longest, *(tf.ones_like(longest) for _ in names[1:]))
    except tf.errors.InvalidArgumentError as error:
        raise too_small_tables(model, model.vocabulary_rows, None) from error
    tf.saved_model.save(holder, str(folder), signatures={ENDPOINT: endpoint})


def _text_vectors(sequence: Any, padding_mask: Any) -> Any:
    """Of (rows, width, hidden) the first token's vector and the mean over all tokens: (rows, 2, hidden)."""
    import tensorflow as tf

    counted = tf.cast(padding_mask, sequence.dtype)[:, None]
    n_tokens = tf.maximum(tf.reduce_sum(counted, axis=2, keepdims=True), 1)
    return tf.concat([sequence[:, :1], tf.matmul(counted, sequence) / n_tokens], axis=1)


if __name__ == "__main__":
    import_saved_model(SavedGraph.open(Path(sys.argv[1])), Path(sys.argv[2]))
