"""Logits equal those of Hugging Face and of keras-hub on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

SPELLS_SPECIAL = ("<s>", "</s>", "<pad>", "<mask>", "<unk>")  # there only the ids are compared (tests/text)
TOLERANCE = 1e-4

pytestmark = pytest.mark.parametrize("peer", ["hugging_face", "keras_hub"])


@pytest.fixture(scope="module")
def models(goldens):
    from sparkxlmr.models import TextClassifier

    return {peer: TextClassifier.from_preset(golden["folder"]) for peer, golden in goldens.items()}


def test_texts(peer, goldens, models):
    golden, model = goldens[peer], models[peer]
    found = model.predict(golden["texts"], verbose=0)
    compared = [i for i, t in enumerate(golden["texts"]) if not any(s in t for s in SPELLS_SPECIAL)]
    assert len(compared) >= len(golden["texts"]) - 1
    np.testing.assert_allclose(found[compared], np.array(golden["logits"])[compared], atol=TOLERANCE)


def test_pairs(peer, goldens, models):
    pairs = goldens[peer]["pairs"]
    first, second = map(list, zip(*pairs["pairs"], strict=True))
    found = models[peer].predict((first, second), verbose=0)
    np.testing.assert_allclose(found, pairs["logits"], atol=TOLERANCE)


def test_few_widths_answer_as_full_width(peer, goldens, models):
    """Padding and batch mates change no logit beyond 1e-5."""
    texts, model = goldens[peer]["texts"][:40], models[peer]
    whole = model.predict(model.preprocessor(texts), verbose=0)
    for batch_size in (1, 7, 64):
        found = model.predict(texts, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(found, whole, atol=1e-5)
