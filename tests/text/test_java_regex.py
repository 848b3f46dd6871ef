"""Java patterns in Python. That Java agrees is tested where Spark is at hand (tests/spark)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.java_regex import (
    character_class,
    class_pattern,
    compile_java,
    complement,
    intersection,
    union,
)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\A([\p{L}\w]+'{1})([\p{L}\w]+)\z", "l'été", "l'été"),
        (r"[a-z&&[^b-y]]+", "abzza", "a"),
        (r"[^[a-c]x]+", "abcxyz", "yz"),
        (r"\Qa.b\E+", "a.bbb a", "a.bbb"),
        (r"[\Q.]\E]+", "a.]", ".]"),
        (r"\w+", "naïve", "na"),
        (r"a.b", "a\u2028b a b", "a b"),
        (r"(?i)STRASSE|x", "x strasse", "x"),
        (r"a(?i)b|c", "C", "C"),
        (r"(?i)[^a]+", "aAb", "b"),
        (r"end$", "the end\r\n", "end"),
        (r"\h+", "a\u3000b", "\u3000"),
        (r"(?<word>\w)\k<word>", "hello", "ll"),
        (r"\x{1F642}", "a🙂", "🙂"),
        ("\\u00e9", "é", "é"),
        (r"\p{Lu}\P{L}", "aB1", "B1"),
        (r"[]a]+", "a]", "a]"),
    ],
)
def test_found(pattern, text, found):
    match = compile_java(pattern).search(text)
    assert match is not None
    assert match[0] == found


@pytest.mark.parametrize(
    "pattern", ["[a", "(a", "a)", r"\p{IsHan}", r"\p{L", r"\G", "(?m)^a", r"[z-a]", "\\", r"\x{zz}", "*"]
)
def test_refused_by_name(pattern):
    with pytest.raises(SettingError):
        compile_java(pattern)


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p)))).map(
    tuple
)


@given(ranges, ranges)
def test_set_operations(left, right):
    def points(r):
        return {i for a, b in r for i in range(a, min(b, 100) + 1)}

    assert points(union(left, right)) == points(left) | points(right)
    assert points(intersection(left, right)) == points(left) & points(right)
    assert points(complement(left)) == set(range(101)) - points(left)


def test_class_that_ends_early():
    with pytest.raises(SettingError, match="ends early"):
        character_class("a]b")
    assert class_pattern(()) == "(?!)"
