"""Finisher against Spark NLP's recorded answers."""

from __future__ import annotations

import pytest
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, is_annotation_field
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.finisher import Finisher

SETTINGS = ["default", "string", "metadata", "string_metadata", "keep", "symbols"]


def column(name, kind):
    return StructField(name, ANNOTATION_TYPE, True, {"annotatorType": kind})


@pytest.fixture(scope="module")
def annotated(spark, spark_nlp):
    """The recorded texts with the columns that Spark NLP's Finisher was given."""
    texts = spark_nlp("finisher")["texts"]
    sentences = spark_nlp("sentence_detector")["expected"]["default"]["sentences"]
    tokens = spark_nlp("tokenizer_on_sentences")["tokens"]

    def annotations(kind, rows):
        return [(kind, begin, end, result, metadata, []) for begin, end, result, metadata in rows]

    rows = [
        (i, text, annotations("document", sentences[i]), annotations("token", tokens[i]))
        for i, text in enumerate(texts)
    ]
    schema = StructType(
        [
            StructField("id", IntegerType()),
            StructField("text", StringType()),
            column("sentence", "document"),
            column("token", "token"),
        ]
    )
    df = DocumentAssembler(inputCol="text").transform(spark.createDataFrame(rows, schema).coalesce(1))
    return df.select("id", "text", "document", "sentence", "token").cache()


@pytest.mark.parametrize("setting", SETTINGS)
def test_recorded_texts(annotated, spark_nlp, setting):
    recorded = spark_nlp("finisher")["expected"][setting]
    df = Finisher(inputCols=["sentence", "token"], **recorded["params"]).transform(annotated)
    plain = {
        field.name: field.dataType.simpleString() for field in df.schema if not is_annotation_field(field)
    }
    assert df.columns == recorded["columns"]
    assert plain == recorded["types"]
    rows = [row.asDict(recursive=True) for row in df.orderBy("id").collect()]
    assert [{name: row[name] for name in plain} for row in rows] == recorded["rows"]


def test_all_recorded_settings_are_tested(spark_nlp):
    assert sorted(spark_nlp("finisher")["expected"]) == sorted(SETTINGS)


@pytest.fixture(scope="module")
def odd(spark):
    """Null and empty columns, null maps, texts and values, embeddings."""
    word = ("word_embeddings", 0, 0, "a", {"sentence": "0", "k": None}, [0.5, -2.0])
    bare = ("token", 0, 0, None, None, None)
    schema = StructType(
        [column("one", "token"), StructField("n", IntegerType()), column("two", "word_embeddings")]
    )
    return spark.createDataFrame([(None, 1, [word]), ([], 2, None), ([bare, bare], 3, [])], schema).coalesce(
        1
    )


def values(df):
    return [tuple(row) for row in df.drop("n").collect()]


def test_nulls(odd):
    finisher = Finisher(inputCols=["one", "two"], outputCols=["a", "b"])
    assert values(finisher.transform(odd)) == [([], ["a"]), ([], []), (["", ""], [])]
    finisher.setOutputAsArray(False).setIncludeMetadata(True)
    assert values(finisher.transform(odd)) == [
        ("", "sentence->0#k->null#result->a"),
        ("", ""),
        ("result->@result->", ""),
    ]
    finisher.setOutputAsArray(True)
    assert finisher.transform(odd).columns == ["n", "a", "b", "a_metadata", "b_metadata"]
    assert values(finisher.transform(odd))[0][3] == [("sentence", "0"), ("k", None)]
    assert values(finisher.transform(odd))[2][2] == []


def test_embeddings(odd):
    df = Finisher(inputCols=["two", "one"], parseEmbeddingsVectors=True).transform(odd)
    assert values(df) == [(["0.5 -2.0"], []), ([], []), ([], ["", ""])]


def test_no_python_runs(odd, capsys):
    Finisher(inputCols=["one"], includeMetadata=True).transform(odd).select("finished_one").explain()
    assert "Python" not in capsys.readouterr().out


def test_output_named_like_an_input(odd):
    df = Finisher(inputCols=["one"], outputCols=["one"]).transform(odd)
    assert df.columns == ["one", "n"]
    assert df.collect()[2]["one"] == ["", ""]


def test_wrong_use(odd):
    with pytest.raises(InputError, match=r"Finisher: there is no column 'x'"):
        Finisher(inputCols=["x"]).transform(odd)
    with pytest.raises(InputError, match=r"column 'n' has type int.*'one', 'two'"):
        Finisher(inputCols=["n"]).transform(odd)
    with pytest.raises(SettingError, match="2 input columns"):
        Finisher(inputCols=["one", "two"], outputCols=["a"]).transform(odd)
    with pytest.raises(SettingError, match="all different"):
        Finisher(inputCols=["one", "two"], outputCols=["a", "A"]).transform(odd)
    for names in (["m", "m_metadata"], ["m_metadata", "M"]):
        clash = Finisher(inputCols=["one", "two"], outputCols=names, includeMetadata=True)
        with pytest.raises(SettingError, match="_metadata beside it"):
            clash.transform(odd)
        assert clash.setOutputAsArray(False).transform(odd).columns == ["n", *names]
    with pytest.raises(SettingError, match="inputCols is not set"):
        Finisher().transform(odd)
