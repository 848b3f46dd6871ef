"""Annotations by pure functions, and numbers as Spark writes them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sparkxlmr.text.annotate import documents, sentence_of, sentences, tokens, valid_text
from sparkxlmr.text.annotation import Annotation
from sparkxlmr.text.cleanup import MODES, clean
from sparkxlmr.text.float_text import float_text
from sparkxlmr.text.sentences import SentenceRules, sentence_finder
from sparkxlmr.text.separators import SeparatorRules, separator_finder
from sparkxlmr.text.words import WordRules, word_finder


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (0.1, "0.1"), (1e-3, "0.001"), (9.999e-4, "9.999E-4"),
     (9999999, "9999999.0"), (1e7, "1.0E7"),
     (-12345678, "-1.2345678E7"), (-3.2e-4, "-3.2E-4"), (1e-4, "1.0E-4"), (1e-5, "1.0E-5"),
     (2**60, "1.1529215E18"), (-2.5e-38, "-2.5E-38"), (0.99999994, "0.99999994"), (1234567.9, "1234567.9"),
     (float("inf"), "Infinity"), (float("nan"), "NaN")],
)  # fmt: skip
def test_numbers_are_written_as_spark_writes_them(value, text):
    assert float_text(value) == text


def test_a_number_written_is_the_number_again():
    bits = np.random.default_rng(3).integers(0, 2**32, 3000, dtype=np.uint32)
    for number in bits.view(np.float32):
        again = np.float32(float_text(number))
        assert again == number or (np.isnan(again) and np.isnan(number))
    for number in np.geomspace(1e-6, 1e9, 2000, dtype=np.float32):
        text = float_text(number)
        assert np.float32(text) == number
        # Java's rule: E below 10^-3 and from 10^7 on, one digit before the point, one behind it at least.
        assert ("E" in text) == (not 1e-3 <= number < 1e7)
        assert re.fullmatch(r"\d\.\d+E-?\d+" if "E" in text else r"\d{1,7}\.\d+", text)


@pytest.mark.parametrize("mode", MODES)
def test_a_document_is_its_cleaned_text(mode):
    text = " \t two \\n\\n lines\n\n🙂 "
    (document,) = documents(text, mode, {"id": "7", "sentence": "9", "none": None})
    assert document.result == clean(text, mode)
    assert (document.begin, document.end) == (0, len(document.result) - 1)
    assert document.metadata == {"sentence": "0", "id": "7", "none": None}


def test_what_utf8_cannot_hold_is_replaced():
    assert documents("a\ud83d\ude42b\udc00")[0].result == "a\ufffd\ufffdb\ufffd"
    assert valid_text("🙂") == "🙂"
    assert documents(None) == documents("") == [Annotation("document", 0, -1, "", {"sentence": "0"})]


def test_offsets_count_from_the_document_and_sentences_through_the_row():
    row = [
        Annotation("document", 10, 20, "One. Two b.", {"sentence": "4", "id": "x"}),
        Annotation("document", 0, 3, "Last", {}),
    ]
    found = sentences(row, sentence_finder(SentenceRules()))
    assert [(s.begin, s.end, s.result, s.metadata) for s in found] == [
        (10, 13, "One.", {"sentence": "0", "id": "x"}),
        (15, 20, "Two b.", {"sentence": "1", "id": "x"}),
        (0, 3, "Last", {"sentence": "2"}),
    ]
    words = tokens(row, word_finder(WordRules()))
    assert [(w.begin, w.end, w.result, w.metadata["sentence"]) for w in words] == [
        (10, 12, "One", "4"), (13, 13, ".", "4"), (15, 17, "Two", "4"), (19, 19, "b", "4"),
        (20, 20, ".", "4"), (0, 3, "Last", "1"),
    ]  # fmt: skip
    # Rules that say where a token ends are believed: it may have lost white space.
    spaced = [Annotation("document", 3, 8, "a b, c", {})]
    cut = tokens(spaced, separator_finder(SeparatorRules(",", trim_whitespace=True)))
    assert [(t.begin, t.end, t.result) for t in cut] == [(3, 5, "ab"), (7, 8, "c")]
    assert sentence_of(row[1], 1) == "1"
