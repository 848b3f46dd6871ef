"""Inputs and labels that a backend would misread are refused; batches of texts from anywhere are read."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.texts import as_texts, is_text

from .conftest import SENTENCES, eager

LABELS = [0, 1, 2, 1]
COLUMN = [[label] for label in LABELS]
CONTAINERS = {
    "DataFrame": pd.DataFrame({"text": SENTENCES, "label": LABELS}),
    "dict": {"text": SENTENCES},
    "Table": pa.table({"text": SENTENCES}),
    "RecordBatch": pa.RecordBatch.from_pydict({"text": SENTENCES}),
    "set": set(SENTENCES),
}


class Batches(keras.utils.PyDataset):
    """Two batches of two items."""

    def __init__(self, *columns, **kwargs):
        super().__init__(**kwargs)
        self.columns = columns

    def __len__(self):
        return 2

    def __getitem__(self, index):
        parts = tuple(column[2 * index : 2 * index + 2] for column in self.columns)
        return parts if len(parts) > 1 else parts[0]


@pytest.fixture(scope="module")
def classifier(families):
    return families["xlm_roberta"].classifier()


@pytest.fixture(scope="module")
def masked_lm(families):
    family = families["xlm_roberta"]
    return family.masked_lm(preprocessor=family.preprocessor("MaskedLM", mask_selection_length=6))


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_refused(classifier, masked_lm, name):
    """Iterating over one yields column names or keys, which would be classified."""
    x = CONTAINERS[name]
    calls = (
        lambda: classifier.predict(x, verbose=0),
        lambda: classifier.predict_labels(x),
        lambda: classifier.predict_on_batch(x),
        lambda: classifier.fit(x, LABELS, verbose=0),
        lambda: classifier.evaluate(x, LABELS, verbose=0),
        lambda: classifier.train_on_batch(x, LABELS),
        lambda: classifier.preprocessor(x),
        lambda: classifier.preprocessor.tokenizer(x),
        lambda: classifier.fit(SENTENCES, LABELS, validation_data=(x, LABELS), verbose=0),
        lambda: classifier.predict((batch for batch in [x]), verbose=0),
        lambda: masked_lm.fit(x, verbose=0),
        lambda: masked_lm.predict(x, verbose=0),
        lambda: masked_lm.fill_mask(x),
    )
    for call in calls:
        with pytest.raises(InputError, match=rf"(The input is|The inputs are) a {name}"):
            call()


def test_sequences_of_texts_are_read():
    series = pd.Series(SENTENCES, index=["columns", "keys", "column_names", "text"])
    for x in (series, series.astype("category"), pa.array(SENTENCES), pa.chunked_array([SENTENCES])):
        assert as_texts(x) == (SENTENCES,)
    for x in (np.array(SENTENCES), iter(SENTENCES), dict.fromkeys(SENTENCES).keys(), [b"fox"], b"fox"):
        assert (
            len(as_texts(x)[0]) == (1 if x in ([b"fox"], b"fox") else 4) if not hasattr(x, "dtype") else True
        )
    with pytest.raises(InputError, match="Input 1 is nan"):
        as_texts(pd.Series(["fox", None]))
    assert [is_text(x) for x in ("a", [b"a"], np.array(["a"]), pd.Series(["a"]))] == [True] * 4
    assert not any(map(is_text, (None, [], 1, [1], np.arange(2), {"token_ids": [1]})))


def test_dicts_are_matched_by_name(classifier):
    """Others than the model's inputs are not taken in their places."""
    x = classifier.preprocessor(SENTENCES)
    whole = classifier.predict(x, verbose=0)
    more = {"aaa": np.zeros((4, 3)), **x, "zzz": np.zeros((4, 3))}
    np.testing.assert_array_equal(classifier.predict(more, verbose=0), whole)
    with pytest.raises(InputError, match=r"keys \['ids', 'mask'\]"):
        classifier.predict({"ids": x["token_ids"], "mask": x["padding_mask"]}, verbose=0)
    with pytest.raises(InputError, match=r"Expected the keys \['token_ids', 'padding_mask'\]"):
        classifier({"token_ids": x["token_ids"]})


@pytest.mark.parametrize(
    ("token_ids", "match"),
    [
        (np.full((2, 4), 24), r"token_ids holds 24\. Expected numbers from 0 to 23"),
        (np.full((2, 4), -1), "token_ids holds -1"),
        (np.ones((2, 41), int), "token_ids has 41 columns"),
        (np.full((2, 4), 0.5), "dtype float64"),
        (np.ones(4, int), r"the shape \(4,\)"),
        ([[1, 2], [1]], "differ in length"),
    ],
)
def test_ids_that_cannot_be_embedded_are_refused(classifier, token_ids, match):
    x = {
        "token_ids": token_ids,
        "padding_mask": np.ones(np.shape(token_ids) if "differ" not in match else (2, 2)),
    }
    calls = (
        lambda: classifier.predict(x, verbose=0),
        lambda: classifier.fit(x, [0, 1], verbose=0),
        lambda: classifier(x),
        lambda: classifier.backbone(x),
    )
    for call in calls:
        with pytest.raises(InputError, match=match):
            call()


def test_albert_and_masked_inputs_are_checked(families):
    model = families["albert"].masked_lm()
    x = {name: np.ones((1, 4), int) for name in model.input}
    model(x)
    with pytest.raises(InputError, match=r"segment_ids holds 2\. Expected numbers from 0 to 1"):
        model({**x, "segment_ids": np.full((1, 4), 2)})
    with pytest.raises(InputError, match=r"mask_positions holds 4\. Expected numbers from 0 to 3"):
        model({**x, "mask_positions": np.full((1, 2), 4)})
    with pytest.raises(InputError, match=r"padding_mask has 3 columns, and token_ids 4"):
        model({**x, "padding_mask": np.ones((1, 3), int)})


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 3], [0, 1, 2, -1], [0, 1, 2, 0.5], [0, 1, 2, np.nan], np.eye(4, 3)]
)
def test_labels_that_no_class_has_are_refused(classifier, labels):
    """Of texts and of integers, at once and batch by batch: JAX would train on them at a loss of 0."""
    x = classifier.preprocessor(SENTENCES)
    calls = (
        lambda: classifier.fit(SENTENCES, labels, verbose=0),
        lambda: classifier.evaluate(SENTENCES, labels, verbose=0),
        lambda: classifier.train_on_batch(SENTENCES, labels),
        lambda: classifier.fit(x, np.array(labels), verbose=0),
        lambda: classifier.fit(SENTENCES, LABELS, validation_data=(SENTENCES, labels), verbose=0),
        lambda: classifier.fit(((SENTENCES, labels) for _ in range(1)), verbose=0),
    )
    for call in calls:
        with pytest.raises(InputError, match=r"Label 3 is|one-hot rows"):
            call()


def test_labels_of_other_losses_are_not_class_indices(families):
    model = families["xlm_roberta"].classifier(compile=False)
    for loss, labels in (
        (keras.losses.CategoricalCrossentropy(from_logits=True), np.eye(3)[LABELS]),
        (keras.losses.BinaryCrossentropy(from_logits=True), np.ones((4, 3))),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1), [0, 1, 2, -1]),
    ):
        model.compile("sgd", loss, metrics=[], run_eagerly=True)
        assert np.isfinite(model.fit(SENTENCES, labels, verbose=0).history["loss"][0])


def test_labels_of_a_column_equal_a_row_of_them(tiny):
    """(n, 1) and (n,), one after the other on one traced model, with weights and validation."""
    tf = pytest.importorskip("tensorflow")
    weights = np.array([0.0, 1.0, 0.5, 1.0])
    expected = tiny.evaluate(SENTENCES, LABELS, sample_weight=weights, verbose=0)
    found = tiny.evaluate(SENTENCES, COLUMN, sample_weight=weights[:, None], verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    integers = tiny.preprocessor(SENTENCES)
    for x in (SENTENCES, integers):
        data = tf.data.Dataset.from_tensor_slices((x, COLUMN, weights)).batch(4)
        np.testing.assert_allclose(tiny.evaluate(data, verbose=0), expected, rtol=1e-5)
    tiny.fit(SENTENCES, LABELS, verbose=0)
    history = tiny.fit(
        SENTENCES,
        COLUMN,
        validation_data=(SENTENCES, COLUMN),
        class_weight={0: 1.0, 1: 2.0, 2: 1.0},
        verbose=0,
    ).history
    assert np.isfinite(history["val_loss"]).all()


def test_fit_works_after_a_failed_fit(tiny):
    """A function that failed while TensorFlow traced it is made anew."""
    tiny.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=[])
    with pytest.raises(ValueError, match="shape"):
        tiny.fit(SENTENCES, np.ones((4, 2)), verbose=0)
    assert np.isfinite(tiny.fit(SENTENCES, np.eye(3)[LABELS], verbose=0).history["loss"][0])


def test_batches_of_texts_from_python(tiny):
    """``PyDataset`` and generators in training, evaluation and prediction, as lists."""
    tiny.run_eagerly = True
    texts, labels = ["fox " * n for n in (1, 20, 2, 30)], np.array(LABELS)
    data = Batches(np.array(texts), labels)
    expected = tiny.evaluate(texts, labels, batch_size=2, verbose=0)
    np.testing.assert_allclose(tiny.evaluate(data, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(tiny.evaluate((data[i] for i in range(2)), verbose=0), expected, rtol=1e-5)
    whole = tiny.predict(texts, verbose=0)
    for x in (data, Batches(texts, workers=2), (texts[i : i + 2] for i in (0, 2)), iter([(texts, labels)])):
        np.testing.assert_allclose(tiny.predict(x, verbose=0), whole, atol=1e-5)
    assert len(tiny.predict_labels(data)) == 4
    history = tiny.fit(data, validation_data=data, epochs=2, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)
    assert len(history.history["val_loss"]) == 2

    history = tiny.fit(data, validation_data=(data[i] for i in range(2)), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(tiny.evaluate(data, verbose=0)[0], rel=1e-5)

    def forever():
        while True:
            yield from (data[0], data[1])

    assert len(tiny.fit(forever(), steps_per_epoch=3, epochs=2, verbose=0).history["loss"]) == 2
    pairs = Batches(texts, texts[::-1])
    np.testing.assert_allclose(
        tiny.predict(pairs, verbose=0), tiny.predict((texts, texts[::-1]), verbose=0), atol=1e-5
    )


def test_masked_lm_reads_batches_of_texts(masked_lm):
    data = Batches(["fox", "dog", "fox " * 30, "dog " * 30])  # one token is hidden, then several
    assert np.isfinite(masked_lm.fit(data, validation_data=data, verbose=0).history["val_loss"][0])
    assert masked_lm.evaluate(data, verbose=0) == masked_lm.evaluate(data, verbose=0)
    texts = ["<mask> fox", "the <mask> is <mask>"]
    found = masked_lm.predict((batch for batch in [texts]), verbose=0)
    np.testing.assert_allclose(found[1, :2], masked_lm.predict(texts, verbose=0)[1], atol=1e-5)
    with pytest.raises(InputError, match="texts alone"):
        masked_lm.fit(Batches(SENTENCES, LABELS), verbose=0)


def test_streams_that_hold_no_batches_are_refused(classifier):
    with pytest.raises(InputError, match="An item is 'the quick"):
        classifier.predict((text for text in SENTENCES), verbose=0)
    with pytest.raises(InputError, match="has no batches"):
        classifier.fit(iter(()), verbose=0)
    with pytest.raises(InputError, match="a tuple of 4 parts"):
        classifier.fit(iter([(SENTENCES, LABELS, LABELS, LABELS)]), verbose=0)


def test_nothing_is_refused(classifier, masked_lm):
    for call in (
        lambda: classifier.fit([], [], verbose=0),
        lambda: classifier.evaluate([], [], verbose=0),
        lambda: classifier.train_on_batch([], []),
        lambda: masked_lm.fit([], verbose=0),
        lambda: classifier.fit(SENTENCES, LABELS, validation_data=([], []), verbose=0),
    ):
        with pytest.raises(InputError, match="There are no texts"):
            call()
    for call in (classifier.predict, classifier.predict_labels, classifier.predict_on_batch, classifier.fit):
        with pytest.raises(InputError, match="is None"):
            call(None)
    for call in (lambda: classifier.fit(SENTENCES), lambda: classifier.evaluate(SENTENCES)):
        with pytest.raises(InputError, match="There are no labels"):
            call()
    assert classifier.predict_on_batch([]).shape == (0, 3)


def test_texts_without_preprocessor_are_refused(families):
    model = eager(families["xlm_roberta"].classifier(preprocessor=None))
    for x in (SENTENCES, np.array(SENTENCES), "fox"):
        with pytest.raises(SettingError, match="has no preprocessor"):
            model.predict(x, verbose=0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
        ({"validation_split": 1.0}, r"validation_split is 1\.0"),
        ({"validation_split": -0.5}, r"validation_split is -0\.5"),
        ({"validation_split": 0.99}, r"validation_split is 0\.99 for 4 texts"),
    ],
)
def test_sizes_that_leave_nothing_are_refused(classifier, settings, match):
    with pytest.raises(SettingError, match=match):
        classifier.fit(SENTENCES, LABELS, verbose=0, **settings)


def test_ragged_tensors_are_refused(classifier):
    tf = pytest.importorskip("tensorflow")
    ragged = tf.ragged.constant([[1, 2], [1]])
    with pytest.raises(InputError, match=r"token_ids\.to_tensor"):
        classifier.predict({"token_ids": ragged, "padding_mask": ragged}, verbose=0)
    data = tf.data.Dataset.from_tensors(({"token_ids": ragged, "padding_mask": ragged}, [0, 1]))
    with pytest.raises(InputError, match="ragged or sparse"):
        classifier.fit(data, verbose=0)
    with pytest.raises(InputError, match="Expected text"):
        classifier.predict(tf.ragged.constant([["fox"], ["fox", "dog"]]), verbose=0)


def test_datasets_with_labels_of_no_class_are_refused(classifier):
    """With the package's error, not with the traceback that TensorFlow makes of it."""
    tf = pytest.importorskip("tensorflow")
    for x in (SENTENCES, classifier.preprocessor(SENTENCES)):
        data = tf.data.Dataset.from_tensor_slices((x, [0, 1, 2, 7])).batch(2)
        with pytest.raises(InputError, match="Label 1 is 7"):
            classifier.fit(data, verbose=0)
