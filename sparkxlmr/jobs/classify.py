"""The classification job: name the label of every text of a table and write the table with it.

The command ``sparkxlmr classify`` runs this, and so does spark-submit on a cluster::

    spark-submit --properties-file conf/spark-defaults.conf sparkxlmr/jobs/classify.py \\
        hdfs:///reviews.parquet --text review --output hdfs:///reviews_with_language.parquet
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkxlmr.errors import SettingError
from sparkxlmr.jobs import report, table_job
from sparkxlmr.jobs.table_job import Counts, Summary, TableOptions, Work
from sparkxlmr.jobs.tables import free_names

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

DEFAULT_MODEL = "xlm_roberta_tiny_language_id"


@dataclass(frozen=True)
class ClassifyOptions(TableOptions):
    """What to classify and where to write it; the fields are the options of ``sparkxlmr classify``."""

    model: str = DEFAULT_MODEL
    label_column: str = "label"
    score_column: str = "score"


def classify(spark: SparkSession, options: ClassifyOptions, frame: DataFrame | None = None) -> Summary:
    """Run the job; see :class:`ClassifyOptions`. A ``frame`` is the input, where it has been read already.

    The output's columns are the input's in their order, then label and score (the model's probability of it;
    both null where the text is null or blank). Raises what :func:`table_job.run_job` raises.
    """
    return table_job.run_job(spark, options, work_of(options), frame)


def _counted(written: DataFrame, options: ClassifyOptions) -> tuple[Counts, int]:
    """Each label with its number of documents; how many of those without a label have no text."""
    from pyspark.sql import functions as F

    from sparkxlmr.spark.annotation import quoted

    label, text = quoted(options.label_column), quoted(options.text)
    has_text = F.coalesce(text.rlike(r"(?U)[^\s\p{Cc}]"), F.lit(False))
    rows = written.groupBy(label, label.isNull() & ~has_text).count().collect()
    counts: dict[str | None, int] = {}
    for found, _, count in rows:
        counts[found] = counts.get(found, 0) + count
    return list(counts.items()), sum(count for _, without, count in rows if without)


def work_of(options: ClassifyOptions) -> Work:
    """What the job does.

    Raises:
        SettingError: label and score would be one column.
    """
    label, score = options.label_column, options.score_column
    if label.lower() == score.lower():
        raise SettingError(
            f"Label and score would both be the column {label!r}",
            "two names",
            "set --label-column or --score-column",
        )
    return Work(
        title="Classifying",
        things="documents",
        label="label",
        new=(label, score),
        remedy="--label-column and --score-column",
        answer=lambda frame: with_labels(frame, options),
        count=lambda written: _counted(written, options),
    )


def with_labels(frame: DataFrame, options: ClassifyOptions) -> DataFrame:
    """The frame with the label and its score as two more columns, by a pipeline of this package's stages."""
    from pyspark.ml import Pipeline
    from pyspark.sql import functions as F

    from sparkxlmr.spark.annotation import quoted
    from sparkxlmr.stages.albert_for_sequence_classification import AlbertForSequenceClassification
    from sparkxlmr.stages.document_assembler import DocumentAssembler
    from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

    text, document, answers, best = free_names(frame.columns, "text", "document", "answers", "best")
    kinds = (XlmRoBertaForSequenceClassification, AlbertForSequenceClassification)
    classifier = table_job.stage_for(options.model, kinds)
    pipeline = Pipeline(
        stages=[
            DocumentAssembler().setInputCol(text).setOutputCol(document),
            classifier.setInputCols([document]).setOutputCol(answers).setTopScores(report.KEPT_SCORES),
        ]
    )
    prepared = frame.withColumn(text, quoted(options.text))
    answered = pipeline.fit(prepared).transform(prepared).withColumn(best, best_answer(quoted(answers)))
    kept = [quoted(name) for name in frame.columns]
    label, score = F.col(best)["label"], F.col(best)["score"]
    return answered.select(*kept, label.alias(options.label_column), score.alias(options.score_column))


def best_answer(annotations: Column) -> Column:
    """struct<score, before, label>: the label of the highest score (double), of equal ones the first.

    A sigmoid model gives a row an annotation for each label above the threshold, in the order of ids. Null
    where there is none.
    """
    from pyspark.sql import functions as F

    def ranked(annotation: Column, position: Column) -> Column:
        label = annotation["result"]
        score = F.try_element_at(annotation["metadata"], label).cast("double")
        # Structs compare field by field.
        return F.struct(score.alias("score"), (-position).alias("before"), label.alias("label"))

    return F.array_max(F.transform(annotations, ranked))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the job on a parser."""
    table_job.add_arguments(parser, DEFAULT_MODEL)
    parser.add_argument("--label-column", default="label", metavar="NAME", help="new column (default: label)")
    parser.add_argument("--score-column", default="score", metavar="NAME", help="new column (default: score)")


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print the summary, return the exit code."""
    return table_job.run_command(arguments, "classify", ClassifyOptions, work_of)


def main(argv: list[str] | None = None) -> int:
    """The entry point of spark-submit: the options of ``sparkxlmr classify``, the same exit codes."""
    return table_job.main(argv, "classify.py", __doc__, add_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
