"""What the separator rules do where no answer of Spark NLP is recorded, and what holds for any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.separators import SeparatorRules, split_at_separators


# what differs from Spark NLP here is on the list in docs/spark_nlp_differences.md
@pytest.mark.parametrize(
    ("text", "rules", "tokens"),
    [
        (" a,, b ", {"pattern": ","}, [(0, 1, " a"), (4, 6, " b ")]),
        ("abc", {"pattern": ""}, [(0, 0, "a"), (1, 1, "b"), (2, 2, "c")]),
        ("ab c", {"pattern": r"\s*"}, [(0, 0, "a"), (1, 1, "b"), (3, 3, "c")]),
        ("a-b-b", {"pattern": "-b-"}, [(0, 0, "a"), (4, 4, "b")]),
        ("aXb", {"pattern": "x", "to_lowercase": True}, [(0, 0, "a"), (2, 2, "b")]),
        ("İ İx c", {"to_lowercase": True}, [(0, 0, "i̇"), (2, 3, "i̇x"), (5, 5, "c")]),
        ("ΑΣ ΑΣ", {"to_lowercase": True}, [(0, 1, "ας"), (3, 4, "ας")]),
        ("🙂 ab abc", {"min_length": 2, "max_length": 2}, [(0, 0, "🙂"), (2, 3, "ab")]),
        ("x, New York ,\t", {"pattern": ",", "trim_whitespace": True}, [(0, 0, "x"), (2, 11, "NewYork")]),
        (
            "x, New York ,\t",
            {"pattern": ",", "trim_whitespace": True, "preserve_position": False},
            [(0, 0, "x"), (3, 10, "NewYork")],
        ),
        ("", {}, []),
    ],
)
def test_examples(text, rules, tokens):
    assert split_at_separators(text, SeparatorRules(**rules)) == tokens


@settings(deadline=None)
@given(
    st.text(st.one_of(st.sampled_from(" ,aAİ\n\u00a0🙂"), st.characters(exclude_categories=["Cs"]))),
    st.builds(
        SeparatorRules,
        pattern=st.sampled_from([r"\s+", ",", "a*", ""]),
        to_lowercase=st.booleans(),
        trim_whitespace=st.booleans(),
        preserve_position=st.booleans(),
    ),
)
def test_tokens_are_in_order_and_cut_out_of_the_text(text, rules):
    tokens = split_at_separators(text, rules)
    for begin, end, token in tokens:
        cut = text[begin : end + 1]
        if not rules.to_lowercase:
            kept = [c for c in cut if not rules.trim_whitespace or c not in " \t\n\x0b\f\r"]
            assert token == "".join(kept)
        assert 0 <= begin <= end < len(text)
    if "İ" not in text or not rules.to_lowercase:
        assert all(left[1] < right[0] for left, right in pairwise(tokens))
    if rules == SeparatorRules():
        assert "".join(token for *_, token in tokens) == "".join(c for c in text if c not in " \t\n\x0b\f\r")


def test_rules_that_cannot_be():
    with pytest.raises(SettingError, match="maxLength not below minLength"):
        split_at_separators("a", SeparatorRules(min_length=3, max_length=2))
    with pytest.raises(SettingError, match="cannot be read"):
        split_at_separators("a", SeparatorRules(pattern="("))
