"""LightPipeline and PretrainedPipeline beside Spark: equal answers, saved pipelines, no pyspark."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import StringIndexer

import sparkxlmr
from sparkxlmr import annotator, base, pretrained
from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, WrongTypeError
from sparkxlmr.light import LightPipeline
from sparkxlmr.presets.preset import Preset
from sparkxlmr.pretrained import PretrainedPipeline
from sparkxlmr.runtime.local_stages import STAGES, Plan
from sparkxlmr.runtime.saved_pipeline import read_files
from sparkxlmr.runtime.stage_record import StageRecord
from sparkxlmr.runtime.standard_pipeline import standard_pipeline
from sparkxlmr.spark.annotation import Annotation
from sparkxlmr.text.score_text import scores_of

TEXTS = [
    "Mr. Li paid $3.50. Why? He'd <mask> know-how!",
    None,
    "",
    " \n\t ",
    "🙂 a👩‍👩‍👧b <mask><mask>. Été\u0000 e\u0301.",
    "word " * 150 + "<mask> end.",
    "你好，世界。 <mask>. <s> </s>",
    '<script>"&"</script>',
]
SECONDS = ["A second. One.", "b", "c", "d", None, "long " * 90, " ", "🙂"]


def stages(fixtures):
    """Every kind of stage, in many settings; those of models are tiny."""
    models = fixtures / "hugging_face"
    classifier = base_of(
        annotator.XlmRoBertaForSequenceClassification, models / "xlmr_sequence_classification"
    )
    albert = base_of(annotator.AlbertForSequenceClassification, models / "albert_sequence_classification")
    masks = base_of(annotator.XlmRoBertaForMaskedLM, models / "xlmr_masked_lm")
    vectors = base_of(annotator.XlmRoBertaSentenceEmbeddings, models / "xlmr_masked_lm")
    document = base.DocumentAssembler().setInputCol("text").setOutputCol("document")
    return [
        document.setCleanupMode("shrink"),
        base.DocumentAssembler().setInputCol("second").setOutputCol("other"),
        annotator.SentenceDetector().setInputCols(["document"]).setOutputCol("sentence"),
        annotator.Tokenizer().setInputCols(["sentence"]).setOutputCol("token").setSplitChars(["-"]),
        annotator.RegexTokenizer().setInputCols(["document"]).setOutputCol("cut").setToLowercase(True),
        classifier("sentence", "token", "each").setTopScores(2).setMaxSentenceLength(20),
        classifier("document", "windows").setLongTextStrategy("windows").setMaxSentenceLength(32),
        classifier("sentence", "pairs").setPairCol("other").setCoalesceSentences(True),
        albert("sentence", "many").setActivation("sigmoid").setThreshold(0.45).setCaseSensitive(True),
        masks("sentence", "filled").setTopK(2).setMaxSentenceLength(64),
        vectors("sentence", "mean").setMaxSentenceLength(20),
        vectors("document", "cls").setPoolingStrategy("cls").setNormalize(True).setMaxSentenceLength(64),
    ]  # fmt: skip


def base_of(kind, folder):
    def made(*columns):
        return kind.loadSavedModel(str(folder)).setInputCols(list(columns[:-1])).setOutputCol(columns[-1])

    return made


@pytest.fixture(scope="module")
def df(spark):
    rows = list(zip(range(len(TEXTS)), TEXTS, SECONDS, strict=True))
    # One task: each worker would load all models.
    return spark.createDataFrame(rows, "id int, text string, second string").coalesce(1)


@pytest.fixture(scope="module")
def fitted(df, fixtures):
    return Pipeline(stages=stages(fixtures)).fit(df)


@pytest.fixture(scope="module")
def transformed(df, fitted):
    """What Spark answers, as LightPipeline gives it."""
    rows = sorted(fitted.transform(df).collect(), key=lambda row: row["id"])
    columns = [name for name in rows[0].asDict() if name not in df.columns]
    return [{name: [Annotation.fromRow(one) for one in row[name]] for name in columns} for row in rows]


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    spared = {"cut", "windows", "mean"}  # each stage costs two jobs
    PipelineModel([stage for stage in fitted.stages if stage.getOutputCol() not in spared]).save(str(folder))
    return folder


def without(metadata, scores):
    return {key: value for key, value in metadata.items() if key not in scores}


def assert_same(found, expected):
    """Equal in all but the digits of scores, which are compared as float32 numbers to 1e-5."""
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert list(row) == list(other)
        for name in row:
            facts, others = (
                [(a.annotatorType, a.begin, a.end, a.result) for a in of] for of in (row[name], other[name])
            )
            assert facts == others, name
            for one, two in zip(row[name], other[name], strict=True):
                scores, expected_scores = scores_of(one.metadata), scores_of(two.metadata)
                assert without(one.metadata, scores) == without(two.metadata, expected_scores)
                assert set(scores) == set(expected_scores)
                for label, score in scores.items():
                    assert abs(np.float32(score) - np.float32(expected_scores[label])) < 1e-5
                assert one.embeddings == pytest.approx(two.embeddings, abs=1e-5)


def test_it_answers_as_transform_does(fitted, transformed):
    light = LightPipeline(fitted)
    found = light.fullAnnotate(TEXTS, SECONDS)
    assert_same(found, transformed)
    # The sample holds what can differ.
    assert [len(row["filled"]) for row in found] == [2, 0, 0, 0, 4, 2, 2, 0]
    assert {key for row in found for a in row["each"] for key in a.metadata} >= {"sentence", "truncated"}
    assert "windows" in found[5]["windows"][0].metadata
    one = light.fullAnnotate(TEXTS[0], SECONDS[0])
    assert_same(one, transformed[:1])
    results = {name: [a.result for a in annotations] for name, annotations in one[0].items()}
    assert light.annotate(TEXTS[0], SECONDS[0]) == results


def test_a_saved_pipeline_opens_where_pyspark_cannot_be_imported(saved, transformed, tmp_path):
    program = """
import json, sys
sys.modules["pyspark"] = None
from sparkxlmr import LightPipeline
path, texts, seconds = json.load(sys.stdin)
light = LightPipeline.load(path)
rows = light.fullAnnotate(texts, seconds)
heavy = [name for name in ("pandas", "keras", "tensorflow") if name in sys.modules]
print(json.dumps([heavy, [{name: [vars(a) for a in of] for name, of in row.items()} for row in rows]]))
"""
    for place in (str(saved), f"file://{saved}"):
        done = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps([place, TEXTS, SECONDS]),
            env={**os.environ, "SPARKXLMR_HOME": str(tmp_path / "home")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        heavy, rows = json.loads(done.stdout)
        assert heavy == []
        found = [{name: [Annotation(**a) for a in of] for name, of in row.items()} for row in rows]
        assert_same(found, [{name: row[name] for name in found[0]} for row in transformed])


def test_a_model_that_is_there_is_not_read_again(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    read = []
    monkeypatch.setattr(
        "sparkxlmr.runtime.saved_pipeline.read_files", lambda *a: read.append(a[1]) or read_files(*a)
    )
    light = LightPipeline.load(saved)
    assert len(read) == 3, "three models, one of which three stages run"
    again = LightPipeline.load(saved, output_cols=["many"])
    assert len(read) == 3
    assert again.annotate("a")["many"] == light.annotate("a")["many"]


def test_storages_are_read_too(saved, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    storage = fsspec.filesystem("memory")
    storage.put(str(saved), "/bucket/pipeline", recursive=True)
    light = LightPipeline.load("memory://bucket/pipeline", output_cols=["each"])
    assert light.annotate("One. Two.") == {"each": LightPipeline.load(saved).annotate("One. Two.")["each"]}
    with pytest.raises(PresetNotFoundError, match="no folder memory://bucket/nothing"):
        LightPipeline.load("memory://bucket/nothing")


@pytest.fixture
def damaged(saved, tmp_path, monkeypatch):
    """A copy of the saved pipeline that may be spoilt, and no copy of its models."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "pipeline"
    shutil.copytree(saved, folder)
    return folder


def stage_of(folder, name):
    return next(path for path in sorted((folder / "stages").iterdir()) if name in path.name)


def test_a_saved_pipeline_that_is_not_whole_is_refused(damaged, tmp_path):
    stage = stage_of(damaged, "AlbertFor")
    (parquet,) = (stage / "model").glob("*.parquet")
    other = stage_of(damaged, "MaskedLM")
    for data in (parquet.read_bytes()[:-100], b"", next((other / "model").glob("*.parquet")).read_bytes()):
        parquet.write_bytes(data)
        with pytest.raises(DamagedModelError):
            LightPipeline.load(damaged)
    bomb = {"file": ["model"], "part": pyarrow.array([0], pyarrow.int32()), "data": [bytes(64 << 20)]}
    pyarrow.parquet.write_table(pyarrow.table(bomb), parquet, compression="zstd")
    assert parquet.stat().st_size < 1 << 16
    with pytest.raises(DamagedModelError, match=r"unpacks to 6710\d{4} bytes"):
        LightPipeline.load(damaged)
    parquet.unlink()
    with pytest.raises(DamagedModelError, match=r"not what was saved: .* has 0 parts"):
        LightPipeline.load(damaged)
    left = [path.name for path in (tmp_path / "home" / "models").iterdir() if path.name.startswith(".")]
    assert left == [], "what was begun is gone"
    shutil.rmtree(stage)
    with pytest.raises(DamagedModelError, match=r"not whole: stage 6 \(AlbertFor"):
        LightPipeline.load(damaged)
    rewrite(damaged, lambda metadata: metadata["paramMap"].update(stageUids=["x", "x"]))
    shutil.rmtree(damaged / "stages")
    for number in range(2):
        (damaged / "stages").mkdir(exist_ok=True)
        (damaged / "stages" / f"{number}_x").symlink_to(damaged)
    with pytest.raises(DamagedModelError, match="more than 16 deep"):
        LightPipeline.load(damaged)


def rewrite(folder, change):
    (part,) = (folder / "metadata").glob("part-*")
    metadata = json.loads(part.read_text())
    change(metadata)
    part.write_text(json.dumps(metadata))
    for check in (folder / "metadata").glob(".*.crc"):
        check.unlink()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [(lambda m: m["paramMap"].update(minLength="x"), NotAPresetError, "settings that cannot be used"),
     (lambda m: m.update(uid=7), DamagedModelError, "does not describe a stage"),
     (lambda m: m.update({"class": "com.johnsnowlabs.nlp.annotators.TokenizerModel"}), NotAPresetError,
      "TokenizerModel that Spark NLP saved"),
     (lambda m: m.update({"class": "org.Other"}), WrongTypeError, "org.Other cannot run without")],
)  # fmt: skip
def test_metadata_that_anyone_may_have_written(damaged, change, error, message):
    rewrite(stage_of(damaged, "Tokenizer"), change)
    with pytest.raises(error, match=message):
        LightPipeline.load(damaged).annotate("a")


@pytest.mark.parametrize("size", [-1, 1 << 80, True, 7.0])
def test_sizes_that_no_file_has_are_refused_before_one_is_made(damaged, size):
    rewrite(
        stage_of(damaged, "MaskedLM"),
        lambda metadata: next(iter(metadata["model"]["files"].values())).update(size=size),
    )
    with pytest.raises(NotAPresetError, match="holds no model that this release reads"):
        LightPipeline.load(damaged)


def test_models_that_metadata_name_outside_their_folder_are_refused(damaged):
    def escape(metadata):
        files = metadata["model"]["files"]
        files["../out"] = next(iter(files.values()))

    rewrite(stage_of(damaged, "MaskedLM"), escape)
    with pytest.raises(DamagedModelError, match="inside its folder"):
        LightPipeline.load(damaged)


def test_what_is_no_fitted_pipeline_is_refused(saved, df, fixtures, tmp_path):
    with pytest.raises(WrongTypeError, match="was given a Pipeline"):
        LightPipeline(Pipeline(stages=[StringIndexer()]))
    Pipeline(stages=[base.DocumentAssembler().setInputCol("text")]).save(str(tmp_path / "unfitted"))
    with pytest.raises(NotAPresetError, match=r"holds a pyspark.ml.pipeline.Pipeline\..*fit the pipeline"):
        LightPipeline.load(tmp_path / "unfitted")
    with pytest.raises(NotAPresetError, match="put the stage into a pipeline"):
        LightPipeline.load(stage_of(saved, "DocumentAssembler"))
    with pytest.raises(NotAPresetError, match="has no metadata"):
        LightPipeline.load(tmp_path)


def test_sparks_own_stages_are_skipped_if_asked_for(df):
    indexer = StringIndexer(inputCol="text", outputCol="index", handleInvalid="keep")
    inner = Pipeline(stages=[base.DocumentAssembler().setInputCol("text"), indexer])
    light = LightPipeline(Pipeline(stages=[inner]).fit(df))
    with pytest.raises(WrongTypeError, match=r"StringIndexerModel cannot run without Spark"):
        light.annotate("a")
    assert light.setIgnoreUnsupported(True).annotate("a") == {"document": ["a"]}
    assert light.transform(df).columns == [*df.columns, "document", "index"]


def test_transform_is_the_pipelines_own(fitted, df, tmp_path):
    light = LightPipeline(fitted, output_cols=["token"])
    assert light.transform(df).columns == [*df.columns, "token"]
    small = Pipeline(stages=[base.DocumentAssembler().setInputCol("text")]).fit(df)
    small.save(str(tmp_path / "small"))
    loaded = PretrainedPipeline.from_disk(tmp_path / "small")
    assert loaded.transform(df).columns == [*df.columns, "document"]
    assert loaded.model is loaded.light_model.pipeline_model


def test_every_stage_of_the_doors_runs_without_spark(fitted):
    doors = {kind for door in (base, annotator) for kind in vars(door).values() if inspect.isclass(kind)}
    transformers = {kind for kind in doors if issubclass(kind, Transformer)}
    assert {
        f"{kind.__module__}.{kind.__name__}".removeprefix("sparkxlmr.stages.") for kind in transformers
    } == set(STAGES)
    # What each reads and makes is declared twice: for Spark, and for the plan.
    types = LightPipeline(fitted)._local().types
    for stage in fitted.stages:
        if isinstance(stage, base.DocumentAssembler):
            continue
        assert types[stage.getOutputCol()] == stage.output_type
        path = f"{type(stage).__module__}.{type(stage).__name__}"
        takes = {*stage.input_types, *stage.optional_types}
        for kind in ("document", "token", "category"):
            chosen = stage.copy({stage.inputCols: sorted({"document", kind})}).chosen()
            record = StageRecord(path, chosen, getattr(stage, "_model", None))
            prepare = STAGES[path.removeprefix("sparkxlmr.stages.")]
            plan = Plan(texts=["text"], types={"document": "document", kind: kind, "other": "document"})
            if kind in takes:
                prepare(record, plan)
            else:
                with pytest.raises(ValueError, match=f"holds type {kind}"):
                    prepare(record, plan)


def test_defaults_of_the_standard_pipeline_are_the_stages_own(fixtures):
    names = (
        "xlmr_sequence_classification",
        "albert_sequence_classification",
        "xlmr_masked_lm",
        "albert_masked_lm",
    )
    models = [Preset.open(fixtures / "hugging_face" / name) for name in names]
    for model in (*models, *[replace(model, task=None, labels=()) for model in models[2:]]):
        *_, record = standard_pipeline(model)
        kind = getattr(annotator, record.name)
        own = kind().chosen()
        defaults = {
            key: value for key, value in record.chosen.values.items() if not record.chosen.is_set(key)
        }
        assert defaults == {key: own.get(key) for key in defaults}
        # What is not named here must mean the same when it is not there at all.
        unnamed = {key for key, value in own.values.items() if value is not None} - set(record.chosen.values)
        decides_nothing = {"lazyAnnotator", "distribution", "batchSize", "caseSensitive"}
        decides_nothing |= {"engine", "precision", "quantization", "longTextStrategy"}
        assert unnamed <= decides_nothing | {"maxWindows", "overwriteColumns"}


def test_a_pipeline_is_found_by_name_or_built_around_a_model(saved, df, fixtures, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    shutil.copytree(saved, tmp_path / "mine")
    shutil.copytree(
        fixtures / "hugging_face" / "albert_sequence_classification", tmp_path / "models" / "topics"
    )
    mine = PretrainedPipeline("mine", lang="en", parse_embeddings=True)
    assert repr(mine).startswith("PretrainedPipeline(LightPipeline(DocumentAssembler -> DocumentAssembler")
    topics = PretrainedPipeline("topics")
    assert [type(stage).__name__ for stage in topics.model.stages] == [
        "DocumentAssembler", "TokenizerModel", "AlbertForSequenceClassification"
    ]  # fmt: skip
    (row,) = topics.transform(df.limit(1).select("text")).collect()
    found = topics.fullAnnotate(TEXTS[0])
    assert_same(found, [{name: [Annotation.fromRow(a) for a in row[name]] for name in found[0]}])
    assert topics.light_model.pipeline_model is topics.model
    # A built-in name is looked up nowhere, as places may be far.
    assert list(pretrained._candidates("xlm_roberta_tiny_language_id", None)) == []
    elsewhere = PretrainedPipeline("topics", remote_loc=tmp_path / "models")
    assert elsewhere.annotate(TEXTS[0]) == topics.annotate(TEXTS[0])
    for impossible in ("a" * 5000, "~no_such_user/mine", "a\0b"):
        with pytest.raises(PresetNotFoundError):
            PretrainedPipeline(impossible)
        with pytest.raises(PresetNotFoundError, match="There is no folder"):
            LightPipeline.load(impossible)
    with pytest.raises(PresetNotFoundError, match="no model 'nothing'"):
        PretrainedPipeline("nothing")
    with pytest.raises(ValueError, match="was given no name"):
        PretrainedPipeline()


def test_it_is_where_spark_nlps_users_look():
    assert base.LightPipeline is sparkxlmr.LightPipeline is LightPipeline
