"""What a preprocessor that can only be called returns is checked like a user's own arrays."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import InputError, SettingError

from .conftest import SENTENCES

LABELS = [0, 1, 2, 1]
NAMES = ["zero", "one", "two", "one"]
INVALID_RESULTS = {
    "negative ids": (lambda x: {**x, "token_ids": -x["token_ids"]}, "token_ids holds -"),
    "ids beyond the table": (lambda x: {**x, "token_ids": x["token_ids"] + 99}, "from 0 to 23"),
    "fewer rows": (lambda x: {name: array[:-1] for name, array in x.items()}, "3 rows of token_ids for 4"),
    "a missing input": (lambda x: {"token_ids": x["token_ids"]}, "the keys"),
    "no dict": (lambda x: x["token_ids"], "inputs of type ndarray"),
    "rows of different lengths": (lambda x: {**x, "token_ids": [[1], [1, 2], [1], [1]]}, "differ in length"),
}


def tf_batches(*columns):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(columns if len(columns) > 1 else columns[0]).batch(4)


@pytest.fixture(scope="module")
def classifier(families):
    return families["xlm_roberta"].classifier()


@pytest.fixture
def own(families):
    return families["xlm_roberta"].preprocessor("TextClassifier", sequence_length=12)


@pytest.mark.parametrize("name", INVALID_RESULTS)
def test_called_preprocessor_with_invalid_inputs(classifier, own, name):
    change, match = INVALID_RESULTS[name]
    classifier.preprocessor = lambda texts: change(own(list(texts)))
    for call in (
        lambda: classifier.predict(SENTENCES, verbose=0),
        lambda: classifier.predict_on_batch(SENTENCES),
        lambda: classifier.predict((batch for batch in [SENTENCES]), verbose=0),
        lambda: classifier.fit(SENTENCES, LABELS, verbose=0),
        lambda: classifier.evaluate(SENTENCES, LABELS, verbose=0),
        lambda: classifier.train_on_batch(SENTENCES, LABELS),
        lambda: classifier.preprocess_samples(SENTENCES),
    ):
        with pytest.raises(InputError, match=match):
            call()


def test_called_preprocessor_with_invalid_inputs_in_tf_data(tiny, own):
    def shifted(texts):  # valid for the made-up text that the dataset's signature is taken from
        x = own(list(texts))
        return x if len(texts) == 1 else {**x, "token_ids": x["token_ids"] - 9}

    tiny.preprocessor = shifted
    with pytest.raises(InputError, match="token_ids holds -"):
        tiny.fit(tf_batches(SENTENCES, LABELS), verbose=0)
    with pytest.raises(InputError, match="token_ids holds -"):
        tiny.predict(tf_batches(SENTENCES), verbose=0)


@pytest.mark.parametrize(
    ("labels", "match"),
    [([0, 1, 2, 7], "Label 3 is 7"), ([0, 1], "2 rows of labels for 4"), (NAMES, "labels are of dtype")],
)
def test_called_preprocessor_with_invalid_labels(classifier, own, labels, match):
    classifier.preprocessor = lambda texts: (own(list(texts)), labels)
    for call in (classifier.fit, classifier.evaluate):
        with pytest.raises(InputError, match=match):
            call(SENTENCES, verbose=0)


def test_called_preprocessor_makes_labels(classifier, own):
    classifier.preprocessor = own
    expected = classifier.evaluate(SENTENCES, [1] * 4, verbose=0)
    classifier.preprocessor = lambda texts: (own(list(texts)), np.ones((len(texts), 1), int))
    for x in (SENTENCES, (batch for batch in [SENTENCES]), tf_batches(SENTENCES)):
        np.testing.assert_allclose(classifier.evaluate(x, verbose=0), expected, rtol=1e-5)
    assert np.isfinite(classifier.fit(SENTENCES, verbose=0).history["loss"][0])
    x, y = classifier.preprocess_samples(SENTENCES)
    assert len(x["token_ids"]) == len(y) == 4


def test_called_preprocessor_converts_text_labels(families):
    family = families["xlm_roberta"]

    class WithNames(family.named("TextClassifierPreprocessor")):
        def call(self, x, y=None, sample_weight=None):
            ids = None if y is None else np.array([["zero", "one", "two"].index(name) for name in y])
            return super().call(list(x), ids, sample_weight)

    model = family.classifier()
    expected = model.evaluate(SENTENCES, LABELS, verbose=0)
    model.preprocessor = WithNames(family.tokenizer(), 40)
    for data in ((SENTENCES, NAMES), (iter([(SENTENCES, NAMES)]),), (tf_batches(SENTENCES, NAMES),)):
        np.testing.assert_allclose(model.evaluate(*data, verbose=0), expected, rtol=1e-5)
    assert np.isfinite(model.fit(SENTENCES, NAMES, validation_split=0.5, verbose=0).history["val_loss"][0])
    with pytest.raises(InputError, match="4 texts and 3 labels"):
        model.fit(SENTENCES, NAMES[:3], verbose=0)
    with pytest.raises(InputError, match="4 texts and 3 sample weights"):
        model.fit(SENTENCES, NAMES, sample_weight=np.ones(3), verbose=0)
    with pytest.raises(InputError, match="no labels"):
        model.fit(SENTENCES, verbose=0)


def test_preprocessor_longer_than_the_encoder_reads(families):
    """Whether or not the subclass has its own ``call``."""
    family = families["xlm_roberta"]

    class Own(family.named("TextClassifierPreprocessor")):
        def call(self, x, y=None, sample_weight=None):
            return super().call(list(x), y, sample_weight)

    model = family.classifier()
    for preprocessor in (family.preprocessor("TextClassifier"), Own(family.tokenizer(), 40)):
        model.preprocessor = preprocessor
        assert model.predict(SENTENCES, verbose=0).shape == (4, 3)
        preprocessor.sequence_length = 41
        with pytest.raises(SettingError, match="keeps 41 ids"):
            model.predict(SENTENCES, verbose=0)


@pytest.mark.parametrize("length", [None, "8", "a", -1, 0, 2.5, True])
def test_sequence_length_that_is_invalid(families, length):
    family = families["xlm_roberta"]
    preprocessor = family.preprocessor("TextClassifier")
    with pytest.raises(SettingError, match="sequence_length is"):
        preprocessor.sequence_length = length
    assert preprocessor.sequence_length == 40
    if length is not None:
        with pytest.raises(SettingError, match="sequence_length is"):
            family.named("Tokenizer")(family.proto, sequence_length=length)


def test_preprocessor_settings_are_checked_when_set(families):
    preprocessor = families["xlm_roberta"].preprocessor("TextClassifier")
    with pytest.raises(SettingError, match="at least 4"):
        preprocessor.sequence_length = 3
    with pytest.raises(SettingError, match="truncate"):
        preprocessor.truncate = "longest"
    preprocessor.sequence_length = np.int64(8)
    assert preprocessor(SENTENCES)["token_ids"].shape == (4, 8)


def test_tokenizer_of_another_family_is_refused(families):
    """Its ids would be those of other tokens."""
    for one, other in (("xlm_roberta", "albert"), ("albert", "xlm_roberta")):
        for kind in ("TextClassifierPreprocessor", "MaskedLMPreprocessor"):
            with pytest.raises(SettingError, match="of another family"):
                families[one].named(kind)(families[other].tokenizer())
    model = families["xlm_roberta"].classifier()
    model.preprocessor = families["albert"].preprocessor("TextClassifier")
    with pytest.raises(SettingError, match="one for a XLMRobertaBackbone"):
        model.predict(SENTENCES, verbose=0)
    model.preprocessor = families["xlm_roberta"].preprocessor("TextClassifier")
    model.preprocessor.tokenizer = families["albert"].tokenizer()
    with pytest.raises(SettingError, match="one for a XLMRobertaBackbone"):
        model.predict(SENTENCES, verbose=0)
