"""The bridge to Java's patterns, held against Java itself (Spark SQL's regexp_extract_all)."""

from __future__ import annotations

from pyspark.sql import functions as F

from sparkxlmr.text.java_regex import compile_java

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


def test_same_matches_as_java(spark):
    df = spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string").coalesce(1)
    columns = [F.expr(f"regexp_extract_all(text, p{i}, 0)").alias(f"m{i}") for i in range(len(PATTERNS))]
    named = df.select("*", *[F.lit(pattern).alias(f"p{i}") for i, pattern in enumerate(PATTERNS)])
    rows = named.select("id", *columns).orderBy("id").collect()
    for row, text in zip(rows, TEXTS, strict=True):
        for i, pattern in enumerate(PATTERNS):
            found = [match[0] for match in compile_java(pattern).finditer(text)]
            assert found == row[f"m{i}"], (pattern, text)
