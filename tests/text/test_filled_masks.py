"""From a masked language model's logits to words and texts."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.filled_masks import FilledMask, best_tokens, filled_masks, target_ids


@pytest.fixture(scope="module")
def tokenizers(fixtures):
    folder = fixtures / "hugging_face"
    return {
        "xlm_roberta": tokenizer_for("xlm_roberta", folder / "xlmr_masked_lm" / "sentencepiece.bpe.model"),
        "albert": tokenizer_for(
            "albert", folder / "albert_masked_lm" / "spiece.model", {"do_lower_case": True}
        ),
    }


def test_equal_logits_come_in_the_order_of_their_ids():
    logits = np.array([[0.0, 2.0, 1.0, 2.0, 1.0, 1.0]])
    assert best_tokens(logits, 4)[0].tolist() == [[1, 3, 2, 4]]
    assert best_tokens(logits, 99)[0].tolist() == [[1, 3, 2, 4, 5, 0]]
    assert best_tokens(logits, 2, np.array([0, 4, 5]))[0].tolist() == [[4, 5]]
    assert best_tokens(np.zeros((0, 6)), 2)[0].shape == (0, 2)
    with pytest.raises(SettingError, match="top_k is 0"):
        best_tokens(logits, 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scores_are_softmax_over_the_whole_vocabulary(dtype):
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(5, 1000)) * 3).astype(dtype)
    exact = logits.astype(np.float64)
    exact = np.exp(exact - exact.max(-1, keepdims=True))
    exact /= exact.sum(-1, keepdims=True)
    targets = np.array([3, 500, 999])
    for allowed in (None, targets):
        ids, scores = best_tokens(logits, 3, allowed)
        np.testing.assert_allclose(scores, np.take_along_axis(exact, ids, -1), rtol=1e-5)
        assert (np.diff(scores) <= 0).all()
    assert set(ids[0]) == set(targets)


@pytest.mark.parametrize("family", ["xlm_roberta", "albert"])
def test_targets_are_pieces_or_words_of_one_piece(family, tokenizers):
    tokenizer = tokenizers[family]
    word = next(
        token
        for token in map(tokenizer.id_to_token, range(1500, tokenizer.vocabulary_size))
        if token.startswith("▁")
        and token[1:].isalpha()
        and tokenizer.token_to_id(token[1:]) == tokenizer.unk_id
    )
    wanted = tokenizer.token_to_id(word)
    assert target_ids(tokenizer, [word]).tolist() == [wanted]
    assert target_ids(tokenizer, [word[1:], word]).tolist() == [wanted]  # each once
    assert target_ids(tokenizer, word).tolist() == [wanted]
    assert target_ids(tokenizer, [tokenizer.mask_token]).tolist() == [tokenizer.mask_id]
    with pytest.raises(SettingError, match=r"'zzzqqqxx' is no token .* reads it as \["):
        target_ids(tokenizer, [word, "zzzqqqxx"])
    with pytest.raises(SettingError, match="targets is empty"):
        target_ids(tokenizer, [])


@pytest.mark.parametrize("family", ["xlm_roberta", "albert"])
def test_texts_with_masks_filled(family, tokenizers):
    tokenizer = tokenizers[family]
    mask, new = tokenizer.mask_token, tokenizer.token_to_id("▁the")
    text = f"{mask} is of {mask} and {mask}"
    ids = tokenizer.encode([text]).ids[0]
    places = [i for i, token_id in enumerate(ids) if token_id == tokenizer.mask_id]
    found = [filled_masks(tokenizer, ids, place, [new], [0.5])[0] for place in places]
    assert found[0] == FilledMask("the", new, 0.5, f"the is of {mask} and {mask}")
    assert found[1].text == f"{mask} is of the and {mask}"
    assert found[2].text == f"{mask} is of {mask} and the"
    special = filled_masks(tokenizer, ids, places[0], [tokenizer.eos_id, tokenizer.mask_id], [0.2, 0.1])
    assert [one.token for one in special] == [tokenizer.id_to_token(tokenizer.eos_id), mask]
    assert special[0].text == f"is of {mask} and {mask}"
