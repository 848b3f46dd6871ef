"""From a masked language model's logits to words and texts."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.filled_masks import Gap, best_tokens, filled_masks, target_ids
from sparkxlmr.text.masks import mask_positions, spelled_masks


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


def gaps_of(tokenizer, text):
    """The masks of a text, as a model is asked for them."""
    ids = tokenizer.encode([text]).ids[0]
    places = mask_positions([ids], tokenizer.mask_id)[0]
    spelled = spelled_masks(text, tokenizer.mask_token, places, True, list)
    return [Gap.of(tokenizer, text, begin, ids, at) for begin, at in spelled]


def texts_with(tokenizer, text, token):
    """The text with each of its masks filled for itself; `_` stands for the mask."""
    text = text.replace("_", tokenizer.mask_token)
    made = [
        filled_masks(tokenizer, gap, [tokenizer.token_to_id(token)], [0.5])
        for gap in gaps_of(tokenizer, text)
    ]
    return [one.text.replace(tokenizer.mask_token, "_") for (one,) in made]


@pytest.mark.parametrize("family", ["xlm_roberta", "albert"])
@pytest.mark.parametrize(
    ("text", "word", "part"),
    [
        ("_ is of _ and _", ["the is of _ and _", "_ is of the and _", "_ is of _ and the"],
         ["s is of _ and _", "_ is ofs and _", "_ is of _ ands"]),
        ("One  TWO\n\n_, Thré!  ", ["One  TWO\n\nthe, Thré!  "], ["One  TWOs, Thré!  "]),
        ("  _ x", ["  the x"], ["  s x"]),
        ("__", ["the_", "_ the"], ["s_", "_s"]),
        ("(_)s 🙂_🙂", ["( the)s 🙂_🙂", "(_)s 🙂 the🙂"], ["(s)s 🙂_🙂", "(_)s 🙂s🙂"]),
    ],
)  # fmt: skip
def test_a_filled_text_is_the_text_itself_but_for_this_mask(family, tokenizers, text, word, part):
    tokenizer = tokenizers[family]
    assert texts_with(tokenizer, text, "▁the") == word
    assert texts_with(tokenizer, text, "s") == part


def test_special_tokens_put_nothing_in_and_the_mask_itself_stays(tokenizers):
    for tokenizer in tokenizers.values():
        mask, eos = tokenizer.mask_token, tokenizer.id_to_token(tokenizer.eos_id)
        (gap,) = gaps_of(tokenizer, f"a {mask} b")
        found = filled_masks(
            tokenizer, gap, [tokenizer.eos_id, tokenizer.unk_id, tokenizer.mask_id], [0.5] * 3
        )
        assert [one.token for one in found] == [eos, "<unk>", mask]
        assert [one.text for one in found] == ["a b", "a b", f"a {mask} b"]
        assert (
            repr(found[0]) == f"FilledMask(token={eos!r}, token_id={tokenizer.eos_id}, score=0.5, text='a b')"
        )


def test_a_blank_that_the_model_has_read_before_a_mask_stays(fixtures):
    """keras-hub's ALBERT reads white space before a mask as a piece of its own."""
    tokenizer = tokenizer_for("albert", fixtures / "hugging_face" / "albert_masked_lm" / "spiece.model")
    assert texts_with(tokenizer, "one _ two", "▁the") == ["one the two"]
    assert texts_with(tokenizer, "one _ two", "s") == ["one s two"]
