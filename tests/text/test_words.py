"""What the word rules do where no answer of Spark NLP is recorded, and what holds for any text."""

from __future__ import annotations

import pickle
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.words import WordRules, tokenize


@pytest.mark.parametrize(
    ("text", "rules", "words"),
    [
        ("U.S.A. won't ?!", {}, "U.S.A|.|won't|?!"),
        ("你好，世界。", {}, "你好，世界。"),
        ("‘quoted’ a\u00a0b", {}, "‘quoted’|a\u00a0b"),
        ("to New York City", {"exceptions": ("New York", "York City")}, "to|New York City"),
        ("(New York)", {"exceptions": ("New York",)}, "(New York)"),
        ("C++. c", {"exceptions": (r"C\+\+\.",)}, "C++.|c"),
        ("e-mail.", {"exceptions": ("e-mail",)}, "e-mail|."),
        ("a.b.c d", {"split_chars": (".",)}, "a|b|c|d"),
        ("a.b|c", {"split_chars": (r"\.", "|")}, "a|b|c"),
        ("a--b -", {"split_pattern": "-+"}, "a|b|-"),
        ("(x)", {"context_chars": ()}, "(x)"),
        ("only aB1 lowercase 07", {"target_pattern": "a-z-0-7"}, "only|a|1|lowercase|07"),
        ("🙂 a bb", {"min_length": 2}, "🙂|bb"),
        ("\u2187 \u2188a", {"exceptions": ("x",)}, "\u2187|\u2188a"),
        ("ⅷ\ufdd0 a b", {"exceptions": ("a b",)}, "ⅷ\ufdd0|a b"),
    ],
)
def test_examples(text, rules, words):
    assert "|".join(word for *_, word in tokenize(text, WordRules(**rules))) == words


@given(
    st.text(
        st.one_of(st.sampled_from(" .,-'()/!\n\t\u2028\u00a0🙂a"), st.characters(exclude_categories=["Cs"]))
    ),
    st.sampled_from(
        [
            WordRules(),
            WordRules(context_chars=()),
            WordRules(target_pattern="[a-z.🙂-]"),
            WordRules(split_chars=("-", "a")),
            WordRules(split_pattern="[-.]*"),
            WordRules(exceptions=("a .",)),
            WordRules(infix_patterns=(r"(a+)(.)", r"(\W)")),
        ]
    ),
)
def test_words_are_in_order_and_cut_out_of_the_text(text, rules):
    words = tokenize(text, rules)
    assert all(word and text[begin : end + 1] == word for begin, end, word in words)
    assert all(left[1] < right[0] for left, right in pairwise(words))
    if rules == WordRules():
        assert "".join(word for *_, word in words) == "".join(c for c in text if c not in " \t\n\x0b\f\r")


@given(st.text("ab.-!( \n\u2028🙂"))
def test_the_quick_way_and_the_full_way_agree(text):
    never = WordRules(split_chars=("z",))  # a rule that does nothing, and takes the long way
    assert tokenize(text) == tokenize(text, never)


@pytest.mark.parametrize(
    "text", ["a!" * 500_000, "!" * 10**6, "a" + "!" * 10**6, "a" * 10**6, "a, " * 300_000]
)
def test_a_million_characters(text):
    start = time.process_time()
    tokenize(text)
    tokenize(text, WordRules(split_chars=("z",)))
    assert time.process_time() - start < 20


def test_limits_that_contradict():
    with pytest.raises(SettingError, match="maxLength not below minLength"):
        tokenize("a", WordRules(min_length=3, max_length=2))


def test_rules_travel():
    rules = WordRules(exceptions=("New York",))
    assert pickle.loads(pickle.dumps(rules)) == rules
    assert len(pickle.dumps(rules)) < 2000
