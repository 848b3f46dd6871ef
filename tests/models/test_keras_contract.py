"""What Keras asks of a model and gives to it: configs, files, dtypes, LoRA, quantization, a summary."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, SettingError, WeightsError
from sparkxlmr.models import Task, weights

from .conftest import SENTENCES, eager

KINDS = ("classifier", "masked_lm")


def integers(model):
    features = {"token_ids": np.array([[2, 3, 4, 5, 6], [6, 5, 4, 3, 1]], "int32")}
    features["padding_mask"] = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]], "int32")
    features["segment_ids"] = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], "int32")
    features["mask_positions"] = np.array([[1, 3], [2, 0]], "int32")
    y = np.array([0, 2]) if model.kind == "text_classifier" else np.array([[3, 4], [5, 6]])
    names = list(model.input)
    return {name: features[name] for name in names}, y


@pytest.fixture(params=KINDS)
def make(request, family):
    """Makes a new small model of each of the four classes."""
    return getattr(family, request.param)


def test_configs_go_round(make):
    import keras

    model = make(name="mine")
    config = model.get_config()
    again = eager(type(model).from_config(config))
    assert again.name == "mine"
    assert again.get_config() == config
    assert again.backbone.shape() == model.backbone.shape()
    assert again.preprocessor.get_config() == model.preprocessor.get_config()
    weights.assign(again, weights.state_of(model))
    x, _ = integers(model)
    np.testing.assert_allclose(again.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)
    encoder = type(model.backbone).from_config(model.backbone.get_config())
    assert encoder.shape() == model.backbone.shape()
    head = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model.layers[-1]))
    assert type(head) is type(model.layers[-1])


def test_the_numbers_of_an_encoder_are_its_attributes(family):
    backbone = family.backbone(
        dropout=0.25, layer_norm_epsilon=1e-6, activation="relu", attention_dropout=0.5
    )
    for name, value in backbone.shape().arguments().items():
        assert getattr(backbone, name) == value
    layer = np.ravel(np.array(backbone.transformer_layers, dtype=object))[0]
    assert (layer.dropout, layer.attention.dropout, layer.layer_norm_epsilon) == (0.25, 0.5, 1e-6)
    assert layer.feed_forward.activation == "relu"
    assert backbone.embeddings_norm.epsilon == 1e-6


def test_albert_keeps_shared_weights_once(families):
    """Four passes through two groups of two layers: 8 layers are run, 4 are kept, each group's in turn."""
    albert = families["albert"]
    shape = {"num_groups": 2, "num_inner_repetitions": 2}
    few, many = (albert.backbone(num_layers=n, **shape) for n in (2, 8))
    assert few.count_params() == many.count_params()
    assert sum(name.endswith("attention.query") for name in many.named_layers()) == 4
    x = {name: np.ones((1, 5), "int32") for name in many.input}
    passed = []
    for g, group in enumerate(many.transformer_layers):
        for j, layer in enumerate(group):
            call = layer.attention.call
            layer.attention.call = lambda *a, _call=call, _at=(g, j), **k: (
                passed.append(_at),
                _call(*a, **k),
            )[1]
    many(x)
    assert passed == [(0, 0), (0, 1)] * 4 + [(1, 0), (1, 1)] * 4


def test_summary_names_the_preprocessor(make):
    lines: list[str] = []
    model = make()
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert type(model.preprocessor).__name__ in text
    assert type(model.backbone).__name__[:12] in text


@pytest.mark.parametrize(
    ("name", "kind", "dtype", "tolerance"),
    [
        ("xlm_roberta", "masked_lm", "bfloat16", 0.05),
        ("albert", "classifier", "bfloat16", 0.05),
        ("albert", "masked_lm", "mixed_float16", 0.005),
        ("xlm_roberta", "classifier", "mixed_float16", 0.005),
    ],
)
def test_dtype_policies(families, name, kind, dtype, tolerance):
    make = getattr(families[name], kind)
    model, low = make(), make(dtype=dtype)
    weights.assign(low, weights.state_of(model))
    x, y = integers(model)
    whole, found = model.predict_on_batch(x), low.predict_on_batch(x)
    assert found.dtype == low.compute_dtype
    np.testing.assert_allclose(found.astype("float32"), whole, atol=tolerance)
    assert np.isfinite(low.train_on_batch(x, y)[0])
    assert {str(v.dtype) for v in low.trainable_variables} == {
        "bfloat16" if dtype == "bfloat16" else "float32"
    }


def test_lora(family, tmp_path):
    import keras

    model, other = family.classifier(), family.classifier()
    x, y = integers(model)
    before, state = model.predict_on_batch(x), weights.state_of(model)
    assert model.backbone.default_lora_layer_names() == ["query", "value"]
    model.backbone.enable_lora(rank=2)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), run_eagerly=True)
    np.testing.assert_allclose(model.predict_on_batch(x), before, atol=1e-6)
    n_layers = sum(name.endswith("attention.query") for name in model.backbone.named_layers())
    assert len(model.backbone.trainable_variables) == 2 * 2 * n_layers
    for _ in range(3):
        model.train_on_batch(x, y)
    trained = model.predict_on_batch(x)
    assert np.abs(trained - before).max() > 0.01
    merged = weights.state_of(model)
    changed = {name for name in merged if (merged[name] != state[name]).any()}
    assert {name.split(".")[-2] for name in changed if not name.startswith("classifier")} == {
        "query",
        "value",
    }
    # What was added is kept apart, merged into presets and .keras files.
    model.backbone.save_lora_weights(tmp_path / "added.lora.h5")
    model.save_to_preset(tmp_path / "preset")
    opened = eager(Task.from_preset(tmp_path / "preset"))
    np.testing.assert_allclose(opened.predict_on_batch(x), trained, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = eager(keras.saving.load_model(tmp_path / "model.keras"))
    np.testing.assert_allclose(loaded.predict_on_batch(x), trained, atol=1e-5)
    weights.assign(
        other, {**state, **{name: merged[name] for name in merged if name.startswith("classifier")}}
    )
    other.backbone.load_lora_weights(tmp_path / "added.lora.h5")
    np.testing.assert_allclose(other.predict_on_batch(x), trained, atol=1e-5)


def test_lora_refuses(families, tmp_path):
    xlmr, albert = families["xlm_roberta"].backbone(), families["albert"].backbone()
    with pytest.raises(SettingError, match="No layer of this encoder has LoRA"):
        xlmr.save_lora_weights(tmp_path / "a.lora.h5")
    with pytest.raises(SettingError, match="called 'nothing'"):
        xlmr.enable_lora(2, ["nothing"])
    with pytest.raises(SettingError, match="rank is 0"):
        xlmr.enable_lora(0)
    xlmr.enable_lora(2, ["up"])
    with pytest.raises(SettingError, match=r"ends in \.lora\.h5"):
        xlmr.save_lora_weights(tmp_path / "a.h5")
    xlmr.save_lora_weights(tmp_path / "a.lora.h5")
    with pytest.raises(SettingError, match=r"adds to 'layers\.0\.feed_forward\.up'"):
        albert.load_lora_weights(tmp_path / "a.lora.h5")
    other = families["xlm_roberta"].backbone()
    other.enable_lora(3, ["up"])
    with pytest.raises(WeightsError, match="shape"):
        other.load_lora_weights(tmp_path / "a.lora.h5")
    (tmp_path / "b.lora.h5").write_bytes(b"no h5")
    with pytest.raises(DamagedModelError, match="no file of LoRA weights"):
        other.load_lora_weights(tmp_path / "b.lora.h5")


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize(("name", "kind"), [("xlm_roberta", "masked_lm"), ("albert", "classifier")])
def test_int8(families, name, kind, tmp_path):
    import keras

    model = getattr(families[name], kind)()
    x, _ = integers(model)
    before = model.predict_on_batch(x)
    model.quantize("int8")
    found = model.predict_on_batch(x)
    assert 0 < np.abs(found - before).max() < 0.05 * np.abs(before).max()
    assert {layer.quantization_mode for layer in model.named_layers().values()} == {None, "int8"}
    model.save(tmp_path / "model.keras")
    again = eager(keras.saving.load_model(tmp_path / "model.keras"))
    np.testing.assert_allclose(again.predict_on_batch(x), found, atol=1e-6)
    with pytest.raises(SettingError, match="was quantized to int8"):
        model.save_to_preset(tmp_path)


def test_a_frozen_encoder_stays(family):
    model = family.classifier()
    model.backbone.trainable = False
    model.compile(run_eagerly=True)
    before = weights.state_of(model)
    model.train_on_batch(SENTENCES, [0, 1, 2, 1])
    changed = {name for name, array in weights.state_of(model).items() if (array != before[name]).any()}
    assert changed == {name for name in before if name.startswith("classifier.")}


def test_a_model_file_reads_no_other_file(family, tmp_path):
    """A config from outside that names a path where the vocabulary should be."""
    (tmp_path / "secret").write_text("secret")
    config = family.tokenizer().get_config()
    with pytest.raises(SettingError, match="no base64"):
        family.named("Tokenizer").from_config({**config, "proto": str(tmp_path / "secret")})
