"""The classifier as a user meets it: raw strings and integers, presets, settings, errors."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from sparkxlmr.errors import InputError, NotAPresetError, SettingError, WeightsError
from sparkxlmr.models import weights
from sparkxlmr.presets.tables import entries

from .conftest import SENTENCES

LABELS = [0, 1, 2, 1]
INTEGERS = {
    "token_ids": np.ones((2, 12), dtype="int32"),
    "padding_mask": np.array([[1] * 10 + [0] * 2] * 2),
}


def test_fit_learns_from_raw_strings(tiny):
    import keras

    labels = [0, 1, 0, 1]
    tiny.compile(optimizer=keras.optimizers.Adam(5e-3))
    history = tiny.fit(SENTENCES * 8, labels * 8, batch_size=5, epochs=15, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    loss, accuracy = tiny.evaluate(np.array(SENTENCES), np.array(labels), verbose=0)
    assert accuracy == 1.0
    assert tiny.predict(SENTENCES, verbose=0).argmax(1).tolist() == labels
    assert tiny.test_on_batch(SENTENCES, labels)[0] == pytest.approx(loss, abs=1e-5)


def test_fit_with_widths_weights_and_validation(tiny):
    """Batches of differing widths, the last of them small, in one fit."""
    texts = [" ".join(["fox"] * n) for n in (1, 2, 3, 4, 20, 30, 60, 1, 1, 18)]
    labels = np.zeros(10, dtype=int)
    history = tiny.fit(
        texts, labels, batch_size=3, validation_split=0.2, sample_weight=np.ones(10), epochs=2, verbose=0
    ).history
    assert len(history["val_loss"]) == 2
    history = tiny.fit(
        texts, labels, batch_size=4, validation_data=[SENTENCES, LABELS], shuffle=False, verbose=0
    ).history
    assert history["val_loss"][0] == pytest.approx(tiny.evaluate(SENTENCES, LABELS, verbose=0)[0], rel=1e-5)


def test_pairs(tiny):
    tiny.run_eagerly = True
    first, second = SENTENCES, SENTENCES[::-1]
    tiny.fit((first, second), LABELS, batch_size=2, verbose=0)
    found = tiny.predict((first, second), verbose=0)
    assert found.shape == (4, 3)
    assert np.abs(found - tiny.predict((second, first), verbose=0)).max() > 0


def test_integers(tiny):
    tiny.preprocessor = None
    tiny.run_eagerly = True
    tiny.fit(INTEGERS, [0, 2], batch_size=2, verbose=0)
    assert tiny.predict(INTEGERS, verbose=0).shape == (2, 3)
    assert tiny.predict_on_batch(INTEGERS).shape == (2, 3)


def test_on_batch_methods_take_raw_strings(tiny):
    tiny.run_eagerly = True
    before = tiny.test_on_batch(SENTENCES, LABELS)[0]
    for _ in range(5):
        tiny.train_on_batch(SENTENCES, LABELS)
    assert tiny.test_on_batch(SENTENCES, LABELS)[0] < before
    assert tiny.predict_on_batch(SENTENCES).shape == (4, 3)


def test_predict_keeps_the_order_and_takes_nothing(tiny):
    texts = ["fox", "the quick " * 18, "", "earth is round", " " * 50]
    one_by_one = np.concatenate([tiny.predict([text], verbose=0) for text in texts])
    np.testing.assert_allclose(tiny.predict(texts, batch_size=2, verbose=0), one_by_one, atol=1e-5)
    assert tiny.predict([], verbose=0).shape == (0, 3)
    first = tiny.predict(texts, batch_size=2, steps=1, verbose=0)  # the first two texts, not the longest two
    np.testing.assert_allclose(first, one_by_one[:2], atol=1e-5)


def test_compile_chooses_as_keras_hub(tiny):
    import keras

    assert isinstance(tiny.optimizer, keras.optimizers.Adam)
    assert float(tiny.optimizer.learning_rate) == pytest.approx(5e-5)
    assert tiny.loss.get_config()["from_logits"] is True
    tiny.compile(loss="sparse_categorical_crossentropy", metrics=[], jit_compile=True)
    assert tiny.jit_compile is True
    softmax = type(tiny)(tiny.backbone, num_classes=3, activation="softmax")
    assert softmax.loss.get_config()["from_logits"] is False
    np.testing.assert_allclose(softmax.predict(INTEGERS, verbose=0).sum(1), 1, atol=1e-5)


def test_albert_chooses_its_own_rate_and_dropout(families):
    import keras

    model = families["albert"].classifier()
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-5)
    assert (model.dropout, model.hidden_dim) == (0.1, None)
    uncompiled = families["albert"].classifier(compile=False, activation="softmax")
    assert not uncompiled.compiled
    with pytest.raises(ValueError, match="compile"):
        uncompiled.fit(SENTENCES, LABELS, verbose=0)
    explicit = families["albert"].classifier(compile=False)
    explicit.compile("sgd", "mse", metrics=[])
    assert isinstance(explicit.optimizer, keras.optimizers.SGD)
    assert explicit.loss == "mse"


def test_predict_labels(family):
    model = family.classifier(classes=["one", "two", "three"])
    logits = model.predict(SENTENCES, verbose=0)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best = [model.classes[i] for i in logits.argmax(1)]
    assert model.predict_labels(SENTENCES) == best
    assert model.predict_labels(SENTENCES[0]) == best[0]
    assert model.predict_labels([]) == []
    ranked = model.predict_labels(SENTENCES, top_k=2, batch_size=2)
    assert [[one.label for one in row] for row in ranked] == [
        [model.classes[i] for i in row[:2]] for row in np.argsort(-logits, axis=1)
    ]
    found = [[one.score for one in row] for row in ranked]
    np.testing.assert_allclose(found, -np.sort(-probabilities, axis=1)[:, :2], atol=1e-6)
    pair = (SENTENCES[0], SENTENCES[1])
    assert model.predict_labels(pair, top_k=9)[0].label == model.predict_labels(pair)
    # Without names, and with an activation whose scores stay as they are.
    sigmoid = type(model)(model.backbone, 3, activation="sigmoid")
    answers = model.predict_on_batch(model.preprocessor.features((SENTENCES,)))
    assert answers.shape == (4, 3)
    integers = model.preprocessor.features((SENTENCES,))
    scores = sigmoid.predict_on_batch(integers)
    ((label, score), *_), *_ = sigmoid.predict_labels(integers, top_k=1)
    assert label == f"LABEL_{scores[0].argmax()}"
    assert score == pytest.approx(float(scores[0].max()), abs=1e-6)
    with pytest.raises(SettingError, match="top_k is 0"):
        model.predict_labels(SENTENCES, top_k=0)


# --- presets ---


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_save_and_load(tiny, tmp_path, dtype):
    from sparkxlmr.models import TextClassifier, XLMRobertaTextClassifier

    tiny.save_to_preset(tmp_path, classes=["one", "two", "three"], weights_dtype=dtype)
    again = TextClassifier.from_preset(tmp_path)
    assert type(again) is XLMRobertaTextClassifier
    assert again.classes == ("one", "two", "three")
    assert again.preprocessor.sequence_length == 40
    assert (again.backbone.shape(), again.head_config()) == (tiny.backbone.shape(), tiny.head_config())
    state = weights.state_of(again)
    for name, array in weights.state_of(tiny).items():
        np.testing.assert_array_equal(state[name], array.astype(dtype).astype(np.float32))
    tolerance = 0 if dtype == "float32" else 1e-3
    np.testing.assert_allclose(
        again.predict(SENTENCES, verbose=0), tiny.predict(SENTENCES, verbose=0), atol=tolerance
    )
    again.save_to_preset(tmp_path / "again")  # names travel on
    assert json.loads((tmp_path / "again" / "task.json").read_text())["classes"] == ["one", "two", "three"]


def test_from_preset_settings(goldens):
    from sparkxlmr.models import Backbone, TextClassifier, XLMRobertaTextClassifier

    folder = goldens["hugging_face"]["folder"]
    whole = TextClassifier.from_preset(folder)
    assert whole.classes == ("World", "Sports", "Business", "Sci/Tech")
    other = XLMRobertaTextClassifier.from_preset(folder, num_classes=7, preprocessor=None, dropout=0.2)
    assert (other.num_classes, other.preprocessor, other.dropout, other.classes) == (7, None, 0.2, None)
    kept, state = weights.state_of(whole), weights.state_of(other)
    assert all((state[name] == kept[name]).all() for name in state if not name.startswith("classifier"))
    empty = TextClassifier.from_preset(folder, load_weights=False)
    assert (weights.state_of(empty)["embeddings.token"] != kept["embeddings.token"]).any()
    encoder = Backbone.from_preset(folder, dtype="bfloat16")
    assert encoder.dtype_policy.name == "bfloat16"
    assert encoder(INTEGERS).shape == (2, 12, 48)
    low = TextClassifier.from_preset(folder, dtype="bfloat16").predict(["Hello world"], verbose=0)
    np.testing.assert_allclose(low, whole.predict(["Hello world"], verbose=0), atol=0.02)


def test_an_encoder_preset_needs_num_classes(tiny, tmp_path):
    from sparkxlmr.models import TextClassifier

    tiny.backbone.save_to_preset(tmp_path)
    with pytest.raises(SettingError, match="num_classes"):
        TextClassifier.from_preset(tmp_path)
    model = TextClassifier.from_preset(tmp_path, num_classes=2, preprocessor=None)
    assert model.predict(INTEGERS, verbose=0).shape == (2, 2)


def test_a_preset_without_tokenizer_is_fed_with_integers(tiny, tmp_path):
    from sparkxlmr.models import TextClassifier, Tokenizer, XLMRobertaTextClassifierPreprocessor

    tiny.preprocessor = None
    tiny.save_to_preset(tmp_path)
    again = TextClassifier.from_preset(tmp_path)
    assert again.preprocessor is None
    np.testing.assert_array_equal(again.predict(INTEGERS, verbose=0), tiny.predict(INTEGERS, verbose=0))
    for part in (Tokenizer, XLMRobertaTextClassifierPreprocessor):
        with pytest.raises(NotAPresetError, match="no tokenizer"):
            part.from_preset(tmp_path)


def test_presets_with_a_name(families):
    from sparkxlmr import models

    listed = models.TextClassifier.presets
    assert listed["xlm_roberta_tiny_language_id"]["metadata"]["params"] == 9_071_760
    assert listed["albert_base_en_uncased"]["kaggle_handle"].startswith("kaggle://keras/albert/")
    assert "layers" in listed["xlm_roberta_base_multi"]["metadata"]["description"]
    for ending in ("Backbone", "Tokenizer", "TextClassifier", "MaskedLM", "MaskedLMPreprocessor"):
        albert, xlmr = (families[name].named(ending).presets for name in ("albert", "xlm_roberta"))
        assert {name for name in albert if not name.startswith("albert")} == set()
        embedders = {"bge_m3", "multilingual_e5_base", "multilingual_e5_large"}
        assert {name for name in xlmr if not name.startswith("xlm_roberta")} == embedders
        assert albert.keys() | xlmr.keys() == listed.keys()


def test_the_base_classes_find_the_right_ones(families, tmp_path):
    from sparkxlmr import models

    for name, family in families.items():
        family.masked_lm().save_to_preset(tmp_path / name)
        assert type(models.Task.from_preset(tmp_path / name)) is family.named("MaskedLM")
        model = models.TextClassifier.from_preset(tmp_path / name, num_classes=2, classes=["a", "b"])
        assert type(model) is family.named("TextClassifier")
        assert model.classes == ("a", "b")
        for base in ("Backbone", "Tokenizer", "TextClassifierPreprocessor", "MaskedLMPreprocessor"):
            assert type(getattr(models, base).from_preset(tmp_path / name)) is family.named(base)
        with pytest.raises(SettingError, match="the head of a masked_lm"):
            models.TextClassifier.from_preset(tmp_path / name)
    with pytest.raises(NotAPresetError, match="is of the family 'albert'"):
        models.XLMRobertaTextClassifier.from_preset(tmp_path / "albert", num_classes=2)
    families["albert"].backbone().save_to_preset(tmp_path / "encoder")
    with pytest.raises(NotAPresetError, match="an encoder without a head"):
        models.Task.from_preset(tmp_path / "encoder")


def test_encoders_go_to_transformers_and_back(family, tmp_path):
    from sparkxlmr.models import Backbone

    backbone = family.backbone()
    backbone.export_to_transformers(tmp_path)
    again = Backbone.from_preset(tmp_path)
    assert type(again) is type(backbone)
    assert again.shape() == backbone.shape()
    state = weights.state_of(again)
    for name, array in weights.state_of(backbone).items():
        np.testing.assert_allclose(state[name], array, atol=1e-7, err_msg=name)


def test_an_epsilon_that_keras_hub_cannot_honour_is_warned_of(tmp_path):
    from sparkxlmr.models import Backbone, XLMRobertaBackbone, XLMRobertaTextClassifier

    backbone = XLMRobertaBackbone(10, 1, 2, 4, 8, max_sequence_length=12, layer_norm_epsilon=1e-3)
    with pytest.warns(UserWarning, match=r"layer_norm_epsilon is 0\.001: keras-hub"):
        XLMRobertaTextClassifier(backbone, num_classes=2).save_to_preset(tmp_path)
    assert Backbone.from_preset(tmp_path).shape().layer_norm_epsilon == 1e-3


def test_a_keras_file(tiny, tmp_path):
    import keras

    tiny.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(SENTENCES, verbose=0), tiny.predict(SENTENCES, verbose=0), atol=1e-6
    )
    again.fit(SENTENCES, LABELS, verbose=0)


def test_an_exported_graph_takes_any_batch_and_length(tiny, tmp_path):
    tf = pytest.importorskip("tensorflow")
    tiny.export(tmp_path / "graph", verbose=False)
    graph = tf.saved_model.load(str(tmp_path / "graph"))
    for texts in (SENTENCES[:1], ["fox " * 30, *SENTENCES]):
        found = graph.serve(tiny.preprocessor.features((texts,))).numpy()
        np.testing.assert_allclose(found, tiny.predict(texts, verbose=0), atol=1e-5)


def test_a_task_without_preprocessor_is_saved_without_one(tiny, tmp_path):
    from sparkxlmr.models import TextClassifier

    tiny.preprocessor = None
    tiny.save_to_preset(tmp_path)
    again = TextClassifier.from_preset(tmp_path)
    assert again.preprocessor is None
    assert again.classes is None
    np.testing.assert_array_equal(again.predict(INTEGERS, verbose=0), tiny.predict(INTEGERS, verbose=0))


# --- weights ---


def test_state_has_the_names_of_the_table(tiny):
    state = weights.state_of(tiny)
    table = entries(tiny.backbone.shape(), tiny.head_config())
    assert {name: array.shape for name, array in state.items()} == {e.name: e.shape for e in table}
    assert len(weights.variables_of(tiny)) == len(tiny.weights)


def test_assign_is_strict(tiny):
    state = weights.state_of(tiny)
    changed = {name: array + 1 for name, array in state.items()}
    weights.assign(tiny, changed)
    assert all((array == changed[name]).all() for name, array in weights.state_of(tiny).items())
    with pytest.raises(WeightsError, match=r"missing: embeddings\.token"):
        weights.assign(tiny, {n: a for n, a in state.items() if n != "embeddings.token"})
    with pytest.raises(WeightsError, match="not used: extra"):
        weights.assign(tiny, {**state, "extra": np.zeros(1)})
    with pytest.raises(WeightsError, match=r"\(2,\)"):
        weights.assign(tiny, {**state, "classifier.logits.bias": np.zeros(2)})
    assert all((array == changed[name]).all() for name, array in weights.state_of(tiny).items())


# --- errors ---


def test_inputs_that_cannot_be_read(tiny):
    with pytest.raises(InputError, match="Input 1 is None"):
        tiny.predict(["fox", None], verbose=0)
    with pytest.raises(InputError, match="4 texts and 2 labels"):
        tiny.fit(SENTENCES, [0, 1], verbose=0)
    with pytest.raises(InputError, match=r"\[4, 1\]"):
        tiny.predict((SENTENCES, ["fox"]), verbose=0)
    with pytest.raises(InputError, match="4 texts and 3 sample weights"):
        tiny.fit(SENTENCES, LABELS, sample_weight=[1, 1, 1], verbose=0)
    with pytest.raises(InputError, match=r"classes\.index"):
        tiny.fit(SENTENCES, ["one", "two", "one", "two"], verbose=0)
    for pairs in (list(zip(SENTENCES, SENTENCES, strict=True)), np.array([SENTENCES, SENTENCES])):
        with pytest.raises(InputError, match=r"pairs as \(first_texts, second_texts\)"):
            tiny.predict(pairs, verbose=0)


def test_settings_that_cannot_be_used(tiny, tmp_path):
    model = type(tiny)
    with pytest.raises(SettingError, match="num_classes is 0"):
        model(tiny.backbone, num_classes=0)
    with pytest.raises(SettingError, match="hidden_dim is 0"):
        model(tiny.backbone, num_classes=3, hidden_dim=0)
    with pytest.raises(SettingError, match="2 label names for 3 classes"):
        model(tiny.backbone, num_classes=3, classes=["a", "b"])
    with pytest.raises(SettingError, match="2 label names for 3 classes"):
        tiny.save_to_preset(tmp_path, classes=["a", "b"])
    with pytest.raises(SettingError, match="activation is "):
        model(tiny.backbone, num_classes=3, activation=lambda logits: logits).save_to_preset(tmp_path)
    with pytest.raises(NotAPresetError):
        model.from_preset(tmp_path)


def test_the_activations_that_a_preset_may_name_are_keras_own():
    from sparkxlmr.presets.config import HEAD_ACTIVATIONS

    for name in HEAD_ACTIVATIONS:
        assert callable(keras.activations.get(name))


def test_a_preprocessor_that_does_not_fit(families, tmp_path):
    family, other = families["xlm_roberta"], families["albert"]
    preprocessor = family.preprocessor("TextClassifier")
    n_ids = preprocessor.tokenizer.vocabulary_size()
    model = family.named("TextClassifier")
    model(family.backbone(vocabulary_size=n_ids), 2, preprocessor)
    small = family.backbone(vocabulary_size=n_ids - 1)
    with pytest.raises(
        SettingError, match=f"has {n_ids} ids, and the encoder a vocabulary_size of {n_ids - 1}"
    ):
        model(small, 2, preprocessor)
    small.save_to_preset(tmp_path)
    preprocessor.save_to_preset(tmp_path)
    with pytest.raises(SettingError, match=f"has {n_ids} ids"):
        model.from_preset(tmp_path, num_classes=2)
    for wrong in (family.preprocessor("MaskedLM"), other.preprocessor("TextClassifier")):
        with pytest.raises(SettingError, match="pass a XLMRobertaTextClassifierPreprocessor"):
            family.classifier(preprocessor=wrong)


@pytest.mark.parametrize("kind", ["classifier", "masked_lm"])
def test_a_preprocessor_of_longer_texts_than_the_encoder(families, kind):
    """Refused when it is used, since its length may be set after the model was made."""
    model = getattr(families["xlm_roberta"], kind)()
    model.preprocessor.sequence_length = 41
    labels = (LABELS,) if kind == "classifier" else ()
    for use in (model.predict, model.predict_on_batch):
        with pytest.raises(SettingError, match=r"preprocessor\.sequence_length = 40"):
            use(["fox"])
    for use in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(SettingError, match="keeps 41 ids"):
            use(SENTENCES, *labels)
    model.preprocessor.sequence_length = 40
    assert len(model.predict_on_batch(["fox " * 60])) == 1


def test_preprocess_samples(family):
    model, texts = family.classifier(), ["the quick brown fox", "is the earth round"]
    x, y, sample_weight = model.preprocess_samples(texts, [2, 0], [1.0, 0.5])
    assert {name: array.shape for name, array in x.items()} == dict.fromkeys(model.input, (2, 16))
    assert (y.tolist(), sample_weight.tolist()) == ([2, 0], [1.0, 0.5])
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict_on_batch(texts))
    assert model.preprocess_samples(x) is x
