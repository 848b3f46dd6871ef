"""EmbeddingsFinisher: shapes and values, nulls, and which columns it takes and leaves."""

from __future__ import annotations

import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql.types import IntegerType, StructField, StructType

from sparkxlmr.base import EmbeddingsFinisher
from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.spark.annotation import ANNOTATION_TYPE


def column(name, kind):
    return StructField(name, ANNOTATION_TYPE, True, {"annotatorType": kind})


@pytest.fixture(scope="module")
def embedded(spark):
    schema = StructType(
        [
            StructField("n", IntegerType()),
            column("word", "word_embeddings"),
            column("text.all", "sentence_embeddings"),
            column("token", "token"),
        ]
    )

    def embedding(*numbers):
        return ("word_embeddings", 0, 0, "a", {"sentence": "0"}, list(numbers))

    bare = ("word_embeddings", 0, 0, "a", None, None)
    rows = [
        (0, [embedding(0.5, -2.0), embedding(0.1, 3.0)], [embedding(1.0)], []),
        (1, [], None, None),
        (2, [bare, embedding()], [embedding(2.0)], []),
    ]
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


def test_arrays_and_vectors(embedded, capsys):
    finisher = EmbeddingsFinisher(inputCols=["word", "text.all"])
    df = finisher.transform(embedded)
    assert df.columns == [*embedded.columns, "finished_word", "finished_text.all"]
    assert df.schema["finished_word"].dataType.simpleString() == "array<array<float>>"
    rows = [[row["finished_word"], row["finished_text.all"]] for row in df.orderBy("n").collect()]
    assert rows[1:] == [[[], []], [[[], []], [[2.0]]]]
    assert rows[0][0] == [[0.5, -2.0], pytest.approx([0.1, 3.0])]

    df = (
        finisher.setOutputAsVector(True).setOutputCols("w", "t").setCleanAnnotations(True).transform(embedded)
    )
    assert df.columns == ["n", "w", "t"]
    assert df.schema["w"].dataType.simpleString() == "array<vector>"
    rows = [[row["w"], row["t"]] for row in df.orderBy("n").collect()]
    assert rows[1:] == [[[], []], [[Vectors.dense([]), Vectors.dense([])], [Vectors.dense([2.0])]]]
    assert rows[0][0][0] == Vectors.dense([0.5, -2.0])
    df.explain()
    assert "Python" not in capsys.readouterr().out


def test_wrong_use(embedded):
    with pytest.raises(
        InputError, match="EmbeddingsFinisher: column 'token' holds annotations of type token"
    ):
        EmbeddingsFinisher(inputCols=["token"]).transform(embedded)
    with pytest.raises(InputError, match=r"EmbeddingsFinisher: column 'n' has type int.*'word'"):
        EmbeddingsFinisher(inputCols=["n"]).transform(embedded)
    with pytest.raises(SettingError, match=r"EmbeddingsFinisher: outputCols .*1 input columns"):
        EmbeddingsFinisher(inputCols=["word"], outputCols=["a", "b"]).transform(embedded)
