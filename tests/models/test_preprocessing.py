"""Tokenizer and preprocessor under keras-hub's names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models import (
    TextClassifier,
    Tokenizer,
    XLMRobertaTextClassifierPreprocessor,
    XLMRobertaTokenizer,
)

from .conftest import SENTENCES


@pytest.fixture
def tokenizer(proto):
    return XLMRobertaTokenizer(proto=proto)


def test_tokenizer(tokenizer):
    one = tokenizer("the quick fox")
    assert tokenizer(["the quick fox", ""]) == [one, []]
    assert tokenizer.detokenize(one) == "the quick fox"
    assert tokenizer.detokenize([one, one]) == ["the quick fox"] * 2
    vocabulary = tokenizer.get_vocabulary()
    assert len(vocabulary) == tokenizer.vocabulary_size()
    assert (vocabulary[0], vocabulary[-1]) == ("<s>", "<mask>")
    assert tokenizer.token_to_id("▁the") == one[0]
    assert tokenizer.id_to_token(one[0]) == "▁the"


def test_tokenizer_settings(proto):
    tokenizer = XLMRobertaTokenizer(proto, sequence_length=5, add_bos=True, add_eos=True)
    plain = XLMRobertaTokenizer(proto)("the quick brown fox jumped")
    assert tokenizer(["the quick brown fox jumped", "fox"]).tolist() == [
        [0, *plain[:3], 2],
        [0, plain[3], 2, 1, 1],
    ]
    again = XLMRobertaTokenizer.from_config(tokenizer.get_config())
    assert (again("fox") == tokenizer("fox")).all()
    with pytest.raises(SettingError, match="base64"):
        XLMRobertaTokenizer("?" * 5000)


def test_preprocessor(tokenizer):
    preprocessor = XLMRobertaTextClassifierPreprocessor(tokenizer, sequence_length=8)
    one = preprocessor("the quick fox")
    the, quick, fox = tokenizer("the quick fox")
    assert one["token_ids"].tolist() == [0, the, quick, fox, 2, 1, 1, 1]
    assert one["padding_mask"].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    x, y = preprocessor(["fox", "fox"], [0, 1])
    assert x["token_ids"].shape == (2, 8)
    assert x["token_ids"].dtype == np.int32
    assert y == [0, 1]
    pair = preprocessor(("the quick fox", "the quick fox"))
    assert pair["token_ids"].tolist() == [0, the, quick, 2, 2, the, quick, 2]
    waterfall = XLMRobertaTextClassifierPreprocessor(tokenizer, 8, truncate="waterfall")
    assert waterfall((["the quick fox"], ["the"]))["token_ids"].tolist() == [
        [0, the, quick, fox, 2, 2, the, 2]
    ]


def test_widths_are_few(tokenizer):
    preprocessor = XLMRobertaTextClassifierPreprocessor(tokenizer, sequence_length=40)
    widths = {preprocessor.features((["fox " * n],))["token_ids"].shape[1] for n in range(60)}
    assert widths == {16, 32, 40}


def test_from_preset(goldens):
    folder = goldens["keras_hub"]["folder"]
    assert isinstance(Tokenizer.from_preset(folder), XLMRobertaTokenizer)
    preprocessor = XLMRobertaTextClassifierPreprocessor.from_preset(folder)
    assert preprocessor.sequence_length == 128
    golden = goldens["keras_hub"]
    found = preprocessor(golden["texts"][:20])["token_ids"]
    assert found.tolist() == golden["token_ids"][:20]
    assert XLMRobertaTextClassifierPreprocessor.from_preset(folder, sequence_length=9).sequence_length == 9


@pytest.mark.parametrize("settings", [{"sequence_length": 3}, {"truncate": "left"}])
def test_settings_that_cannot_be_used(tokenizer, settings):
    with pytest.raises(SettingError):
        XLMRobertaTextClassifierPreprocessor(tokenizer, **settings)


def test_parts_saved_one_by_one_make_a_preset(family, tmp_path):
    """As with keras-hub: encoder, tokenizer and preprocessor into one folder."""
    backbone, tokenizer = family.backbone(), family.tokenizer()
    backbone.save_to_preset(tmp_path)
    tokenizer.save_to_preset(tmp_path)
    again = Tokenizer.from_preset(tmp_path)
    assert type(again) is type(tokenizer)
    assert {**again.get_config(), "name": tokenizer.name} == tokenizer.get_config()
    preprocessor = family.preprocessor("MaskedLM", sequence_length=9, truncate="waterfall")
    preprocessor.save_to_preset(tmp_path)
    made = TextClassifier.from_preset(tmp_path, num_classes=2)
    assert (made.preprocessor.sequence_length, made.preprocessor.truncate) == (9, "waterfall")
    assert made.preprocessor(SENTENCES)["token_ids"].shape == (4, 9)
    document = json.loads((tmp_path / "preprocessor.json").read_text())
    assert document["class_name"] == f"{family.prefix}MaskedLMPreprocessor"
    assert document["config"]["mask_selection_length"] == 96


def test_what_a_tokenizer_tells(family, tmp_path):
    tokenizer = family.tokenizer()
    ids = [tokenizer.start_token_id, tokenizer.pad_token_id, tokenizer.end_token_id, tokenizer.unk_token_id]
    assert sorted([*ids, tokenizer.mask_token_id]) == tokenizer.special_token_ids
    assert family.mask in tokenizer.special_tokens
    assert tokenizer(f"fox {family.mask}")[-1] == tokenizer.mask_token_id
    tokenizer.save_assets(tmp_path)
    other = family.tokenizer()
    other.load_assets(tmp_path)
    assert other.get_vocabulary() == tokenizer.get_vocabulary()
    pieces = family.named("Tokenizer")(family.proto, dtype="string", sequence_length=4)
    assert pieces(["the fox"]).tolist() == [["▁the", "▁fox", "<pad>", "<pad>"]]
    with pytest.raises(SettingError, match="dtype is 'float32'"):
        family.named("Tokenizer")(family.proto, dtype="float32")
    with pytest.raises(SettingError, match="settings"):
        family.named("Tokenizer")(family.proto, settings={"strange": True})


def test_albert_reads_texts_as_its_settings_say(families):
    tokenizer_cls, proto = families["albert"].named("Tokenizer"), families["albert"].proto
    plain, lower = tokenizer_cls(proto), tokenizer_cls(proto, settings={"do_lower_case": True})
    assert plain("The FOX") != lower("The FOX") == plain("the fox")
    assert tokenizer_cls.from_config(lower.get_config())("The FOX") == lower("The FOX")


def test_albert_tells_segments_apart(families):
    preprocessor = families["albert"].preprocessor("TextClassifier", sequence_length=8)
    found = preprocessor(("the fox", "a dog"))
    assert found["segment_ids"].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    assert found["padding_mask"].tolist() == [1] * 7 + [0]
    assert preprocessor(["the fox"])["segment_ids"].tolist() == [[0] * 8]


def test_what_counts_as_texts(tokenizer):
    ids = tokenizer(SENTENCES)
    assert tokenizer(np.array(SENTENCES)) == tokenizer([text.encode() for text in SENTENCES]) == ids
    assert tokenizer(np.array(SENTENCES[0])) == tokenizer(SENTENCES[0].encode()) == ids[0]
    for strange in (None, 3, [SENTENCES], [1, 2]):
        with pytest.raises(InputError, match="feed strings"):
            tokenizer(strange)
