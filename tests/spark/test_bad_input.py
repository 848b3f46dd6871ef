"""What nobody sends on purpose: every stage gets through it, or says on the driver what is wrong."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.feature import IndexToString
from pyspark.sql import functions as F

from sparkxlmr import annotator, base, errors
from sparkxlmr.functions import label, score
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.classification import softmax
from sparkxlmr.runtime.row_classifier import is_blank
from sparkxlmr.spark.annotation import annotator_type
from sparkxlmr.spark.worker import TRACE

TOP = 2
LABELS = ["World", "Sports", "Business", "Sci/Tech"]
MILLION = {
    "1 MB in one word": "🙂" * 250_000,
    "1 MB of words": ("w" * 99 + " ") * 10_000,
}
# Ten kinds of sentences: equal texts are computed once, and this is about their number.
SENTENCES = [f"Sentence {i % 10} of this row." for i in range(10_000)]
ODD = {
    "null": None,
    "empty": "",
    "blank": " \u3000\n\t",
    "emoji": "🙂👩\u200d👩\u200d👧\u200d👦🇫🇷" * 20,
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\x9f",
    "lone surrogate": "a\ud800b.",
    **MILLION,
    "10,000 sentences": " ".join(SENTENCES),
    "100 masks": " ".join(f"w{i} <mask>" for i in range(100)),
    "100 masks and no blank": "<mask>" * 100,
}
BYTES = "cast(X'ff41802e20ed' as string)"  # in the middle of a text, and cut short at its end
READ = "\ufffdA\ufffd. \ufffd"


@pytest.fixture(scope="module")
def models(fixtures) -> Path:
    return fixtures / "hugging_face"


@pytest.fixture(scope="module")
def annotators(models):
    """A stage of every class that reads documents, each with its own output column."""
    stages = {
        "sentence": annotator.SentenceDetector().setInputCols("document"),
        "token": annotator.Tokenizer().setInputCols("sentence"),
        "word": annotator.RegexTokenizer().setInputCols("document"),
        "category": annotator.XlmRoBertaForSequenceClassification.pretrained(
            models / "xlmr_sequence_classification"
        )
        .setInputCols("document")
        .setPredictionCol("prediction")
        .setProbabilityCol("probability"),
        "categories": annotator.AlbertForSequenceClassification.pretrained(
            models / "albert_sequence_classification"
        ).setInputCols("token", "sentence"),
        "filled": annotator.XlmRoBertaForMaskedLM.pretrained(models / "xlmr_masked_lm")
        .setInputCols("document")
        .setTopK(TOP),
        "embedded": annotator.XlmRoBertaSentenceEmbeddings.pretrained(models / "xlmr_masked_lm").setInputCols(
            "sentence"
        ),
    }
    return {name: stage.setOutputCol(name) for name, stage in stages.items()}


@pytest.fixture(scope="module")
def finishers():
    return [
        base.Finisher().setInputCols(["token", "category"]).setCleanAnnotations(False),
        base.EmbeddingsFinisher().setInputCols(["embedded"]),
    ]


@pytest.fixture(scope="module")
def assembler():
    return base.DocumentAssembler().setInputCol("text")


def transformed(stages, df):
    return Pipeline(stages=list(stages)).fit(df).transform(df)


def n_scored() -> int:
    lines = [line for file in Path(os.environ[TRACE]).glob("*.jsonl") for line in file.open()]
    return sum(event["rows"] for event in map(json.loads, lines) if event["event"] == "score")


def test_every_odd_text_gets_through_every_stage(spark, spark_nlp, models, assembler, annotators, finishers):
    golden = json.loads((models / "xlmr_sequence_classification" / "expected.json").read_text("utf-8"))
    # Edge cases are Spark NLP's first texts and Hugging Face's last; the others are news and languages.
    held = [i for i, text in enumerate(golden["texts"]) if not is_blank(text) and "</s>" not in text][-30:]
    edges = [*(golden["texts"][i] for i in held), *spark_nlp("tokenizer")["texts"][:60]]
    texts = ODD | {text: text for text in edges}
    df = spark.createDataFrame(list(texts.items()), "name string, text string")
    df = df.unionByName(spark.sql(f"select 'bytes' as name, {BYTES} as text")).coalesce(1)
    # columns of one name that nobody reads, and one called like a label
    df = df.select("*", F.lit(1).alias("twice"), F.lit(2).alias("twice"), F.lit("mine").alias("Sports"))
    before = n_scored()
    done = transformed([assembler, *annotators.values(), *finishers], df)
    rows = {row["name"]: row for row in done.collect()}
    assert n_scored() - before == 4 * len(rows)  # four models
    assert len(rows) == len(texts) + 1
    for name, row in rows.items():
        text = {"bytes": READ, "lone surrogate": "a\ufffdb."}.get(name, texts.get(name)) or ""
        check(text, row)
    assert len(rows["10,000 sentences"]["sentence"]) == len(rows["10,000 sentences"]["categories"]) == 10_000
    assert [a["result"] for a in rows["10,000 sentences"]["sentence"]] == SENTENCES
    assert len(rows["100 masks"]["filled"]) == len(rows["100 masks and no blank"]["filled"]) == 100 * TOP
    assert rows["bytes"]["document"][0]["result"] == READ
    assert [row["Sports"] for row in rows.values()] == ["mine"] * len(rows)
    # Odd neighbours change no answer: these are Hugging Face's.
    expected = softmax(np.array(golden["logits"], np.float32))
    found = np.array([rows[golden["texts"][i]]["probability"].toArray() for i in held])
    np.testing.assert_allclose(found, expected[held], atol=1e-5)


def check(text, row):
    """What holds of every row, whatever its text."""
    (document,) = row["document"]
    assert (document["begin"], document["end"], document["result"]) == (0, len(text) - 1, text)
    for column in ("sentence", "token", "word"):
        assert [text[a["begin"] : a["end"] + 1] for a in row[column]] == [a["result"] for a in row[column]]
    sentences = row["sentence"]
    assert [a["metadata"]["sentence"] for a in sentences] == [str(i) for i in range(len(sentences))]
    for token in row["token"]:
        around = sentences[int(token["metadata"]["sentence"])]
        assert around["begin"] <= token["begin"] <= token["end"] <= around["end"]
    check_categories(text, row)
    masks = [found.start() for found in re.finditer("<mask>", text)]
    assert [a["begin"] for a in row["filled"]] == [begin for begin in masks for _ in range(TOP)]
    for a in row["filled"]:
        assert a["end"] == a["begin"] + 5
        assert 0 < float(a["metadata"]["score"]) <= 1
        sequence = a["metadata"]["sequence"]
        assert sequence.startswith(text[: a["begin"]].rstrip())
        assert sequence.endswith(text[a["end"] + 1 :])
    assert row["finished_token"] == [a["result"] for a in row["token"]]
    assert row["finished_category"] == [a["result"] for a in row["category"]]
    assert row["finished_embedded"] == [a["embeddings"] for a in row["embedded"]]


def check_categories(text, row):
    places = ("begin", "end", "metadata")
    read = [a for a in row["sentence"] if not is_blank(a["result"])]
    for column in ("categories", "embedded"):
        for a, sentence in zip(row[column], read, strict=True):
            assert [a[p] for p in places[:2]] == [sentence[p] for p in places[:2]]
            assert a["metadata"]["sentence"] == sentence["metadata"]["sentence"]
    assert all(np.isfinite(a["embeddings"]).all() and len(a["embeddings"]) == 48 for a in row["embedded"])
    vector = row["probability"].toArray()
    if is_blank(text):
        assert row["category"] == []
        assert math.isnan(row["prediction"])
        assert not vector.any()
        return
    (category,) = row["category"]
    assert (category["begin"], category["end"]) == (0, len(text) - 1)
    assert row["prediction"] == vector.argmax()
    assert vector.sum() == pytest.approx(1, abs=1e-5)
    assert category["metadata"].keys() - {"truncated"} == {"sentence", *LABELS}


def test_arrays_with_nulls_shift_nothing(spark, assembler, annotators):
    rows = [(0, ["One. Two.", None, "", " ", "<mask> three."]), (1, None), (2, []), (3, [None])]
    df = spark.createDataFrame(rows, "id int, text array<string>").coalesce(1)
    done = transformed([assembler, *annotators.values()], df).collect()
    first, *others = sorted(done, key=lambda row: row["id"])
    assert [(a["begin"], a["end"], a["metadata"]["sentence"]) for a in first["document"]] == [
        (0, 8, "0"), (0, -1, "1"), (0, -1, "2"), (0, 0, "3"), (0, 12, "4"),
    ]  # fmt: skip
    sentences = ["One.", "Two.", "<mask> three."]
    assert [a["result"] for a in first["sentence"]] == sentences
    assert [a["metadata"]["sentence"] for a in first["category"]] == ["0", "4"]
    assert [(a["begin"], a["metadata"]["sentence"]) for a in first["categories"]] == [
        (0, "0"), (5, "1"), (0, "2"),
    ]  # fmt: skip
    assert [a["metadata"]["sentence"] for a in first["embedded"]] == ["0", "1", "2"]
    assert [(a["begin"], a["metadata"]["sentence"]) for a in first["filled"]] == [(0, "4")] * TOP
    assert [(a["result"], a["metadata"]["sentence"]) for a in first["token"]] == [
        ("One", "0"), (".", "0"), ("Two", "1"), (".", "1"), ("<mask>", "2"), ("three", "2"), (".", "2"),
    ]  # fmt: skip
    for row in others:
        assert all(row[name] == [] for name in annotators)


def test_annotations_from_elsewhere_may_hold_nulls_and_malformed_bytes(spark, annotators, finishers):
    """Without the metadata of the column, metadata of an annotation, results, embeddings."""
    one = (
        "named_struct('annotatorType', 'document', 'begin', {begin}, 'end', 30, 'result', {result},"
        " 'metadata', cast(null as map<string,string>), 'embeddings', cast(null as array<float>))"
    )
    results = (("cast(null as string)", 5), ("'One <mask>.'", 5), (BYTES, 20))
    made = [one.format(begin=begin, result=result) for result, begin in results]
    query = f"select 0 as id, array(null, {', '.join(made)}) as document"
    kind = spark.sql(query).schema["document"].dataType.simpleString()
    df = spark.sql(f"{query} union all select 1, cast(null as {kind})").coalesce(1)
    assert annotator_type(df.schema["document"]) is None
    stages = [*annotators.values(), *finishers]
    rows = {row["id"]: row for row in transformed(stages, df).collect()}
    row = rows[0]
    assert [(a["begin"], a["result"]) for a in row["sentence"]] == [
        (5, "One <mask>."), (20, "\ufffdA\ufffd."), (25, "\ufffd"),
    ]  # fmt: skip
    assert [a["metadata"]["sentence"] for a in row["category"]] == ["2", "3"]
    assert [(a["begin"], a["end"], a["metadata"]["sentence"]) for a in row["filled"]] == [(9, 14, "2")] * TOP
    assert len(row["categories"]) == len(row["embedded"]) == 3
    assert [a["result"] for a in row["token"]][:3] == ["One", "<mask>", "."]
    assert not any(rows[1][name] for name in (*annotators, "finished_token"))


# --- labels and names ---


def test_labels_and_columns_of_any_name(spark, models, tmp_path):
    """None of them collides with a key, a separator or another column."""
    labels = ["sentence", "a.b`c", "truncated", "->#@ \u00e9\n"]
    source = Preset.open(models / "xlmr_sequence_classification")
    folder = write_preset(tmp_path / "odd", replace(source.contents(), labels=labels))
    df = spark.createDataFrame([("some text", 1, 2, 3)], ["te.xt`", "sentence", "a.b`c", "Label"]).coalesce(1)
    stages = [
        base.DocumentAssembler().setInputCol("te.xt`").setOutputCol("d.o`c"),
        annotator.XlmRoBertaForSequenceClassification.pretrained(folder)
        .setInputCols("d.o`c")
        .setOutputCol("c.l`s")
        .setPredictionCol("p")
        .setProbabilityCol("q"),
        IndexToString(inputCol="p", outputCol="name"),
    ]
    done = transformed(stages, df)
    row = done.select("*", label("`c.l``s`").alias("best"), score("`c.l``s`", "sentence").alias("s")).first()
    (answer,) = row["c.l`s"]
    assert answer["metadata"].keys() == set(labels)
    assert row["best"] == row["name"] == answer["result"] == labels[int(row["p"])]
    assert [np.float32(answer["metadata"][name]) for name in labels] == row["q"].toArray().tolist()
    assert row["s"] == pytest.approx(row["q"][0])
    assert (row["sentence"], row["a.b`c"], row["Label"]) == (1, 2, 3)


def test_finisher_cleans_annotation_columns_of_one_name(spark, assembler):
    """As a join of two annotated frames leaves them, beside columns of that name that hold something else."""
    df = assembler.transform(spark.createDataFrame([("x",)], "text string"))
    ml = {"ml_attr": {"type": "nominal", "vals": ["a"]}}
    joined = df.select(
        F.col("document").alias("kept"), "document", F.col("document").alias("other"),
        F.lit(7).alias("Other"), "document", F.lit(0.0).alias("n", metadata=ml),
    )  # fmt: skip
    cleaned = base.Finisher().setInputCols(["kept"]).transform(joined)
    assert cleaned.columns == ["Other", "n", "finished_kept"]
    assert cleaned.schema["n"].metadata == ml
    assert tuple(cleaned.first()) == (7, 0.0, ["x"])


# --- told on the driver ---


def every_stage(annotators, finishers):
    return {**annotators, **{type(stage).__name__: stage for stage in finishers}}


def test_a_missing_input_is_named_with_what_there_is(spark, annotators, finishers):
    df = spark.createDataFrame([], "text string, n int")
    for stage in every_stage(annotators, finishers).values():
        missing = stage.copy().setInputCols(["nowhere"])
        with pytest.raises(errors.InputError) as told:
            transformed([missing], df)
        name = type(stage).__name__
        assert f"{name}: there is no column 'nowhere'" in str(told.value)
        assert "'text', 'n'" in str(told.value)
    for stage, column in ((base.DocumentAssembler(), "inputCol"), (annotators["category"].copy(), "pairCol")):
        stage = stage.setParams(**{column: "nowhere"})
        frame = base.DocumentAssembler(inputCol="text").transform(df)
        with pytest.raises(errors.InputError, match=r"no column 'nowhere'.*'text', 'n', 'document'"):
            stage.transform(frame)


def test_wrong_types_and_ambiguous_names_are_refused(spark, assembler, annotators, finishers):
    for kind in ("int", "binary", "array<int>", "map<string,string>", "struct<a:string>", "void"):
        with pytest.raises(errors.InputError, match="column 'text' has type"):
            assembler.transform(spark.createDataFrame([], f"text {kind}"))
    df = assembler.transform(spark.createDataFrame([], "text string"))
    df = annotators["category"].transform(df)
    twice = df.select("*", F.col("document").alias("Document"))
    for name, stage in every_stage(annotators, finishers).items():
        for column in ("text", "probability"):
            with pytest.raises(errors.InputError, match=f"column '{column}' has type"):
                transformed([stage.copy().setInputCols([column])], df)
        if not isinstance(stage, base.Finisher):
            with pytest.raises(errors.InputError, match="annotations of type category"):
                transformed([stage.copy().setInputCols(["category"])], df)
        with pytest.raises(errors.InputError, match="2 columns are called 'document'"):
            transformed([stage.copy().setInputCols(["document"])], twice)
        if name not in ("category", "categories"):
            continue
        for column in ("prediction", "probability", "Text"):
            settings = {"inputCols": ["document"], "outputCol": "new", "predictionCol": column}
            message = f"predictionCol is '{column}', and there is a column of that name"
            with pytest.raises(errors.InputError, match=message):
                stage.copy().setParams(**settings).transform(df)


def test_no_row_at_all_is_no_trouble(spark, assembler, annotators, finishers):
    df = spark.createDataFrame([], "text string").coalesce(1)
    assert transformed([assembler, *annotators.values(), *finishers], df).collect() == []


@pytest.mark.parametrize("n_labels", [3, 5])
def test_another_number_of_labels_than_names_is_told_before_any_job(models, tmp_path, n_labels):
    """In Hugging Face's layout and in the preset's own, whichever file is wrong."""
    names = [f"label {i}" for i in range(n_labels)]
    source = models / "xlmr_sequence_classification"
    changed = shutil.copytree(source, tmp_path / "hugging_face")
    config = json.loads((changed / "config.json").read_text())
    config["id2label"] = dict(enumerate(names))
    config["label2id"] = {name: i for i, name in enumerate(names)}
    (changed / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.WeightsError, match=rf"shape \(4, 48\). Expected the shape \({n_labels}, 48\)"):
        use(changed)
    preset = write_preset(tmp_path / "preset", Preset.open(source).contents())
    task = json.loads((preset / "task.json").read_text())
    task["classes"] = names
    (preset / "task.json").write_text(json.dumps(task))
    with pytest.raises(errors.NotAPresetError, match=f"holds {n_labels} names. Expected a list of 4"):
        use(preset)


def use(folder):
    from sparkxlmr.runtime.compiler import bundle_for

    stage = annotator.XlmRoBertaForSequenceClassification.loadSavedModel(str(folder), None)
    return bundle_for(stage.model, "openvino")
