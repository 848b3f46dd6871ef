"""Masked language models with more rows than tokens: rows of no token are never chosen, in every path."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparkxlmr.light import LightPipeline
from sparkxlmr.models import MaskedLM
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.standard_pipeline import standard_pipeline

TEXTS = ["Der <mask> nach Leipzig.", "a <mask> and a <mask>"]
N_ROWS = 6016


@pytest.fixture(scope="module")
def padded(changed_checkpoint):
    """The checkpoint with 14 more rows, whose logits are the highest ones at most masks."""
    random = np.random.default_rng(0)

    def pad(weights):
        return {
            name: np.concatenate([array, 3 * random.normal(size=(14, *array.shape[1:])).astype("float32")])
            if array.shape[0] == N_ROWS - 14
            else array
            for name, array in weights.items()
        }

    return changed_checkpoint("xlmr_masked_lm", pad, vocab_size=N_ROWS)


def test_rows_of_no_token_are_never_chosen(padded):
    preset = Preset.open(padded)
    vocabulary_size = preset.text_tokenizer().vocabulary_size
    assert vocabulary_size < N_ROWS
    model = MaskedLM.from_preset(padded)
    logits = model.predict(TEXTS, verbose=0)
    assert logits[0, 0].argmax() >= vocabulary_size  # what the rule is for
    keras = [
        [[(one.token_id, one.score) for one in mask] for mask in text] for text in model.fill_mask(TEXTS)
    ]
    reader = open_model(bundle_for(preset, "openvino"))
    found = [
        [[(one.token_id, one.score) for one in mask.filled] for mask in text]
        for text in reader.fill(TEXTS, 64)
    ]
    for of_text, expected in zip(found, keras, strict=True):
        for mask, wanted in zip(of_text, expected, strict=True):
            assert [token for token, _ in mask] == [token for token, _ in wanted]
            assert all(token < vocabulary_size for token, _ in mask)
            np.testing.assert_allclose([s for _, s in mask], [s for _, s in wanted], rtol=1e-4)
    # Scores are the softmax over all rows, as in transformers.
    powers = np.exp(logits[0, 0] - logits[0, 0].max())
    assert found[0][0][0][1] == pytest.approx(
        float(powers[:vocabulary_size].max() / powers.sum()), rel=1e-3
    )


def test_light_pipeline_with_and_without_targets(padded):
    records = standard_pipeline(Preset.open(padded))
    rows = LightPipeline._of(records, False).fullAnnotate(TEXTS)
    assert [len(row["filled"]) for row in rows] == [5, 10]
    chosen = records[-1].chosen
    settings = {**chosen.values, "targets": ["a"], "topK": 1}
    targeted = dataclasses.replace(chosen, values=settings, explicit=chosen.explicit | {"targets", "topK"})
    records[-1] = dataclasses.replace(records[-1], chosen=targeted)
    rows = LightPipeline._of(records, False).fullAnnotate(TEXTS)
    assert [[one.result for one in row["filled"]] for row in rows] == [["a"], ["a", "a"]]
