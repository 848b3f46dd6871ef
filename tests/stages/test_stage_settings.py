"""Names and defaults of settings are Spark NLP's; stages and pipelines save, load and copy."""

from __future__ import annotations

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StringIndexer

from sparkxlmr.stages.albert_for_masked_lm import AlbertForMaskedLM
from sparkxlmr.stages.albert_for_sequence_classification import AlbertForSequenceClassification
from sparkxlmr.stages.document_assembler import DocumentAssembler
from sparkxlmr.stages.embeddings_finisher import EmbeddingsFinisher
from sparkxlmr.stages.finisher import Finisher
from sparkxlmr.stages.regex_tokenizer import RegexTokenizer
from sparkxlmr.stages.sentence_detector import SentenceDetector
from sparkxlmr.stages.tokenizer import Tokenizer, TokenizerModel
from sparkxlmr.stages.xlm_roberta_for_masked_lm import XlmRoBertaForMaskedLM
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification


@pytest.mark.parametrize(
    "stage",
    [DocumentAssembler, SentenceDetector, Tokenizer, RegexTokenizer, Finisher, EmbeddingsFinisher],
)
def test_names_and_defaults(stage, spark_nlp, differences):
    recorded = spark_nlp("params")[stage.__name__]
    made = stage()
    assert sorted(p.name for p in made.params) == sorted([*recorded, "overwriteColumns"])
    differences("all stages", "an output column that exists already is replaced")
    for name, facts in recorded.items():
        suffix = name[0].upper() + name[1:]
        assert callable(getattr(made, f"set{suffix}"))
        assert getattr(made, f"get{suffix}")() == facts["default"]
        assert made.hasDefault(name) == facts["defined"]


def test_every_stage_that_was_recorded_is_here_or_on_the_list(spark_nlp, differences):
    here = {s.__name__ for s in (DocumentAssembler, SentenceDetector, Tokenizer, RegexTokenizer)}
    here |= {Finisher.__name__, EmbeddingsFinisher.__name__}
    for name in spark_nlp("params").keys() - here:
        differences(f"`{name}`", "makes")


@pytest.mark.parametrize(
    "stage",
    [
        DocumentAssembler,
        TokenizerModel,
        XlmRoBertaForSequenceClassification,
        AlbertForSequenceClassification,
    ],
)
def test_defaults_are_those_that_spark_nlp_saves(stage, spark_nlp, differences):
    made = stage()
    own = {p.name: made.getOrDefault(p) for p in made.params if made.hasDefault(p)}
    recorded = spark_nlp("saved_defaults")[stage.__name__]
    unlike = {name for name, value in recorded.items() if own.get(name) != value}
    assert unlike == ({"engine"} if "engine" in recorded else set())
    if unlike:
        differences("both classifiers", "`engine` is `tensorflow` by default")


def ours():
    return [
        DocumentAssembler().setInputCol("text").setCleanupMode("shrink"),
        Tokenizer()
        .setInputCols("document")
        .setOutputCol("token")
        .setExceptions(["New York"])
        .setMinLength(1),
        Finisher().setInputCols(["token"]).setCleanAnnotations(False).setIncludeMetadata(True),
    ]


def test_pipelines_save_and_load(spark, tmp_path):
    df = spark.createDataFrame(
        [("  I love New\tYork.", "a"), (None, "b")], "text string, kind string"
    ).coalesce(1)
    *first, finisher = ours()
    pipeline = Pipeline(stages=[*first, StringIndexer(inputCol="kind", outputCol="index"), finisher])
    fitted = pipeline.fit(df)
    answers = fitted.transform(df).collect()
    assert answers[0]["finished_token"] == ["I", "love", "New York."]

    pipeline.write().overwrite().save(str(tmp_path / "pipeline"))
    again = Pipeline.load(str(tmp_path / "pipeline"))
    assert again.fit(df).transform(df).collect() == answers
    assert [s.uid for s in again.getStages()] == [s.uid for s in pipeline.getStages()]

    fitted.write().overwrite().save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert loaded.transform(df).collect() == answers
    assert isinstance(loaded.stages[1], TokenizerModel)
    assert loaded.stages[1].getExceptions() == ["New York"]


@pytest.mark.parametrize(
    "stage",
    [
        *ours(),
        TokenizerModel(splitChars=["-"]),
        SentenceDetector(customBounds=["\n\n"], splitLength=40),
        RegexTokenizer(pattern=",", maxLength=9),
    ],
)
def test_stages_save_and_load(spark, tmp_path, stage):
    stage.save(str(tmp_path / "stage"))
    loaded = type(stage).load(str(tmp_path / "stage"))
    assert loaded.uid == stage.uid
    assert {p.name: v for p, v in loaded.extractParamMap().items()} == {
        p.name: v for p, v in stage.extractParamMap().items()
    }
    assert [p.name for p in loaded.params if loaded.isSet(p)] == [
        p.name for p in stage.params if stage.isSet(p)
    ]


def test_class_paths_are_file_format():
    assert {
        f"{s.__module__}.{s.__name__}"
        for s in (
            DocumentAssembler,
            SentenceDetector,
            Tokenizer,
            TokenizerModel,
            RegexTokenizer,
            Finisher,
            EmbeddingsFinisher,
            XlmRoBertaForSequenceClassification,
            AlbertForSequenceClassification,
            XlmRoBertaForMaskedLM,
            AlbertForMaskedLM,
        )
    } == {
        "sparkxlmr.stages.document_assembler.DocumentAssembler",
        "sparkxlmr.stages.sentence_detector.SentenceDetector",
        "sparkxlmr.stages.regex_tokenizer.RegexTokenizer",
        "sparkxlmr.stages.tokenizer.Tokenizer",
        "sparkxlmr.stages.tokenizer.TokenizerModel",
        "sparkxlmr.stages.finisher.Finisher",
        "sparkxlmr.stages.embeddings_finisher.EmbeddingsFinisher",
        "sparkxlmr.stages.xlm_roberta_for_sequence_classification.XlmRoBertaForSequenceClassification",
        "sparkxlmr.stages.albert_for_sequence_classification.AlbertForSequenceClassification",
        "sparkxlmr.stages.xlm_roberta_for_masked_lm.XlmRoBertaForMaskedLM",
        "sparkxlmr.stages.albert_for_masked_lm.AlbertForMaskedLM",
    }
