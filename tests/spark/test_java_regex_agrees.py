"""Java patterns in Python, compared with the ``java.util.regex`` of Spark's own JVM."""

from __future__ import annotations

import pytest
from pyspark.errors import IllegalArgumentException

from sparkxlmr.errors import SettingError
from sparkxlmr.text.java_regex import compile_java, replace_all

from ..text import java_patterns

PATTERNS = [
    r"\w+",
    r"\W+",
    r"\s+",
    r"\S+",
    r"\d",
    r"\D+",
    r"\h+",
    r"\v+",
    r"\R",
    r".+",
    r"(?s).+",
    r"\A.",
    r".\z",
    r".\Z",
    r"a$",
    r"(?i)ab",
    r"(?i)[^a]+",
    r"a(?i)b|c",
    r"(?i:A)b",
    r"[a-c&&[^b]]+",
    r"[a-z&&[b-y]&&[^m]]+",
    r"[^[a-c]x]+",
    r"[(?:[A-Za-z]+)]+",
    r"[a-z-0-7]+",
    r"\p{L}+",
    r"\p{Lu}",
    r"\P{L}+",
    r"\p{Punct}+",
    r"[\p{L}&&[^\p{Lu}]]+",
    r"\p{N}",
    r"\p{Alpha}+",
    r"\Q.(\E",
    r"[\Q.(\E]+",
    r"(?<x>.)\k<x>",
    r"(.)\1",
    r"\x41",
    r"\x{1F642}",
    "\\u00e9",
    r"\t|\n",
    r"[\t\n]+",
    r"a*+b",
    r"a{2,}?",
    r"[]a]+",
    r"[\]\-a]+",
    r"\0101",
    r"\cJ",
    r"[^\s\w\$\.]+",
    r"[[a]b]+",
    r"(?<=a)b",
    r"(?<!a)b",
    r"a(?=b)",
    r"a(?!b)",
    r"(?>a+)b",
    r"\uD83D\uDE42",
    r"[&&a]",
    r"(?m)^.",
    r".$",
    r"(?i)\p{Lu}",
    r"\R{2}",
]
TEXTS = [
    "ab AB aab aabb ccc",
    "a\u2028b\r\nc\rd\u0085e\n",
    "éÉ naïve 你好 ǅ १",
    ".(x) [a]-b] $5.00",
    "🙂a🙂",
    "A\ta\u00a0\u3000b",
    "a\n",
    "x:?(+a-b7)",
]




def _java_version(spark) -> int:
    version = spark._jvm.System.getProperty("java.specification.version")
    return int(version.removeprefix("1."))


def _has_boundary(pattern: str) -> bool:
    plain = pattern.replace("\\\\", "")
    return "\\b" in plain or "\\B" in plain


def _marked(match) -> str:
    return f"<{'|'.join(group or '' for group in (match[0], *match.groups()))}>"


def test_same_matches_as_java(spark):
    """One job for all patterns: each match and its groups are put in brackets by Java and by Python."""
    generated = [p for p in java_patterns.generate(seed=17, n=200) if not java_patterns.has_stale_groups(p)]
    if _java_version(spark) >= 19:  # its boundary is ASCII; that of Java 17 is tested with recorded matches
        generated = [pattern for pattern in generated if not _has_boundary(pattern)]
    rows, expected, n_refused = [], [], 0
    compile_in_java = spark._jvm.java.util.regex.Pattern.compile
    for pattern in (*PATTERNS, *generated):
        try:
            compiled = compile_java(pattern)
        except SettingError:
            n_refused += 1
            continue
        compile_in_java(pattern)  # what is accepted here is a pattern of Java
        marks = "<$0" + "".join(f"|${group}" for group in range(1, compiled.groups + 1)) + ">"
        for text in (*TEXTS, *java_patterns.TEXTS) if pattern in PATTERNS else java_patterns.TEXTS:
            rows.append((pattern, text, marks))
            expected.append(replace_all(compiled, _marked, text))
    assert n_refused < 0.4 * len(generated)
    df = spark.createDataFrame(rows, "pattern string, text string, marks string").coalesce(1)
    found = [row[0] for row in df.selectExpr("regexp_replace(text, pattern, marks)").collect()]
    for row, java, python in zip(rows, found, expected, strict=True):
        assert java == python, row


@pytest.mark.parametrize(
    "pattern", ["a{,3}", "x{2", "{", "a(?#c)b", r"[\w]{2", "[&&]", r"a\E", r"\p{^L}", "a++*"]
)
def test_refused_as_by_java(spark, pattern):
    with pytest.raises(IllegalArgumentException, match="near index"):
        spark._jvm.java.util.regex.Pattern.compile(pattern)
    with pytest.raises(SettingError):
        compile_java(pattern)
