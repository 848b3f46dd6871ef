"""Tokenizer and preprocessor under keras-hub's names."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import SettingError
from sparkxlmr.models import (
    Tokenizer,
    XLMRobertaTextClassifierPreprocessor,
    XLMRobertaTokenizer,
)


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
