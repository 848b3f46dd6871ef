"""Small models that the tests of this floor share."""

from __future__ import annotations

import io
import json

import pytest

SENTENCES = ["the quick brown fox jumped", "the earth is round", "a brown dog slept", "is the fox quick"]


@pytest.fixture(scope="session")
def proto():
    """A vocabulary trained on the spot."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=16,
        model_type="word",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def albert_proto():
    """The same texts' vocabulary in ALBERT's layout."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=18,
        model_type="word",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="<pad>",
        unk_piece="<unk>",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols="[MASK]",
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return model.getvalue()


@pytest.fixture
def tiny(proto):
    """A new random classifier of three classes with its preprocessor."""
    import keras

    from sparkxlmr.models import (
        XLMRobertaBackbone,
        XLMRobertaTextClassifier,
        XLMRobertaTextClassifierPreprocessor,
        XLMRobertaTokenizer,
    )

    keras.utils.set_random_seed(5)
    backbone = XLMRobertaBackbone(
        vocabulary_size=24,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=40,
    )
    preprocessor = XLMRobertaTextClassifierPreprocessor(XLMRobertaTokenizer(proto), sequence_length=40)
    return XLMRobertaTextClassifier(backbone, num_classes=3, preprocessor=preprocessor)


@pytest.fixture(scope="session")
def goldens(fixtures):
    """Folders of both peers' classifiers, with what they answered."""
    folders = {
        "hugging_face": fixtures / "hugging_face" / "xlmr_sequence_classification",
        "keras_hub": fixtures / "keras_hub" / "xlmr_text_classifier",
    }
    return {
        name: {
            "folder": folder,
            **json.loads((folder / "expected.json").read_text("utf-8")),
            "pairs": json.loads((folder / "expected_pairs.json").read_text("utf-8")),
        }
        for name, folder in folders.items()
    }
