"""The annotation column and value."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, IntegerType, StringType, StructField, StructType

from sparkxlmr.spark.annotation import (
    ANNOTATION_STRUCT,
    ANNOTATION_TYPE,
    Annotation,
    annotation,
    annotation_array,
    annotator_type,
    bind,
    is_annotation_field,
    quoted,
    same_type,
    with_annotations,
)


def test_type_is_the_jvms(spark_nlp):
    recorded = StructType.fromJson(spark_nlp("document_assembler_columns")["schema"])["document"]
    assert recorded.dataType == ANNOTATION_TYPE
    assert annotator_type(recorded) == "document"


def test_types_compare_without_nullability():
    loose = StructType([StructField(f.name, f.dataType, True) for f in ANNOTATION_STRUCT])
    loose["embeddings"].dataType = ArrayType(FloatType(), True)
    assert same_type(ArrayType(loose, False), ANNOTATION_TYPE)
    assert not same_type(ArrayType(IntegerType()), ANNOTATION_TYPE)
    assert not same_type(ArrayType(StructType(loose.fields[:-1])), ANNOTATION_TYPE)
    assert not same_type(StringType(), IntegerType())
    assert is_annotation_field(StructField("a", ArrayType(loose)))


def test_value():
    token = Annotation("token", 0, 1, "Hi", {"sentence": "0"}, [0.5])
    assert token == Annotation("token", 0, 1, "Hi", {"sentence": "0"}, [0.5])
    assert token != token.copy("Ho")
    assert token.copy("Ho").metadata == {"sentence": "0"}
    assert str(token) == "Annotation(token, 0, 1, Hi, {'sentence': '0'})"
    assert Annotation.fromRow(Annotation.toRow(token)) == token
    assert Annotation.arrayType() == ANNOTATION_TYPE


def test_value_needs_no_pyspark():
    code = (
        "import sys; from sparkxlmr.text.annotation import Annotation; Annotation('token', 0, 0, 'x');"
        "sys.exit('pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_built_in_sql(spark):
    def words(text):
        kind = F.create_map(F.lit("sentence"), F.lit("0"))
        return annotation_array(
            F.split(text, " "), lambda word, i: annotation("token", i, F.length(word) - 1 + i, word, kind)
        )

    df = with_annotations(
        spark.createDataFrame([("a 🙂b",), (None,)], "`a.b` string"), "w", words(quoted("a.b")), "token"
    )
    assert same_type(df.schema["w"].dataType, ANNOTATION_TYPE)
    struct = df.schema["w"].dataType.elementType
    assert (struct["begin"].nullable, struct["end"].nullable) == (False, False)
    assert struct["embeddings"].dataType.containsNull is False
    assert annotator_type(df.schema["w"]) == "token"
    first, second = df.collect()
    assert [Annotation.fromRow(row) for row in first["w"]] == [
        Annotation("token", 0, 0, "a", {"sentence": "0"}),
        Annotation("token", 1, 2, "🙂b", {"sentence": "0"}),
    ]
    assert second["w"] is None


def test_round_trip_of_values(spark):
    values = [Annotation("token", 0, 1, "Hi", {"sentence": "0"}, [0.5]), Annotation("token", 3, 2, "")]
    df = spark.createDataFrame(
        [([Annotation.toRow(v) for v in values],)], StructType([StructField("a", ANNOTATION_TYPE)])
    )
    assert [Annotation.fromRow(row) for row in df.first()["a"]] == values


def test_bound_value_is_computed_once(spark):
    calls = spark.sparkContext.accumulator(0)

    @F.udf("struct<a:int,b:int>")
    def counted(x):
        calls.add(1)
        return x, x + 1

    value = counted.asNondeterministic()("id")
    rows = spark.range(0, 10, 1, 1).select(bind(value, lambda s: s["a"] + s["b"]).alias("sum")).collect()
    assert [row["sum"] for row in rows] == [2 * i + 1 for i in range(10)]
    assert calls.value == 10


@pytest.mark.parametrize("name", ["plain", "with.dot", "with`tick", "with space"])
def test_quoted(spark, name):
    assert (
        spark.createDataFrame([(1,)], StructType([StructField(name, IntegerType())]))
        .select(quoted(name))
        .first()[0]
        == 1
    )
