"""Models restored from presets, checkpoints and .keras files, and arguments that no model accepts."""

from __future__ import annotations

import json
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from sparkxlmr.errors import InputError, NotAPresetError, WrongTypeError
from sparkxlmr.models import (
    TextClassifier,
    Tokenizer,
    XLMRobertaBackbone,
    XLMRobertaMaskedLM,
    XLMRobertaTextClassifier,
)
from sparkxlmr.presets.config import BackboneConfig
from sparkxlmr.presets.preset import Preset

PRESET = "xlm_roberta_tiny_language_id"
TEXTS = ["one", "two", "three", "four"]


def preprocess(texts):
    return {
        "token_ids": np.ones((len(texts), 4), "int32"),
        "padding_mask": np.ones((len(texts), 4), "int32"),
    }


@keras.saving.register_keras_serializable("sparkxlmr_tests")
def registered_preprocess(texts):
    return preprocess(texts)


def test_tokenizer_tuple_is_batch():
    tokenizer = Tokenizer.from_preset(PRESET)
    assert tokenizer(("one", "two")) == tokenizer(["one", "two"])
    assert tokenizer(("one", "two")) != [tokenizer("one")]
    padded = Tokenizer.from_preset(PRESET, sequence_length=5)
    assert padded(("one", "two")).shape == (2, 5)
    assert tokenizer(np.array("one")) == tokenizer("one")


def test_keras_refuses_checkpoint_with_two_vocabularies(tmp_path):
    """The same check for Keras models, tokenizers, conversions and the stages' tokenizer."""
    folder = TextClassifier.from_preset(PRESET).export_to_transformers(tmp_path / "checkpoint")
    TextClassifier.from_preset(folder, load_weights=False)
    pieces = [[piece, 0.0] for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁other")]
    document = {"model": {"type": "Unigram", "unk_id": 3, "vocab": pieces}}
    (folder / "tokenizer.json").write_text(json.dumps(document))
    preset = Preset.open(folder)
    for load in (
        preset.text_tokenizer,
        preset.contents,
        lambda: Tokenizer.from_preset(folder),
        lambda: TextClassifier.from_preset(folder),
    ):
        with pytest.raises(NotAPresetError, match=r"another vocabulary in tokenizer\.json"):
            load()


def test_from_preset_with_linear_activation_keeps_output_function(families, tmp_path):
    model = families["xlm_roberta"].classifier(3, output_function="sigmoid")
    folder = model.save_to_preset(tmp_path / "preset")
    expected = model.predict_labels("fox", top_k=3)
    for activation in ("linear", keras.activations.linear, None):
        again = TextClassifier.from_preset(folder, activation=activation)
        assert again.output_function == "sigmoid"
        scores = again.predict_labels("fox", top_k=3)
        np.testing.assert_allclose([one.score for one in scores], [one.score for one in expected], atol=1e-5)
    assert TextClassifier.from_preset(folder, activation="softmax").output_function is None
    other = TextClassifier.from_preset(folder, activation="linear", output_function="identity")
    assert other.output_function == "identity"


@pytest.mark.parametrize(
    ("settings", "loss", "metric"),
    [
        ({"output_function": "identity"}, keras.losses.MeanSquaredError, keras.metrics.MeanSquaredError),
        ({"output_function": "sigmoid"}, keras.losses.BinaryCrossentropy, keras.metrics.BinaryAccuracy),
        ({"output_function": "softmax"}, keras.losses.SparseCategoricalCrossentropy, None),
        ({"activation": "sigmoid"}, keras.losses.SparseCategoricalCrossentropy, None),  # as keras-hub
    ],
)
def test_default_loss_of_several_classes_follows_output_function(families, settings, loss, metric):
    model = families["xlm_roberta"].classifier(3, **settings)
    assert type(model.loss) is loss
    assert type(model._usual_loss_and_metric()[1]) is (metric or keras.metrics.SparseCategoricalAccuracy)
    if metric is None:
        return
    rows = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1]], "float32")
    logits = model.predict(TEXTS, verbose=0)
    if metric is keras.metrics.BinaryAccuracy:
        expected = np.mean(np.logaddexp(0, logits) - rows * logits)
    else:
        expected = np.mean((logits - rows) ** 2)
    assert model.evaluate(TEXTS, rows, verbose=0)[0] == pytest.approx(expected, abs=1e-5)
    for labels, texts in (([0, 1, 2], TEXTS[:3]), ([[0], [1], [2], [1]], TEXTS)):
        with pytest.raises(InputError, match=r"shape .*Expected \(n, 3\)"):
            model.fit(texts, np.array(labels), verbose=0)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[])
    model.fit(TEXTS, np.array([0, 1, 2, 1]), verbose=0)


def test_from_preset_of_subclass_without_name(tmp_path):
    class PlainBackbone(XLMRobertaBackbone):
        def __init__(
            self, vocabulary_size, num_layers, num_heads, hidden_dim, intermediate_dim, dropout=0.1,
            max_sequence_length=512, layer_norm_epsilon=1e-5, activation="gelu", attention_dropout=None,
            dtype=None,
        ):  # fmt: skip
            super().__init__(
                vocabulary_size, num_layers, num_heads, hidden_dim, intermediate_dim, dropout=dropout,
                max_sequence_length=max_sequence_length, dtype=dtype,
            )  # fmt: skip

    class PlainClassifier(XLMRobertaTextClassifier):
        backbone_cls = PlainBackbone

        def __init__(
            self, backbone, num_classes, preprocessor=None, activation=None, hidden_dim=None, dropout=0.0,
            classes=None,
        ):  # fmt: skip
            super().__init__(
                backbone, num_classes, preprocessor, activation=activation, hidden_dim=hidden_dim,
                dropout=dropout, classes=classes,
            )  # fmt: skip

    class PlainMaskedLM(XLMRobertaMaskedLM):
        def __init__(self, backbone, preprocessor=None, activation=None, layer_norm_epsilon=1e-5):
            super().__init__(backbone, preprocessor, activation, layer_norm_epsilon)

    model = TextClassifier.from_preset(PRESET)
    model.backbone.trainable = False
    model.backbone.token_embedding.trainable = True
    folder = model.save_to_preset(tmp_path / "preset")
    plain = PlainClassifier.from_preset(folder)
    assert type(plain.backbone) is PlainBackbone
    assert len(plain.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_allclose(plain.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0), atol=1e-5)
    encoder = PlainBackbone.from_preset(folder)
    assert len(encoder.trainable_variables) == len(model.backbone.trainable_variables)
    model.trainable = False
    frozen = PlainClassifier.from_preset(model.save_to_preset(tmp_path / "frozen"))
    assert not frozen.trainable_variables
    assert PlainMaskedLM.from_preset("xlm_roberta_tiny_masked_lm").fill_mask("a <mask>", top_k=1)


def test_keras_file_with_function_preprocessor_loads(families, tmp_path):
    path = tmp_path / "model.keras"
    model = families["xlm_roberta"].classifier()
    expected = model.predict(preprocess(TEXTS), verbose=0)
    for preprocessor, is_named in ((preprocess, True), (lambda texts: preprocess(texts), False)):
        model.preprocessor = preprocessor
        with pytest.warns(UserWarning, match="a .keras file cannot hold"):
            model.save(path)
        with pytest.warns(UserWarning, match="not registered") if is_named else nullcontext():
            again = keras.saving.load_model(path, compile=False)
        assert again.preprocessor is None
        np.testing.assert_allclose(again.predict(preprocess(TEXTS), verbose=0), expected, atol=1e-5)
    model.preprocessor = preprocess
    with pytest.warns(UserWarning, match="a .keras file cannot hold"):
        model.save(path)
    again = keras.saving.load_model(path, custom_objects={"preprocess": preprocess}, compile=False)
    assert again.preprocessor is preprocess
    model.preprocessor = registered_preprocess
    model.save(path)
    assert keras.saving.load_model(path, compile=False).preprocessor is registered_preprocess


@pytest.mark.parametrize("dropout", [None, "a", [0.1]])
def test_dropout_of_other_type_is_refused(families, dropout):
    with pytest.raises(WrongTypeError, match=r"dropout is .*a number"):
        BackboneConfig(9, 1, 1, 4, 4, dropout=dropout)
    with pytest.raises(WrongTypeError, match=r"layer_norm_epsilon is .*a number"):
        BackboneConfig(9, 1, 1, 4, 4, layer_norm_epsilon=dropout)


def test_save_to_preset_accepts_numpy_shard_size(families, tmp_path):
    model = families["xlm_roberta"].classifier(classes=["a", "b", "c"])
    for size in (np.int64(10), np.float32(1.5)):
        assert Preset.open(model.save_to_preset(tmp_path / str(size), size)).labels == ("a", "b", "c")


@pytest.mark.parametrize("backbone", [None, "xlm_roberta_tiny_language_id", keras.layers.Dense(2)])
def test_task_refuses_backbone_of_other_type(backbone):
    with pytest.raises(WrongTypeError, match=r"Backbone.from_preset"):
        XLMRobertaTextClassifier(backbone, num_classes=2)
    with pytest.raises(WrongTypeError, match=r"Backbone.from_preset"):
        XLMRobertaMaskedLM(backbone)
