"""Keras classifiers of one logit, regression and cross-encoders: predict_labels, saved and read."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.models import TextClassifier

TEXTS = ["a", "Ein Satz."]


def scores_of(model, texts=TEXTS):
    return [[label.score for label in row] for row in model.predict_labels(texts, top_k=9)]


@pytest.mark.parametrize(
    ("config", "function"),
    [
        ({}, lambda logits: 1 / (1 + np.exp(-logits))),
        ({"problem_type": "regression"}, lambda logits: logits),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, lambda x: x),
    ],
)
def test_predict_labels_of_one_logit(one_logit_checkpoint, goldens, config, function, tmp_path):
    golden = goldens["hugging_face"]
    logit = golden["logits"][golden["texts"].index("a")][0]
    model = TextClassifier.from_preset(one_logit_checkpoint(**config))
    expected = function(np.float32(logit))
    assert scores_of(model, ["a"]) == [[pytest.approx(expected, abs=1e-5)]]
    assert model.predict(["a"], verbose=0)[0, 0] == pytest.approx(logit, abs=1e-5)
    assert model.predict_labels("a") == "LABEL_0"
    for folder in (model.save_to_preset(tmp_path / "p"), model.export_to_transformers(tmp_path / "c")):
        again = TextClassifier.from_preset(folder)
        assert scores_of(again, ["a"]) == [[pytest.approx(expected, abs=1e-5)]], folder
        assert again.output_function == model.output_function


def test_output_function_argument(family, tmp_path):
    model = family.classifier(3, output_function="identity")
    np.testing.assert_allclose(np.sort(scores_of(model)), np.sort(model.predict(TEXTS, verbose=0)), atol=1e-6)
    assert type(model).from_config(model.get_config()).output_function == "identity"
    again = TextClassifier.from_preset(model.save_to_preset(tmp_path / "preset"))
    np.testing.assert_allclose(scores_of(again), scores_of(model), atol=1e-5)
    softmax = TextClassifier.from_preset(tmp_path / "preset", activation="softmax")
    assert softmax.output_function is None
    np.testing.assert_allclose(np.sum(scores_of(softmax), axis=1), 1, atol=1e-5)
    with pytest.raises(SettingError, match="output_function is 'softmin'"):
        family.classifier(3, output_function="softmin")
    with pytest.raises(SettingError, match="activation is 'tanh' and output_function is 'identity'"):
        family.classifier(3, activation="tanh", output_function="identity")


def test_softmax_over_one_class_gives_no_labels(families):
    model = families["xlm_roberta"].classifier(1, activation="softmax")
    with pytest.raises(SettingError, match="one class: every score would be 1"):
        model.predict_labels(TEXTS)
    sigmoid = families["xlm_roberta"].classifier(1, activation=keras.activations.sigmoid)
    assert all(0 < score < 1 for (score,) in scores_of(sigmoid))


@pytest.mark.parametrize(("function", "labels"), [(None, [0, 1]), ("identity", [0.25, 3.5])])
def test_one_class_learns_with_the_usual_loss(families, function, labels):
    """Sparse categorical cross-entropy over one class is always 0: such a model would learn nothing."""
    keras.utils.set_random_seed(1)
    model = families["xlm_roberta"].classifier(1, output_function=function)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = model.fit(TEXTS, labels, epochs=8, verbose=0).history["loss"]
    assert losses[0] > losses[-1] > 0
