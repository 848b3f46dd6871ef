"""Masked language models as a user meets them: what is hidden when, what is predicted, and filled."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models import MaskedLM, Task, fill_mask, weights
from sparkxlmr.models.batches import TextBatches

from .conftest import SENTENCES


@pytest.fixture(scope="module")
def models(families):
    """One model of each family that nothing trains; predictions are traced once."""
    return {name: family.masked_lm() for name, family in families.items()}


@pytest.fixture
def model(family, models):
    return models[family.name]


# --- what is hidden, and when ---


def test_the_preprocessor_hides_tokens_at_random(family):
    import keras

    preprocessor = family.preprocessor("MaskedLM", mask_selection_rate=0.5, mask_selection_length=4)
    keras.utils.set_random_seed(1)
    x, y, weight = preprocessor(SENTENCES)
    again = preprocessor(SENTENCES)
    assert x["token_ids"].shape == (4, 40)
    assert x["mask_positions"].shape == y.shape == weight.shape == (4, 4)
    assert [a.dtype for a in (x["mask_positions"], y, weight)] == [np.int32, np.int32, np.float32]
    assert any((x[name] != again[0][name]).any() for name in x)  # anew at every call
    keras.utils.set_random_seed(1)
    assert all((x[name] == part).all() for name, part in preprocessor(SENTENCES)[0].items())
    whole = preprocessor.pack(preprocessor.encode((SENTENCES,)), 40)
    restored = x["token_ids"].copy()
    for row, positions in enumerate(x["mask_positions"]):
        real = weight[row] > 0
        assert real.sum() >= 1
        restored[row, positions[real]] = y[row, real]
        assert not set(y[row, real]) & set(preprocessor.tokenizer.special_token_ids)
    assert (restored == whole["token_ids"]).all()
    one = preprocessor(SENTENCES[0])
    assert one[0]["token_ids"].shape == (40,)
    assert one[1].shape == (4,)


def test_fit_hides_anew_in_each_epoch_and_tests_always_the_same(family):
    samples = family.preprocessor("MaskedLM", mask_selection_rate=0.5).samples

    def epochs(seed):
        batches = TextBatches((SENTENCES,), samples, batch_size=2, seed=seed)
        for _ in range(2):
            yield np.concatenate([batches[i][0]["token_ids"] for i in range(len(batches))])
            batches.on_epoch_end()

    first, second = epochs(None)
    assert (first != second).any()
    tested = list(epochs(0))
    assert (tested[0] == tested[1]).all()
    assert (tested[0] == next(epochs(0))).all()


def test_fit_learns_and_an_evaluation_can_be_repeated(family):
    import keras

    model = family.masked_lm()
    model.compile(optimizer=keras.optimizers.Adam(2e-2), run_eagerly=family.name == "albert")
    history = model.fit(SENTENCES * 8, epochs=10, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    result = model.evaluate(SENTENCES, verbose=0)
    assert result == model.evaluate(SENTENCES, verbose=0)
    before = model.test_on_batch(SENTENCES)
    model.train_on_batch(SENTENCES)
    assert model.test_on_batch(SENTENCES) != before


def test_the_loss_is_the_mean_over_hidden_tokens(model, family):
    """However wide the positions are padded: an untrained model guesses among 24 tokens."""
    x, y, weight = family.preprocessor("MaskedLM", mask_selection_length=30)(SENTENCES)
    wide = model.test_on_batch(x, y, weight)
    most = int(weight.sum(1).max())
    narrow = {**x, "mask_positions": x["mask_positions"][:, :most]}
    assert wide == pytest.approx(model.test_on_batch(narrow, y[:, :most], weight[:, :most]), rel=1e-5)
    assert wide[0] == pytest.approx(np.log(24), rel=0.05)


def test_compile_chooses_as_keras_hub(model, family):
    import keras

    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-5)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    assert model.loss.get_config()["from_logits"] is True
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    again = family.named("MaskedLM")(model.backbone, compile=False)
    again.compile(optimizer="sgd", loss=loss, weighted_metrics=[])
    assert again.loss is loss
    assert isinstance(again.optimizer, keras.optimizers.SGD)
    uncompiled = family.named("MaskedLM")(model.backbone, compile=False)
    assert not uncompiled.compiled


def test_texts_bring_their_own_labels(model):
    with pytest.raises(InputError, match="texts alone"):
        model.fit(SENTENCES, [0, 1, 2, 1], verbose=0)
    with pytest.raises(InputError, match="texts alone"):
        model.preprocessor(SENTENCES, sample_weight=[1, 1, 1, 1])


def test_rates_that_cannot_be(family):
    for settings in ({"mask_token_rate": 1.5}, {"random_token_rate": 0.5}, {"mask_selection_length": 0}):
        with pytest.raises(SettingError):
            family.preprocessor("MaskedLM", **settings)


# --- predict ---


def test_predict_answers_at_the_mask_tokens_of_the_texts(model, family):
    mask = family.mask
    texts = [f"the {mask} is round", "a brown dog slept", f"{mask} {mask} " + "fox " * 20]
    found = model.predict(texts, batch_size=2, verbose=0)
    assert found.shape == (3, 2, 24)
    assert (found == model.predict(texts, batch_size=2, verbose=0)).all()
    encoded = model.preprocessor.encode((texts,))
    inputs = {**model.preprocessor.pack(encoded, 40), "mask_positions": np.array([[2, 0], [0, 0], [1, 2]])}
    whole = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found[0, :1], whole[0, :1], atol=1e-5)
    np.testing.assert_allclose(found[2], whole[2], atol=1e-5)
    assert model.predict_on_batch(texts).shape == (3, 96, 24)
    assert model.predict(["no mask"], verbose=0).shape == (1, 0, 24)
    assert model.predict([], verbose=0).shape == (0, 0, 24)


# --- fill_mask ---


def assert_same_tokens(found, expected):
    """Equal tokens; scores only nearly: a CPU may add in another order in a batch of another shape."""
    for best, others in zip(found, expected, strict=True):
        for one, other in zip(best, others, strict=True):
            assert (one.token_id, one.token, one.text) == (other.token_id, other.token, other.text)
            assert one.score == pytest.approx(other.score, abs=1e-6)


def test_fill_mask(model, family):
    mask = family.mask
    text = f"the {mask} fox {mask}"
    filled = model.fill_mask(text, top_k=3)
    assert [len(best) for best in filled] == [3, 3]
    logits = model.predict([text], verbose=0)[0].astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    known = probabilities[:, : model.preprocessor.tokenizer.vocabulary_size()]  # the model has more rows
    for best, row in zip(filled, known, strict=True):
        assert [one.token_id for one in best] == np.argsort(-row)[:3].tolist()
        np.testing.assert_allclose([one.score for one in best], np.sort(row)[:-4:-1], atol=1e-6)
    model_text = model.preprocessor.tokenizer
    (one, *_), (other, *_) = model.fill_mask(text, top_k=2, targets=["brown"])
    assert (one.token, one.token_id) == ("brown", model_text.token_to_id("▁brown"))
    assert one.text == f"the brown fox {mask}"
    assert other.text == f"the {mask} fox brown"
    assert one.score == pytest.approx(probabilities[0, one.token_id], abs=1e-6)  # among all tokens
    texts = [text, "no mask", f"{mask} " * 5]
    assert [len(masks) for masks in model.fill_mask(texts)] == [2, 0, 5]
    assert_same_tokens(model.fill_mask(texts)[0], model.fill_mask(texts[0]))
    assert [len(best) for best in model.fill_mask(text, targets=["fox", "▁fox", "dog"])] == [2, 2]
    assert model.fill_mask([]) == []


def test_fill_mask_holds_few_logits_at_a_time(model, family, monkeypatch):
    texts = [f"{family.mask} " * n + "fox " * n for n in (1, 7, 2, 0, 12, 3)]
    wanted = model.fill_mask(texts, top_k=2)
    shapes = []

    def recorded(x):
        found = type(model).predict_on_batch(model, x)
        shapes.append(found.shape)
        return found

    monkeypatch.setattr(fill_mask, "MOST_LOGITS", 24 * 4)
    monkeypatch.setattr(model, "predict_on_batch", recorded)
    found = model.fill_mask(texts, top_k=2)
    assert max(n * positions for n, positions, _ in shapes) <= 4
    assert sum(n * positions for n, positions, _ in shapes) >= 25
    for masks, expected in zip(found, wanted, strict=True):
        assert_same_tokens(masks, expected)


def test_fill_mask_refuses(model, family):
    with pytest.raises(SettingError, match="'zebra' is no token"):
        model.fill_mask(family.mask, targets=["fox", "zebra"])
    with pytest.raises(SettingError, match="'the fox' is no token"):
        model.fill_mask(family.mask, targets=["the fox"])
    with pytest.raises(SettingError, match="targets is empty"):
        model.fill_mask(family.mask, targets=[])
    with pytest.raises(SettingError, match="top_k is 0"):
        model.fill_mask("no mask", top_k=0)
    with pytest.raises(InputError, match="pairs"):
        model.fill_mask((["a"], ["b"]))
    with pytest.raises(SettingError, match="no preprocessor"):
        family.named("MaskedLM")(model.backbone).fill_mask("a")


# --- presets ---


def test_a_preset_keeps_how_tokens_are_hidden(family, tmp_path):
    masking = {"mask_selection_rate": 0.25, "mask_selection_length": 7, "random_token_rate": 0.0}
    model = family.masked_lm(preprocessor=family.preprocessor("MaskedLM", **masking), activation="relu")
    with pytest.warns(UserWarning, match="activation is relu"):
        model.save_to_preset(tmp_path)
    again = Task.from_preset(tmp_path)
    assert type(again) is type(model)
    assert again.head_config() == model.head_config()
    kept, own = again.preprocessor.get_config(), model.preprocessor.get_config()
    own_names = ("tokenizer", "name")  # a preset does not hold the names of layers
    assert {name: kept[name] for name in kept if name not in own_names} == {
        name: own[name] for name in own if name not in own_names
    }
    text = f"the {family.mask} fox"
    np.testing.assert_allclose(again.predict([text], verbose=0), model.predict([text], verbose=0), atol=1e-6)
    empty = weights.state_of(Task.from_preset(tmp_path, load_weights=False))
    assert (empty["masked_lm.dense.kernel"] != weights.state_of(model)["masked_lm.dense.kernel"]).any()
    # The other tasks of the family load it too, with a head of their own.
    classifier = family.named("TextClassifier").from_preset(tmp_path, num_classes=2)
    assert classifier.predict(SENTENCES, verbose=0).shape == (4, 2)


def test_a_head_that_is_new_is_never_so_in_silence(family, fixtures, tmp_path):
    family.classifier().save_to_preset(tmp_path / "classifier")
    with pytest.warns(UserWarning, match="at its random start"):
        model = MaskedLM.from_preset(tmp_path / "classifier")
    assert type(model) is family.named("MaskedLM")
    name = {"xlm_roberta": "xlmr", "albert": "albert"}[family.name] + "_sequence_classification"
    with pytest.raises(SettingError, match="for a new head pass"):
        MaskedLM.from_preset(fixtures / "hugging_face" / name)
