"""Java patterns in Python, compared with recorded matches of Java 17 (``tests/environments/record_java.py``).

``tests/spark/test_java_regex_agrees.py`` compares with the JVM at hand.
"""

from __future__ import annotations

import gzip
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text import code_points
from sparkxlmr.text.code_points import class_pattern, complement, intersection, property_ranges, union
from sparkxlmr.text.java_regex import character_class, compile_java, find_all, replace_all


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
        (r"\uD83D\uDE00+", "a😀😀", "😀😀"),
        (r"[\uD83D\uDE00-\uD83D\uDE4F]+", "a😀🙂", "😀🙂"),
        (r"[&&a]", "&a", "a"),
        (r"[a-zA-Z&&]+", "abCD", "CD"),
        (r"(?i)\p{Lu}+", "1éÉ", "éÉ"),
        (r"(?m)^b$", "a\r\nb\r\nc", "b"),
        (r"a{2}{3}", "aaa", "aa"),
        (r"(?<=a|bc)x", "xbcx", "x"),
        (r"(a)\11", "aa1", "aa1"),
    ],
)
def test_found(pattern, text, found):
    match = compile_java(pattern).search(text)
    assert match is not None
    assert match[0] == found


@pytest.mark.parametrize(
    ("pattern", "text", "starts"),
    [
        (r"\b", "déjà vu", [0, 4, 5, 7]),
        (r"\b", "Привет мир", [0, 6, 7, 10]),
        (r"\bÉtape \d", "l'Étape 2, Étape 3", [2, 11]),
        (r"\B", "déjà", [1, 2, 3]),
        # neither a superscript nor a fraction is a letter or a decimal digit
        (r"\b", "x²½y", [0, 1, 3, 4]),
        (r"\b", "१二_", [0, 3]),
        # a mark belongs to the letter or digit before it, and to nothing else
        (r"\b", "e\u0301a", [0, 3]),
        (r"\b", " \u0301a", [2, 3]),
        (r"\b", "_\u0301a", [0, 1, 2, 3]),
        (r"\b", "a\u0301\u0302\u0303 ", [0, 4]),
        (r"\b", "", []),
    ],
)
def test_word_boundary_is_that_of_java_before_19(pattern, text, starts):
    assert [match.start() for match in find_all(compile_java(pattern), text)] == starts


@pytest.mark.parametrize(
    "pattern",
    [
        "[a", "(a", "a)", r"\p{IsHan}", r"\p{L", r"\G", "(?x)a b", r"[z-a]", "\\", r"\x{zz}", "*",
        # Python's re would take these, and Java does not
        "a{,3}", "x{2", "{", "a{", "a(?#c)b", "(?P<n>a)", r"a\E", r"\p{^L}", r"\p{Ca}", "[&&]", "[]",
        r"\x4_", r"(?<a_b>x)", "x{2147483648}", r"(a)(?<=\1)b", "a++*", "(?a)b", r"[\b]", r"\08", r"[\w]x[",
        # Java takes these, and Python cannot
        r"(a\1)", r"\1(a)", "(?<=a{1,3})b", r"\X", r"\N{DIGIT ONE}", r"\b{g}", "(?u)a", r"(?!(a))\1",
    ],
)  # fmt: skip
def test_refused_by_name(pattern):
    with pytest.raises(SettingError, match="pattern"):
        compile_java(pattern)


def test_find_all_after_an_empty_match():
    """Java goes on one character behind it; Python's finditer would find the "a" at the same position."""
    assert [match.span() for match in find_all(compile_java("|a"), "aa")] == [(0, 0), (1, 1), (2, 2)]
    assert [match.span() for match in find_all(compile_java("a*?"), "aa")] == [(0, 0), (1, 1), (2, 2)]
    assert [match.span() for match in find_all(compile_java("a*"), "ba")] == [(0, 0), (1, 2), (2, 2)]
    assert replace_all(compile_java("|a"), lambda match: "-", "ba") == "-b-a-"


def test_recorded_java_17_agrees(fixtures):
    """Spans and groups of generated patterns; some constructs that Java takes are refused here by name."""
    recorded = json.loads(gzip.decompress((fixtures / "java_regex.json.gz").read_bytes()))
    n_compared = 0
    for pattern, expected in zip(recorded["patterns"], recorded["matches"], strict=True):
        if expected is None:
            with pytest.raises(SettingError):
                compile_java(pattern)
            continue
        try:
            compiled = compile_java(pattern)
        except SettingError:
            continue
        n_compared += 1
        for text, matches in zip(recorded["texts"], expected, strict=True):
            found = [
                [i for group in range(compiled.groups + 1) for i in match.span(group)]
                for match in find_all(compiled, text)
            ]
            assert found == matches, (pattern, text)
    assert n_compared > 0.9 * sum(expected is not None for expected in recorded["matches"])


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


def test_categories_hold_each_code_point_once():
    found = sorted((low, high, name) for name, runs in code_points.categories().items() for low, high in runs)
    assert [low for low, _, _ in found[1:]] == [high + 1 for _, high, _ in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, code_points.LAST)
    for low, high, name in found:
        for point in (low, high, *range(low, high, 997)):
            assert unicodedata.category(chr(point)) == name
    assert union(*code_points.categories().values()) == ((0, code_points.LAST),)


def test_property_of_cased_letters_without_case():
    assert property_ranges("Lu", True) == property_ranges("LC")
    assert property_ranges("Upper", True) == property_ranges("Alpha")
    assert property_ranges("LD") == union(property_ranges("L"), property_ranges("Nd"))
    assert property_ranges("javaLetter") is None


def test_class_that_ends_early():
    with pytest.raises(SettingError, match="ends early"):
        character_class("a]b")
    with pytest.raises(SettingError, match="cannot be read"):
        character_class("\\p{L}a&&")
    assert class_pattern(()) == "(?!)"
