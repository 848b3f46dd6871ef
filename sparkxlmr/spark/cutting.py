"""Cutting documents up in Python: texts in, plain arrays out, annotations built in SQL.

Words, tokens between separators and sentences take the same way; the rules decide what is cut out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkxlmr.spark.annotation import DOCUMENT, TOKEN, annotation, annotation_array, bind, results_of
from sparkxlmr.spark.shipping import Batches, crossing, on_executor
from sparkxlmr.text.sentences import SentenceRules, sentence_finder
from sparkxlmr.text.separators import SeparatorRules, separator_finder
from sparkxlmr.text.words import WordRules, word_finder

Rules = WordRules | SeparatorRules | SentenceRules
#: from a text to parallel lists: begins, results, and for some rules ends
Finder = Callable[[str], tuple[list[Any], ...]]

_WAYS: dict[str, tuple[type[Any], Callable[[Any], Finder], tuple[str, ...]]] = {
    "words": (WordRules, word_finder, ("begin", "result")),
    "separated": (SeparatorRules, separator_finder, ("begin", "result", "end")),
    "sentences": (SentenceRules, sentence_finder, ("begin", "result")),
}


def _way(rules: Rules) -> str:
    return next(name for name, (kind, _, _) in _WAYS.items() if isinstance(rules, kind))


def found_type(rules: Rules) -> str:
    """What the UDF returns: for each document of a row where the pieces stand in it, and the pieces.

    >>> found_type(WordRules())
    'struct<begin:array<array<int>>,result:array<array<string>>>'
    """
    types = {"begin": "int", "result": "string", "end": "int"}
    fields = [f"{name}:array<array<{types[name]}>>" for name in _WAYS[_way(rules)][2]]
    return f"struct<{','.join(fields)}>"


def cut_function(rules: Rules) -> Batches:
    """The function that Spark ships: it holds plain values only."""
    way = _way(rules)
    return on_executor(way, "sparkxlmr.spark.cutting", "cut_batches", way, asdict(rules))


def cut_batches(way: str, settings: dict[str, Any], documents: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
    """For each batch of rows (array<string>, null or with nulls) the columns of :func:`found_type`."""
    kind, finder, names = _WAYS[way]
    find = finder(kind(**settings))
    nothing: tuple[list[Any], ...] = tuple([] for _ in names)
    for batch in documents:
        columns: list[list[Any]] = [[] for _ in names]
        for row in batch.tolist():
            # a null row is None, or nan in pandas 3
            texts = row if isinstance(row, (np.ndarray, list)) else ()
            found = [find(text) if isinstance(text, str) else nothing for text in texts]
            for i, column in enumerate(columns):
                column.append([pieces[i] for pieces in found])
        yield pd.DataFrame(dict(zip(names, columns, strict=True)))


def _found(documents: Column, rules: Rules) -> Column:
    """The struct of :func:`found_type`."""
    return crossing(cut_function(rules), found_type(rules), results_of(documents))


def token_annotations(documents: Column, rules: WordRules | SeparatorRules) -> Column:
    """The array of token annotations for an array of document annotations.

    Offsets count from the document's (or sentence's) own begin; ``sentence`` is the input annotation's.
    """
    ends = "end" in _WAYS[_way(rules)][2]

    def tokens(found: Column, document: Column, index: Column) -> Column:
        sentence = F.coalesce(document["metadata"]["sentence"], index.cast("string"))

        def token(metadata: Column, begins: Column, result: Column, i: Column) -> Column:
            begin = document["begin"] + F.get(begins, i)
            end = document["begin"] + F.get(F.get(found["end"], index), i) if ends else _end(begin, result)
            return annotation(TOKEN, begin, end, result, metadata)

        # bound, so that each is computed once for a document and not for every token
        return bind(
            F.create_map(F.lit("sentence"), sentence),
            lambda metadata: bind(
                F.get(found["begin"], index),
                lambda begins: annotation_array(
                    F.get(found["result"], index),
                    lambda result, i: token(metadata, begins, result, i),
                ),
            ),
        )

    return bind(
        _found(documents, rules),
        lambda found: F.flatten(F.transform(documents, lambda document, i: tokens(found, document, i))),
    )


def sentence_annotations(documents: Column, rules: SentenceRules) -> Column:
    """The array of document annotations, one for each sentence of an array of document annotations.

    Offsets count from the document's own begin. The metadata are the document's, with the number of the
    sentence in the row as ``sentence``.
    """

    def sentences(found: Column, document: Column, index: Column) -> Column:
        empty = F.create_map().cast("map<string,string>")
        rest = F.map_filter(F.coalesce(document["metadata"], empty), lambda key, _: key != "sentence")
        return bind(
            rest,
            lambda metadata: bind(
                F.get(found["begin"], index),
                lambda begins: F.transform(
                    F.get(found["result"], index),
                    lambda result, i: F.struct(
                        (document["begin"] + F.get(begins, i)).alias("begin"),
                        result.alias("result"),
                        metadata.alias("metadata"),
                    ),
                ),
            ),
        )

    def numbered(sentence: Column, i: Column) -> Column:
        metadata = F.map_concat(F.create_map(F.lit("sentence"), i.cast("string")), sentence["metadata"])
        begin, result = sentence["begin"], sentence["result"]
        return annotation(DOCUMENT, begin, _end(begin, result), result, metadata)

    return bind(
        _found(documents, rules),
        lambda found: annotation_array(
            F.flatten(F.transform(documents, lambda document, i: sentences(found, document, i))), numbered
        ),
    )


def _end(begin: Column, result: Column) -> Column:
    return begin + F.length(result) - 1
