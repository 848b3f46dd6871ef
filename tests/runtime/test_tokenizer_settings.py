"""Added tokens and the truncation side of a checkpoint, through bundles, Keras and LightPipeline."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sparkxlmr.light import LightPipeline
from sparkxlmr.models import MaskedLM, TextClassifier
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.runtime.predictor import Predictor
from sparkxlmr.runtime.stage_options import Chosen, text_length
from sparkxlmr.runtime.standard_pipeline import standard_pipeline

LENGTH = 12
TEXTS = ["The <user> sea is blue. " * 9, "<user> and<user>", "a short text"]


def checkpoint(fixtures, folder, kind="sequence_classification", family="xlmr"):
    """A checkpoint that truncates on the left, with one token behind its vocabulary."""
    shutil.copytree(fixtures / f"hugging_face/{family}_{kind}", folder)
    document = json.loads((folder / "config.json").read_text("utf-8"))
    size = Preset.open(folder).text_tokenizer().vocabulary_size
    tensors = load_file(folder / "model.safetensors")
    for key, array in tensors.items():
        # One row for the new token in all that has a row for each token.
        if array.shape[:1] == (document["vocab_size"],) and document["vocab_size"] == size:
            tensors[key] = np.concatenate([array, array[20:21]])
    save_file(tensors, folder / "model.safetensors")
    changed = {**document, "vocab_size": max(size + 1, document["vocab_size"])}
    (folder / "config.json").write_text(json.dumps(changed), "utf-8")
    settings = {
        "truncation_side": "left",
        "model_max_length": LENGTH,
        "additional_special_tokens": ["<user>"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


@pytest.fixture(params=["xlmr", "albert"])
def folder(request, fixtures, tmp_path):
    return checkpoint(fixtures, tmp_path / "checkpoint", family=request.param)


def test_bundle_and_keras_read_the_same_ids(folder, tmp_path):
    preset = Preset.open(folder)
    assert preset.tokenizer_settings["truncation_side"] == "left"
    tokenizer = preset.text_tokenizer()
    user = tokenizer.token_to_id("<user>")
    ids = tokenizer.encode(TEXTS, LENGTH).ids
    assert user in ids[0]
    assert ids[0][1:-1] == tokenizer.tokenize(TEXTS[:1])[0][2 - LENGTH :]
    predictor = Predictor(compile_bundle(preset, "openvino", tmp_path / "bundle"), threads=1)
    assert predictor._tokenizer.encode(TEXTS, LENGTH).ids == ids
    found = predictor.logits(TEXTS, LENGTH)
    assert found.truncated.tolist() == [True, False, False]
    model = TextClassifier.from_preset(folder)
    np.testing.assert_allclose(model.predict(TEXTS, verbose=0), found.logits, atol=1e-4)
    # A text that was cut at the other end gives other logits.
    right = TextClassifier.from_preset(folder)
    right.preprocessor.tokenizer.text.truncation_side = "right"
    assert np.abs(right.predict(TEXTS[:1], verbose=0) - found.logits[:1]).max() > 1e-3
    # Lower-casing leaves the settings as they are.
    lowered = predictor._tokenizer_in(True)
    assert (lowered.truncation_side, lowered.added_tokens) == ("left", tokenizer.added_tokens)
    assert user in predictor._encode([TEXTS[1].upper().replace("USER", "user")], LENGTH, True).ids[0]


def test_settings_survive_keras_files_and_exports(folder, tmp_path):
    model = TextClassifier.from_preset(folder)
    assert model.preprocessor.tokenizer.settings["truncation_side"] == "left"
    expected = model.predict(TEXTS, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    model.export_to_transformers(tmp_path / "export")
    model.save(tmp_path / "model.keras")
    import keras

    for again in (
        TextClassifier.from_preset(tmp_path / "preset"),
        TextClassifier.from_preset(tmp_path / "export"),
        keras.models.load_model(tmp_path / "model.keras"),
    ):
        assert again.preprocessor.tokenizer.settings == model.preprocessor.tokenizer.settings
        np.testing.assert_allclose(again.predict(TEXTS, verbose=0), expected, atol=1e-5)


def test_light_pipeline_reads_the_same_ids(folder):
    model = TextClassifier.from_preset(folder)
    preset = Preset.open(folder)
    assert {"truncation_side", "added_tokens"} <= preset.tokenizer_settings.keys()
    assert model.preprocessor.sequence_length == LENGTH
    light = LightPipeline._of(standard_pipeline(preset), False)
    texts = [TEXTS[0] * 4, *TEXTS[1:]]
    for text, (best,) in zip(texts, model.predict_labels(texts, top_k=1), strict=True):
        (annotation,) = light.fullAnnotate(text)[0]["class"]
        assert annotation.result == best.label
        assert float(annotation.metadata[best.label]) == pytest.approx(best.score, abs=1e-4)


def test_model_max_length_bounds_the_default_length(folder, tmp_path):
    """Stages read 128 tokens by default, as in Spark NLP, and fewer of a checkpoint that states fewer."""
    preset = Preset.open(folder)
    bundle = compile_bundle(preset, "openvino", tmp_path / "bundle")
    assert bundle.manifest.text_length == LENGTH
    assert Bundle.open(bundle.folder).manifest == bundle.manifest
    values = {"maxSentenceLength": 128}
    assert text_length(Chosen(values, frozenset()), bundle) == LENGTH
    assert text_length(Chosen({"maxSentenceLength": 16}, frozenset(values)), bundle) == 16
    (folder / "tokenizer_config.json").unlink()
    without = compile_bundle(Preset.open(folder), "openvino", tmp_path / "without")
    assert "text_length" not in without.manifest.to_json()
    assert text_length(Chosen(values, frozenset()), without) == min(128, preset.max_length)


def test_masks_at_the_end_of_a_long_text_are_filled(fixtures, tmp_path):
    """Keras truncates on the left, and a bundle reads masks with what is around them."""
    folder = checkpoint(fixtures, tmp_path / "checkpoint", "masked_lm")
    text = f"{'The sea is blue. ' * 9}<mask> and <mask>."
    filler = MaskFiller(compile_bundle(Preset.open(folder), "openvino", tmp_path / "bundle"), threads=1)
    (filled,) = filler.fill([text], LENGTH, top_k=1)
    assert [(mask.begin, text[mask.begin : mask.end + 1]) for mask in filled] == [
        (text.index("<mask>"), "<mask>"),
        (text.rindex("<mask>"), "<mask>"),
    ]
    model = MaskedLM.from_preset(folder)
    (masks,) = model.fill_mask([f"<mask> {text}"], top_k=1)
    assert [mask[0].gap.begin for mask in masks] == [mask.begin + 7 for mask in filled]
    assert [mask[0].token for mask in masks] == [mask.filled[0].token for mask in filled]
