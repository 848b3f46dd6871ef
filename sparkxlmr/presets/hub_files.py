"""Which files of a model on a hub are fetched: those that a preset is read from, each only where needed.

Only names written here are asked for, and those of shards, which the readers hold to be plain file names. So
whatever else a repository or its listing holds (other frameworks' copies of the weights, paths that lead out
of the folder) is never fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets import (
    hugging_face,
    hugging_face_tokenizer,
    hugging_face_weights,
    keras_hub,
    keras_hub_weights,
)
from sparkxlmr.presets.foreign_files import refuse_adapter

CONFIG = keras_hub.CONFIG
#: Folders of a preset, the empty one being its own.
FOLDERS = ("", "assets/tokenizer")
_MOST_JSON_BYTES = 64 * 2**20

Fetch = Callable[[str], Path | None]


def gather(fetch: Fetch, handle: str) -> None:
    """Fetches the files of one model.

    Args:
        fetch: brings the file of that name and returns its place, or None where the hub has none.
        handle: what the messages call the model.

    Raises:
        NotAPresetError: there is no ``config.json``, or there are no weights of a kind that is read here, or
            an index names files outside the model's folder.
        DamagedModelError: a shard is missing.
    """

    def bounded(name: str) -> Path | None:
        place = fetch(name)
        if place is not None and name.endswith(".json") and place.stat().st_size > _MOST_JSON_BYTES:
            raise NotAPresetError(
                f"{name} of {handle} has {place.stat().st_size} bytes",
                f"at most {_MOST_JSON_BYTES}",
                "take another",
            )
        return place

    config = bounded(CONFIG)
    if config is None:
        refuse_adapter(bounded, handle)
        raise NotAPresetError(
            f"{handle} has no {CONFIG}",
            "a Hugging Face checkpoint or a keras-hub preset",
            "check the handle; the file lies in the model's own folder, not below it",
        )
    is_checkpoint = hugging_face.is_checkpoint(keras_hub.read_json(config))
    if not (_checkpoint if is_checkpoint else _preset)(bounded, config.parent, handle):
        refuse_adapter(bounded, handle)
        raise NotAPresetError(
            f"{handle} has no weights that can be read",
            "model.safetensors, pytorch_model.bin or model.weights.h5 (or their shards and index)",
            "take a model that is published in one of these forms; convert TensorFlow or Flax weights "
            "by transformers 4: from_pretrained(..., from_tf=True or from_flax=True), then save_pretrained",
        )


def _checkpoint(fetch: Fetch, folder: Path, handle: str) -> bool:
    """Fetches what Hugging Face's layout has; whether weights were among it."""
    # tokenizer.json may add tokens of which the SentencePiece model has none.
    for name in hugging_face_tokenizer.FILES:
        fetch(name)
    fetch("sentencepiece.bpe.model") or fetch("spiece.model")
    weights = hugging_face_weights
    for single, index in ((weights.WEIGHTS, weights.INDEX), (weights.TORCH, weights.TORCH_INDEX)):
        if fetch(single):
            return True
        if fetch(index):
            _all(fetch, weights.weights_files(folder), handle)
            return True
    return False


def _preset(fetch: Fetch, folder: Path, handle: str) -> bool:
    """Fetches what keras-hub's layout has; whether weights were among it."""
    for name in (keras_hub.METADATA, keras_hub.PREPROCESSOR):
        fetch(name)
    if fetch(keras_hub.TOKENIZER):
        fetch(keras_hub.VOCABULARY)
    if fetch(keras_hub.TASK):
        fetch(keras_hub_weights.TASK)
    if fetch(keras_hub_weights.MODEL):
        return True
    if fetch(keras_hub_weights.INDEX):
        _all(fetch, keras_hub_weights.weights_files(folder, has_head=False), handle)
        return True
    return False


def _all(fetch: Fetch, files: list[Path], handle: str) -> None:
    for path in files:
        if fetch(path.name) is None:
            raise DamagedModelError(
                f"{handle} has no {path.name}, which its index names", "all shards", "ask its publisher"
            )
