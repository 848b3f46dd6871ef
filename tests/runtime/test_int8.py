"""int8: two forms of a bundle, calibrations, and answers that stay those of float32."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sparkxlmr.errors import DamagedModelError, InputError, SettingError
from sparkxlmr.presets.calibration import CALIBRATION, calibration_of
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.open_model_folder import open_folder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.calibrating import calibrate
from sparkxlmr.runtime.compiler import bundle_for, compile_bundle, own_folder
from sparkxlmr.runtime.engines.openvino_int8 import bounds, rounded
from sparkxlmr.runtime.open_model import open_model

# Trained ones: what random weights make of a text hardly differs from text to text.
MODELS = ("xlm_roberta_tiny_ag_news", "albert_tiny_ag_news", "xlm_roberta_tiny_masked_lm")
WORDS = ["rain", "market", "goal", "software", "minister", "river", "price", "team", "police", "bank"]
TEXTS = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 3 + i % 9)) for i in range(1, 60)]


@pytest.fixture
def preset(tiny_preset, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    return Preset.open(shutil.copytree(tiny_preset, tmp_path / "preset"))


def answers(model, precision, quantization="auto"):
    reader = open_model(bundle_for(model, "openvino", precision, quantization), precision, threads=2)
    if reader.task == "masked_lm":
        mask = reader._tokenizer.mask_token
        found = reader.fill([f"{text} {mask} {text}" for text in TEXTS], 64, 1)
        return np.array([one.filled[0].score for masks in found for one in masks])
    if reader.task == Encoder.kind:
        return reader.embed(TEXTS, 64).vectors
    return reader.logits(TEXTS, 64).logits


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", [True, False], ids=["whole", "encoder"])
def test_answers_are_nearly_those_of_float32(tmp_path, monkeypatch, name, head):
    """Of the whole model and of its encoder, with one and the same calibration, and without."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    whole = Preset.open(shutil.copytree(Preset.open(name).path, tmp_path / "model"))
    calibrate(whole, TEXTS)
    model = whole if head else Encoder.of(whole)
    exact = answers(model, "float32")
    for quantization in ("dynamic", "static"):
        found = answers(model, "int8", quantization)
        assert found.shape == exact.shape
        # What int8 rounds is small beside how far answers to different texts lie apart, and is not nothing.
        error = np.abs(found - exact).mean() / np.abs(exact - exact.mean(axis=0)).mean()
        assert 0 < error < 0.15, (quantization, error)


def test_albert_fills_masks_in_int8(fixtures, tmp_path, monkeypatch):
    """The one that is not built in. Its layers are run several times over; all times share a range."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    folder = shutil.copytree(fixtures / "hugging_face" / "albert_masked_lm", tmp_path / "model")
    model = Preset.open(folder)
    made = calibrate(model, TEXTS)
    assert "embeddings.token" in made.ranges
    exact, found = answers(model, "float32"), answers(model, "int8", "static")
    np.testing.assert_allclose(found, exact, rtol=0.1)


def test_a_bundle_of_int8_is_another_one(preset):
    whole = bundle_for(preset, "openvino")
    small = bundle_for(preset, "openvino", "int8").verify()
    assert bundle_for(preset, "openvino", "bfloat16").folder == whole.folder
    assert small.folder != whole.folder
    assert (whole.manifest.precisions, small.manifest.precisions) == (("float32", "bfloat16"), ("int8",))
    assert small.labels == whole.labels
    # All that is multiplied with is int8, the token table too, and nothing is stored twice.
    constants = [
        node
        for node in ov.Core().read_model(small.file("model.xml")).get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.i8
    ]
    multiplied = [
        entry
        for entry in entries(preset.config, preset.task)
        if (entry.name.endswith(".kernel") or entry.name == "embeddings.token")
        # Of a classifier not the head, nor what its last layer computes for the first token alone.
        and not re.match(r"classifier|layers\.2\.(attention\.(query|output)|feed_forward)", entry.name)
    ]
    assert any(entry.name.startswith("layers.2.attention.key") for entry in multiplied)
    stored = sum(int(np.prod(node.get_output_shape(0))) for node in constants)
    assert stored == sum(int(np.prod(entry.shape)) for entry in multiplied)
    assert small.file("model.bin").stat().st_size < 0.35 * whole.file("model.bin").stat().st_size
    for bundle, precision in ((whole, "int8"), (small, "float32"), (small, "bfloat16")):
        with pytest.raises(SettingError, match="precision is"):
            open_model(bundle, precision)
    # The same model gives the same bytes.
    assert compile_bundle(preset, "openvino", preset.path / "again", "int8").hash == small.hash


def test_a_calibration_is_of_each_product_and_of_tokens_alone(preset):
    one = calibrate(preset, TEXTS)
    products = {entry.name for entry in entries(preset.config, preset.task) if entry.name.endswith(".kernel")}
    assert set(one.ranges) == products
    width = preset.config.hidden_dim
    assert one.ranges["layers.0.attention.query.kernel"].shape == (2, width)
    before = (preset.path / CALIBRATION).read_bytes()
    assert (calibrate(preset, TEXTS).digest, (preset.path / CALIBRATION).read_bytes()) == (one.digest, before)
    # Beside a long text a short one is padded, and what the padding is computed to counts for nothing.
    short, long = TEXTS[0], " ".join(TEXTS)
    alone = [calibrate(preset, [text], 120).ranges for text in (short, long)]
    together = calibrate(preset, [short, long], 120).ranges
    for name, found in together.items():
        low = np.minimum(alone[0][name][0], alone[1][name][0])
        high = np.maximum(alone[0][name][1], alone[1][name][1])
        np.testing.assert_allclose(found, [low, high], atol=1e-4, err_msg=name)
    with pytest.raises(InputError, match="no texts"):
        calibrate(preset, [])


def test_a_calibration_decides_what_is_compiled(preset):
    content, plain = preset.content_hash, bundle_for(preset, "openvino")
    dynamic = bundle_for(preset, "openvino", "int8")
    with pytest.raises(SettingError, match="sparkxlmr quantize"):
        bundle_for(preset, "openvino", "int8", "static")
    calibrate(preset, TEXTS)
    static = bundle_for(preset, "openvino", "int8")
    assert static.hash == bundle_for(preset, "openvino", "int8", "static").hash
    assert static.hash != dynamic.hash == bundle_for(preset, "openvino", "int8", "dynamic").hash

    def roundings(bundle):
        ops = ov.Core().read_model(bundle.file("model.xml")).get_ops()
        return sum(node.get_type_name() == "FakeQuantize" for node in ops)

    assert roundings(dynamic) == 0
    # One range for each token: with a size that does not fit, OpenVINO would multiply floats.
    compiled = ov.Core().compile_model(dynamic.file("model.xml"), "CPU")
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == preset.config.hidden_dim
    assert roundings(static) > 0
    # It is no part of the weights: what was compiled of them in floats stays valid.
    assert preset.content_hash == content
    assert bundle_for(preset, "openvino").folder == plain.folder
    # Another one is compiled anew; one of other weights counts for nothing.
    calibrate(preset, TEXTS[:5])
    assert bundle_for(preset, "openvino", "int8").hash not in (static.hash, dynamic.hash)
    there = preset.contents()
    changed = {**there.weights, "classifier.logits.bias": there.weights["classifier.logits.bias"] + 1}
    other = Preset.open(write_preset(preset.path, replace(there, weights=changed)))
    assert calibration_of(other) is None
    with pytest.raises(SettingError, match="no calibration of its weights"):
        bundle_for(other, "openvino", "int8", "static")


def test_the_bundle_beside_the_preset_is_taken(preset, tmp_path):
    own = compile_bundle(preset, "openvino", own_folder(preset, "openvino", "int8"), "int8")
    assert own.folder == preset.path / "bundles" / "openvino-int8"
    assert own.tokenizer_file == preset.vocabulary_path
    moved = Preset.open(shutil.copytree(preset.path, tmp_path / "moved"))
    assert bundle_for(moved, "openvino", "int8").folder == moved.path / "bundles" / "openvino-int8"
    # Made without a calibration, it is not the one that a calibration asks for.
    calibrate(moved, TEXTS[:5])
    assert bundle_for(moved, "openvino", "int8").folder != moved.path / "bundles" / "openvino-int8"


def test_what_int8_cannot_be_had_of_is_refused(preset, fixtures):
    with pytest.raises(SettingError, match="compiled model of another library"):
        bundle_for(open_folder(fixtures / "spark_nlp/models/xlmr_onnx"), "openvino", "int8")
    with pytest.raises(SettingError, match="precision is 'int8'"):
        bundle_for(preset, "tensorflow", "int8")
    with pytest.raises(SettingError, match="quantization is 'fast'"):
        bundle_for(preset, "openvino", "int8", "fast")


def test_a_spoilt_calibration_is_an_error(preset):
    calibrate(preset, TEXTS[:5])
    path = preset.path / CALIBRATION
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(DamagedModelError, match=CALIBRATION):
        bundle_for(preset, "openvino", "int8")
    path.write_bytes(whole[:-4] + np.float32("nan").tobytes())
    with pytest.raises(DamagedModelError, match="no range of finite numbers"):
        bundle_for(preset, "openvino", "int8")


numbers = st.floats(-1e6, 1e6, width=32)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=numbers))
def test_rounded_weights_are_off_by_half_a_step(array):
    whole, scale = rounded(array)
    assert whole.dtype == np.int8
    assert whole.min() >= -127
    assert (np.abs(whole * scale - array) <= scale * 0.5001).all()


@given(arrays.arrays(np.float32, (2, 3), elements=numbers).map(lambda pair: np.sort(pair, axis=0)))
def test_bounds_hold_the_range_and_zero(ranges):
    low, high = bounds(ranges)
    step = (high - low) / 255
    assert low <= 0 <= high
    assert step > 0
    # Zero is one of the levels, and nothing that was seen is cut off by more than half of one.
    assert abs(low / step - round(low / step)) < 1e-3
    assert low - step / 2 <= ranges.min()
    assert ranges.max() <= high + step / 2
