"""SentenceDetector on Spark: the pure rules, the columns around them, and when they run."""

from __future__ import annotations

import pytest
from pyspark import cloudpickle
from pyspark.sql import functions as F

from sparkxlmr.annotator import SentenceDetector
from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE
from sparkxlmr.spark.cutting import cut_function
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.text.sentences import SentenceRules


def documents(spark, texts, schema="id int, text string", **settings):
    df = spark.createDataFrame(list(enumerate(texts)), schema).coalesce(1)
    return DocumentAssembler(inputCol="text", **settings).transform(df)


def detector(**settings):
    return SentenceDetector(**{"inputCols": ["document"], "outputCol": "sentence", **settings})


def rows_of(df, name="sentence"):
    return [
        [[a["begin"], a["end"], a["result"], a["metadata"]] for a in row[name]]
        for row in df.orderBy("id").collect()
    ]


def test_nulls_several_documents_and_sentences_of_sentences(spark):
    """On the list of differences: documents in turn, offsets from the input's own begin."""
    texts = [["🙂 One. Two", None, " ", "Three."], None, []]
    df = detector().transform(documents(spark, texts, "id int, text array<string>", idCol="id"))
    assert rows_of(df) == [
        [
            [0, 5, "🙂 One.", {"sentence": "0", "id": "0"}],
            [7, 9, "Two", {"sentence": "1", "id": "0"}],
            [0, 5, "Three.", {"sentence": "2", "id": "0"}],
        ],
        [],
        [],
    ]
    once = detector(useCustomBoundsOnly=True, customBounds=["\n"]).transform(documents(spark, ["a.\nb. c."]))
    twice = detector(inputCols=["sentence"], outputCol="again").transform(once)
    assert [row[:3] for row in rows_of(twice, "again")[0]] == [[0, 1, "a."], [3, 4, "b."], [6, 7, "c."]]
    nothing = documents(spark, ["a"]).withColumn("document", F.lit(None).cast(ANNOTATION_TYPE))
    assert detector().transform(nothing).first()["sentence"] is None


def test_exploded_sentences(spark):
    df = documents(spark, ["One. Two.", "", "Three"]).withColumn("Text", F.lit("another"))
    exploded = detector(explodeSentences=True).transform(df)
    assert exploded.columns == [*df.columns, "sentence"]
    assert exploded.schema["sentence"].metadata == {"annotatorType": "document"}
    found = [(row["id"], [a["result"] for a in row["sentence"]]) for row in exploded.collect()]
    assert found == [(0, ["One."]), (0, ["Two."]), (2, ["Three"])]


def plan(df, capsys):
    df.explain()
    return capsys.readouterr().out


def test_sentences_are_computed_once_or_never(spark, capsys):
    df = detector().transform(documents(spark, ["One. Two", "three"]))
    assert "ArrowEvalPython" not in plan(df.select("document"), capsys)
    assert "ArrowEvalPython" not in plan(df.drop("sentence"), capsys)
    used = df.filter(F.size("sentence") > 1).select("sentence.result", "sentence.begin", "sentence")
    assert plan(used, capsys).count("ArrowEvalPython") == 1
    assert [row["result"] for row in used.collect()] == [["One.", "Two"]]
    exploded = detector(explodeSentences=True).transform(documents(spark, ["One. Two", "three"]))
    assert plan(exploded, capsys).count("ArrowEvalPython") == 1


def test_ten_thousand_sentences_and_a_million_characters(spark):
    df = documents(spark, ["One two 🙂. " * 10_000, "x" * 10**6, "y" * 99_999, "\x00" * 9, "🙂" * 9])
    rows = (
        detector()
        .transform(df)
        .select(F.size("sentence"), F.try_element_at("sentence", F.lit(-1))["end"])
        .collect()
    )
    assert [tuple(row) for row in rows] == [(10_000, 109_998), (0, None), (1, 99_998), (0, None), (1, 8)]


def test_what_travels_is_small():
    assert len(cloudpickle.dumps(cut_function(SentenceRules(custom_bounds=("\n",))))) < 5000


def test_wrong_use_is_seen_on_the_driver(spark):
    df = documents(spark, ["a"])
    with pytest.raises(SettingError, match="cannot be read"):
        detector(customBounds=["("]).transform(df)
    with pytest.raises(SettingError, match="maxLength"):
        detector(minLength=3, maxLength=2).transform(df)
    with pytest.raises(SettingError, match="customBoundsStrategy is 'after'"):
        detector(customBoundsStrategy="after")
    with pytest.raises(InputError, match=r"SentenceDetector: there is no column 'doc'.*'document'"):
        detector(inputCols=["doc"]).transform(df)
