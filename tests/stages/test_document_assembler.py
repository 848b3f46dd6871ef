"""DocumentAssembler against its pure twin, and on columns of all kinds, the recorded ones among them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, same_type
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.text.cleanup import MODES, clean

pieces = st.one_of(
    st.sampled_from(
        [" ", "\t", "\n", "\r", "\x0b", "\f", "\\", "\\n", "\\r", "\\t", "n", "\u00a0", "\u3000", "🙂", "\0"]
    ),
    st.characters(exclude_categories=["Cs"]),
)
texts = st.lists(pieces).map("".join)


def assembled(df, **settings):
    return DocumentAssembler(inputCol="text", **settings).transform(df)


def in_all_modes(spark, texts):
    """For each mode the documents of all texts, as [begin, end, result, metadata] rows."""
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string").coalesce(1)
    for mode in MODES:
        df = assembled(df, cleanupMode=mode, outputCol=mode)
    rows = df.orderBy("id").collect()
    return {
        mode: [[a["begin"], a["end"], a["result"], a["metadata"]] for row in rows for a in row[mode]]
        for mode in MODES
    }


def test_recorded_columns(spark, spark_nlp):
    recorded = spark_nlp("document_assembler_columns")
    rows = [(r["key"], r["text"], r["meta"]) for r in recorded["id_and_metadata"]]
    df = assembled(
        spark.createDataFrame(rows, "key string, text string, meta map<string,string>"),
        idCol="key",
        metadataCol="meta",
    )
    documents = {row["key"]: [a.asDict() for a in row["document"]] for row in df.collect()}
    assert documents == {r["key"]: r["document"] for r in recorded["id_and_metadata"]}
    field, expected = df.schema["document"], StructType.fromJson(recorded["schema"])["document"]
    assert same_type(field.dataType, expected.dataType)
    assert field.metadata == expected.metadata
    struct = field.dataType.elementType
    assert (struct["begin"].nullable, struct["end"].nullable, struct["embeddings"].dataType.containsNull) == (
        False,
        False,
        False,
    )


@pytest.mark.parametrize("contains_null", [False, True])
def test_recorded_arrays(spark, spark_nlp, contains_null):
    (recorded,) = spark_nlp("document_assembler_columns")["array"]
    schema = StructType([StructField("text", ArrayType(StringType(), contains_null))])
    df = assembled(spark.createDataFrame([(recorded["text"],)], schema))
    assert [a.asDict() for a in df.first()["document"]] == recorded["document"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=20, max_size=60))
def test_sql_and_its_pure_twin_agree(spark, batch):
    documents = in_all_modes(spark, batch)
    for mode in MODES:
        cleaned = [clean(text, mode) for text in batch]
        assert documents[mode] == [[0, len(text) - 1, text, {"sentence": "0"}] for text in cleaned]


def test_nulls_and_arrays_with_metadata(spark):
    rows = [(["a", None, "🙂"], 7, None), (None, 8, {}), ([], 9, {"id": "no", "sentence": "9", "k": None})]
    df = assembled(
        spark.createDataFrame(rows, "text array<string>, n int, meta map<string,string>"),
        idCol="n",
        metadataCol="meta",
    )
    first, second, third = df.collect()
    assert [(a["begin"], a["end"], a["result"], a["metadata"]) for a in first["document"]] == [
        (0, 0, "a", {"sentence": "0", "id": "7"}),
        (0, -1, "", {"sentence": "1", "id": "7"}),
        (0, 0, "🙂", {"sentence": "2", "id": "7"}),
    ]
    assert second["document"] == third["document"] == []
    single = assembled(df.select(F.lit("x").alias("text"), "n", "meta"), idCol="n", metadataCol="meta")
    assert single.collect()[2]["document"][0]["metadata"] == {"sentence": "0", "id": "9", "k": None}


def test_malformed_bytes_become_replacement_characters(spark):
    df = spark.sql("select cast(X'FF41C3' as string) as text, array(cast(X'80' as string)) as texts")
    document = assembled(df).first()["document"][0]
    assert (document["result"], document["end"]) == ("\ufffdA\ufffd", 2)
    assert DocumentAssembler(inputCol="texts").transform(df).first()["document"][0]["result"] == "\ufffd"


def test_no_python_runs(spark, capsys):
    assembled(spark.createDataFrame([("x",)], "text string"), cleanupMode="shrink_full").explain(True)
    assert "Python" not in capsys.readouterr().out


def test_wrong_use(spark):
    df = spark.createDataFrame([("x", 1, ["y"])], "text string, n int, a array<string>")
    with pytest.raises(InputError, match=r"DocumentAssembler: there is no column 'body'.*'text', 'n', 'a'"):
        DocumentAssembler(inputCol="body").transform(df)
    with pytest.raises(InputError, match=r"column 'n' has type int.*cast"):
        DocumentAssembler(inputCol="n").transform(df)
    with pytest.raises(InputError, match="metadataCol 'a' has type"):
        assembled(df, metadataCol="a")
    with pytest.raises(InputError, match="no column 'key'"):
        assembled(df, idCol="key")
    with pytest.raises(InputError, match="2 columns are called 'text'"):
        assembled(df.select("text", F.lit("y").alias("TEXT")))
    with pytest.raises(SettingError, match="inputCol is not set"):
        DocumentAssembler().transform(df)
    with pytest.raises(SettingError, match=r"cleanupMode is 'tidy'.*'shrink_full'"):
        DocumentAssembler().setCleanupMode("tidy")


def test_odd_column_names(spark):
    schema = StructType([StructField("te.xt`", StringType()), StructField("i.d", IntegerType())])
    df = DocumentAssembler(inputCol="te.xt`", idCol="i.d", outputCol="d.o").transform(
        spark.createDataFrame([("x", 3)], schema)
    )
    assert df.schema["d.o"].dataType.simpleString() == ANNOTATION_TYPE.simpleString()
    assert df.first()["d.o"][0]["metadata"]["id"] == "3"
