"""Ids equal Hugging Face's on every golden text; the edges around them."""

from __future__ import annotations

import json
import pickle
import random

import pytest

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, SettingError
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer


@pytest.fixture(scope="module")
def folder(fixtures):
    return fixtures / "hugging_face" / "xlmr_sequence_classification"


@pytest.fixture(scope="module")
def tokenizer(folder):
    return XlmRobertaTokenizer(folder / "sentencepiece.bpe.model")


@pytest.fixture(scope="module")
def golden(folder):
    return json.loads((folder / "expected.json").read_text("utf-8"))


def test_ids_equal_hugging_face(tokenizer, golden):
    encoded = tokenizer.encode(golden["texts"], golden["max_length"])
    assert encoded.ids == golden["input_ids"]
    assert [len(ids) == golden["max_length"] for ids in encoded.ids] >= encoded.truncated
    assert any(encoded.truncated)
    assert not all(encoded.truncated)


def test_pairs_equal_hugging_face(tokenizer, folder, golden):
    pairs = json.loads((folder / "expected_pairs.json").read_text("utf-8"))
    encoded = tokenizer.encode_pairs([tuple(pair) for pair in pairs["pairs"]], golden["max_length"])
    assert encoded.ids == pairs["input_ids"]


def test_ids_equal_keras_hub(tokenizer, fixtures):
    """keras-hub leaves special tokens spelled in a text as text; everywhere else the ids agree."""
    folder = fixtures / "keras_hub" / "xlmr_text_classifier"
    width = 128
    golden = json.loads((folder / "expected.json").read_text("utf-8"))
    ids = tokenizer.encode(golden["texts"], width).ids
    padded = [row + [1] * (width - len(row)) for row in ids]
    differing = [
        t
        for t, ours, theirs in zip(golden["texts"], padded, golden["token_ids"], strict=True)
        if ours != theirs
    ]
    assert all("<s>" in text or "<mask>" in text for text in differing), differing
    golden = json.loads((folder / "expected_pairs.json").read_text("utf-8"))
    ids = tokenizer.encode_pairs([tuple(pair) for pair in golden["pairs"]], width).ids
    assert [row + [1] * (width - len(row)) for row in ids] == golden["token_ids"]


def test_masks_and_edges_equal_hugging_face(tokenizer, fixtures):
    rows = json.loads((fixtures / "hugging_face/xlmr_masked_lm/expected.json").read_text("utf-8"))
    longest = max(len(row["input_ids"]) for row in rows)
    assert tokenizer.encode([row["text"] for row in rows], longest).ids == [row["input_ids"] for row in rows]
    small = fixtures / "hugging_face" / "xlmr_tokenizer"
    golden = json.loads((small / "expected.json").read_text("utf-8"))
    found = XlmRobertaTokenizer(small / "sentencepiece.bpe.model").encode(golden["texts"])
    assert found.ids == golden["input_ids"]
    assert found.segment_ids is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<mask>", [6001]),
        ("a  <mask>", [6001]),
        ("<unk></s>", [2]),
        (" <s> ", [0]),
        ("a<<mask>>", [6001]),
    ],
)
def test_special_tokens_spelled_in_a_text(tokenizer, text, ids):
    found = tokenizer.tokenize([text])[0]
    assert [i for i in found if i in (0, 1, 2, 6001)] == ids


def test_a_mask_eats_the_space_before_it_and_each_segment_stands_alone(tokenizer):
    a, s = tokenizer.tokenize(["a", "s"])
    assert tokenizer.tokenize(["a \t<mask>s<unk>"])[0] == [*a, 6001, *s, 3]


@pytest.mark.parametrize("max_length", [2, 3, 16, 128])
def test_a_long_text_is_cut_before_encoding_without_changing_an_id(tokenizer, golden, max_length):
    """Long texts are read only as far as needed; the ids are those of the whole text."""
    random_ = random.Random(7)
    texts = []
    for _ in range(30):
        text = random_.choice(["", " ", "x" * 3000]) + " ".join(random_.choices(golden["texts"], k=60))
        texts.append(text.replace(" ", random_.choice([" ", "  ", "\n", "\u3000", " <mask> "])))
    encoded = tokenizer.encode(texts, max_length)
    whole = tokenizer.tokenize(texts)
    assert encoded.ids == [[0, *ids[: max_length - 2], 2] for ids in whole]
    assert encoded.truncated == [len(ids) > max_length - 2 for ids in whole]


def test_a_million_characters(tokenizer):
    texts = ["hello world " * 83334, "你好世界" * 250000, "🙂" * 1000000, " " * 1000000]
    encoded = tokenizer.encode(texts, 512)
    assert [len(ids) for ids in encoded.ids] == [512, 512, 4, 2]
    assert encoded.truncated == [True, True, False, False]


def test_bytes_that_are_no_text_pass(tokenizer):
    lone, replaced = tokenizer.tokenize(["a\ud800b", "a\ufffdb"])
    assert lone == replaced
    pair, emoji = tokenizer.tokenize(["\ud83d\ude42", "🙂"])
    assert pair == emoji
    assert tokenizer.encode(["a\x00b"]).ids[0][0] == 0


def test_empty(tokenizer):
    assert tokenizer.encode([]).ids == []
    assert tokenizer.encode(["", "  "]).ids == [[0, 2], [0, 2]]


@pytest.mark.parametrize(("truncate", "room", "kept"), [("round_robin", 5, (3, 2)), ("waterfall", 5, (4, 1))])
def test_pair_truncation(tokenizer, truncate, room, kept):
    first, second = tokenizer.tokenize(["a a a a", "s s s s"])
    ids = tokenizer.encode_pairs([("a a a a", "s s s s")], room + 4, truncate)
    assert ids.ids == [[0, *first[: kept[0]], 2, 2, *second[: kept[1]], 2]]
    assert ids.truncated == [True]


def test_names_and_ids(tokenizer):
    assert [tokenizer.id_to_token(i) for i in (0, 1, 2, 3, 4, 6001)] == [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "▁",
        "<mask>",
    ]
    assert all(tokenizer.token_to_id(tokenizer.id_to_token(i)) == i for i in range(tokenizer.vocabulary_size))
    assert tokenizer.token_to_id("no such piece") == 3
    assert tokenizer.decode(tokenizer.encode(["Hello world"]).ids[0]) == "Hello world"
    assert tokenizer.decode([]) == ""


def test_pickles(tokenizer):
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode(["Hello world"]) == tokenizer.encode(["Hello world"])


def test_errors(tokenizer, tmp_path):
    with pytest.raises(PresetNotFoundError, match="no_such"):
        XlmRobertaTokenizer(tmp_path / "no_such")
    with pytest.raises(DamagedModelError):
        XlmRobertaTokenizer(b"not a model")
    with pytest.raises(SettingError, match="max_length"):
        tokenizer.encode(["a"], 1)
    with pytest.raises(SettingError, match="truncate"):
        tokenizer.encode_pairs([("a", "b")], 10, "middle")
    with pytest.raises(SettingError, match="6002"):
        tokenizer.decode([6002])


def test_a_vocabulary_of_another_family_is_refused():
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f"]),
        model_writer=model,
        vocab_size=10,
        model_type="word",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    with pytest.raises(NotAPresetError, match="unk_id=0"):
        XlmRobertaTokenizer(model.getvalue())
