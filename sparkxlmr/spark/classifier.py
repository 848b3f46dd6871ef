"""What all sequence classifiers are: their settings, and how one call of a UDF becomes their columns."""

from __future__ import annotations

from typing import Any, ClassVar

from pyspark.ml.feature import StringIndexerModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import CharType, StringType, VarcharType

from sparkxlmr.errors import EnvironmentNotReadyError, InputError, SettingError
from sparkxlmr.presets.open_model_folder import Model
from sparkxlmr.presets.output_function import OUTPUT_FUNCTIONS
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.stage_checks import check_labels
from sparkxlmr.runtime.stage_options import MAX_WINDOWS, row_options
from sparkxlmr.spark import scoring
from sparkxlmr.spark.annotation import (
    CATEGORY,
    DOCUMENT,
    TOKEN,
    annotator_type,
    bind,
    is_annotation_field,
    quoted,
    results_of,
    with_annotations,
)
from sparkxlmr.spark.annotator import find_field
from sparkxlmr.spark.compat import valid_utf8
from sparkxlmr.spark.model_annotator import ModelAnnotator
from sparkxlmr.spark.params import param


class SequenceClassifier(ModelAnnotator):
    """Base of the classifiers of a family; settings have Spark NLP's names and defaults where it has them."""

    task: ClassVar[str] = "text_classifier"
    input_types: ClassVar[tuple[str, ...]] = (DOCUMENT,)
    optional_types: ClassVar[tuple[str, ...]] = (TOKEN,)
    output_type: ClassVar[str] = CATEGORY

    coalesceSentences = param("One annotation a row, from the mean of its sentences' scores.", bool, False)
    activation = param(
        "softmax: one label a text. sigmoid: each label with a score above the threshold; of a model with one"
        " class its score. identity: the logits themselves. Unless set, the model's own.",
        str, "softmax", choices=OUTPUT_FUNCTIONS,
    )  # fmt: skip
    multilabel = param(
        "True is another way to say activation sigmoid. Where activation is not set, False is one to say"
        " softmax.",
        bool, False,
    )  # fmt: skip
    threshold = param(
        "Score above which sigmoid gives a label; of a model with one class only where it is set.",
        float, 0.5, minimum=0.0, maximum=1.0,
    )  # fmt: skip
    topScores = param(
        "How many scores stand in the metadata: the label's own, then the best others; unset: all.",
        int, minimum=1,
    )  # fmt: skip
    predictionCol = param(
        "Name of a double column for the label's id, or the score of a model with one class; unset or empty:"
        " none.", str,
    )  # fmt: skip
    probabilityCol = param("Name of a vector column for the scores in id order; unset or empty: none.", str)
    rawPredictionCol = param("Name of a vector column for the logits in id order; unset or empty: none.", str)
    longTextStrategy = param(
        "truncate: the end of a long text is cut off. windows: all of it is read, and scores averaged.",
        str, "truncate", choices=("truncate", "windows"),
    )  # fmt: skip
    stride = param(
        "Pieces that neighbouring windows share; unset: a quarter of maxSentenceLength.", int, minimum=0
    )
    maxWindows = param(
        "How many windows of a text are read, from its beginning; a longer one gets truncated = true in the"
        " metadata.",
        int, MAX_WINDOWS, minimum=1,
    )  # fmt: skip
    pairCol = param(
        "Column of each row's second text (strings or documents), for models of pairs; unset: none.", str
    )

    def getClasses(self) -> list[str]:
        """The labels, in the order of their ids."""
        return list(self.model.labels)

    def labelIndexer(
        self, inputCol: str, outputCol: str, handleInvalid: str = "error"
    ) -> StringIndexerModel:
        """Return Spark ML's indexer from label names to the model's ids, the numbers of `predictionCol`.

        Spark ML's evaluators compare numbers. A ``StringIndexer`` that is fitted to the labels of a table
        numbers them by frequency, which is another order than the model's.

        Args:
            inputCol: name of the column of true labels (strings).
            outputCol: name of the new column of ids (double).
            handleInvalid: what becomes of a label that the model does not have, or of null: ``"error"`` ends
                the job, ``"keep"`` gives it a number of its own, which no prediction equals, ``"skip"`` drops
                the row.

        Raises:
            SettingError: the stage has no model, or a model with one class, which predicts no label.
            EnvironmentNotReadyError: there is no Spark session.

        Example::

            labeled = classifier.labelIndexer("label", "label_id").transform(predicted)
            MulticlassClassificationEvaluator(labelCol="label_id", metricName="accuracy").evaluate(labeled)
        """
        labels = self.getClasses()
        if len(labels) == 1:
            raise SettingError(
                f"{type(self).__name__}: the model {self.model.name} has one class and predicts a number",
                "a model with several labels",
                "compare predictionCol with the true numbers, for example by RegressionEvaluator",
            )
        try:
            return StringIndexerModel.from_labels(labels, inputCol, outputCol, handleInvalid)
        except AssertionError as error:  # how pyspark says that there is no context
            raise EnvironmentNotReadyError(
                f"{type(self).__name__}: there is no Spark session", "an active one", "call sparkxlmr.start()"
            ) from error

    def _check_model(self, model: Model) -> None:
        check_labels(type(self).__name__, model.path, model.labels)

    def _check_settings(self, bundle: Bundle) -> None:
        row_options(self._chosen(), bundle)

    def _transform(self, df: DataFrame) -> DataFrame:
        document = quoted(self._input_fields(df)[DOCUMENT].name)
        texts = results_of(document)
        if self.isDefined(self.pairCol):
            texts = scoring.paired(texts, self._second_texts(df))
        self._check_output(df)
        bundle, ref = self._distributed(df.sparkSession, df.isStreaming)
        options = row_options(self._chosen(), bundle)
        scored = scoring.scored(texts, ref, options)
        if not (options.row_scores or options.row_logits):
            # One expression, and so one projection: only through one does Spark push a limit below the UDF.
            column = bind(
                scored, lambda result: scoring.category_annotations(result, document, bundle.labels, options)
            )
            return with_annotations(df, self.required("outputCol"), column, self.output_type)
        name = f"__{self.uid}"
        result = quoted(name)
        df = df.withColumn(name, scored)
        column = scoring.category_annotations(result, document, bundle.labels, options)
        df = with_annotations(df, self.required("outputCol"), column, self.output_type)
        if self.setting("predictionCol"):
            values = scoring.prediction(result, len(bundle.labels))
            metadata = _nominal(bundle.labels) if len(bundle.labels) > 1 else {}
            df = df.withColumn(self.getPredictionCol(), values.alias("p", metadata=metadata))
        if self.setting("probabilityCol"):
            df = df.withColumn(self.getProbabilityCol(), scoring.probability(result, len(bundle.labels)))
        if self.setting("rawPredictionCol"):
            df = df.withColumn(self.getRawPredictionCol(), scoring.raw_prediction(result, len(bundle.labels)))
        return df.drop(name)

    def _second_texts(self, df: DataFrame) -> Column:
        """string: the second text of a row's pairs; several documents are one, a blank between them.

        Raises InputError where the column is missing or holds something else.
        """
        field = find_field(df, self.getPairCol(), type(self).__name__)
        column = quoted(field.name)
        if is_annotation_field(field) and annotator_type(field) in (None, DOCUMENT):
            return F.array_join(results_of(column), " ")
        if isinstance(field.dataType, (StringType, VarcharType, CharType)):
            return valid_utf8(column.cast("string"))
        kind = annotator_type(field) or field.dataType.simpleString()
        raise InputError(
            f"{type(self).__name__}: pairCol {field.name!r} has type {kind}",
            "a column of strings, or annotations of type document",
            "name the column of the second texts",
        )

    def _check_output(self, df: DataFrame) -> None:
        names = ("outputCol", "predictionCol", "probabilityCol", "rawPredictionCol")
        self.required("outputCol")
        self._check_output_columns(df, {name: self.setting(name) or "" for name in names})


def _nominal(labels: tuple[str, ...]) -> dict[str, Any]:
    """Column metadata by which Spark ML knows the names of the classes (IndexToString reads it)."""
    return {"ml_attr": {"type": "nominal", "vals": list(labels)}}
