"""The word tokenizer's crossing into Python: texts in, plain arrays out, annotations built in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkxlmr.spark.annotation import TOKEN, annotation, annotation_array, bind
from sparkxlmr.spark.shipping import Batches, on_executor
from sparkxlmr.text.words import WordRules, word_finder

#: for each document of a row: where its words begin in it (code points), and the words
WORDS_TYPE = "struct<begin:array<array<int>>,result:array<array<string>>>"


def word_function(rules: WordRules) -> Batches:
    """The function that Spark ships: it holds plain values only."""
    return on_executor("words", "sparkxlmr.spark.tokenizing", "word_batches", asdict(rules))


def word_batches(settings: dict[str, Any], documents: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
    """For each batch of rows (array<string>, null or with nulls) the columns of ``WORDS_TYPE``."""
    find = word_finder(WordRules(**settings))
    for batch in documents:
        begins: list[list[list[int]]] = []
        results: list[list[list[str]]] = []
        for row in batch.tolist():
            texts = (
                row if isinstance(row, (np.ndarray, list)) else ()
            )  # a null row is None, or nan in pandas 3
            found = [find(text) if isinstance(text, str) else ([], []) for text in texts]
            begins.append([begin for begin, _ in found])
            results.append([result for _, result in found])
        yield pd.DataFrame({"begin": begins, "result": results})


def token_annotations(documents: Column, rules: WordRules) -> Column:
    """The array of token annotations for an array of document annotations.

    Offsets count from the document's (or sentence's) own begin; ``sentence`` is the input annotation's. The
    UDF is nondeterministic, so that a filter on the tokens does not run it twice.
    """
    make: Any = F.pandas_udf  # its overloads know no iterator of frames
    found = make(word_function(rules), WORDS_TYPE).asNondeterministic()(documents["result"])

    def tokens(words: Column, document: Column, index: Column) -> Column:
        sentence = F.coalesce(document["metadata"]["sentence"], index.cast("string"))
        # bound, so that each is computed once for a document and not for every word
        return bind(
            F.create_map(F.lit("sentence"), sentence),
            lambda metadata: bind(
                F.get(words["begin"], index),
                lambda begins: annotation_array(
                    F.get(words["result"], index),
                    lambda result, i: token(document["begin"] + F.get(begins, i), result, metadata),
                ),
            ),
        )

    def token(begin: Column, result: Column, metadata: Column) -> Column:
        return annotation(TOKEN, begin, begin + F.length(result) - 1, result, metadata)

    return bind(
        found,
        lambda words: F.flatten(F.transform(documents, lambda document, i: tokens(words, document, i))),
    )
