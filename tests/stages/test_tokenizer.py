"""Tokenizer on Spark: the pure rules, the columns around them, and when they run."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE
from sparkxlmr.spark.cutting import cut_function
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.tokenizer import Tokenizer, TokenizerModel
from sparkxlmr.text.words import WordRules


def documents(spark, texts, schema="id int, text string"):
    return DocumentAssembler(inputCol="text").transform(spark.createDataFrame(list(enumerate(texts)), schema))


def rows_of(df, name="token"):
    return [
        [[a["begin"], a["end"], a["result"], a["metadata"]] for a in row[name]]
        for row in df.orderBy("id").collect()
    ]


def model(**settings):
    return TokenizerModel(**{"inputCols": ["document"], "outputCol": "token", **settings})


def test_nulls_and_arrays(spark):
    df = model().transform(
        documents(spark, [["One. two", None, "", "🙂 b"], None, []], "id int, text array<string>")
    )
    assert rows_of(df) == [
        [
            [0, 2, "One", {"sentence": "0"}],
            [3, 3, ".", {"sentence": "0"}],
            [5, 7, "two", {"sentence": "0"}],
            [0, 0, "🙂", {"sentence": "3"}],
            [2, 2, "b", {"sentence": "3"}],
        ],
        [],
        [],
    ]
    nothing = documents(spark, ["a"]).withColumn("document", F.lit(None).cast(ANNOTATION_TYPE))
    assert model().transform(nothing).first()["token"] is None


def plan(df, capsys):
    df.explain()
    return capsys.readouterr().out


def test_unused_tokens_are_not_computed(spark, capsys):
    df = model().transform(documents(spark, ["One two", "three"]))
    assert "ArrowEvalPython" in plan(df, capsys)
    assert "ArrowEvalPython" not in plan(df.select("document"), capsys)
    assert "ArrowEvalPython" not in plan(df.drop("token"), capsys)


def test_tokens_are_computed_once(spark, capsys):
    df = model().transform(documents(spark, ["One two", "three"]))
    used = df.filter(F.size("token") > 1).select("token.result", "token.begin", "token")
    assert plan(used, capsys).count("ArrowEvalPython") == 1
    assert [row["result"] for row in used.collect()] == [["One", "two"]]


def test_what_travels_is_small():
    from pyspark import cloudpickle

    assert len(cloudpickle.dumps(cut_function(WordRules(exceptions=("New York",))))) < 5000


def test_exceptions_path(spark, tmp_path):
    path = tmp_path / "exceptions.txt"
    path.write_text("New York\n\nLos Angeles\n", encoding="utf-8")
    df = documents(spark, ["New York or Los Angeles or St. Paul"])
    tokenizer = Tokenizer(inputCols=["document"], outputCol="token").setExceptionsPath(str(path))
    fitted = tokenizer.addException(r"St\. \w+").fit(df)
    assert fitted.getExceptions() == ["New York", "Los Angeles", r"St\. \w+"]
    assert [row[2] for row in rows_of(fitted.transform(df))[0]] == [
        "New York",
        "or",
        "Los Angeles",
        "or",
        "St. Paul",
    ]
    assert tokenizer.getExceptions() == [r"St\. \w+"]


def test_adders():
    tokenizer = Tokenizer().addException("a b").addContextChars("¿").addSplitChars("-").addSplitChars("/")
    assert tokenizer.addInfixPattern("(a)").addInfixPattern("(b)").getInfixPatterns() == ["(b)", "(a)"]
    assert (tokenizer.getExceptions(), tokenizer.getSplitChars()) == (["a b"], ["-", "/"])
    assert tokenizer.getContextChars()[-2:] == ["'", "¿"]
    assert len(Tokenizer().getContextChars()) == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contextChars": ["ab"]}, "contextChars is .*one character each"),
        ({"splitChars": ["ab"]}, "splitChars is"),
        ({"prefixPattern": "x"}, r"begins with \\A"),
        ({"suffixPattern": "x"}, r"ends with \\z"),
        ({"infixPatterns": ["x"]}, "groups"),
        ({"minLength": -1}, "at least 0"),
    ],
)
def test_settings_refused_at_once(settings, message):
    with pytest.raises(SettingError, match=message):
        Tokenizer(**settings)


def test_wrong_use_is_seen_when_fitting(spark):
    df = documents(spark, ["a"])
    with pytest.raises(SettingError, match="cannot be read"):
        Tokenizer(inputCols=["document"], outputCol="token", exceptions=["(a"]).fit(df)
    with pytest.raises(SettingError, match="maxLength"):
        Tokenizer(inputCols=["document"], outputCol="token", minLength=3, maxLength=2).fit(df)
    with pytest.raises(InputError, match=r"Tokenizer: there is no column 'doc'.*'document'"):
        Tokenizer(inputCols=["doc"], outputCol="token").fit(df)
    once = model().transform(df)
    with pytest.raises(InputError, match=r"TokenizerModel: .*of type token"):
        model(inputCols=["token"], outputCol="again").transform(once)


def test_a_million_characters_and_many_documents(spark):
    df = documents(spark, [["word, 🙂 " * 125_000], ["a b."] * 3000], "id int, text array<string>").coalesce(
        1
    )
    counts = model().transform(df).select(F.size("token"), F.element_at("token", -1)["end"]).collect()
    assert [tuple(row) for row in counts] == [(375_000, 999_998), (9000, 3)]
