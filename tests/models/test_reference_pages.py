"""The examples of keras-hub's pages for these classes, run with local presets in place of published ones.

Their markup is mended where the pages broke it; only the import, and what a preset is called, is changed.
"""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from sparkxlmr import models

FEATURES = ["The quick brown fox jumped.", "I forgot my homework."]
FOREIGN = ["The quick brown fox jumped.", "نسيت الواجب"]


@pytest.fixture(scope="module")
def keras_hub():
    """Stands where the pages import ``keras_hub``."""
    return SimpleNamespace(models=models)


@pytest.fixture(scope="module")
def presets(proto, albert_proto, tmp_path_factory):
    """Local presets by the names that the pages call."""
    folder = tmp_path_factory.mktemp("presets")
    backbone = models.XLMRobertaBackbone(24, 1, 2, 16, 32, max_sequence_length=64)
    preprocessor = models.XLMRobertaMaskedLMPreprocessor(models.XLMRobertaTokenizer(proto), 64)
    models.XLMRobertaMaskedLM(backbone, preprocessor).save_to_preset(folder / "xlm_roberta_base_multi")
    backbone = models.AlbertBackbone(24, 2, 2, 8, 16, 32, max_sequence_length=64)
    preprocessor = models.AlbertMaskedLMPreprocessor(models.AlbertTokenizer(albert_proto), 64)
    models.AlbertMaskedLM(backbone, preprocessor).save_to_preset(folder / "albert_base_en_uncased")
    return lambda name: str(folder / name)


def test_text_classifier_page(keras_hub, presets):
    import tensorflow as tf

    # Load a classifier with pre-trained weights.
    classifier = keras_hub.models.TextClassifier.from_preset(
        presets("xlm_roberta_base_multi"),
        num_classes=2,
    )
    assert type(classifier) is models.XLMRobertaTextClassifier
    # The page loads IMDb's reviews with tfds: batches of (text, label).
    imdb = tf.data.Dataset.from_tensor_slices((FEATURES * 4, [0, 1] * 4))
    imdb_train, imdb_test = imdb.batch(4), imdb.batch(4)
    history = classifier.fit(imdb_train, validation_data=imdb_test, verbose=0).history
    assert {"loss", "sparse_categorical_accuracy", "val_loss"} <= history.keys()
    # Predict two new examples.
    found = classifier.predict(["What an amazing movie!", "A total waste of my time."], verbose=0)
    assert found.shape == (2, 2)
    # "you can run `cls.presets.keys()` to list all built-in presets available on the class"
    assert {"xlm_roberta_base_multi", "albert_base_en_uncased", "xlm_roberta_tiny_language_id"} <= set(
        keras_hub.models.TextClassifier.presets.keys()
    )
    assert "albert_base_en_uncased" not in models.XLMRobertaTextClassifier.presets


@pytest.mark.parametrize(
    ("name", "preset", "features"),
    [
        ("XLMRobertaTextClassifier", "xlm_roberta_base_multi", FOREIGN),
        ("AlbertTextClassifier", "albert_base_en_uncased", FEATURES),
    ],
)
def test_classifier_pages(keras_hub, presets, name, preset, features):
    import keras

    # Raw string data.
    labels = [0, 3]
    # Pretrained classifier.
    classifier = getattr(keras_hub.models, name).from_preset(
        presets(preset),
        num_classes=4,
    )
    classifier.fit(x=features, y=labels, batch_size=2, verbose=0)
    assert classifier.predict(x=features, batch_size=2, verbose=0).shape == (2, 4)
    # Re-compile (e.g., with a new learning rate).
    classifier.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(5e-5),
        jit_compile=True,
    )
    # Access backbone programmatically (e.g., to change `trainable`).
    classifier.backbone.trainable = False
    # Fit again.
    before = classifier.backbone.get_weights()
    classifier.fit(x=features, y=labels, batch_size=2, verbose=0)
    assert all((a == b).all() for a, b in zip(before, classifier.backbone.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("XLMRobertaTextClassifier", "xlm_roberta_base_multi"),
        ("AlbertTextClassifier", "albert_base_en_uncased"),
    ],
)
def test_classifier_pages_on_integers(keras_hub, presets, name, preset):
    # Preprocessed integer data.
    features = {
        "token_ids": np.ones(shape=(2, 12), dtype="int32"),
        "segment_ids": np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0]] * 2),
        "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]] * 2),
    }
    if name.startswith("XLM"):
        del features["segment_ids"]  # that page has none
    labels = [0, 3]
    # Pretrained classifier without preprocessing.
    classifier = getattr(keras_hub.models, name).from_preset(
        presets(preset),
        num_classes=4,
        preprocessor=None,
    )
    history = classifier.fit(x=features, y=labels, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"][0])


def test_albert_page_with_a_vocabulary_of_its_own(keras_hub):
    import sentencepiece
    import tensorflow as tf

    # Custom backbone and vocabulary.
    features = FEATURES
    labels = [0, 3]
    bytes_io = io.BytesIO()
    ds = tf.data.Dataset.from_tensor_slices(features)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=ds.as_numpy_iterator(),
        model_writer=bytes_io,
        vocab_size=10,
        model_type="WORD",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="<pad>",
        unk_piece="<unk>",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols="[MASK]",
    )
    tokenizer = keras_hub.models.AlbertTokenizer(
        proto=bytes_io.getvalue(),
    )
    preprocessor = keras_hub.models.AlbertTextClassifierPreprocessor(
        tokenizer=tokenizer,
        sequence_length=128,
    )
    backbone = keras_hub.models.AlbertBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=4,
        num_heads=4,
        hidden_dim=256,
        embedding_dim=128,
        intermediate_dim=512,
        max_sequence_length=128,
    )
    classifier = keras_hub.models.AlbertTextClassifier(
        backbone=backbone,
        preprocessor=preprocessor,
        num_classes=4,
    )
    assert np.isfinite(classifier.fit(x=features, y=labels, batch_size=2, verbose=0).history["loss"][0])


def test_xlm_roberta_page_with_a_vocabulary_of_its_own(keras_hub):
    import sentencepiece
    import tensorflow as tf

    # Custom backbone and vocabulary.
    features = FOREIGN
    labels = [0, 3]

    def train_sentencepiece(ds, vocab_size):
        bytes_io = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=ds.as_numpy_iterator(),
            model_writer=bytes_io,
            vocab_size=vocab_size,
            model_type="WORD",
            unk_id=0,
            bos_id=1,
            eos_id=2,
        )
        return bytes_io.getvalue()

    ds = tf.data.Dataset.from_tensor_slices(["the quick brown fox", "the earth is round"])
    proto = train_sentencepiece(ds, vocab_size=10)
    tokenizer = keras_hub.models.XLMRobertaTokenizer(proto=proto)
    preprocessor = keras_hub.models.XLMRobertaTextClassifierPreprocessor(
        tokenizer,
        sequence_length=128,
    )
    backbone = keras_hub.models.XLMRobertaBackbone(
        vocabulary_size=250002,
        num_layers=4,
        num_heads=4,
        hidden_dim=256,
        intermediate_dim=512,
        max_sequence_length=128,
    )
    classifier = keras_hub.models.XLMRobertaTextClassifier(
        backbone=backbone,
        preprocessor=preprocessor,
        num_classes=4,
    )
    assert np.isfinite(classifier.fit(x=features, y=labels, batch_size=2, verbose=0).history["loss"][0])


def test_masked_lm_page(keras_hub, presets):
    import keras

    # Create a dataset with raw string features. Labels are inferred.
    features = FEATURES
    # Pretrained language model on an MLM task.
    masked_lm = keras_hub.models.XLMRobertaMaskedLM.from_preset(
        presets("xlm_roberta_base_multi"),
    )
    masked_lm.fit(x=features, batch_size=2, verbose=0)
    # Re-compile (e.g., with a new learning rate).
    masked_lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(5e-5),
        jit_compile=True,
    )
    # Access backbone programmatically (e.g., to change `trainable`).
    masked_lm.backbone.trainable = False
    # Fit again.
    masked_lm.fit(x=features, batch_size=2, verbose=0)
    # Preprocessed integer data: a preprocessed dataset where 0 is the mask token.
    features = {
        "token_ids": np.array([[1, 2, 0, 4, 0, 6, 7, 8]] * 2),
        "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 1]] * 2),
        "mask_positions": np.array([[2, 4]] * 2),
    }
    # Labels are the original masked values.
    labels = [[3, 5]] * 2
    masked_lm = keras_hub.models.XLMRobertaMaskedLM.from_preset(
        presets("xlm_roberta_base_multi"),
        preprocessor=None,
    )
    history = masked_lm.fit(x=features, y=labels, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"][0])
