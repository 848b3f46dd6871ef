"""The one crossing into Python: a UDF from texts to plain arrays, and the SQL that builds columns from them.

Annotation structs never cross (7 to 50 times the cost of a plain column): the UDF reads `document.result`, an
array<string>, and returns a struct of flat arrays; begin, end and metadata are taken from the input
annotations by SQL on the JVM's side.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, FloatType, IntegerType, StructField, StructType

from sparkxlmr.runtime.row_annotations import SENTENCE, TRUNCATED, WINDOWS
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.spark.annotation import CATEGORY, annotation, annotation_array, bind
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.shipping import Batches, crossing, on_executor, settings_of


def result_type(options: RowOptions) -> StructType:
    """What the UDF returns for a row; only what the columns asked for need.

    >>> result_type(RowOptions(128)).simpleString()
    'struct<source:array<int>,label:array<int>,truncated:array<boolean>,scores:array<float>>'
    """
    ints = ArrayType(IntegerType(), False)
    floats = ArrayType(FloatType(), False)
    kinds = {
        "source": ints,
        "label": ints,
        "block": ints if options.by_threshold else None,
        "truncated": ArrayType(BooleanType(), False),
        "windows": ints if options.stride is not None else None,
        "ids": ints if options.top is not None else None,
        "scores": floats,
        "row_scores": floats if options.row_scores else None,
        "row_logits": floats if options.row_logits else None,
    }
    return StructType([StructField(name, kind, True) for name, kind in kinds.items() if kind is not None])


def score_function(ref: ModelRef, options: RowOptions) -> Batches:
    """The function that Spark ships: it holds plain values only."""
    arguments = (ref.to_wire(), settings_of(options), result_type(options).names)
    return on_executor("score", "sparkxlmr.spark.worker", "score_batches", *arguments)


def scored(texts: Column, ref: ModelRef, options: RowOptions) -> Column:
    """The struct of :func:`result_type` for a column array<string> (null, or null items, are never scored).

    With `RowOptions.pairs` the first item is the second text of the row's pairs (:func:`paired`).
    """
    return crossing(score_function(ref, options), result_type(options), texts, arrow=True)


def paired(texts: Column, second: Column) -> Column:
    """What :func:`scored` reads for pairs: one array, because a second column would cost a second crossing of
    everything around it. Null texts stay null."""
    return F.concat(F.array(second), texts)


def category_annotations(
    result: Column, document: Column, labels: Sequence[str], options: RowOptions
) -> Column:
    """The array of `category` annotations, from a column of :func:`scored` and its input annotations.

    begin and end are those of the input annotation, result is the label, metadata holds `sentence` (the
    input's), the scores as text of a float32, `windows` (their number, where texts are read in windows), and
    `truncated` = "true" where text was cut off, or had more windows than were read. A label that is itself
    called `sentence`, `windows` or `truncated` keeps its score, as in Spark NLP; the entry it hides is left
    out.
    """
    names = F.array(*[F.lit(label) for label in labels])

    def category(source: Column, position: Column) -> Column:
        origin = F.element_at(document, source + 1)
        block = F.element_at(result["block"], position + 1) if options.by_threshold else position
        label = F.element_at(result["label"], position + 1)
        return annotation(
            CATEGORY,
            origin["begin"],
            origin["end"],
            F.element_at(names, label + 1),
            _metadata(result, origin, source, position, block, names, labels, options),
        )

    return annotation_array(result["source"], category)


def _metadata(
    result: Column,
    origin: Column,
    source: Column,
    position: Column,
    block: Column,
    names: Column,
    labels: Sequence[str],
    options: RowOptions,
) -> Column:
    """map<string,string> of one annotation: built from one array of keys and one of values."""
    width = len(labels) if options.top is None else min(options.top, len(labels))
    first = block * width + 1
    keys, values = names, F.slice(result["scores"], first, F.lit(width)).cast("array<string>")
    if options.top is not None:
        ids = F.slice(result["ids"], first, F.lit(width))
        keys = F.transform(ids, lambda label: F.element_at(names, label + 1))
    if SENTENCE not in labels:
        sentence = F.coalesce(origin["metadata"][SENTENCE], source.cast("string"))
        keys, values = F.concat(F.array(F.lit(SENTENCE)), keys), F.concat(F.array(sentence), values)
    if options.stride is not None and WINDOWS not in labels:
        n_windows = F.element_at(result["windows"], position + 1).cast("string")
        keys, values = F.concat(keys, F.array(F.lit(WINDOWS))), F.concat(values, F.array(n_windows))
    build = _map_of_constant_keys if options.top is None else F.map_from_arrays
    entries = build(keys, values)
    if TRUNCATED in labels:
        return entries
    cut = build(F.concat(keys, F.array(F.lit(TRUNCATED))), F.concat(values, F.array(F.lit("true"))))
    return F.when(F.element_at(result["truncated"], position + 1), cut).otherwise(entries)


def _map_of_constant_keys(keys: Column, values: Column) -> Column:
    """`map_from_arrays` of keys that are the same in all rows, and there are hundreds of them.

    Spark folds a map of them into a constant once, of which only the values are replaced; `map_from_arrays`
    would hash them for each row.
    """
    places = F.map_from_arrays(keys, F.sequence(F.lit(0), F.size(keys) - 1))
    return bind(values, lambda found: F.transform_values(places, lambda _, place: F.get(found, place)))


def prediction(result: Column, n_classes: int) -> Column:
    """double: the id of the row's best label, or of a model with one logit the row's score.

    NaN where the row has no text to score, and not null, because Spark ML's evaluators fail on a null
    prediction; those of classifiers count NaN as a wrong one.
    """
    scores = result["row_scores"]
    if n_classes == 1:
        value = F.get(scores, F.lit(0)).cast("double")
        return F.coalesce(value, F.lit(float("nan")))
    # Structs compare field by field: the highest score, and of equal ones the first. (array_position takes no
    # column on 3.5.)
    pairs = F.transform(scores, lambda score, i: F.struct(score.alias("score"), (-i).alias("before")))
    best = -F.array_max(pairs)["before"]
    return F.when(F.size(scores) > 0, best.cast("double")).otherwise(F.lit(float("nan")))


def probability(result: Column, n_classes: int) -> Column:
    """A Spark ML vector (n_classes,) of the row's scores in id order; zeros where there is no text.

    With several texts in a row (sentences): the mean over them.
    """
    return _vector(result["row_scores"], n_classes)


def raw_prediction(result: Column, n_classes: int) -> Column:
    """As :func:`probability`, of the logits."""
    return _vector(result["row_logits"], n_classes)


def _vector(values: Column, n_classes: int) -> Column:
    none = F.array_repeat(F.lit(0.0), n_classes)
    vector: Column = array_to_vector(F.when(F.size(values) > 0, values.cast("array<double>")).otherwise(none))
    return vector
