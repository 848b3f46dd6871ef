"""RegexTokenizer on Spark: the pure rules, the columns around them, and when they run."""

from __future__ import annotations

import pytest

from sparkxlmr.annotator import RegexTokenizer
from sparkxlmr.errors import SettingError
from sparkxlmr.stages.document_assembler import DocumentAssembler


def documents(spark, texts, schema="id int, text string"):
    df = spark.createDataFrame(list(enumerate(texts)), schema).coalesce(1)
    return DocumentAssembler(inputCol="text").transform(df)


def rows_of(df, name="regexToken"):
    return [
        [[a["begin"], a["end"], a["result"], a["metadata"]] for a in row[name]]
        for row in df.orderBy("id").collect()
    ]


def test_settings_and_several_documents(spark):
    """On the list of differences: offsets are the document's, and no token is empty."""
    df = documents(spark, [["İ, B c ,  ,d", None, "🙂,b"], None], "id int, text array<string>")
    tokenizer = RegexTokenizer(pattern=",", toLowercase=True, trimWhitespace=True, maxLength=6)
    kept = tokenizer.setPreservePosition(False).transform(df)
    assert rows_of(kept) == [
        [
            [0, 0, "i̇", {"sentence": "0"}],
            [3, 5, "bc", {"sentence": "0"}],
            [11, 11, "d", {"sentence": "0"}],
            [0, 0, "🙂", {"sentence": "2"}],
            [2, 2, "b", {"sentence": "2"}],
        ],
        [],
    ]


def test_unused_tokens_are_not_computed(spark, capsys):
    df = RegexTokenizer().transform(documents(spark, ["a b"]))
    df.select("document").explain()
    assert "ArrowEvalPython" not in capsys.readouterr().out
    df.filter("size(regexToken) > 1").select("regexToken.result", "regexToken").explain()
    assert capsys.readouterr().out.count("ArrowEvalPython") == 1


def test_wrong_use_is_seen_on_the_driver(spark):
    df = documents(spark, ["a"])
    with pytest.raises(SettingError, match="cannot be read"):
        RegexTokenizer(pattern="(").transform(df)
    with pytest.raises(SettingError, match="maxLength"):
        RegexTokenizer(minLength=3, maxLength=2).transform(df)
