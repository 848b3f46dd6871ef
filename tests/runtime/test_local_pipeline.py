"""Pipelines without Spark, built from plain records."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparkxlmr.errors import (
    EnvironmentNotReadyError,
    InputError,
    NotAPresetError,
    SettingError,
    SparkxlmrError,
    WrongTypeError,
)
from sparkxlmr.light import LightPipeline
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.saved_graph import SavedGraph
from sparkxlmr.runtime import local_stages, saved_pipeline
from sparkxlmr.runtime.engines.openvino import OpenVinoRunner
from sparkxlmr.runtime.light_input import LightInput
from sparkxlmr.runtime.local_pipeline import LocalPipeline
from sparkxlmr.runtime.row_annotations import categories
from sparkxlmr.runtime.row_classifier import RowAnswers, RowOptions
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.runtime.stage_record import StageRecord
from sparkxlmr.runtime.standard_pipeline import standard_pipeline
from sparkxlmr.text.annotate import documents
from sparkxlmr.text.annotation import Annotation
from sparkxlmr.text.ragged import Ragged

MODULES = {
    "DocumentAssembler": "document_assembler",
    "SentenceDetector": "sentence_detector",
    "TokenizerModel": "tokenizer",
    "Finisher": "finisher",
    "EmbeddingsFinisher": "embeddings_finisher",
    "XlmRoBertaForSequenceClassification": "xlm_roberta_for_sequence_classification",
    "XlmRoBertaForMaskedLM": "xlm_roberta_for_masked_lm",
}
DEFAULTS = {
    "maxSentenceLength": 64, "activation": "softmax", "threshold": 0.5, "coalesceSentences": False, "topK": 2,
}  # fmt: skip


def stage(name, model=None, **settings):
    values = {**DEFAULTS, **settings}
    chosen = Chosen(values, frozenset(settings), name, model.name if model else "")
    return StageRecord(f"sparkxlmr.stages.{MODULES[name]}.{name}", chosen, model)


DOCUMENT = stage("DocumentAssembler", inputCol="text", outputCol="document")
SENTENCE = stage("SentenceDetector", inputCols=["document"], outputCol="sentence")
TOKEN = stage("TokenizerModel", inputCols=["sentence"], outputCol="token")


def light(*records):
    return LightPipeline._of(records, False)


def classifier(model, reads=("document",), output="class", **settings):
    name = "XlmRoBertaForSequenceClassification"
    return stage(name, model, inputCols=list(reads), outputCol=output, **settings)


@pytest.fixture(scope="module")
def model(fixtures):
    return Preset.open(fixtures / "hugging_face" / "xlmr_sequence_classification")


@pytest.fixture
def engine_calls(monkeypatch):
    calls = []
    run = OpenVinoRunner.run

    def counted(self, inputs):
        calls.append(inputs["token_ids"].shape)
        return run(self, inputs)

    monkeypatch.setattr(OpenVinoRunner, "run", counted)
    return calls


def as_recorded(row):
    """Documents' metadata are recorded as {}; here they are those of `transform`."""
    assert all(found.metadata == {"sentence": "0"} for found in row["document"])
    rows = {
        name: [[a.annotatorType, a.begin, a.end, a.result, a.metadata] for a in found]
        for name, found in row.items()
    }
    return rows | {"document": [[*facts, {}] for *facts, _ in rows["document"]]}


def test_it_answers_as_spark_nlp_recorded(spark_nlp, differences):
    differences("`LightPipeline`", "a document's metadata are `{}`")
    recorded = spark_nlp("light_pipeline")
    pipeline = light(DOCUMENT, SENTENCE, TOKEN)
    one, *_ = texts = recorded["texts"]
    assert pipeline.annotate(one) == recorded["annotate_one"]
    assert pipeline.annotate(texts) == recorded["annotate_many"]
    assert pipeline.annotate(None) == pipeline.annotate("") == {"document": [""], "sentence": [], "token": []}
    assert [as_recorded(row) for row in pipeline.fullAnnotate(one)] == recorded["full_one"]
    assert [as_recorded(row) for row in pipeline.fullAnnotate(texts)] == recorded["full_many"]
    finisher = spark_nlp("light_pipeline_finisher")
    finished = light(DOCUMENT, SENTENCE, TOKEN, stage("Finisher", inputCols=["token"]))
    assert finished.annotate(finisher["text"]) == finisher["annotate"]


def test_a_list_is_one_plan_of_engine_calls(model, engine_calls):
    pipeline = light(DOCUMENT, SENTENCE, classifier(model, ["sentence"]))
    texts = [f"One {n} here. And two {n}." for n in range(20)]
    alone = [pipeline.fullAnnotate(text)[0]["class"] for text in texts]
    assert len(engine_calls) == 20
    engine_calls.clear()
    together = [row["class"] for row in pipeline.fullAnnotate([*texts, None, ""])]
    assert len(engine_calls) <= 3
    for found, expected in zip(together, [*alone, [], []], strict=True):
        assert [(a.begin, a.end, a.result) for a in found] == [(a.begin, a.end, a.result) for a in expected]
    assert len(together[0]) == 2


def test_pipelines_share_an_open_model_and_free_it(model, monkeypatch):
    opened = []
    monkeypatch.setattr(
        local_stages, "open_model", lambda *a, make=local_stages.open_model: opened.append(1) or make(*a)
    )
    gc.collect()
    before = len(local_stages._open)
    first, second = (light(DOCUMENT, classifier(model, caseSensitive=kept)) for kept in (True, False))
    assert len(opened) == 1
    assert len(local_stages._open) == before + 1
    assert first.annotate("a")["class"]
    assert second.annotate("a")["class"]
    del first, second
    gc.collect()
    assert len(local_stages._open) == before


def test_threads_do_not_mix_texts_or_pipelines(model, fixtures):
    filler = Preset.open(fixtures / "hugging_face" / "xlmr_masked_lm")
    mask = stage("XlmRoBertaForMaskedLM", filler, inputCols=["document"], outputCol="filled")
    pipelines = [light(DOCUMENT, TOKEN_OF_DOCUMENT, classifier(model)), light(DOCUMENT, mask)]
    texts = [[f"text {n} of {t} <mask>" + " x" * n for n in range(12)] for t in range(2)]
    expected = [pipeline.annotate(of) for pipeline, of in zip(pipelines, texts, strict=True)]
    found: dict[int, list] = {}

    def work(number):
        pipeline, of = pipelines[number % 2], texts[number % 2]
        found[number] = [[pipeline.annotate(text) for text in of] for _ in range(3)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert found[number] == [expected[number % 2]] * 3


TOKEN_OF_DOCUMENT = stage("TokenizerModel", inputCols=["document"], outputCol="token")


def test_pairs_are_read_from_a_second_text(model):
    second = stage("DocumentAssembler", inputCol="other", outputCol="second")
    pipeline = light(DOCUMENT, second, classifier(model, pairCol="second"))
    plain = light(DOCUMENT, classifier(model, pairCol="other"))
    pair = pipeline.fullAnnotate("One text.", "Another one.")[0]["class"]
    assert pair == plain.fullAnnotate(["One text."], ["Another one."])[0]["class"]
    assert pair != pipeline.fullAnnotate("One text.", "Quite another.")[0]["class"]
    assert plain.annotate("One text.")["class"] == []
    with pytest.raises(InputError, match="reads one"):
        light(DOCUMENT).annotate("One text.", "Another.")


def test_metadata_and_ids_come_to_the_documents():
    pipeline = light(DOCUMENT, SENTENCE)
    (row,) = pipeline.fullAnnotate("One. Two.", {"source": ["mail"], "none": None})
    assert [s.metadata for s in row["sentence"]] == [
        {"sentence": "0", "source": "mail", "none": None}, {"sentence": "1", "source": "mail", "none": None}
    ]  # fmt: skip
    rows = pipeline.fullAnnotate([3, 4], ["a", "b"], metadata={"k": ["x", "y"]})
    assert [row["document"][0].metadata for row in rows] == [
        {"sentence": "0", "k": "x", "id": "3"}, {"sentence": "0", "k": "y", "id": "4"}
    ]  # fmt: skip
    nothing = [([],), ([], []), ([], None, []), ([], [], []), ([], [], {})]
    assert [pipeline.annotate(*arguments) for arguments in nothing] == [[]] * len(nothing)
    assert LightInput.of(["a"], [{"k": "v"}]).metadata == [{"k": "v"}]
    assert LightInput.of("a", "").seconds is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((7,), WrongTypeError), (([1, 2],), WrongTypeError), ((["a", 2.0],), WrongTypeError),
     ((b"a",), WrongTypeError), (([1], ["a", "b"]), InputError), ((["a"], []), InputError),
     ((["a"], ["b", "c"]), InputError), (("a", None, "m"), WrongTypeError),
     ((["a"], None, {"k": ["x", "y"]}), InputError), ((["a"], None, [{}, {}]), InputError),
     (("a", None, {"k": 7}), WrongTypeError), (({"a": "b"},), WrongTypeError)],
)  # fmt: skip
def test_other_arguments_are_refused(arguments, error):
    with pytest.raises(error, match="LightPipeline"):
        light(DOCUMENT).annotate(*arguments)


@pytest.mark.parametrize(
    "null", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")], ids=repr
)
def test_light_input_null(null):
    """A null of Python, NumPy or pandas is a null text, alone and in a list, also as a second text."""
    assert LightInput.of(null).texts == [None]
    given = LightInput.of(["a", null], [null, "b"], [{"source": null}, {}])
    assert (given.texts, given.seconds) == (["a", None], [None, "b"])
    assert given.metadata == [{"source": None}, {}]
    assert LightInput.of(pd.Series(["a", null], dtype=object)).texts == ["a", None]
    assert LightInput.of("a", null).seconds is None


def test_annotate_null(model):
    pipeline = light(DOCUMENT, classifier(model))
    assert pipeline.annotate(float("nan")) == pipeline.annotate(None)
    assert pipeline.annotate(["a", pd.NA])[1] == pipeline.annotate(None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that takes nothing")
def test_saved_pipeline_full_disk(tmp_path):
    """The disk of this machine is named, not the saved pipeline that is read by the same calls."""
    (tmp_path / "model.bin").symlink_to("/dev/full")
    row = {"file": "model.bin", "part": 0, "data": b"x" * 100_000}
    with pytest.raises(EnvironmentNotReadyError, match=r"cannot be written to: No space.*SPARKXLMR_HOME"):
        saved_pipeline._put(tmp_path, {"model.bin": 100_000}, row, "s3://saved")


def test_embeddings_are_given_as_text_if_asked_for():
    pipeline = LightPipeline._of([DOCUMENT], True)
    numbers = Annotation("sentence_embeddings", 0, 0, "a", {}, [0.5, 1e-5])
    assert pipeline._results([numbers, Annotation("document", 0, 0, "a")]) == ["0.5 1.0E-5", "a"]


def test_stages_of_others_are_refused_or_left_out():
    foreign = StageRecord("pyspark.ml.feature.StringIndexerModel", Chosen({}, frozenset()))
    pipeline = light(DOCUMENT, foreign)
    with pytest.raises(TypeError, match=r"StringIndexerModel cannot run without Spark.*setIgnoreUnsupported"):
        pipeline.annotate("a")
    assert pipeline.getIgnoreUnsupported() is False
    assert pipeline.setIgnoreUnsupported(True).annotate("a") == {"document": ["a"]}
    pipeline.setIgnoreUnsupported(False)
    with pytest.raises(WrongTypeError):
        pipeline.annotate("a")


@pytest.mark.parametrize(
    ("records", "message"),
    [([TOKEN], r"TokenizerModel: inputCols is \['sentence'\], and there is no column 'sentence'.*: none"),
     ([DOCUMENT, stage("TokenizerModel", outputCol="token")], "inputCols is not set"),
     ([DOCUMENT, stage("TokenizerModel", inputCols=["document"])], "outputCol is not set"),
     ([DOCUMENT, TOKEN_OF_DOCUMENT, stage("SentenceDetector", inputCols=["token"], outputCol="s")],
      r"column 'token' holds type token.*'document' \(document\), 'token' \(token\)"),
     ([DOCUMENT, stage("DocumentAssembler", inputCol="document", outputCol="d")], "holds annotations"),
     ([DOCUMENT, stage("Finisher", inputCols=["nothing"])], "there is no annotation column 'nothing'"),
     ([DOCUMENT, stage("TokenizerModel", inputCols=["document"], outputCol="t", infixPatterns=["("])], r"\("),
     ([DOCUMENT, stage("XlmRoBertaForMaskedLM", inputCols=["document"], outputCol="f")], "has no model")],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_before_there_is_a_text(records, message):
    with pytest.raises(SparkxlmrError, match=message):
        light(*records)


def test_models_of_another_kind_are_refused(model):
    wrong = stage("XlmRoBertaForMaskedLM", model, inputCols=["document"], outputCol="f")
    with pytest.raises(NotAPresetError, match="is a text_classifier"):
        light(DOCUMENT, wrong)
    with pytest.raises(SettingError, match="maxSentenceLength is 4000"):
        light(DOCUMENT, classifier(model, maxSentenceLength=4000))
    with pytest.raises(InputError, match="pairCol 'token' holds type token"):
        light(DOCUMENT, TOKEN_OF_DOCUMENT, classifier(model, pairCol="token"))


def test_columns_are_found_whatever_their_case_and_given_as_asked_for(model):
    records = [
        DOCUMENT,
        stage("TokenizerModel", inputCols=["Document"], outputCol="token"),
        classifier(model),
    ]
    pipeline = LightPipeline.__new__(LightPipeline)
    pipeline._begin(records, False, ["class", "token"])
    assert list(pipeline.annotate("a b")) == ["class", "token"]
    with pytest.raises(SettingError, match=r"output_cols names 'nothing'.*'document', 'token', 'class'"):
        LightPipeline.__new__(LightPipeline)._begin(records, False, ["nothing"])


def test_labels_called_like_metadata_keep_their_scores():
    rows = [documents("a")]
    nothing = Ragged.of([[]])

    def one_row(label: int) -> RowAnswers:
        source, windows = Ragged.of([[0]]), Ragged.of([[2]])
        truncated, scores = Ragged.of([[True]], bool), Ragged.of([[0.5]], np.float32)
        found = Ragged.of([[label]])
        return RowAnswers(source, found, source, truncated, windows, found, scores, nothing, nothing)

    options = RowOptions(8, top=1, stride=1)
    ((one,),) = categories(rows, one_row(1), ["sentence", "b"], options)
    assert (one.result, one.metadata) == ("b", {"b": "0.5", "windows": "2", "truncated": "true"})
    options = RowOptions(8, top=1, stride=1, pairs=True)
    ((one,),) = categories(rows, one_row(0), ["windows", "truncated"], options)
    assert one.metadata == {"sentence": "0", "windows": "0.5"}


def test_the_standard_pipeline_stands_around_each_kind_of_model(model, fixtures):
    names = {
        "xlmr_sequence_classification": "class", "albert_sequence_classification": "class",
        "xlmr_masked_lm": "filled", "albert_masked_lm": "filled",
    }  # fmt: skip
    for name, output in names.items():
        made = LocalPipeline(standard_pipeline(Preset.open(fixtures / "hugging_face" / name)))
        assert (made.texts, list(made.types)) == (("text",), ["document", "token", output])
    graph = SavedGraph.open(fixtures / "spark_nlp/models/xlmr_onnx")
    encoder = replace(graph, task_kind="encoder", labels=())
    *_, record = standard_pipeline(encoder)
    assert (record.name, record.model) == ("XlmRoBertaSentenceEmbeddings", encoder)


@pytest.mark.parametrize("name", ["document", "DOCUMENT", "text"])
def test_existing_output_column_is_refused_or_replaced(name):
    def local(**more):
        assembler = Chosen({"inputCol": "text", "outputCol": "document"}, frozenset())
        values = {"inputCols": ["document"], "outputCol": name, "pattern": " ", **more}
        return LocalPipeline(
            [
                StageRecord("sparkxlmr.stages.document_assembler.DocumentAssembler", assembler),
                StageRecord("sparkxlmr.stages.regex_tokenizer.RegexTokenizer", Chosen(values, frozenset())),
            ]
        )

    with pytest.raises(InputError, match=f"outputCol is '{name}', and there is a column of that name"):
        local()
    (row,) = local(overwriteColumns=True).run({"text": ["a b"]}, [{}])
    assert [annotation.result for annotation in row[name]] == ["a", "b"]
    assert set(row) == ({"document", name} if name == "text" else {name})
