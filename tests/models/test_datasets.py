"""`tf.data.Dataset`s of strings in Keras' loops, as keras-hub takes them."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import InputError

from .conftest import SENTENCES

tf = pytest.importorskip("tensorflow")
LABELS = [0, 1, 2, 1]


def batches(*columns):
    return tf.data.Dataset.from_tensor_slices(columns if len(columns) > 1 else columns[0]).batch(3)


def test_classifier(families):
    model = families["xlm_roberta"].classifier()
    model.run_eagerly = False
    data = batches(SENTENCES, LABELS)
    history = model.fit(data.repeat(), validation_data=data, steps_per_epoch=2, epochs=2, verbose=0).history
    assert len(history["val_loss"]) == 2
    listed = model.evaluate(SENTENCES, LABELS, batch_size=3, verbose=0)
    np.testing.assert_allclose(model.evaluate(data, verbose=0), listed, rtol=1e-5)
    assert history["val_loss"][-1] == pytest.approx(listed[0], rel=1e-5)
    weighted = batches(SENTENCES, LABELS, [0.0, 1.0, 0.0, 1.0])
    loss = model.evaluate(weighted, verbose=0)[0]
    assert loss == pytest.approx(
        model.evaluate(SENTENCES, LABELS, 3, np.array([0.0, 1.0, 0.0, 1.0]), verbose=0)[0], rel=1e-5
    )
    whole = model.predict(SENTENCES, verbose=0)
    np.testing.assert_allclose(model.predict(batches(SENTENCES), verbose=0), whole, atol=1e-5)
    np.testing.assert_allclose(model.predict(data, verbose=0), whole, atol=1e-5)  # labels are passed over


def test_pairs(families):
    model = families["albert"].classifier()
    first, second = SENTENCES, SENTENCES[::-1]
    whole = model.predict((first, second), verbose=0)
    np.testing.assert_allclose(model.predict(batches(first, second), verbose=0), whole, atol=1e-5)
    labelled = batches((first, second), LABELS)
    np.testing.assert_allclose(
        model.evaluate(labelled, verbose=0),
        model.evaluate((first, second), LABELS, batch_size=3, verbose=0),
        rtol=1e-5,
    )


def test_masked_lm(families):
    family = families["xlm_roberta"]
    model = family.masked_lm(preprocessor=family.preprocessor("MaskedLM", mask_selection_length=6))
    data = batches(SENTENCES)
    history = model.fit(data, validation_data=data, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(data, verbose=0)[0], rel=1e-5)
    texts = ["the <mask> is round", "no", "<mask> fox <mask>"]
    found = model.predict(batches(texts), verbose=0)
    assert found.shape == (3, 6, 24)
    np.testing.assert_allclose(found[2, :2], model.predict(texts, verbose=0)[2], atol=1e-5)


def test_what_is_no_batch_of_texts(families):
    model = families["xlm_roberta"].classifier()
    with pytest.raises(InputError, match=r"dataset\.batch\(32\)"):
        model.fit(tf.data.Dataset.from_tensor_slices((SENTENCES, LABELS)), verbose=0)
    integers = model.preprocessor(SENTENCES)
    data = tf.data.Dataset.from_tensor_slices((integers, LABELS)).batch(2)  # preprocessed before
    whole = model.evaluate(SENTENCES, LABELS, verbose=0)
    np.testing.assert_allclose(model.evaluate(data, verbose=0), whole, rtol=1e-5)
    pieces = tf.constant(SENTENCES)  # a tensor of strings is an array of texts
    np.testing.assert_allclose(model.predict(pieces, verbose=0), model.predict(SENTENCES, verbose=0))


def test_a_preprocessor_maps_data_sets(family):
    """``dataset.map(preprocessor)``, as keras-hub's guides have it: in batches, single texts, and pairs."""
    preprocessor = family.preprocessor("TextClassifier")
    whole = preprocessor(SENTENCES)
    data = tf.data.Dataset.from_tensor_slices((SENTENCES, LABELS))
    for mapped in (data.batch(4).map(preprocessor), data.map(preprocessor).batch(4)):
        assert mapped.element_spec[0]["token_ids"].shape.as_list() == [None, 40]
        ((x, y),) = mapped
        assert y.numpy().tolist() == LABELS
        assert x.keys() == whole.keys()
        assert all((x[name].numpy() == whole[name]).all() for name in whole)
    pairs = tf.data.Dataset.from_tensor_slices(((SENTENCES, SENTENCES[::-1]),)).batch(4)
    (x,) = pairs.map(preprocessor)
    assert (x["token_ids"].numpy() == preprocessor((SENTENCES, SENTENCES[::-1]))["token_ids"]).all()
    hiding = family.preprocessor("MaskedLM", mask_selection_length=6)
    mapped = tf.data.Dataset.from_tensor_slices(SENTENCES).batch(4).map(hiding).repeat(2)
    (first, labels, weight), (second, *_) = mapped
    assert labels.shape == weight.shape == first["mask_positions"].shape == (4, 6)
    assert (first["mask_positions"].numpy() != second["mask_positions"].numpy()).any()


def test_ranks_that_change_between_datasets(tiny):
    """Labels and weights of (n,), then (n, 1), on one traced model: texts and integers."""
    weights = np.array([0.0, 1.0, 0.5, 1.0], "float32")
    column = np.array(LABELS)[:, None]
    for x in (SENTENCES, tiny.preprocessor(SENTENCES)):
        expected = tiny.evaluate(batches(x, LABELS, weights), verbose=0)
        found = tiny.evaluate(batches(x, LABELS, weights[:, None]), verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        for data in (batches(x, LABELS, weights), batches(x, column, weights[:, None])):
            assert np.isfinite(tiny.fit(data, verbose=0).history["loss"][0])


@pytest.mark.parametrize("kind", ["texts", "integers"])
def test_ranks_that_change_for_regression(families, kind):
    model = families["xlm_roberta"].classifier(num_classes=1, output_function="identity")
    model.run_eagerly = False
    x = SENTENCES if kind == "texts" else model.preprocessor(SENTENCES)
    y, weights = np.array([0.1, 0.2, 0.3, 0.4], "float32"), np.ones(4, "float32")
    data = batches(x, y), batches(x, y[:, None]), batches(x, y, weights), batches(x, y, weights[:, None])
    for one in data:
        assert np.isfinite(model.fit(one, verbose=0).history["loss"][0])
    expected = model.evaluate(data[1], verbose=0)
    np.testing.assert_allclose(model.evaluate(data[0], verbose=0), expected, rtol=1e-4)
    # While the rank of validation labels differs, several steps follow.
    history = model.fit(data[0].repeat(2), validation_data=data[1], epochs=2, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_text_labels_in_a_dataset_are_refused(families):
    model = families["xlm_roberta"].classifier()
    for x in (SENTENCES, model.preprocessor(SENTENCES)):
        with pytest.raises(InputError, match="labels are of dtype"):
            model.fit(batches(x, ["zero", "one", "two", "one"]), verbose=0)
