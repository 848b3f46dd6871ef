"""Which files of a model on a hub are fetched: those that a preset is read from, each only where needed.

Only names written here are asked for, and those of shards, which must be plain file names. So whatever else a
repository or its listing holds (other frameworks' copies of the weights, paths that lead out of the folder)
is never fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.hugging_face import is_checkpoint
from sparkxlmr.presets.keras_hub import read_json

CONFIG = "config.json"
_MOST_INDEX_BYTES = 64 * 2**20
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|bin|h5)")

#: Folders of a preset, the empty one being its own.
FOLDERS = ("", "assets/tokenizer")

Fetch = Callable[[str], Path | None]


def gather(fetch: Fetch, handle: str) -> None:
    """Fetches the files of one model.

    Args:
        fetch: brings the file of that name and returns its place, or None where the hub has none.
        handle: what the messages call the model.

    Raises:
        NotAPresetError: there is no ``config.json``, or there are no weights of a kind that is read here.
        DamagedModelError: an index names files outside the model's folder.
    """
    config = fetch(CONFIG)
    if config is None:
        raise NotAPresetError(
            f"{handle} has no {CONFIG}",
            "a Hugging Face checkpoint or a keras-hub preset",
            "check the handle; the file lies in the model's own folder, not below it",
        )
    if is_checkpoint(_json(config, handle)):
        weights = _hugging_face(fetch, handle)
    else:
        weights = _keras_hub(fetch, handle)
    if weights is None:
        raise NotAPresetError(
            f"{handle} has no weights that can be read",
            "model.safetensors, pytorch_model.bin or model.weights.h5 (or their shards and index)",
            "take a model that is published in one of these forms, or save it so",
        )


def _hugging_face(fetch: Fetch, handle: str) -> Path | None:
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        fetch(name)
    # tokenizer.json repeats what a SentencePiece model says, at three times its size.
    fetch("sentencepiece.bpe.model") or fetch("spiece.model") or fetch("tokenizer.json")
    for whole in ("model.safetensors", "pytorch_model.bin"):
        found = _shards(fetch, f"{whole}.index.json", handle) or fetch(whole)
        if found:
            return found
    return None


def _keras_hub(fetch: Fetch, handle: str) -> Path | None:
    for name in ("metadata.json", "preprocessor.json"):
        fetch(name)
    if fetch("tokenizer.json"):
        fetch("assets/tokenizer/vocabulary.spm")
    if fetch("task.json"):
        fetch("task.weights.h5")
    return fetch("model.weights.h5") or _shards(fetch, "model.weights.json", handle)


def _shards(fetch: Fetch, index: str, handle: str) -> Path | None:
    """The index of sharded weights, its shards fetched too; None where there is no index."""
    place = fetch(index)
    if place is None:
        return None
    for name in sorted(_shard_names(_json(place, handle).get("weight_map"), handle, index)):
        if fetch(name) is None:
            raise DamagedModelError(
                f"{handle} has no {name}, which its {index} names", "all shards", "ask its publisher"
            )
    return place


def _shard_names(weight_map: object, handle: str, index: str) -> set[str]:
    # Keras names several files for a weight that it had to split.
    values = weight_map.values() if isinstance(weight_map, dict) else ()
    names = {str(name) for value in values for name in (value if isinstance(value, list) else [value])}
    for name in names:
        if not _SHARD.fullmatch(name):
            raise DamagedModelError(
                f"{index} of {handle} names the file {name[:100]!r}",
                "names of weights files beside it",
                "do not use this model",
            )
    if not names:
        raise DamagedModelError(f"{index} of {handle} names no file", "a weight_map", "ask its publisher")
    return names


def _json(path: Path, handle: str) -> dict[str, object]:
    if path.stat().st_size > _MOST_INDEX_BYTES:
        raise NotAPresetError(
            f"{path.name} of {handle} has {path.stat().st_size} bytes",
            f"at most {_MOST_INDEX_BYTES}",
            "take another model",
        )
    return read_json(path)
