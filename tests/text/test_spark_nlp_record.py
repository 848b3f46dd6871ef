"""The pure rules against all that Spark NLP 5.5.3 answered: every text under every recorded setting.

What differs on purpose is on the list in docs/spark_nlp_differences.md, and named here by its row.
"""

from __future__ import annotations

from sparkxlmr.runtime.cutting_options import sentence_rules, separator_rules, word_rules
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.text.annotate import documents, sentences, tokens
from sparkxlmr.text.annotation import DOCUMENT, Annotation
from sparkxlmr.text.sentences import sentence_finder
from sparkxlmr.text.separators import separator_finder
from sparkxlmr.text.words import WordRules, word_finder


def rows_of(annotations):
    return [[a.begin, a.end, a.result, a.metadata] for a in annotations]


def chosen(params):
    return Chosen(params, frozenset(params))


def test_documents_in_every_clean_up_mode(spark_nlp):
    recorded = spark_nlp("document_assembler")
    for mode, expected in recorded["expected"].items():
        for text, rows in zip(recorded["texts"], expected, strict=True):
            assert rows_of(documents(text, mode)) == rows, (mode, text)


def test_words_under_every_setting(spark_nlp, held_to_record):
    recorded = spark_nlp("tokenizer")
    for setting, answers in recorded["expected"].items():
        find = word_finder(word_rules(chosen(answers["params"])))
        found = [rows_of(tokens(documents(text), find)) for text in recorded["texts"]]
        held_to_record("tokenizer", setting, "tokens", found)


def test_tokens_between_separators(spark_nlp, held_to_record):
    recorded = spark_nlp("regex_tokenizer")
    for setting, answers in recorded["expected"].items():
        find = separator_finder(separator_rules(chosen(answers["params"])))
        found = [rows_of(tokens(documents(text), find)) for text in recorded["texts"]]
        held_to_record("regex_tokenizer", setting, "tokens", found)


def test_sentences_under_every_setting(spark_nlp, held_to_record):
    recorded = spark_nlp("sentence_detector")
    for setting, answers in recorded["expected"].items():
        find = sentence_finder(sentence_rules(chosen(answers["params"])))
        found = [rows_of(sentences(documents(text), find)) for text in recorded["texts"]]
        held_to_record("sentence_detector", setting, "sentences", found)


def test_words_of_sentences(spark_nlp, held_to_record):
    detected = spark_nlp("sentence_detector")["expected"]["default"]["sentences"]
    find = word_finder(WordRules())
    found = [rows_of(tokens([Annotation(DOCUMENT, *row) for row in rows], find)) for rows in detected]
    held_to_record("tokenizer_on_sentences", "", "tokens", found)
