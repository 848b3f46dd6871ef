"""All that Spark NLP's classifiers were recorded to answer: places, labels and keys are theirs, scores are
Hugging Face's. One job a family asks every setting."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkxlmr.annotator import (
    AlbertForSequenceClassification,
    SentenceDetector,
    XlmRoBertaForSequenceClassification,
)
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.runtime.classification import sigmoid, softmax

COLUMNS = ("document", "sentence")
FAMILIES = {"xlmr": XlmRoBertaForSequenceClassification, "albert": AlbertForSequenceClassification}


def forget(folder, name):
    """A saved stage as one that had no such setting would have saved it."""
    (metadata,) = (folder / "metadata").glob("part-*")
    saved = json.loads(metadata.read_text("utf-8"))
    del saved["defaultParamMap"][name]
    metadata.write_text(json.dumps(saved) + "\n", "utf-8")
    (metadata.parent / f".{metadata.name}.crc").unlink()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_recorded_setting(spark, spark_nlp, fixtures, differences, tmp_path, family):
    for where, difference in (
        ("both classifiers", "`setThreshold` and `setMultilabel` after loading"),
        ("both classifiers", "`setMultilabel(True)` alone"),
        ("both classifiers", "truncates silently"),
        (f"`{FAMILIES[family].__name__}`", "token ids from words encoded one by one"),
    ):
        differences(where, difference)
    recorded = spark_nlp(f"sequence_classification_{family}")
    folder = fixtures / "hugging_face" / f"{family}_sequence_classification"
    said = json.loads((folder / "expected_stages.json").read_text("utf-8"))["texts"]
    logits = {(row["text"], length): np.float32(row[str(length)]) for row in said for length in (128, 8)}
    # All is set after loading, and takes effect. What was saved knows nothing of settings that came later.
    FAMILIES[family].loadSavedModel(str(folder)).save(f"{tmp_path}/stage")
    forget(tmp_path / "stage", "longTextStrategy")
    stage = FAMILIES[family].load(f"{tmp_path}/stage").setInputCols("read").setOutputCol("c")
    settings = dict(recorded["expected"])
    names = settings.pop(f"{family}/classes")
    assert stage.getClasses() == names
    assert stage.getLongTextStrategy() == "truncate"

    df = spark.createDataFrame(list(enumerate(recorded["texts"])), "id int, text string").coalesce(1)
    df = DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df)
    df = SentenceDetector().setInputCols("document").setOutputCol("sentence").transform(df)
    columns = [df.select(F.lit(name).alias("column"), "id", F.col(name).alias("read")) for name in COLUMNS]
    read = functools.reduce(DataFrame.union, columns).coalesce(1).cache()  # planned once
    ways = {key.partition("/")[2].partition("/")[2]: setting["params"] for key, setting in settings.items()}
    answered = [
        stage.copy().setParams(**params).transform(read).withColumn("way", F.lit(way))
        for way, params in ways.items()
    ]
    rows = functools.reduce(DataFrame.union, answered).collect()
    read.unpersist()
    found = {(f"{family}/{row['column']}/{row['way']}", row["id"]): row for row in rows}
    assert len(found) == len(recorded["texts"]) * len(settings) == 9 * 12

    n_cut = 0
    for key, setting in settings.items():
        params = setting["params"]
        by_label = params.get("activation") == "sigmoid" or params.get("multilabel", False)
        length = params.get("maxSentenceLength", 128)
        for number, theirs in enumerate(setting["rows"]):
            row = found[key, number]
            read = [a for a in row["read"] if a["result"].strip()]
            scores = np.array([logits[a["result"], length] for a in read]).reshape(len(read), len(names))
            scores = (sigmoid if by_label else softmax)(scores)
            if params.get("coalesceSentences") and len(read) > 1:
                read, scores = read[:1], scores.mean(axis=0, keepdims=True)
            picked = [[label] for label in scores.argmax(axis=1)]
            if by_label:
                picked = [np.flatnonzero(of > params.get("threshold", 0.5)) for of in scores]
            expected = [
                (a["begin"], a["end"], names[label], a["metadata"]["sentence"], of)
                for a, labels, of in zip(read, picked, scores, strict=True)
                for label in labels
            ]
            assert [(a["begin"], a["end"], a["result"], a["metadata"]["sentence"]) for a in row["c"]] == [
                wanted[:4] for wanted in expected
            ], key
            for answer, (*_, of) in zip(row["c"], expected, strict=True):
                metadata = dict(answer["metadata"])
                n_cut += metadata.pop("truncated", None) == "true"
                assert metadata.keys() == {"sentence", *names}
                ours = np.array([np.float32(metadata[name]) for name in names])
                np.testing.assert_allclose(ours, of, atol=1e-5)
            if not by_label:
                # Their scores are others (they hide <s> and split words), and so may be the best one.
                shape = [(a["begin"], a["end"], a["metadata"].keys() - {"truncated"}) for a in row["c"]]
                assert shape == [(begin, end, metadata.keys()) for begin, end, _, metadata in theirs], key
            assert {label for _, _, label, _ in theirs} <= set(names)
    assert n_cut > 5
