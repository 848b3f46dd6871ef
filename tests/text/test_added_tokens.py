"""Tokens matched before SentencePiece reads a text, and texts that lose their beginning."""

from __future__ import annotations

import pickle

import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.text.added_tokens import AddedToken, TokenSplitter
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.masks import spelled_masks
from sparkxlmr.text.windows import windows_around

LONG = "of the sea and the station of the land " * 6
MODELS = {"xlm_roberta": "xlmr_tokenizer/sentencepiece.bpe.model", "albert": "albert_tokenizer/spiece.model"}


@pytest.fixture(params=MODELS)
def made(request, fixtures):
    """``made(settings)``: the tokenizer of a family."""
    path = fixtures / "hugging_face" / MODELS[request.param]
    return lambda **settings: tokenizer_for(request.param, path, settings)


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ({}, "a <u> b<u>", ["a ", 7, " b", 7]),
        ({"lstrip": True}, "a \t<u> b", ["a", 7, " b"]),
        ({"rstrip": True}, "<u> \n b <u> ", [7, "b ", 7]),
        ({"single_word": True}, "x<u> <u>y _<u> (<u>) <u>", ["x<u> <u>y _<u> (", 7, ") ", 7]),
        ({"single_word": True}, "é<u> <u>9", ["é<u> <u>9"]),
        ({}, "", []),
    ],
)
def test_splitter_honours_flags(flags, text, expected):
    assert TokenSplitter([AddedToken("<u>", 7, **flags)])(text) == expected


def test_splitter_takes_the_longest_token():
    split = TokenSplitter([AddedToken("ab", 1), AddedToken("abc", 2), AddedToken("c", 3)])
    assert split("abcabcc") == [2, 2, 3]
    assert TokenSplitter([])("text") == ["text"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"content": "a"},
        {"content": "", "id": 1},
        {"content": "a", "id": -1},
        {"content": "a", "id": True},
        {"content": "a", "id": 1, "lstrip": 1},
        {"content": "a", "id": 1, "color": True},
    ],
)
def test_added_token_of_a_wrong_document_is_refused(document):
    with pytest.raises(SettingError, match="added token"):
        AddedToken.from_json(document)


def test_tokenizer_with_added_tokens(made):
    plain = made()
    size = plain.vocabulary_size
    tokens = [
        {"content": "<user>", "id": size, "special": True},
        {"content": "word", "id": size + 1},
        {"content": "the", "id": plain.token_to_id("the")},
    ]
    tokenizer = made(added_tokens=tokens)
    assert tokenizer.vocabulary_size == size + 2
    ids = tokenizer.tokenize(["sea <user> the word"])[0]
    assert [i for i in ids if i >= size] == [size, size + 1]
    assert plain.token_to_id("the") in ids
    assert [tokenizer.id_to_token(size + i) for i in range(2)] == ["<user>", "word"]
    assert tokenizer.token_to_id("word") == size + 1
    assert size in tokenizer.special_ids
    assert size + 1 not in tokenizer.special_ids
    assert tokenizer.decode([*plain.tokenize(["sea"])[0], size, size + 1]) == "seaword"
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(["the <user>word"]) == tokenizer.encode(["the <user>word"])
    kept = f"The {tokenizer.mask_token} <USER> <user>"
    assert tokenizer.lower_cased(kept) == f"the {tokenizer.mask_token} <user> <user>"


@pytest.mark.parametrize(("content", "offset"), [("<user>", 1), ("<user>", -5), ("the", 0), ("<unk>", 0)])
def test_added_token_with_the_id_of_another_is_refused(made, content, offset):
    size = made().vocabulary_size
    with pytest.raises(SettingError, match=f"The added token '{content}' has the id {size + offset}"):
        made(added_tokens=[{"content": content, "id": size + offset}])


def test_left_truncation_keeps_the_end(made):
    right, left = made(), made(truncation_side="left")
    whole = right.encode([LONG]).ids[0]
    for texts in ([LONG], [LONG, "the sea"]):
        encoded = left.encode(texts, 9)
        assert encoded.ids[0] == [whole[0], *whole[-8:]]
        assert encoded.truncated[0]
    assert left.encode(["the sea"], 9) == right.encode(["the sea"], 9)
    first, second = left.encode([LONG, "the land of the sea"]).ids
    n_special = len(left.encode_pairs([("", "")]).ids[0])
    for truncate in ("round_robin", "waterfall"):
        ids = left.encode_pairs([(LONG, "the land of the sea")], 12 + n_special, truncate).ids[0]
        n_second = min(len(second) - 2, 6 if truncate == "round_robin" else 0)
        assert ids[1 : 13 - n_second] == first[-13 + n_second : -1]
        assert ids[-1 - n_second : -1] == second[len(second) - 1 - n_second : -1]


def test_left_windows_are_laid_out_from_the_end(made):
    left = made(truncation_side="left")
    inner = left.tokenize([LONG])[0]
    encoded, counts = left.encode_windows([LONG], 12, 3)
    windows = [ids[1:-1] for ids in encoded.ids]
    assert counts == [len(windows)]
    assert windows[-1] == inner[-10:]
    assert all(len(window) == 10 for window in windows[1:])
    assert windows[0] + [i for window in windows[1:] for i in window[3:]] == inner
    pairs, _ = left.encode_windows(["the sea"], 12, 1, [LONG])
    assert pairs.ids[0][-4:-1] == inner[-3:]


def test_truncation_side_that_is_none_is_refused(made):
    with pytest.raises(SettingError, match="truncation_side"):
        made(truncation_side="middle")


def test_windows_around_masks_from_the_end():
    mirrored = windows_around([2, 40, 47], 50, 8, from_end=True)
    expected = [(0, 8, (2,)), (35, 43, (40,)), (42, 50, (47,))]
    assert [(w.start, w.stop, w.positions) for w in mirrored] == expected
    # The last window is the text's end, as a model reads it that truncates on the left.
    assert windows_around([47], 50, 8, from_end=True)[0].stop == 50


def test_masks_of_a_text_that_lost_its_beginning():
    text = "<mask> a <mask> b <mask>"
    none = lambda parts: [0] * len(parts)  # noqa: E731
    assert spelled_masks(text, "<mask>", [1, 4], False, none, from_end=True) == [(9, 1), (18, 4)]
    assert spelled_masks(text, "<mask>", [1, 4], False, none) == [(0, 1), (9, 4)]
