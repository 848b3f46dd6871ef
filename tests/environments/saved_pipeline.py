"""A pipeline of every stage around models of a few kilobytes, what it answers, and whether two answers agree.

What is saved by one version of Spark or of this package is held by it to what another one reads: by swap.py,
by save_fixtures.py, and by tests/spark/test_saved_pipelines.py.
"""

from __future__ import annotations

import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import DataFrame, SparkSession

from sparkxlmr.annotator import (
    AlbertForMaskedLM,
    AlbertForSequenceClassification,
    AlbertSentenceEmbeddings,
    RegexTokenizer,
    SentenceDetector,
    Tokenizer,
    XlmRoBertaForMaskedLM,
    XlmRoBertaForSequenceClassification,
    XlmRoBertaSentenceEmbeddings,
)
from sparkxlmr.base import DocumentAssembler, EmbeddingsFinisher, Finisher
from sparkxlmr.presets.config import (
    AlbertConfig,
    BackboneConfig,
    MaskedLMConfig,
    TaskConfig,
    TextClassifierConfig,
)
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.tables import entries
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.text.annotation import Annotation

VOCABULARIES = Path(__file__).parents[1] / "fixtures" / "hugging_face"
XLMR_PIECES = VOCABULARIES / "xlmr_tokenizer" / "sentencepiece.bpe.model"
ALBERT_PIECES = VOCABULARIES / "albert_tokenizer" / "spiece.model"
N_PIECES = 400
SHAPE = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 32}
XLMR = BackboneConfig(vocabulary_size=N_PIECES + 2, **SHAPE)
ALBERT = AlbertConfig(vocabulary_size=N_PIECES, embedding_dim=4, **SHAPE)
LABELS = ("World", "sentence", "Sci/Tech")

#: Texts, and what stands behind them in a pair.
ROWS = [
    ("One text. Go to New York, markus-crassus | and the 2nd; part.", "A second text."),
    ("🙂 The <mask> is   [MASK], he said. «And <mask>» again!", "🙂"),
    ("A train went over the mountain with music. " * 4, None),
    ("Ünïcödé 你好，世界。\tNo stop", ""),
    ("", "alone"),
    (None, None),
]
SCHEMA = "id int, text string, second string, facts map<string,string>"


def write_models(folder: Path) -> dict[str, Path]:
    """The models by name; the same bytes of weights every time."""
    return {
        "xlmr": _preset(folder / "micro_xlmr", XLMR, TextClassifierConfig(3, 8), XLMR_PIECES),
        "albert": _preset(folder / "micro_albert", ALBERT, TextClassifierConfig(3, None), ALBERT_PIECES),
        "xlmr_mlm": _preset(folder / "micro_xlmr_mlm", XLMR, MaskedLMConfig(), XLMR_PIECES),
        "albert_mlm": _preset(
            folder / "micro_albert_mlm", ALBERT, MaskedLMConfig.of_keras_hub(ALBERT), ALBERT_PIECES
        ),
        "graph": _graph(folder / "micro_graph"),
    }


def _preset(folder: Path, config: BackboneConfig, task: TaskConfig, pieces: Path) -> Path:
    random = np.random.default_rng(len(folder.name))
    weights = {
        entry.name: (random.normal(0, 0.5, entry.shape) + entry.name.endswith(".gamma")).astype(np.float32)
        for entry in entries(config, task)
    }
    settings = {"do_lower_case": True, "keep_accents": False, "remove_space": True}
    contents = Contents(
        config=config,
        weights=weights,
        task=task,
        labels=LABELS if isinstance(task, TextClassifierConfig) else None,
        proto=pieces.read_bytes(),
        sequence_length=32,
        tokenizer_settings=settings if config.family == "albert" else {},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keras-hub would read ALBERT's texts as they are
        return write_preset(folder, contents)


def _graph(folder: Path) -> Path:
    """A model of another library, as Spark NLP lays it out: an IR that takes the mean of its tokens' rows."""
    import openvino as ov
    import openvino.opset13 as op

    (folder / "assets").mkdir(parents=True)
    shutil.copy2(XLMR_PIECES, folder / "assets")
    (folder / "assets" / "labels.txt").write_text("no\nyes\n", encoding="utf-8")
    table = np.random.default_rng(0).normal(size=(XLMR.vocabulary_size, 2)).astype(np.float32)
    ports = [op.parameter([-1, -1], np.int64, name=name) for name in ("input_ids", "attention_mask")]
    for port in ports:
        port.output(0).set_names({port.friendly_name})
    shown = op.unsqueeze(op.convert(ports[1], "f32"), op.constant(2))
    rows = op.multiply(op.gather(op.constant(table), ports[0], op.constant(0)), shown)
    mean = op.divide(op.reduce_sum(rows, op.constant([1])), op.reduce_sum(shown, op.constant([1])))
    mean.output(0).set_names({"logits"})
    ov.save_model(ov.Model([op.result(mean)], ports, "m"), folder / "openvino_model.xml", False)
    return folder


def pipeline(models: dict[str, Path]) -> Pipeline:
    """Every stage, with settings that are not its defaults: a pipeline of annotators, and the finishers."""
    return Pipeline(
        stages=[
            Pipeline(stages=_annotators(models)),
            Finisher(inputCols=["token", "word"], outputCols=["tokens", "words"], outputAsArray=False)
            .setIncludeMetadata(True)
            .setAnnotationSplitSymbol("¦")
            .setCleanAnnotations(False),
            EmbeddingsFinisher(inputCols=["vectors"], outputCols=["numbers"], outputAsVector=True),
        ]
    )


def _annotators(models: dict[str, Path]) -> list[Any]:
    classifier = (
        XlmRoBertaForSequenceClassification.pretrained(models["xlmr"])
        .setInputCols("document", "token")
        .setOutputCol("category")
        .setTopScores(2)
        .setPredictionCol("prediction")
        .setProbabilityCol("probability")
        .setRawPredictionCol("raw")
        .setMaxSentenceLength(14)
        .setLongTextStrategy("windows")
        .setStride(3)
    )
    pairs = (
        AlbertForSequenceClassification.pretrained(models["albert"])
        .setInputCols("sentence")
        .setOutputCol("pairs")
        .setPairCol("second")
        .setActivation("sigmoid")
        .setThreshold(0.3)
        .setCaseSensitive(True)
        .setBatchSize(2)
        .setMaxSentenceLength(20)
    )
    graph = XlmRoBertaForSequenceClassification.loadSavedModel(models["graph"])
    vectors = XlmRoBertaSentenceEmbeddings.pretrained(models["xlmr"])
    vectors_too = AlbertSentenceEmbeddings.pretrained(models["albert_mlm"])
    fill = XlmRoBertaForMaskedLM.pretrained(models["xlmr_mlm"])
    fill_too = AlbertForMaskedLM.pretrained(models["albert_mlm"])
    return [
        DocumentAssembler(inputCol="text", idCol="id", metadataCol="facts", cleanupMode="shrink"),
        SentenceDetector(inputCols=["document"], outputCol="sentence", customBounds=["\\|"], minLength=2)
        .setCustomBoundsStrategy("prepend")
        .setSplitLength(60),
        Tokenizer(inputCols=["sentence"], outputCol="token", splitChars=["-"])
        .addException("New York")
        .setMaxLength(20),
        RegexTokenizer(inputCols=["document"], outputCol="word", pattern="[,\\s]+", toLowercase=True),
        classifier,
        pairs,
        graph.setInputCols("sentence").setOutputCol("graph").setCoalesceSentences(True),
        fill.setParams(inputCols=["document"], outputCol="filled", topK=2, targets=["music", "train"]),
        fill_too.setParams(inputCols=["sentence"], outputCol="filled_too", topK=1),
        vectors.setParams(inputCols=["sentence"], outputCol="vectors", normalize=True, poolingStrategy="cls"),
        vectors_too.setParams(inputCols=["document"], outputCol="vectors_too"),
    ]


def frame(spark: SparkSession) -> DataFrame:
    rows = [(i, text, second, {"kind": f"k{i}"}) for i, (text, second) in enumerate(ROWS)]
    return spark.createDataFrame(rows, SCHEMA).coalesce(1)


def light_answers(folder: Path) -> list[dict[str, Any]]:
    """The annotations alone, by a LightPipeline of the saved annotators."""
    from sparkxlmr.light import LightPipeline

    light = LightPipeline.load(folder)
    texts, seconds = zip(*ROWS, strict=True)
    metadata = [{"kind": f"k{i}", "id": str(i)} for i in range(len(ROWS))]
    return [_plain(row) for row in light.fullAnnotate(list(texts), list(seconds), metadata)]


def answers(model: PipelineModel, spark: SparkSession) -> list[dict[str, Any]]:
    """For each row of :data:`ROWS` its columns, as JSON has them."""
    rows = model.transform(frame(spark)).collect()
    return [
        {name: _plain(row[name]) for name in row.__fields__}
        for row in sorted(rows, key=lambda row: row["id"])
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "toArray"):
        return [float(number) for number in value.toArray()]
    if hasattr(value, "asDict"):
        return _plain(value.asDict())
    if isinstance(value, Annotation):
        return _plain(vars(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def difference(found: Any, expected: Any, where: str = "") -> str | None:
    """What differs first, None where nothing does; numbers, also those written as text, may by 1e-4."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            return f"{where}: {sorted(found)} instead of {sorted(expected)}"
        pairs = [(f"{where}.{key}", found[key], expected[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return f"{where}: {len(found)} instead of {len(expected)} items"
        pairs = [(f"{where}[{i}]", *both) for i, both in enumerate(zip(found, expected, strict=True))]
    else:
        same = found == expected or _close(found, expected)
        return None if same else f"{where}: {found!r} instead of {expected!r}"
    return next((told for told in (difference(f, e, w) for w, f, e in pairs) if told), None)


def _close(found: Any, expected: Any) -> bool:
    try:
        return type(found) is type(expected) and math.isclose(float(found), float(expected), abs_tol=1e-4)
    except (TypeError, ValueError):
        return False
