"""What this package exports and answers, for transformers to be held against. Imported by path."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.presets import builtin
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
RECORDED = FIXTURES / "peers"
GOLDENS = (
    "hugging_face/albert_masked_lm",
    "hugging_face/albert_sequence_classification",
    "hugging_face/xlmr_masked_lm",
    "hugging_face/xlmr_sequence_classification",
    "keras_hub/albert_text_classifier",
    "keras_hub/xlmr_masked_lm",
    "keras_hub/xlmr_text_classifier",
)
# {mask} becomes the family's own mask token, and stands in the texts of masked language models only.
TEXTS = (
    "Stocks{mask} rise as oil falls to 60 dollars.",
    "¿Dónde está la{mask} biblioteca?",
    "महिला{mask} टीम ने फाइनल जीत लिया।",
    "The{mask} satellite, launched in 2019, sends its pictures of the far side of the moon every night.",
)
PAIR = ("Who{mask} won the match?", "The home team, by three goals to one.")
BEST = 5


# Of these the encoder is exported alone, too.
ENCODERS = ("hugging_face/albert_sequence_classification", "hugging_face/xlmr_sequence_classification")


def sources() -> dict[str, str]:
    """What is exported: a name for it, and the handle under which it is opened."""
    goldens = {name.replace("/", "."): str(FIXTURES / name) for name in GOLDENS}
    encoders = {f"encoder.{name.rpartition('/')[2]}": str(FIXTURES / name) for name in ENCODERS}
    return {**goldens, **encoders, **{f"built_in.{name}": name for name in builtin.names()}}


def texts_of(preset: Preset) -> list[list[str]]:
    """The texts for a model, the last one a pair."""
    has_masks = isinstance(preset.task, MaskedLMConfig)
    mask = f" {preset.text_tokenizer().mask_token}" if has_masks else ""
    return [[part.replace("{mask}", mask) for part in text] for text in [*((t,) for t in TEXTS), PAIR]]


def inputs_of(preset: Preset) -> list[dict[str, list[int]]]:
    """Each text as ids, with segments for families that have them."""
    tokenizer, result = preset.text_tokenizer(), []
    for text in texts_of(preset):
        if len(text) == 1:
            encoded = tokenizer.encode(text, preset.sequence_length)
        else:
            encoded = tokenizer.encode_pairs([(text[0], text[1])], preset.sequence_length)
        row = {"ids": encoded.ids[0]}
        if encoded.segment_ids is not None:
            row["segments"] = encoded.segment_ids[0]
        result.append(row)
    return result


def contents_of(name: str) -> Contents:
    """What is exported under that name."""
    contents = Preset.open(sources()[name]).contents()
    if not name.startswith("encoder."):
        return contents
    weights = {entry.name: contents.weights[entry.name] for entry in entries(contents.config)}
    return replace(contents, task=None, labels=None, weights=weights)


def answers_of(name: str, rows: list[dict[str, list[int]]]) -> list[np.ndarray]:
    """What the Keras model answers: logits (classes,), or (vocabulary,) at the first mask token.

    Of an encoder alone the first token's vector, and ALBERT's pooled one behind it.
    """
    from sparkxlmr.models import Backbone, MaskedLM, TextClassifier

    handle, result = sources()[name], []
    preset = Preset.open(handle)
    mask_id = preset.text_tokenizer().mask_id
    made: Any = Backbone
    if not name.startswith("encoder."):
        made = MaskedLM if isinstance(preset.task, MaskedLMConfig) else TextClassifier
    # Logits, whatever the head's activation.
    model = made.from_preset(handle, **({"activation": None} if made is TextClassifier else {}))
    for row in rows:
        features = {"token_ids": [row["ids"]], "padding_mask": [[1] * len(row["ids"])]}
        if "segments" in row:
            features["segment_ids"] = [row["segments"]]
        if made is MaskedLM:
            features["mask_positions"] = [[row["ids"].index(mask_id)]]
        answer = model({key: np.asarray(value, "int32") for key, value in features.items()}, training=False)
        if made is Backbone:
            sequence, pooled = model.unpack(answer)
            parts = [sequence[0, 0]] if pooled is None else [sequence[0, 0], pooled[0]]
            answer = np.concatenate([np.asarray(part, np.float32) for part in parts])
        result.append(np.asarray(answer, np.float32).reshape(-1))
    return result


def export(name: str, folder: Path) -> dict[str, str]:
    """Exports a model; the hashes of its files, so that a recorded answer is known to be to these files."""
    with warnings.catch_warnings():
        # keras-hub's ALBERT reads raw texts: these texts come out the same in transformers.
        warnings.simplefilter("ignore", UserWarning)
        export_checkpoint(folder, contents_of(name))
    files = sorted(folder.iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}
