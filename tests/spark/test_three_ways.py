"""Three ways to the same answers, on texts that nobody would write: Spark, LightPipeline, and pure functions
called for one text at a time."""

from __future__ import annotations

import dataclasses
import re
from functools import reduce
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

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
from sparkxlmr.base import DocumentAssembler, Finisher
from sparkxlmr.light import LightPipeline
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.classification import sigmoid, softmax
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.embedder import Embedder
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.runtime.predictor import Predictor
from sparkxlmr.text.cleanup import clean
from sparkxlmr.text.sentences import split_sentences
from sparkxlmr.text.separators import SeparatorRules, split_at_separators
from sparkxlmr.text.words import WordRules, tokenize

# What rules and vocabularies treat specially, beside any character at all; a lone surrogate too, as broken
# JSON brings it.
PIECES = [
    *" \t\n\r\x00\x7f\xa0\u2028\u3000\u200b", *".,;!?-'\"()", "a", "É", "e\u0301", "🙂", "👩🏽\u200d🚀",
    "你好", "。", "مرحبا", "\ud83d", "\ufdd0", "\u2187", "ﬁ", "Ａ", "<mask>", " <mask> ", "[MASK]",
    " [MASK].", "<s>", "</s>", "<pad>", "[CLS]", "▁", "One. ", "Two ", "words ", "know-how", "1. ", "Mr. ",
]  # fmt: skip
PIECE = st.one_of(*[st.sampled_from(PIECES)] * 4, st.characters())
TEXT, LONG = (st.lists(PIECE, min_size=least, max_size=60).map("".join) for least in (0, 25))
# Written ones, because the first example that hypothesis takes is nothing but empty texts.
WRITTEN = [
    ("".join(PIECES), "second"),
    ("One " * 60 + "<mask>. [MASK] two.", "Mr. Li paid $3.50. Why? " * 20),
    ("know-how. " + "e\u0301🙂 " * 40, ""),
    ("<mask>" * 30, "[MASK] <mask>"),
]
ROWS = st.lists(st.tuples(st.one_of(TEXT, LONG), TEXT), min_size=40, max_size=40).map(WRITTEN.__add__)
LENGTH = 24
LONE = "[\ud800-\udfff]"


@pytest.fixture(scope="module")
def folders(fixtures):
    tasks = ("sequence_classification", "masked_lm")
    names = [f"{family}_{task}" for family in ("xlmr", "albert") for task in tasks]
    return {name: str(fixtures / "hugging_face" / name) for name in names}


@pytest.fixture(scope="module")
def pipeline(spark, folders):
    def reading(kind, name, column, output):
        stage = kind.loadSavedModel(folders[name]).setInputCols(column).setOutputCol(output)
        return stage.setMaxSentenceLength(LENGTH)

    xlmr, albert = XlmRoBertaForSequenceClassification, AlbertForSequenceClassification
    stages = [
        DocumentAssembler().setInputCol("text").setOutputCol("document").setCleanupMode("shrink"),
        DocumentAssembler().setInputCol("second").setOutputCol("other"),
        SentenceDetector().setInputCols("document").setOutputCol("sentence"),
        Tokenizer().setInputCols("sentence").setOutputCol("token").setSplitChars("-"),
        RegexTokenizer().setInputCols("document").setOutputCol("piece").setToLowercase(True),
        reading(xlmr, "xlmr_sequence_classification", "sentence", "label"),
        reading(xlmr, "xlmr_sequence_classification", "document", "whole").setLongTextStrategy("windows"),
        reading(xlmr, "xlmr_sequence_classification", "document", "pair").setPairCol("other"),
        reading(albert, "albert_sequence_classification", "document", "labels").setActivation("sigmoid"),
        reading(XlmRoBertaForMaskedLM, "xlmr_masked_lm", "document", "filled").setTopK(2),
        reading(AlbertForMaskedLM, "albert_masked_lm", "sentence", "refilled").setTopK(1),
        reading(XlmRoBertaSentenceEmbeddings, "xlmr_masked_lm", "sentence", "vectors"),
        reading(AlbertSentenceEmbeddings, "albert_sequence_classification", "document", "vector")
        .setPoolingStrategy("cls")
        .setNormalize(True),
    ]
    columns = [stage.getOutputCol() for stage in stages]
    stages.append(Finisher().setInputCols(columns).setCleanAnnotations(False))
    return Pipeline(stages=stages).fit(spark.range(0).selectExpr("'' as text", "'' as second"))


@pytest.fixture(scope="module")
def light(pipeline):
    return LightPipeline(pipeline)


@pytest.fixture(scope="module")
def models(folders):
    return {
        name: (MaskFiller if "masked" in name else Predictor)(
            bundle_for(Preset.open(folder), "openvino"), threads=1
        )
        for name, folder in folders.items()
    } | {
        f"{name} encoder": Embedder(bundle_for(Encoder.of(Preset.open(folder)), "openvino"), threads=1)
        for name, folder in folders.items()
    }


def plainly(text, second, models):
    """Of each column: (begin, end, result, metadata without scores, scores or vector) of each annotation."""
    text, second = re.sub(LONE, "\ufffd", text), re.sub(LONE, "\ufffd", second)
    document = clean(text, "shrink")
    sentences = split_sentences(document)
    words = [
        (begin + at, begin + end, word, {"sentence": str(number)}, {})
        for number, (begin, _, sentence) in enumerate(sentences)
        for at, end, word in tokenize(sentence, WordRules(split_chars=("-",)))
    ]
    pieces = split_at_separators(document, SeparatorRules(to_lowercase=True))
    whole = [(0, len(document) - 1, document)]
    return {
        "document": [(*whole[0], {"sentence": "0"}, {})],
        "other": [(0, len(second) - 1, second, {"sentence": "0"}, {})],
        "sentence": [(*found, {"sentence": str(number)}, {}) for number, found in enumerate(sentences)],
        "token": words,
        "piece": [(*piece, {"sentence": "0"}, {}) for piece in pieces],
        "label": classified(models["xlmr_sequence_classification"], sentences),
        "whole": classified(models["xlmr_sequence_classification"], whole, stride=LENGTH // 4),
        "pair": classified(models["xlmr_sequence_classification"], whole, seconds=[second]),
        "labels": classified(models["albert_sequence_classification"], whole, by_label=True),
        "filled": filled(models["xlmr_masked_lm"], whole, 2),
        "refilled": filled(models["albert_masked_lm"], sentences, 1),
        "vectors": embedded(models["xlmr_masked_lm encoder"], sentences),
        "vector": embedded(models["albert_sequence_classification encoder"], whole, "cls", True),
    }


def classified(model, texts, by_label=False, **how):
    found = []
    names = model.bundle.labels
    for number, (begin, end, text) in enumerate(texts):
        if not text.strip() or not how.get("seconds", ["x"])[0].strip():
            continue
        answer = model.logits([text], LENGTH, **how)
        scores = (sigmoid if by_label else softmax)(answer.logits).mean(axis=0)
        told = {"sentence": str(number)}
        if "stride" in how:
            told["windows"] = str(len(answer.logits))
        elif answer.truncated[0]:
            told["truncated"] = "true"
        chosen = np.flatnonzero(scores > 0.5) if by_label else [scores.argmax()]
        found += [(begin, end, names[label], told, dict(zip(names, scores, strict=True))) for label in chosen]
    return found


def filled(model, texts, top_k):
    return [
        (
            begin + mask.begin,
            begin + mask.end,
            one.token,
            {
                "sentence": str(number), "mask": str(at), "rank": str(rank), "token_id": str(one.token_id),
                "sequence": one.text,
            },
            {"score": one.score},
        )
        for number, (begin, _, text) in enumerate(texts)
        for at, mask in enumerate(model.fill([text], LENGTH, top_k)[0])
        for rank, one in enumerate(mask.filled, 1)
    ]  # fmt: skip


def embedded(model, texts, *how):
    found = []
    for number, (begin, end, text) in enumerate(texts):
        if text.strip():
            answer = model.embed([text], LENGTH, *how)
            told = {"sentence": str(number), "token": text, "pieceId": "-1", "isWordStart": "true"}
            told |= {"truncated": "true"} if answer.truncated[0] else {}
            found.append((begin, end, text, told, list(answer.vectors[0])))
    return found


def assert_same(annotations, expected):
    """Equal, but for the rounding of scores."""
    assert len(annotations) == len(expected)
    for annotation, (begin, end, result, told, numbers) in zip(annotations, expected, strict=True):
        metadata = dict(annotation.metadata)
        scores, vector = (numbers, []) if isinstance(numbers, dict) else ({}, numbers)
        for name, score in scores.items():
            assert float(np.float32(metadata.pop(name))) == pytest.approx(float(score), abs=1e-5)
        assert (annotation.begin, annotation.end, annotation.result, metadata) == (begin, end, result, told)
        assert list(annotation.embeddings) == pytest.approx(vector, abs=1e-5)


def assert_stands_in(document, row):
    """Documents, sentences, words and masks are what stands between their offsets."""
    for name in ("document", "sentence", "token"):
        assert all(document[a.begin : a.end + 1] == a.result for a in row[name])
    for name, mask in (("filled", "<mask>"), ("refilled", "[MASK]")):
        assert all(document[a.begin : a.end + 1] == mask for a in row[name])


@settings(max_examples=2, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_spark_light_and_plain_calls_agree(spark, pipeline, light, models, rows):
    numbered = [(number, *row) for number, row in enumerate(rows)]
    df = spark.createDataFrame(numbered, "id int, text string, second string")
    by_spark = sorted(pipeline.transform(df.coalesce(1)).collect(), key=lambda row: row["id"])
    by_light = light.fullAnnotate([text for text, _ in rows], [second for _, second in rows])
    for (text, second), distributed, local in zip(rows, by_spark, by_light, strict=True):
        expected = plainly(text, second, models)
        assert list(local) == list(expected)
        for name, wanted in expected.items():
            assert_same(distributed[name], wanted)
            assert_same(local[name], wanted)
            assert distributed[f"finished_{name}"] == [result for _, _, result, *_ in wanted]
        assert_stands_in(expected["document"][0][2], distributed)


def any_settings(random):
    """A classifier's settings, each set or not, that can go together."""
    length = random.choice([8, 12, 24])
    choices = {
        "activation": ["softmax", "sigmoid"],
        "multilabel": [True, False],
        "threshold": [0.0, 0.25, 0.5, 1.0],
        "coalesceSentences": [True],
        "topScores": [1, 2, 9],
        "longTextStrategy": ["windows", "windows", "truncate"],
        "stride": [0, length // 4 - 1],
        "pairCol": ["second", "other", "sentence"],
        "caseSensitive": [True, False],
        "batchSize": [1, 3],
    }
    chosen = {name: random.choice(values) for name, values in choices.items() if random.random() < 0.5}
    return {**chosen, "inputCols": [random.choice(["document", "sentence"])], "maxSentenceLength": length}


def test_any_settings_of_a_classifier_agree(spark, folders, tmp_path):
    """SQL makes the annotations in Spark, Python in LightPipeline. One model has labels called as what stands
    beside scores."""
    source = Preset.open(folders["xlmr_sequence_classification"])
    odd = dataclasses.replace(source.contents(), labels=["sentence", "Sports", "windows", "truncated"])
    handles = [str(source.path), str(write_preset(tmp_path / "odd", odd))]
    random = Random(8)
    texts = ["One two three. " * 9, "Zwei Wörter", "", "A b. " * 3 + "c" * 50, "🙂. Drei!", "end " * 30]
    seconds = [*texts[2:], "same", ""]
    rows = list(zip(range(len(texts)), texts, seconds, strict=True))
    df = spark.createDataFrame(rows, "id int, text string, second string").coalesce(1)
    first = [
        DocumentAssembler().setInputCol("text").setOutputCol("document"),
        DocumentAssembler().setInputCol("second").setOutputCol("other"),
        SentenceDetector().setInputCols("document").setOutputCol("sentence"),
    ]
    df = PipelineModel(first).transform(df)
    settings, parts, expected = [any_settings(random) for _ in range(10)], [], {}
    for number, chosen in enumerate(settings):
        stage = XlmRoBertaForSequenceClassification.pretrained(handles[number % 2]).setParams(**chosen)
        answered = stage.setOutputCol("found").transform(df)
        parts.append(answered.select(F.lit(number).alias("number"), "id", "found"))
        light = LightPipeline(PipelineModel([*first, stage]))
        for i, row in enumerate(light.fullAnnotate(texts, seconds)):
            expected[number, i] = row["found"]
    n_found = 0
    for row in reduce(lambda one, other: one.union(other), parts).collect():
        wanted = expected.pop((row["number"], row["id"]))
        assert len(row["found"]) == len(wanted), settings[row["number"]]
        for one, other in zip(row["found"], wanted, strict=True):
            n_found += 1
            assert (one["begin"], one["end"], one["result"]) == (other.begin, other.end, other.result)
            assert one["metadata"].keys() == other.metadata.keys(), settings[row["number"]]
            for name, value in other.metadata.items():
                if "." not in value:
                    assert one["metadata"][name] == value, (settings[row["number"]], name)
                else:
                    assert float(one["metadata"][name]) == pytest.approx(float(value), abs=1e-5)
    assert not expected
    assert n_found > 60
