"""Small models that the tests of this floor share."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Family:
    """Makes small random models of one family, each time new ones, run eagerly until they are compiled."""

    name: str
    prefix: str
    proto: bytes
    mask: str
    sizes: dict[str, int]

    def named(self, ending: str) -> Any:
        from sparkxlmr import models

        return getattr(models, self.prefix + ending)

    def backbone(self, **settings: Any) -> Any:
        import keras

        keras.utils.set_random_seed(5)
        shape = {"vocabulary_size": 24, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
        return self.named("Backbone")(**{**shape, "max_sequence_length": 40, **self.sizes, **settings})

    def tokenizer(self) -> Any:
        return self.named("Tokenizer")(self.proto)

    def preprocessor(self, kind: str, **settings: Any) -> Any:
        settings = {"sequence_length": 40, **settings}
        return self.named(f"{kind}Preprocessor")(self.tokenizer(), **settings)

    def classifier(self, num_classes: int = 3, dtype: str | None = None, **settings: Any) -> Any:
        settings = {"preprocessor": self.preprocessor("TextClassifier"), **settings}
        return eager(self.named("TextClassifier")(self.backbone(dtype=dtype), num_classes, **settings))

    def masked_lm(self, dtype: str | None = None, **settings: Any) -> Any:
        settings = {"preprocessor": self.preprocessor("MaskedLM"), **settings}
        return eager(self.named("MaskedLM")(self.backbone(dtype=dtype), **settings))


def eager(model: Any) -> Any:
    """The model without tracing, which costs more than the few small batches of a test."""
    model.run_eagerly = True
    return model


@pytest.fixture(scope="session")
def families(proto, albert_proto):
    albert = {"num_layers": 2, "embedding_dim": 8, "num_groups": 2}
    return {
        "xlm_roberta": Family("xlm_roberta", "XLMRoberta", proto, "<mask>", {"num_layers": 1}),
        "albert": Family("albert", "Albert", albert_proto, "[MASK]", albert),
    }


@pytest.fixture(params=["xlm_roberta", "albert"])
def family(request, families):
    return families[request.param]


@pytest.fixture
def tiny(families):
    """A new random classifier of three classes with its preprocessor, traced as users' models are."""
    model = families["xlm_roberta"].classifier()
    model.run_eagerly = False
    return model


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
