"""What the sentence rules do where no answer of Spark NLP is recorded, and what holds for any text."""

from __future__ import annotations

import pickle
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.sentences import SentenceRules, split_sentences


@pytest.mark.parametrize(
    ("text", "rules", "sentences"),
    [
        # each as Spark NLP's rules have it, worked out from them step by step
        ("Do you mean p.m. or a.m.? Yes.", {}, "Do you mean p.m. or a.m.?|Yes."),
        ("Smith & Co. KG in U.S. states. Jack's.", {}, "Smith & Co. KG in U.S. states.|Jack's."),
        ("The N°. 1026.253.553. Done.", {}, "The N°. 1026.253.553.|Done."),
        ("Hm... Well.... Yes", {}, "Hm...|Well.|...|Yes"),
        ("He said 'Go. Now.' and went.", {}, "He said 'Go. Now.' and went."),
        ("It's 5 o'clock. 'Tis late.", {}, "It's 5 o'clock.|'Tis late."),
        ("[See. There.] (Here. Too.) End.", {}, "[See. There.] (Here. Too.) End."),
        ("éa.b. x", {}, "éa.b.|x"),
        ("no. 5 is no. (5) or no. five", {}, "no. 5 is no. (5) or no. five"),
        ("No. Five", {}, "No.|Five"),
        ("Dept.-wide. dept.-wide", {}, "Dept.|-wide.|dept.-wide"),
        ("one - two", {"custom_bounds": ("-",)}, "one|two"),
        (
            "1. a\n1.1 b\n2. c",
            {"custom_bounds": (r"\n[\d\. ]+",), "use_custom_bounds_only": True},
            "1. a|b|c",
        ),
        ("x ab a ab c", {"custom_bounds": ("ab",), "use_custom_bounds_only": True}, "x|a|c"),
        ("a--b-c", {"custom_bounds": ("-", "-")}, "a|b|c"),
        ("alone. yes", {"use_custom_bounds_only": True}, "alone.|yes"),
        ("aa bb  cc 🙂🙂", {"split_length": 5}, "aa bb| cc|🙂🙂"),
        ("abc de. f.", {"min_length": 3, "max_length": 7}, "abc de."),
        ("no stop \ufdd0 here\ufdd2. \ufdd4\ufdd5.", {}, "no stop \ufdd0 here\ufdd2.|\ufdd4\ufdd5."),
        ("Box ╔ and ╞ stay. \uf050 too.", {}, "Box ╔ and ╞ stay.|\uf050 too."),
        ("\x00 \x1f\n", {}, ""),
    ],
)
def test_examples(text, rules, sentences):
    found = split_sentences(text, SentenceRules(**rules))
    assert "|".join(sentence for *_, sentence in found) == sentences
    assert all(text[begin : end + 1] == sentence for begin, end, sentence in found)


def test_a_cut_out_bound_that_repeats_a_sentence_moves_nothing():
    rules = SentenceRules(custom_bounds=("-b-",), use_custom_bounds_only=True)
    assert split_sentences("a-b-b", rules) == [(0, 0, "a"), (4, 4, "b")]


@settings(deadline=None)
@given(
    st.text(
        st.one_of(
            st.sampled_from(" .,;!?'\"()[]-\n\t1aAps$°\u00a0🙂\ufdd0\ufdd2\ufdd3"),
            st.characters(exclude_categories=["Cs"]),
        )
    ),
    st.builds(
        SentenceRules,
        use_abbreviations=st.booleans(),
        detect_lists=st.booleans(),
        custom_bounds=st.sampled_from([(), ("a",), (r"\n", "[^a-z]"), ("b?",), (r"\. ", ";")]),
        use_custom_bounds_only=st.booleans(),
        custom_bounds_strategy=st.sampled_from(["none", "prepend", "append"]),
        split_length=st.sampled_from([None, 1, 3]),
    ),
)
def test_sentences_are_in_order_and_cut_out_of_the_text(text, rules):
    sentences = split_sentences(text, rules)
    assert all(sentence and text[begin : end + 1] == sentence for begin, end, sentence in sentences)
    assert all(left[1] < right[0] for left, right in pairwise(sentences))
    if not rules.custom_bounds or rules.custom_bounds_strategy != "none":
        kept = "".join(sentence for *_, sentence in sentences)
        assert [c for c in kept if c > " "] == [c for c in text if c > " "]


@pytest.mark.parametrize(
    "text",
    ["!" * 200_000 + "a", "." * 100_000, " 'a" * 66_666, "(a" * 100_000, "a.b" * 66_666, "no. " * 50_000],
)
def test_time_is_linear_in_the_text(text):
    start = time.process_time()
    split_sentences(text)
    assert time.process_time() - start < 10


def test_rules_that_cannot_be():
    with pytest.raises(SettingError, match="maxLength not below minLength"):
        split_sentences("a", SentenceRules(min_length=3, max_length=2))
    with pytest.raises(SettingError, match="none, prepend, append"):
        split_sentences("a", SentenceRules(custom_bounds_strategy="after"))
    with pytest.raises(SettingError, match="cannot be read"):
        split_sentences("a", SentenceRules(custom_bounds=("(",)))


def test_rules_travel():
    rules = SentenceRules(custom_bounds=("\n",))
    assert pickle.loads(pickle.dumps(rules)) == rules
    assert len(pickle.dumps(rules)) < 1000
