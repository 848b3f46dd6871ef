"""Whatever the text and the settings, documents, sentences and tokens stand between their offsets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.runtime.cutting_options import sentence_rules, separator_rules, word_rules
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.text.annotate import documents, sentences, tokens
from sparkxlmr.text.cleanup import MODES, clean
from sparkxlmr.text.sentences import STRATEGIES, sentence_finder
from sparkxlmr.text.separators import separator_finder
from sparkxlmr.text.words import word_finder

# Pieces that the rules look at, or that count otherwise in UTF-16, in UTF-8 or to the eye.
PIECES = [
    *" \t\n\r\x0b\x00\x1f\x7f\xa0\u2028\u3000\u200b\ufeff", *".,;:!?*-()[]\"'/#@|~$", *"aAiIzZ01éßİΣς",
    "e\u0301", "🙂", "👩🏽\u200d🚀", "🇩🇪", "\U00020000", "你好", "。", "।", "مرحبا", "\u202e", "\ufdd0",
    "\ufdd4", "\u2187", "\ufffd", "╞", "\\n", "\\t", "Mr.", "e.g.", "U.S.A.", "$3.50", "1. ", "(a) ", "...",
    "New York", "I'm", "p.m.", "<mask>", "</s>", "[MASK]", "www.a.b", "a-b_c/d",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=["Cs"]))).map("".join)

PATTERNS = st.sampled_from(["a", r"\s", r"\.", "-", "[.;]", r"\n\n", "(a|b)c?", "", "x*", "New York", r"\w+"])
CUTTING = st.sampled_from(PIECES).filter(lambda piece: len(piece) == 1)


def of_stage(**values):
    """Settings as a user sets them: each may be left out."""
    optional = {name: st.one_of(st.none(), value) for name, value in values.items()}
    return st.fixed_dictionaries(optional).map(
        lambda d: Chosen(d, frozenset(n for n, v in d.items() if v is not None))
    )


SENTENCE_SETTINGS = of_stage(
    useAbbreviations=st.booleans(),
    detectLists=st.booleans(),
    customBounds=st.lists(PATTERNS, max_size=3),
    useCustomBoundsOnly=st.booleans(),
    customBoundsStrategy=st.sampled_from(STRATEGIES),
    splitLength=st.integers(1, 9),
    minLength=st.integers(0, 3),
    maxLength=st.integers(3, 40),
)
WORD_SETTINGS = of_stage(
    targetPattern=st.sampled_from([r"\S+", r"\w+", "[a-z.🙂-]", r"[^\s]", "."]),
    contextChars=st.lists(CUTTING, max_size=5),
    prefixPattern=st.sampled_from([r"\A([^\s\w]*)", r"\A(a?)(b?)"]),
    suffixPattern=st.sampled_from([r"([^\s\w]?)([^\s\w]*)\z", r"(!*)\z"]),
    infixPatterns=st.lists(st.sampled_from([r"([\p{L}]+')(\w+)", r"(a+)(.)", r"(\W)"]), min_size=1),
    exceptions=st.lists(st.sampled_from(["New York", "a .", r"[.]+", r"U\.S\.A\.", "I'm"]), max_size=2),
    caseSensitiveExceptions=st.booleans(),
    splitPattern=PATTERNS,
    splitChars=st.lists(CUTTING, max_size=3),
    minLength=st.integers(0, 3),
    maxLength=st.integers(3, 40),
)
SEPARATOR_SETTINGS = of_stage(
    pattern=PATTERNS,
    toLowercase=st.booleans(),
    minLength=st.integers(0, 3),
    maxLength=st.integers(3, 40),
    trimWhitespace=st.booleans(),
    preservePosition=st.booleans(),
)
EXAMPLES = settings(max_examples=250, derandomize=True, deadline=None)


def assert_cut_out(text, annotations):
    """Each is what stands between its offsets, and they are in order, none in another."""
    for annotation in annotations:
        assert annotation.result
        assert annotation.result == text[annotation.begin : annotation.end + 1]
        assert 0 <= annotation.begin <= annotation.end < len(text)
    assert all(left.end < right.begin for left, right in pairwise(annotations))


@EXAMPLES
@given(TEXTS, st.sampled_from(MODES), SENTENCE_SETTINGS, SENTENCE_SETTINGS, WORD_SETTINGS)
def test_documents_sentences_and_words(text, mode, first, second, of_words):
    (document,) = whole = documents(text, mode)
    cleaned = clean(text, mode)
    assert (document.begin, document.end, document.result) == (0, len(cleaned) - 1, cleaned)
    found = sentences(whole, sentence_finder(sentence_rules(first)))
    assert_cut_out(cleaned, found)
    assert [s.metadata["sentence"] for s in found] == [str(i) for i in range(len(found))]
    # Sentences are documents themselves: of those again sentences, and of all of them words.
    parts = sentences(found, sentence_finder(sentence_rules(second)))
    assert_cut_out(cleaned, parts)
    find = word_finder(word_rules(of_words))
    for source in (whole, found, parts):
        words = tokens(source, find)
        assert_cut_out(cleaned, words)
        for word in words:
            inside = source[int(word.metadata["sentence"])]
            assert inside.begin <= word.begin <= word.end <= inside.end


@EXAMPLES
@given(TEXTS, SENTENCE_SETTINGS, SEPARATOR_SETTINGS)
def test_tokens_between_separators(text, of_sentences, of_tokens):
    find = separator_finder(separator_rules(of_tokens))
    whole = documents(text)
    for source in (whole, sentences(whole, sentence_finder(sentence_rules(of_sentences)))):
        found = tokens(source, find)
        if not of_tokens.get("toLowercase") and not of_tokens.get("trimWhitespace"):
            assert_cut_out(text, found)
            continue
        for token in found:
            inside = source[int(token.metadata["sentence"])]
            assert inside.begin <= token.begin <= token.end <= inside.end
            # Lower-cased and without white space on request; the offsets stay those of the text.
            cut = text[token.begin : token.end + 1]
            if of_tokens.get("trimWhitespace"):
                cut = "".join(char for char in cut if char not in " \t\n\x0b\f\r")
            if not of_tokens.get("toLowercase"):
                assert token.result == cut
            elif "İ" not in cut:  # two characters in lower case, and a token may be one of them
                assert token.result.casefold() == cut.casefold()
