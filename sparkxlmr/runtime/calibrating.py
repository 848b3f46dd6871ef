"""Texts to a preset's calibration: what comes into its products, while it reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import InputError
from sparkxlmr.presets.calibration import Calibration, calibration_of, write_calibration
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.engines import Int8Engine, engine_named
from sparkxlmr.runtime.planner import plan
from sparkxlmr.text.packing import pack

#: the engine that computes int8
ENGINE = "openvino"
# The share of a text's pieces that is hidden from a masked language model, as in its training.
_HIDDEN = 0.15


def calibrate(preset: Preset, texts: Sequence[str], max_length: int = 128) -> Calibration:
    """Runs the preset in float32 on texts and writes the ranges that it saw beside its weights.

    - `texts`: like those that the model is meant for; more of them widen the ranges. A masked language model
      has pieces of them hidden, the same ones each time.
    - `max_length`: tokens of a text that are read, special ones included; at most the model's.

    Raises InputError where there is no text, OutputError where the preset's folder cannot be written, and
    what reading vocabulary and weights raises.
    """
    if not texts:
        raise InputError("There are no texts to calibrate with", "some hundred texts", "pass a file of texts")
    engine = cast(Int8Engine, engine_named(ENGINE))
    ranges = engine.observe(preset, _inputs(preset, texts, min(max_length, preset.max_length)))
    write_calibration(preset, ranges)
    made = calibration_of(preset)
    assert made is not None
    return made


def _inputs(preset: Preset, texts: Sequence[str], max_length: int) -> Iterator[dict[str, NDArray[np.int32]]]:
    tokenizer = preset.text_tokenizer()
    encoded = tokenizer.encode(list(texts), max_length)
    hides = isinstance(preset.task, MaskedLMConfig) and not isinstance(preset, Encoder)
    random = np.random.default_rng(0)
    for batch in plan([len(ids) for ids in encoded.ids]):
        rows = [int(row) for row in batch.rows]
        token_ids, padding_mask = pack([encoded.ids[row] for row in rows], tokenizer.pad_id)
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        if encoded.segment_ids is not None:
            inputs["segment_ids"], _ = pack([encoded.segment_ids[row] for row in rows], 0)
        if hides:
            hidden = (random.random(token_ids.shape) < _HIDDEN) & (padding_mask > 0)
            # One at least: the head has to see something.
            hidden[0, 0] = True
            token_ids[hidden] = tokenizer.mask_id
            inputs["mask_positions"] = np.argwhere(hidden).astype(np.int32)
        yield inputs
