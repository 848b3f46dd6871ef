"""The classifier as a user meets it: answers, columns, errors before any job, saved and loaded."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString
from pyspark.sql import functions as F

from sparkxlmr import errors
from sparkxlmr.runtime.classification import softmax
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, same_type
from sparkxlmr.spark.model_annotator import _tell_once
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

LABELS = ["World", "Sports", "Business", "Sci/Tech"]


@pytest.fixture
def classifier(tiny_preset):
    return (
        XlmRoBertaForSequenceClassification.pretrained(tiny_preset)
        .setInputCols("document")
        .setOutputCol("category")
    )


@pytest.fixture(scope="module")
def golden(fixtures):
    folder = fixtures / "hugging_face" / "xlmr_sequence_classification"
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def assembled(spark, texts):
    """`id` and `document` (and the `text` it was made of)."""
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string")
    return DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df)


def sentences(spark, rows):
    """A `document` column that holds several annotations a row."""
    df = spark.createDataFrame(list(enumerate(rows)), "id int, text array<string>")
    return DocumentAssembler().setInputCol("text").setOutputCol("document").transform(df)


def collected(df, column="category"):
    rows = df.select("id", column).collect()  # sorted here: Spark would score each row twice to sort them
    return [row[column] for row in sorted(rows, key=lambda row: row["id"])]


def events(kind):
    """What the workers of this test run have traced so far."""
    lines = [
        line
        for file in Path(os.environ["SPARKXLMR_TRACE"]).glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def n_scored():
    return sum(event["rows"] for event in events("score"))


# --- answers ---


def test_answers_are_hugging_faces(spark, classifier, golden):
    classifier.setProbabilityCol("probability")
    df = classifier.transform(assembled(spark, golden["texts"]))
    rows = sorted(df.collect(), key=lambda row: row["id"])
    expected = softmax(np.array(golden["logits"], np.float32))
    n_compared = 0
    for text, row, scores in zip(golden["texts"], rows, expected, strict=True):
        if not text.strip():
            assert row["category"] == []
            continue
        if "</s>" in text:  # special tokens spelled in a text: only the ids are held to Hugging Face's
            continue
        n_compared += 1
        np.testing.assert_allclose(row["probability"].toArray(), scores, atol=1e-5)
        (answer,) = row["category"]
        assert answer["annotatorType"] == "category"
        assert (answer["begin"], answer["end"]) == (0, len(text) - 1)
        assert answer["result"] == LABELS[int(scores.argmax())]
        assert answer["embeddings"] == []
        metadata = answer["metadata"]
        assert metadata.keys() - {"truncated"} == {"sentence", *LABELS}
        found = np.array([np.float32(metadata[label]) for label in LABELS])
        np.testing.assert_array_equal(found, row["probability"].toArray().astype(np.float32))
    assert n_compared > 200


def test_the_column_is_spark_nlps(spark, classifier):
    field = classifier.transform(assembled(spark, ["x"])).schema["category"]
    assert same_type(field.dataType, ANNOTATION_TYPE)
    assert field.metadata == {"annotatorType": "category"}
    assert not field.dataType.elementType["begin"].nullable


@pytest.mark.parametrize("text", [None, "", " ", "\n\t\u3000 "])
def test_no_text_is_an_empty_array(spark, classifier, text):
    assert collected(classifier.transform(assembled(spark, [text, "x"])))[0] == []


def test_a_null_array_of_documents_is_an_empty_array(spark, classifier):
    df = sentences(spark, [["x"]]).withColumn("document", F.expr("if(id < 0, document, null)"))
    assert collected(classifier.transform(df)) == [[]]


def test_truncation_is_told_only_where_it_happened(spark, classifier):
    texts = ["short", "word " * 200_000]
    short, long = collected(classifier.setMaxSentenceLength(16).transform(assembled(spark, texts)))
    assert len(texts[1]) == 1_000_000
    assert "truncated" not in short[0]["metadata"]
    assert long[0]["metadata"]["truncated"] == "true"
    assert long[0]["end"] == 999_999


def test_odd_characters_pass(spark, classifier):
    df = assembled(spark, ["a\x00b", "\ud800x", "\U0001f642", "\u200b"])
    bad = spark.sql("select 9 as id, cast(X'ff4180' as string) as text")
    bad = DocumentAssembler().setInputCol("text").transform(bad)
    answers = collected(classifier.transform(df.unionByName(bad)))
    assert [len(answer) for answer in answers] == [1] * 5


def test_empty_sentences_shift_nothing(spark, classifier):
    (answer,) = collected(classifier.transform(sentences(spark, [["one", "", None, "four"]])))
    alone = collected(classifier.transform(assembled(spark, ["one", "four"])))
    assert [item["metadata"]["sentence"] for item in answer] == ["0", "3"]
    assert [item["result"] for item in answer] == [item[0]["result"] for item in alone]
    assert [item["metadata"]["World"][:6] for item in answer] == [
        item[0]["metadata"]["World"][:6] for item in alone
    ]


def test_coalesced_sentences_are_one_answer_with_the_mean(spark, classifier):
    df = sentences(spark, [["", "one two", "three"]])
    one, two = collected(classifier.transform(df))[0]
    (mean,) = collected(classifier.setCoalesceSentences(True).transform(df))[0]
    assert (mean["begin"], mean["end"], mean["metadata"]["sentence"]) == (0, 6, "1")
    for label in LABELS:
        both = (float(one["metadata"][label]) + float(two["metadata"][label])) / 2
        assert float(mean["metadata"][label]) == pytest.approx(both, abs=1e-6)


@pytest.mark.parametrize("how", ["setActivation", "setMultilabel"])
def test_sigmoid_gives_each_label_above_the_threshold(spark, classifier, how):
    getattr(classifier, how)({"setActivation": "sigmoid", "setMultilabel": True}[how])
    df = assembled(spark, ["some text"])
    (answer,) = collected(classifier.setThreshold(0.0).transform(df))
    assert [item["result"] for item in answer] == LABELS
    scores = {label: float(answer[0]["metadata"][label]) for label in LABELS}
    between = sorted(scores.values())[1:3]
    (some,) = collected(classifier.setThreshold(sum(between) / 2).transform(df))
    assert {item["result"] for item in some} == {name for name in LABELS if scores[name] > sum(between) / 2}
    assert collected(classifier.setThreshold(1.0).transform(df)) == [[]]


def test_top_scores_keep_the_best(spark, classifier):
    df = assembled(spark, ["some text"])
    every = collected(classifier.transform(df))[0][0]["metadata"]
    best = collected(classifier.setTopScores(2).transform(df))[0][0]["metadata"]
    order = sorted(LABELS, key=lambda label: -float(every[label]))
    assert best == {"sentence": "0", **{label: every[label] for label in order[:2]}}


def test_lower_case_only_where_asked_for(spark, classifier):
    upper, lower = collected(classifier.transform(assembled(spark, ["SOME TEXT", "some text"])))
    assert upper[0]["metadata"] != lower[0]["metadata"]
    first, second = collected(
        classifier.setCaseSensitive(False).transform(assembled(spark, ["SOME TEXT", "some text"]))
    )
    assert first[0]["metadata"] == second[0]["metadata"] == lower[0]["metadata"]


def test_batch_size_changes_no_answer(spark, classifier, golden):
    df = assembled(spark, golden["texts"][:40]).cache()
    planned = collected(classifier.setProbabilityCol("p").transform(df), "p")
    small = collected(classifier.setBatchSize(1).transform(df), "p")
    np.testing.assert_allclose([v.toArray() for v in planned], [v.toArray() for v in small], atol=1e-5)


# --- numeric columns ---


def test_spark_mls_evaluator_and_indexer_read_the_numbers(spark, classifier):
    texts = ["one", "two", "three", None, ""]
    classifier.setPredictionCol("prediction").setProbabilityCol("probability")
    df = classifier.transform(assembled(spark, texts)).withColumn("label", F.lit(3.0))
    df = df.cache()
    rows = sorted(df.collect(), key=lambda row: row["id"])
    assert [row["prediction"] == row["probability"].argmax() for row in rows[:3]] == [True] * 3
    assert all(math.isnan(row["prediction"]) for row in rows[3:])
    assert rows[4]["probability"].toArray().tolist() == [0.0] * 4
    right = sum(row["prediction"] == 3.0 for row in rows)
    for metric, expected in (("accuracy", right / 5), ("weightedRecall", right / 5), ("logLoss", None)):
        value = MulticlassClassificationEvaluator(metricName=metric).evaluate(df)
        assert math.isfinite(value)
        assert expected is None or value == pytest.approx(expected)
    names = IndexToString(inputCol="prediction", outputCol="name").transform(df.where("id < 3"))
    assert all(row["name"] == row["category"][0]["result"] for row in names.collect())


def test_columns_keep_their_order_and_nothing_is_left_behind(spark, classifier):
    df = assembled(spark, ["x"])
    # An empty name is none, as in Spark ML.
    classifier.setPredictionCol("p").setProbabilityCol("q").setRawPredictionCol("")
    assert classifier.transform(df).columns == ["id", "text", "document", "category", "p", "q"]


@pytest.mark.parametrize("name", ["text", "TEXT", "category"])
def test_a_numeric_column_never_replaces_another(spark, classifier, name):
    with pytest.raises(errors.InputError, match="predictionCol"):
        classifier.setPredictionCol(name).transform(assembled(spark, ["x"]))


# --- once ---


def test_a_row_is_scored_once_even_filtered_and_then_selected(spark, classifier):
    texts = [f"text number {i}" for i in range(300)]
    df = classifier.setPredictionCol("p").setProbabilityCol("q").transform(assembled(spark, texts)).cache()
    df.unpersist()
    before = n_scored()
    found = df.where(F.col("category")[0]["result"].isin(LABELS)).where("p >= 0").select("category", "p", "q")
    assert found.count() == len(found.collect()) == 300
    assert n_scored() - before == 600  # two jobs


def test_every_way_to_use_the_answers_scores_a_row_once_but_a_global_sort_twice(spark, classifier, tmp_path):
    """Spark runs what stands below a global sort to sample its ranges; a cache keeps that from us."""
    df = classifier.transform(assembled(spark, [f"text number {i}" for i in range(60)]))
    label = F.col("category")[0]["result"].alias("label")
    other = spark.createDataFrame([(i, i * 2) for i in range(60)], "id int, twice int")
    uses = {
        "write": lambda: df.write.parquet(str(tmp_path / "out")),
        "collect": df.collect,
        "filter": lambda: df.where(label.isNotNull()).select("category").collect(),
        "join": lambda: df.join(other, "id").collect(),
        "shuffled join": lambda: df.join(other.hint("merge"), "id").collect(),
        "group": lambda: df.groupBy(label).count().collect(),
        "sort in each partition": lambda: df.sortWithinPartitions("id").collect(),
        "sort": lambda: df.orderBy("id").collect(),
    }
    counted = {}
    for name, use in uses.items():
        before = n_scored()
        use()
        counted[name] = (n_scored() - before) / 60
    assert counted == {**dict.fromkeys(uses, 1.0), "sort": 2.0}


def test_nothing_is_scored_where_nobody_reads_it(spark, classifier):
    df = classifier.transform(assembled(spark, ["x"] * 50))
    before = n_scored()
    assert df.count() == 50
    assert len(df.select("id", "document").collect()) == 50
    assert n_scored() == before


def test_a_limit_is_pushed_below(spark, classifier):
    df = classifier.transform(assembled(spark, [f"t{i}" for i in range(500)]).repartition(1))
    before = n_scored()
    assert len(df.limit(5).select("category").collect()) == 5
    assert n_scored() - before <= 5


def test_one_load_a_worker_over_many_jobs(spark, classifier):
    df = classifier.setMaxSentenceLength(100).transform(assembled(spark, ["x", "y"]))
    started = time.time()
    for _ in range(4):
        df.collect()
    loads = [event["pid"] for event in events("load") if event["time"] > started]
    assert len(set(loads)) == len(loads)
    assert sum(event["rows"] for event in events("score") if event["time"] > started) == 8


def test_what_reaches_the_executors_is_small_and_holds_no_model(spark, classifier):
    """The very bytes that Spark ships, and everything that can be reached from the function in them."""
    df = classifier.setProbabilityCol("q").transform(assembled(spark, ["x"]))
    plan = df._jdf.queryExecution().analyzed()
    commands = []

    def walk(node):
        for text in (node.expressions().mkString(" "),):
            if "score(" in text:
                for i in range(node.expressions().size()):
                    commands.extend(_commands_in(node.expressions().apply(i)))
        for i in range(node.children().size()):
            walk(node.children().apply(i))

    walk(plan)
    assert commands
    for command in commands:
        assert len(command) < 10_000
        _assert_plain(pickle.loads(command)[0])


def _commands_in(expression):
    found = []
    if expression.getClass().getSimpleName() == "PythonUDF":
        found.append(bytes(expression.func().command().toArray(_byte_tag(expression))))
    for i in range(expression.children().size()):
        found.extend(_commands_in(expression.children().apply(i)))
    return found


def _byte_tag(expression):
    from pyspark import SparkContext

    return SparkContext._active_spark_context._jvm.scala.reflect.ClassTag.Byte()


def _assert_plain(function):
    """Walks closure, defaults, attributes and the globals that the code names."""
    seen, todo = set(), [function]
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (str, int, float, bool, type(None))):
            assert not isinstance(thing, str) or len(thing) < 1000
        elif isinstance(thing, (tuple, list)):
            todo.extend(thing)
        elif isinstance(thing, dict):
            todo.extend([*thing.keys(), *thing.values()])
        elif callable(thing) and hasattr(thing, "__code__"):
            names = thing.__code__.co_names
            todo.extend(thing.__globals__[name] for name in names if name in thing.__globals__)
            todo.extend(cell.cell_contents for cell in thing.__closure__ or ())
            todo.extend([thing.__defaults__, thing.__kwdefaults__, {**thing.__dict__}])
        else:
            pytest.fail(f"{type(thing)} hangs at what is shipped")


# --- errors on the driver ---


def test_a_stage_without_a_model_says_so(spark):
    stage = XlmRoBertaForSequenceClassification().setInputCols("document").setOutputCol("c")
    with pytest.raises(errors.SettingError, match="pretrained"):
        stage.transform(assembled(spark, ["x"]))
    with pytest.raises(errors.SettingError, match="has no model"):
        stage.getClasses()
    with pytest.raises(errors.SettingError, match="has no model"):
        stage.save("/nowhere")


def test_unknown_presets(tmp_path):
    with pytest.raises(errors.PresetNotFoundError):
        XlmRoBertaForSequenceClassification.pretrained("no_such_model")
    with pytest.raises(errors.NotAPresetError):
        XlmRoBertaForSequenceClassification.pretrained(tmp_path)
    with pytest.raises(errors.PresetNotFoundError, match="nothing"):
        XlmRoBertaForSequenceClassification.loadSavedModel(tmp_path / "nothing")


def test_names_are_looked_up_in_remote_loc(tiny_preset):
    stage = XlmRoBertaForSequenceClassification.pretrained(tiny_preset.name, "xx", tiny_preset.parent)
    assert stage.getClasses() == LABELS


@pytest.mark.parametrize("layout", ["preset", "hugging_face"])
def test_load_saved_model_reads_presets_and_checkpoints(fixtures, tiny_preset, layout):
    folder = tiny_preset if layout == "preset" else fixtures / "hugging_face" / "xlmr_sequence_classification"
    assert XlmRoBertaForSequenceClassification.loadSavedModel(str(folder), None).getClasses() == LABELS


def test_damaged_weights_are_found_before_any_job(spark, tiny_preset, tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_preset, copy)
    weights = copy / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)
    before, df = n_scored(), assembled(spark, ["x"])

    def use():
        stage = XlmRoBertaForSequenceClassification.pretrained(copy)
        stage.setInputCols("document").setOutputCol("c").transform(df)

    with pytest.raises(errors.DamagedModelError):
        use()
    assert n_scored() == before


def test_settings_are_checked_on_the_driver(spark, classifier):
    df = assembled(spark, ["x"])
    with pytest.raises(errors.SettingError, match="maxSentenceLength is 600"):
        classifier.copy().setMaxSentenceLength(600).transform(df)
    with pytest.raises(errors.SettingError):
        classifier.setDistribution("pigeon")
    with pytest.raises(errors.SettingError):
        classifier.copy().setEngine("steam").transform(df)
    with pytest.raises(errors.SettingError):
        classifier.copy().setPrecision("float3").transform(df)
    with pytest.raises(errors.InputError, match="document"):
        classifier.transform(df.drop("document"))


SPARK_NLP = {
    "batchSize": 8, "maxSentenceLength": 128, "caseSensitive": True, "coalesceSentences": False,
    "activation": "softmax", "multilabel": False, "threshold": 0.5, "lazyAnnotator": False,
}  # fmt: skip
OURS = {
    "engine": "auto", "precision": "auto", "quantization": "auto", "distribution": "auto",
    "longTextStrategy": "truncate", "maxWindows": 512, "overwriteColumns": False,
}  # fmt: skip
UNSET = {
    "inputCols", "outputCol", "topScores", "predictionCol", "probabilityCol", "rawPredictionCol", "stride",
    "pairCol",
}  # fmt: skip


def test_names_and_defaults_are_spark_nlps(classifier):
    """Its `engine` is read-only and says what was loaded; its `configProtoBytes` is TensorFlow 1's own."""
    stage = XlmRoBertaForSequenceClassification()
    assert {p.name: stage.getOrDefault(p) for p in stage.params if stage.hasDefault(p)} == SPARK_NLP | OURS
    assert {p.name for p in stage.params if not stage.hasDefault(p)} == UNSET
    for name, value in (SPARK_NLP | OURS).items():
        suffix = name[0].upper() + name[1:]
        assert getattr(stage, f"set{suffix}")(value) is stage
        assert getattr(stage, f"get{suffix}")() == value
        assert type(getattr(stage, f"get{suffix}")()) is type(value)


def test_the_choice_of_an_engine_is_told_once(spark, classifier, caplog):
    df = assembled(spark, ["x"])
    _tell_once.cache_clear()
    with caplog.at_level("INFO", "sparkxlmr"):
        for stage in (classifier, classifier, classifier.copy()):
            stage.transform(df)
    (said,) = [record.message for record in caplog.records if "runs with engine" in record.message]
    assert said.endswith("in float32: SPARKXLMR_PRECISION says so")


# --- kept, saved and loaded ---


def test_copies_keep_the_model(classifier):
    assert classifier.copy({classifier.topScores: 1}).getClasses() == LABELS
    assert Pipeline(stages=[classifier]).copy().getStages()[0].getClasses() == LABELS


def pipeline_of(classifier):
    return Pipeline(stages=[DocumentAssembler().setInputCol("text").setOutputCol("document"), classifier])


def test_a_saved_pipeline_needs_the_preset_no_more(spark, tiny_preset, tmp_path, monkeypatch):
    preset = tmp_path / "preset"
    shutil.copytree(tiny_preset, preset)
    stage = XlmRoBertaForSequenceClassification.pretrained(preset).setInputCols("document").setOutputCol("c")
    df = spark.createDataFrame([(0, "one"), (1, "two")], "id int, text string")
    model = pipeline_of(stage.setTopScores(2)).fit(df)
    expected = collected(model.transform(df), "c")
    model.save(f"{tmp_path}/saved")
    with pytest.raises(Exception, match="exist"):
        model.save(f"{tmp_path}/saved")
    model.write().overwrite().save(f"{tmp_path}/saved")
    shutil.rmtree(preset)
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = PipelineModel.load(f"{tmp_path}/saved")
    assert loaded.stages[1].model.name == "preset"
    assert loaded.stages[1].getTopScores() == 2
    assert collected(loaded.transform(df), "c") == expected
    found = loaded.stages[1].model
    assert found.path == tmp_path / "home" / "models" / found.content_hash
    # saved again from there, and a copy that was damaged meanwhile is mended
    loaded.save(f"{tmp_path}/again")
    (found.path / "task.json").write_text("{}")
    assert collected(PipelineModel.load(f"{tmp_path}/again").transform(df), "c") == expected


LOAD = """
import sys
from pyspark.sql import SparkSession
from pyspark.ml import PipelineModel
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.hadoop.fs.viewfs.mounttable.models.link./models", "file:" + sys.argv[2]).getOrCreate())
df = spark.createDataFrame([("one",), ("two",)], "text string")
rows = PipelineModel.load(sys.argv[1]).transform(df).collect()
print("RESULT", [(row["c"][0]["result"], row["c"][0]["metadata"]["World"]) for row in rows])
"""


def test_a_mount_that_only_spark_reaches_and_a_new_process(spark, classifier, tmp_path):
    """Saved to `viewfs://`, loaded by another process whose Python is not named anywhere."""
    store = tmp_path / "store"
    store.mkdir()
    spark._jsc.hadoopConfiguration().set("fs.viewfs.mounttable.models.link./models", f"file:{store}")
    df = spark.createDataFrame([(0, "one"), (1, "two")], "id int, text string")
    model = pipeline_of(classifier.setOutputCol("c")).fit(df)
    place = "viewfs://models/models/pipeline"
    model.write().overwrite().save(place)
    assert (store / "pipeline").is_dir()
    expected = [
        (row[0]["result"], row[0]["metadata"]["World"]) for row in collected(model.transform(df), "c")
    ]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK_", "SPARK_HOME"))}
    env |= {"SPARKXLMR_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, place, str(store)],
        capture_output=True, text=True, env=env, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert f"RESULT {expected}" in done.stdout, done.stderr[-3000:]
