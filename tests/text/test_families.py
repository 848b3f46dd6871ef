"""From a family's name to its tokenizer."""

from __future__ import annotations

import pytest

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.text.albert import AlbertNormalization, AlbertTokenizer
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer


@pytest.fixture
def albert(fixtures):
    return fixtures / "hugging_face" / "albert_tokenizer" / "spiece.model"


@pytest.fixture
def xlmr(fixtures):
    return fixtures / "hugging_face" / "xlmr_tokenizer" / "sentencepiece.bpe.model"


def test_each_family_has_its_tokenizer(albert, xlmr):
    assert isinstance(tokenizer_for("xlm_roberta", xlmr), XlmRobertaTokenizer)
    for nothing in (None, {}):
        raw = tokenizer_for("albert", albert, nothing)
        assert isinstance(raw, AlbertTokenizer)
        assert raw.normalization is None
    settings = {"do_lower_case": False, "keep_accents": True}
    assert tokenizer_for("albert", albert, settings).normalization == AlbertNormalization(False, True)


def test_what_a_family_has_not_is_refused(albert, xlmr):
    with pytest.raises(NotAPresetError, match="'bert'"):
        tokenizer_for("bert", albert)
    for settings in ({"lower": True}, {"do_lower_case": 1}):
        with pytest.raises(SettingError, match="do_lower_case"):
            tokenizer_for("albert", albert, settings)
    with pytest.raises(SettingError, match="no other settings for xlm_roberta"):
        tokenizer_for("xlm_roberta", xlmr, {"do_lower_case": True})
    with pytest.raises(NotAPresetError):
        tokenizer_for("albert", xlmr)
    with pytest.raises(NotAPresetError):
        tokenizer_for("xlm_roberta", albert)
