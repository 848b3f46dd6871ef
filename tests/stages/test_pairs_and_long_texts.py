"""Sentence pairs, and long texts in windows, through Spark: the numbers are Hugging Face's."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkxlmr import errors, functions
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.runtime.classification import softmax

LABELS = ["World", "Sports", "Business", "Sci/Tech"]


@pytest.fixture(scope="module")
def said(fixtures):
    folder = fixtures / "hugging_face" / "xlmr_sequence_classification"
    return json.loads((folder / "expected_stages.json").read_text("utf-8"))


def one(rows, **asked):
    """The recorded row of which that was asked, its logits float32 (windows or 1, classes)."""
    (row,) = (row for row in rows if all(row[name] == value for name, value in asked.items()))
    return np.atleast_2d(np.float32(row["logits"]))


@pytest.fixture
def stage(tiny_preset):
    made = XlmRoBertaForSequenceClassification.pretrained(tiny_preset)
    return made.setInputCols("document").setOutputCol("c").setRawPredictionCol("raw")


def documents(spark, rows):
    """`id`, `document` (an annotation a text) and `other`, a string; for each (texts, other)."""
    df = spark.createDataFrame(
        [(i, *row) for i, row in enumerate(rows)], "id int, texts array<string>, other string"
    ).coalesce(1)
    return DocumentAssembler().setInputCol("texts").setOutputCol("document").transform(df)


def test_numbers_and_metadata(spark, stage, said):
    """Of each way the raw prediction, the scores and what the metadata tell beside them, in one job."""
    long, short = (said["pairs"][0][name] for name in ("first", "second"))
    other = said["pairs"][4]["second"]
    nothing = [([short], None), ([short], " \n"), ([" "], "a"), (None, "a")]
    rows = [([long], short), ([long, "", short], short), ([long], other), *nothing]
    in_parts = F.array(*[F.lit(part) for part in short.split(" ", 1)])
    second = DocumentAssembler().setInputCol("parts").setOutputCol("second")
    windows = stage.copy().setLongTextStrategy("windows")
    two = documents(spark, [([long, short], "")])
    asked = {
        "pairs": (stage.copy().setMaxSentenceLength(24).setPairCol("other"), documents(spark, rows)),
        "windows": (windows.copy().setMaxSentenceLength(16).setStride(3), two),
        "both": (
            windows.copy().setMaxSentenceLength(30).setStride(4).setPairCol("second"),
            second.transform(documents(spark, [([long], "")]).withColumn("parts", in_parts)),
        ),
        "one": (windows.copy().setMaxSentenceLength(16).setStride(3).setCoalesceSentences(True), two),
    }  # fmt: skip
    answered = [
        made.transform(df).select(F.lit(way).alias("way"), "id", "c", "raw", functions.scores("c"))
        for way, (made, df) in asked.items()
    ]
    found = {(r["way"], r["id"]): r for r in functools.reduce(DataFrame.union, answered).collect()}

    def check(way, number, texts, **told):
        """`texts`: the logits of the windows of each text that was scored; `told`: metadata of each."""
        row = found[way, number]
        raw = np.mean([logits.mean(axis=0) for logits in texts], axis=0)
        np.testing.assert_allclose(row["raw"].toArray(), raw, atol=1e-5)
        scores = np.array([softmax(logits).mean(axis=0) for logits in texts])
        if way == "one":
            scores = scores.mean(axis=0, keepdims=True)
        metadata = [a["metadata"] for a in row["c"]]
        np.testing.assert_allclose([[float(m[k]) for k in LABELS] for m in metadata], scores, atol=1e-5)
        assert [a["result"] for a in row["c"]] == [LABELS[int(of.argmax())] for of in scores]
        beside = [{name: value for name, value in m.items() if name not in LABELS} for m in metadata]
        assert beside == [dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)]
        assert row["scores"].keys() == set(LABELS)  # what counts is no score

    pairs = functools.partial(one, said["pairs"], max_length=24)
    by_short = pairs(first=long, second=short), pairs(first=short, second=short)
    check("pairs", 0, by_short[:1], sentence="0", truncated=["true"])
    check("pairs", 1, by_short, sentence="02", truncated=["true", "true"])
    check("pairs", 2, [pairs(first=long, second=other)], sentence="0", truncated=["true"])
    for number in range(3, len(rows)):
        assert found["pairs", number]["c"] == []
        assert found["pairs", number]["raw"].toArray().tolist() == [0.0] * 4
    in_windows = functools.partial(one, said["windows"], second=None, max_length=16)
    texts = in_windows(first=long), in_windows(first=short)
    check("windows", 0, texts, sentence="01", windows="31")
    check("both", 0, [one(said["windows"], first=long, second=short)], sentence="0", windows="3")
    check("one", 0, texts, sentence="0", windows="4")


def test_refused_before_any_job(spark, stage):
    df = documents(spark, [(["a"], "b")]).withColumn("number", F.lit(1)).withColumn("raw", F.lit(1))
    stage.setRawPredictionCol("r")
    cases = {
        "there is no column 'nowhere'": {"pairCol": "nowhere"},
        "pairCol 'number' has type int": {"pairCol": "number"},
        "pairCol 'texts' has type array<string>": {"pairCol": "texts"},
        "rawPredictionCol is 'RAW'": {"rawPredictionCol": "RAW"},
        "stride is 126": {"longTextStrategy": "windows", "stride": 126},
    }
    for message, settings in cases.items():
        with pytest.raises(errors.SparkxlmrError, match=message):
            stage.copy().setParams(**settings).transform(df)
    for settings in ({"longTextStrategy": "summary"}, {"stride": -1}, {"maxSentenceLength": 2}):
        with pytest.raises(errors.SettingError):
            stage.copy().setParams(**settings)
    assert stage.copy().setParams(stride=126).transform(df).columns[-1] == "r"
