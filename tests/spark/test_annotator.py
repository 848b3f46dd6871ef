"""Annotators check their columns on the driver, before any job."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, annotation, annotation_array, annotator_type
from sparkxlmr.spark.annotator import Annotator


class Counter(Annotator):
    """Reads documents, tokens where they are given, and tells which column was which."""

    input_types = ("document", "token")
    optional_types = ("category",)
    output_type = "number"

    def _annotation_column(self, df, columns):
        seen = F.concat_ws(",", *[F.concat(F.lit(kind + "="), c["result"][0]) for kind, c in columns.items()])
        return annotation_array(
            F.array(seen),
            lambda r, i: annotation("number", i, i, r, F.create_map().cast("map<string,string>")),
        )


def frame(spark, **kinds):
    """One row; a column of each name, its annotation called so too, of the type given (None: not stated)."""
    fields = [
        StructField(name, ANNOTATION_TYPE, True, {"annotatorType": kind} if kind else {})
        for name, kind in kinds.items()
    ]
    row = tuple([(kind or "x", 0, 0, name, {}, [])] for name, kind in kinds.items())
    return spark.createDataFrame([row], StructType(fields))


def counter(*names):
    return Counter(inputCols=list(names), outputCol="n")


@pytest.mark.parametrize(
    ("kinds", "names", "seen"),
    [
        ({"d": "document", "t": "token"}, ("d", "t"), {"document=d", "token=t"}),
        ({"d": "document", "t": "token"}, ("t", "d"), {"document=d", "token=t"}),
        (
            {"d": "document", "t": "token", "c": "category"},
            ("c", "t", "d"),
            {"document=d", "token=t", "category=c"},
        ),
        ({"d": None, "t": "token"}, ("t", "d"), {"document=d", "token=t"}),
        ({"d": None, "t": None}, ("d", "t"), {"document=d", "token=t"}),
        ({"d": "document", "t": "token"}, ("D", "T"), {"document=d", "token=t"}),
    ],
)
def test_columns_find_their_places(spark, kinds, names, seen):
    df = counter(*names).transform(frame(spark, **kinds))
    assert set(df.first()["n"][0]["result"].split(",")) == seen
    assert annotator_type(df.schema["n"]) == "number"


@pytest.mark.parametrize(
    ("kinds", "names", "message"),
    [
        ({"d": "document", "t": "token"}, ("d", "x"), r"Counter: there is no column 'x'.*'d', 't'"),
        (
            {"d": "document", "t": "token"},
            ("d", "d"),
            r"column 'd' holds annotations of type document.*'t' \(token\)",
        ),
        ({"d": "document", "t": "category"}, ("d", "t"), "document and token"),
        ({"d": "document", "t": "chunk"}, ("d", "t"), r"'t' holds annotations of type chunk"),
    ],
)
def test_wrong_columns(spark, kinds, names, message):
    with pytest.raises(InputError, match=message):
        counter(*names).transform(frame(spark, **kinds))


def test_no_annotations(spark):
    df = frame(spark, d="document").withColumn("text", F.lit("x"))
    with pytest.raises(InputError, match=r"column 'text' has type string.*DocumentAssembler"):
        counter("d", "text").transform(df)


def test_duplicate_columns(spark):
    df = frame(spark, d="document", t="token")
    twice = df.select("d", "t", F.col("t").alias("T"))
    with pytest.raises(InputError, match="2 columns are called 't'"):
        counter("d", "t").transform(twice)
    unrelated = df.select("d", "t", F.lit(1).alias("a"), F.lit(2).alias("a"))
    assert counter("d", "t").transform(unrelated).columns == ["d", "t", "a", "a", "n"]


def test_where_case_tells_columns_apart_the_exact_name_counts(spark):
    spark.conf.set("spark.sql.caseSensitive", "true")
    try:
        df = frame(spark, d="document", t="token").withColumn("T", F.lit(1))
        assert counter("d", "t").transform(df).first()["n"][0]["result"] == "document=d,token=t"
        with pytest.raises(InputError, match="column 'T' has type int"):
            counter("d", "T").transform(df)
        with pytest.raises(InputError, match="no column 'D'"):
            counter("D", "t").transform(df)
    finally:
        spark.conf.unset("spark.sql.caseSensitive")


def test_settings_missing(spark):
    df = frame(spark, d="document", t="token")
    with pytest.raises(SettingError, match="inputCols is not set"):
        Counter().transform(df)
    with pytest.raises(SettingError, match="outputCol is not set"):
        Counter(inputCols=["d", "t"]).transform(df)
    with pytest.raises(SettingError, match=r"inputCols is \['d'\]"):
        counter("d").transform(df)


def test_type_survives_parquet_and_union(spark, tmp_path):
    df = frame(spark, d="document", t="token")
    df.write.parquet(str(tmp_path / "p"))
    assert counter("t", "d").transform(spark.read.parquet(str(tmp_path / "p"))).count() == 1
    assert counter("d", "t").transform(df.union(frame(spark, d=None, t=None))).count() == 2


def test_odd_names(spark):
    schema = StructType([StructField("a.b", StringType()), StructField("m", IntegerType())])
    df = frame(spark, **{"d.oc": "document", "t`": "token"}).crossJoin(
        spark.createDataFrame([("x", 1)], schema)
    )
    assert counter("d.oc", "t`").transform(df).count() == 1
