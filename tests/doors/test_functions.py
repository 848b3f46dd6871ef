"""Helpers around annotation columns: readers in SQL, and Spark NLP's functions over annotations."""

from __future__ import annotations

import inspect

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkxlmr import functions
from sparkxlmr.functions import (
    explode_annotations_col,
    filter_by_annotations_col,
    label,
    labels,
    map_annotations,
    map_annotations_array,
    map_annotations_col,
    map_annotations_cols,
    map_annotations_strict,
    score,
    scores,
)
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, Annotation


@pytest.fixture(scope="module")
def annotated(spark):
    def column(name, kind):
        return StructField(name, ANNOTATION_TYPE, True, {"annotatorType": kind})

    def category(result, **metadata):
        return ("category", 0, 3, result, metadata, [])

    def token(begin, result, **metadata):
        return ("token", begin, begin + len(result) - 1, result, {"sentence": "0", **metadata}, [0.5])

    schema = StructType(
        [StructField("n", IntegerType()), column("class", "category"), column("token", "token")]
    )
    sports = category("Sports", sentence="0", Sports="0.75", World="3.2E-5", truncated="true", windows="2")
    rows = [
        (
            0,
            [sports, category("World", sentence="1", World="1.0", Sports="0.0")],
            [token(0, "Go", score="0.5")],
        ),
        # a label that is called like the number of the sentence takes its place
        (1, [category("sentence", sentence="0.5", score="0.25")], [token(0, "a"), token(2, "b")]),
        (2, [], []),
        (3, None, None),
    ]
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


def test_readers(annotated, capsys):
    read = annotated.orderBy("n").select(
        label("class"), labels("class"), score("class"), score("class", "World").alias("world"),
        scores(F.col("class")), score("token").alias("token"),
    )  # fmt: skip
    assert read.schema.simpleString() == (
        "struct<label:string,labels:array<string>,score:float,world:float,scores:map<string,float>,token:float>"
    )
    first, second, *none = [tuple(row) for row in read.collect()]
    small = pytest.approx(3.2e-5)
    assert first == ("Sports", ["Sports", "World"], 0.75, small, {"Sports": 0.75, "World": small}, 0.5)
    assert second == ("sentence", ["sentence"], 0.5, None, {"sentence": 0.5, "score": 0.25}, None)
    assert none == [(None, [], None, None, None, None), (None,) * 6]
    read.explain()
    assert "Python" not in capsys.readouterr().out


def test_maps(annotated):
    def shout(annotations):
        return (a.copy(a.result.upper()) for a in annotations)

    def kinds(annotations):
        return ",".join(a.annotatorType for a in annotations)

    df = map_annotations_col(annotated, shout, "token", "loud", "token")
    df = map_annotations_cols(df, lambda a: a, ["token", "class"], "both", "token")
    assert df.schema["loud"].metadata == df.schema["both"].metadata == {"annotatorType": "token"}
    assert df.schema["loud"].dataType == ANNOTATION_TYPE
    df = df.select(
        "n", "token", "loud", "both",
        map_annotations_strict(shout)("token").alias("strict"),
        map_annotations(kinds, StringType())("token").alias("kinds"),
        map_annotations(lambda a: a[0] if a else None, Annotation.dataType())("token").alias("one"),
        map_annotations_array(len, IntegerType())(F.array("token", "class")).alias("n_both"),
    )  # fmt: skip
    rows = df.orderBy("n").collect()
    assert [[a["result"] for a in row["both"]] for row in rows] == [
        ["Go", "Sports", "World"],
        ["a", "b", "sentence"],
        [],
        [],
    ]
    assert [row["n_both"] for row in rows] == [3, 3, 0, 0]
    assert [row["kinds"] for row in rows] == ["token", "token,token", "", None]
    assert rows[3]["loud"] is rows[3]["one"] is None
    assert rows[1]["one"] == rows[1]["token"][0]
    assert rows[0]["loud"] == rows[0]["strict"]
    token = Annotation.fromRow(rows[0]["token"][0])
    assert Annotation.fromRow(rows[0]["loud"][0]) == token.copy("GO")


def test_filter_and_explode(annotated):
    each = explode_annotations_col(annotated, "token", "one")
    assert [row["one"]["result"] for row in each.orderBy("n").collect()] == ["Go", "a", "b"]
    kept = filter_by_annotations_col(each, lambda annotation: annotation.result > "Z", "one")
    many = filter_by_annotations_col(kept, lambda annotations: len(annotations) == 1, "class")
    assert [row["one"]["result"] for row in many.collect()] == ["a", "b"]


def test_signatures_are_spark_nlps():
    """Names of arguments, their order and defaults, as in Spark NLP 5.5.3, its spelling included."""
    to_column = ["output_column", "annotatyon_type", "output_type"]
    expected = {
        "map_annotations": ["f", "output_type"],
        "map_annotations_array": ["f", "output_type"],
        "map_annotations_strict": ["f"],
        "map_annotations_col": ["dataframe", "f", "column", *to_column],
        "map_annotations_cols": ["dataframe", "f", "columns", *to_column],
        "filter_by_annotations_col": ["dataframe", "f", "column"],
        "explode_annotations_col": ["dataframe", "column", "output_column"],
    }
    for name, arguments in expected.items():
        assert list(inspect.signature(getattr(functions, name)).parameters) == arguments
    assert set(functions.__all__) == {*expected, "label", "labels", "score", "scores"}
    assert inspect.signature(map_annotations_col).parameters["output_type"].default == ANNOTATION_TYPE
