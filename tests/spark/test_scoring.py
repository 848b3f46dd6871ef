"""The SQL half of a classifier: columns from the plain arrays that the UDF returns. No model, no Python
worker.
"""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import pytest
from pyspark import cloudpickle
from pyspark.sql import functions as F

from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.runtime.row_mask_filler import FillOptions
from sparkxlmr.spark import mask_filling, scoring
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, same_type
from sparkxlmr.spark.cutting import cut_function
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.text.words import WordRules

LABELS = ["World", "Sports"]


def documents(spark, rows):
    """One row for each list of (begin, end, metadata); as the annotation column `document`."""
    annotations = [
        [("document", begin, end, "text", metadata, []) for begin, end, metadata in row] for row in rows
    ]
    return spark.createDataFrame([(i, row) for i, row in enumerate(annotations)], "id int, document " + DDL)


DDL = ANNOTATION_TYPE.simpleString()


def answers(options, **values):
    """A column as the UDF returns it, of constants; values are SQL expressions."""
    kinds = {field.name: field.dataType.simpleString() for field in scoring.result_type(options).fields}
    assert kinds.keys() == values.keys()
    return F.struct(*[F.expr(f"cast({values[name]} as {kind})").alias(name) for name, kind in kinds.items()])


def annotate(spark, rows, options, labels=LABELS, **values):
    df = documents(spark, rows).withColumn("r", answers(options, **values))
    column = scoring.category_annotations(df["r"], df["document"], labels, options)
    df = df.withColumn("out", column)
    assert same_type(df.schema["out"].dataType, ANNOTATION_TYPE)
    return [[tuple(item) for item in row["out"]] for row in df.orderBy("id").collect()]


def test_softmax_takes_places_from_the_input_and_all_scores_in_the_order_of_the_ids(spark):
    rows = [[(0, 4, {"sentence": "0"}), (6, 9, {"sentence": "1", "id": "x"})]]
    out = annotate(
        spark, rows, RowOptions(8), source="array(0, 1)", label="array(1, 0)",
        truncated="array(false, true)", scores="array(0.25, 0.75, 0.9999, 0.0001)",
    )  # fmt: skip
    first, second = out[0]
    assert first == ("category", 0, 4, "Sports", {"sentence": "0", "World": "0.25", "Sports": "0.75"}, [])
    assert second[:4] == ("category", 6, 9, "World")
    assert set(second[4]) == {"sentence", "World", "Sports", "truncated"}
    assert second[4]["sentence"] == "1"
    assert second[4]["truncated"] == "true"
    # Java's float text, as Spark NLP writes it
    assert second[4]["Sports"] == "1.0E-4"


def test_top_scores_keep_their_names(spark):
    labels = ["a", "b", "c"]
    out = annotate(
        spark, [[(0, 1, {"sentence": "0"})]], RowOptions(8, top=2), labels, source="array(0)",
        label="array(2)", truncated="array(false)", ids="array(2, 0)", scores="array(0.5, 0.25)",
    )  # fmt: skip
    assert out[0][0][4] == {"sentence": "0", "c": "0.5", "a": "0.25"}


def test_sigmoid_gives_an_annotation_for_each_label_with_the_scores_of_its_text(spark):
    rows = [[(0, 1, {"sentence": "0"}), (3, 4, {"sentence": "1"})]]
    out = annotate(
        spark, rows, RowOptions(8, activation="sigmoid"), source="array(1, 1)", label="array(0, 1)",
        block="array(1, 1)", truncated="array(false, false)", scores="array(0.1, 0.2, 0.6, 0.7)",
    )  # fmt: skip
    assert [item[1:4] for item in out[0]] == [(3, 4, "World"), (3, 4, "Sports")]
    assert {item[4]["World"] for item in out[0]} == {"0.6"}


@pytest.mark.parametrize("rows", [[[]], [[(0, -1, {"sentence": "0"})]]])
def test_nothing_scored_is_an_empty_array_and_not_null(spark, rows):
    empty = dict.fromkeys(("source", "label", "truncated", "scores"), "array()")
    assert annotate(spark, rows, RowOptions(8), **empty) == [[]]


def test_a_label_called_like_an_entry_of_the_metadata_keeps_its_score(spark):
    labels = ["sentence", "truncated", "windows"]
    windows = RowOptions(8, stride=1, pairs=True)
    for options, more in ((RowOptions(8), {}), (windows, {"windows": "array(7)"})):
        out = annotate(
            spark, [[(0, 1, {"sentence": "0"})]], options, labels, source="array(0)", label="array(1)",
            truncated="array(true)", scores="array(0.25, 0.5, 0.125)", **more,
        )  # fmt: skip
        assert out[0][0][4] == {"sentence": "0.25", "truncated": "0.5", "windows": "0.125"}


@pytest.mark.parametrize("pairs", [False, True])
def test_number_of_windows_and_whether_some_were_left_out(spark, pairs):
    out = annotate(
        spark, [[(0, 1, {"sentence": "0"}), (2, 3, {"sentence": "1"})]],
        RowOptions(8, stride=1, pairs=pairs), source="array(0, 1)", label="array(1, 1)",
        truncated="array(true, false)", windows="array(3, 1)", scores="array(0.25, 0.75, 0.25, 0.75)",
    )  # fmt: skip
    expected = {"sentence": "0", "World": "0.25", "Sports": "0.75", "windows": "3", "truncated": "true"}
    assert out[0][0][4] == expected
    assert "truncated" not in out[0][1][4]


def test_a_document_without_sentence_number_gets_its_position(spark):
    out = annotate(
        spark, [[(0, 1, None), (2, 3, {})]], RowOptions(8), source="array(1)", label="array(0)",
        truncated="array(false)", scores="array(1.0, 0.0)",
    )  # fmt: skip
    assert out[0][0][4]["sentence"] == "1"


def test_numeric_columns_are_numbers_even_where_there_was_no_text(spark):
    options = RowOptions(8, row_scores=True, row_logits=True)
    empty = dict.fromkeys(("source", "label", "truncated", "scores"), "array()")
    for scores, logits, expected, vector, raw in (
        ("array(0.25, 0.75)", "array(-1, 2.5)", 1.0, [0.25, 0.75], [-1.0, 2.5]),
        ("array()", "array()", math.nan, [0.0, 0.0], [0.0, 0.0]),
    ):
        given = answers(options, **empty, row_scores=scores, row_logits=logits)
        df = spark.range(1).withColumn("r", given)
        row = df.select(
            scoring.prediction(df["r"], 2).alias("p"),
            scoring.probability(df["r"], 2).alias("v"),
            scoring.raw_prediction(df["r"], 2).alias("w"),
        ).first()
        assert row["p"] == expected or (math.isnan(row["p"]) and math.isnan(expected))
        assert row["v"].toArray().tolist() == vector
        assert row["w"].toArray().tolist() == raw


def test_what_spark_ships_is_small_and_needs_no_package_to_be_unpickled():
    """Of each stage that runs Python: a worker without the package fails with one line and its remedy."""
    ref = ModelRef("a" * 64, "files", f"sparkxlmr-{'a' * 64}.zip", "bfloat16")
    functions = {
        "score": scoring.score_function(ref, RowOptions(128)),
        "fill": mask_filling.fill_function(ref, FillOptions(128, targets=("one", "two"))),
        "words": cut_function(WordRules(exceptions=("New York",))),
    }
    commands = [cloudpickle.dumps(function) for function in functions.values()]
    assert max(map(len, commands)) < 4000
    assert [pickle.loads(command).__name__ for command in commands] == list(functions)
    probe = (
        "import sys, pickle; sys.modules['sparkxlmr'] = None; import pandas\n"
        "for command in pickle.load(sys.stdin.buffer):\n"
        "    try: list(pickle.loads(command)(iter([])))\n"
        "    except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], input=pickle.dumps(commands), capture_output=True, check=True
    )
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(functions)
    assert all("cannot import sparkxlmr" in line for line in lines)
    assert all("install sparkxlmr on every executor, or ship an environment" in line for line in lines)
