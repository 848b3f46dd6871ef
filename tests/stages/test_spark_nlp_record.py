"""The stages against all that Spark NLP 5.5.3 answered: every text under every recorded setting, in one job.

What differs on purpose is on the list in docs/spark_nlp_differences.md, and named by its row. (Finisher,
classifiers and what DocumentAssembler does with other columns have their records in their own tests.)
"""

from __future__ import annotations

from functools import reduce

import pytest
from pyspark.sql import functions as F

from sparkxlmr.annotator import RegexTokenizer, SentenceDetector, Tokenizer
from sparkxlmr.base import DocumentAssembler
from sparkxlmr.spark.annotation import ANNOTATION_TYPE, annotator_type, same_type

CUTTERS = {
    "tokenizer": (Tokenizer, "tokens", "token"),
    "regex_tokenizer": (RegexTokenizer, "tokens", "token"),
    "sentence_detector": (SentenceDetector, "sentences", "document"),
}


@pytest.fixture(scope="module")
def frames(spark, spark_nlp):
    """For each recorded file and setting the frame with its column `found`."""
    texts = spark_nlp("document_assembler")["texts"]
    df = spark.createDataFrame(list(enumerate(texts)), "id int, text string").coalesce(1)
    made = {
        ("document_assembler", mode): DocumentAssembler(inputCol="text", outputCol="found", cleanupMode=mode)
        .transform(df)
        for mode in spark_nlp("document_assembler")["expected"]
    }  # fmt: skip
    df = DocumentAssembler(inputCol="text").transform(df)
    for file, (kind, _, _) in CUTTERS.items():
        assert spark_nlp(file)["texts"] == texts
        for setting, answers in spark_nlp(file)["expected"].items():
            stage = kind(inputCols=["document"], outputCol="found", **answers["params"])
            model = stage.fit(df) if kind is Tokenizer else stage
            made[file, setting] = model.transform(df)
    sentences = SentenceDetector(inputCols=["document"], outputCol="sentence").transform(df)
    words = Tokenizer(inputCols=["sentence"], outputCol="found").fit(sentences)
    made["tokenizer_on_sentences", ""] = words.transform(sentences)
    return made


@pytest.fixture(scope="module")
def answers(frames):
    """For each of them what was found in each text. One task for each, so that few workers do it all."""
    parts = [
        df.select(F.lit(file).alias("file"), F.lit(setting).alias("setting"), "id", "found")
        for (file, setting), df in frames.items()
    ]
    found = {key: {} for key in frames}
    for row in reduce(lambda one, other: one.union(other), parts).collect():
        rows = [[a["begin"], a["end"], a["result"], a["metadata"]] for a in row["found"]]
        assert not any(a["embeddings"] for a in row["found"])
        found[row["file"], row["setting"]][row["id"]] = rows
    return {key: [of_texts[i] for i in sorted(of_texts)] for key, of_texts in found.items()}


def test_documents_in_every_clean_up_mode(answers, spark_nlp):
    for mode, expected in spark_nlp("document_assembler")["expected"].items():
        assert answers["document_assembler", mode] == expected, mode


@pytest.mark.parametrize("file", CUTTERS)
def test_pieces_under_every_setting(answers, frames, spark_nlp, held_to_record, file):
    _, key, kind = CUTTERS[file]
    for setting in spark_nlp(file)["expected"]:
        held_to_record(file, setting, key, answers[file, setting])
        field = frames[file, setting].schema["found"]
        assert annotator_type(field) == kind
        assert same_type(field.dataType, ANNOTATION_TYPE)


def test_words_of_sentences(answers, held_to_record):
    held_to_record("tokenizer_on_sentences", "", "tokens", answers["tokenizer_on_sentences", ""])
