"""The classification job: name the label of every text of a table and write the table with it.

The command ``sparkxlmr classify`` runs this, and so does spark-submit on a cluster::

    spark-submit --properties-file conf/spark-defaults.conf sparkxlmr/jobs/classify.py \\
        hdfs:///reviews.parquet --text review --output hdfs:///reviews_with_language.parquet
"""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import EnvironmentNotReadyError, InputError, SettingError
from sparkxlmr.jobs import outcome, report
from sparkxlmr.jobs.progress import with_progress
from sparkxlmr.jobs.storage import Placed, check_output, replacing
from sparkxlmr.jobs.tables import (
    INPUT_FORMATS,
    OUTPUT_FORMATS,
    check_writable,
    free_names,
    output_format,
    read_table,
    read_written,
    write_table,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

DEFAULT_MODEL = "xlm_roberta_tiny_language_id"

_MOST_FREQUENT = 10


@dataclass(frozen=True)
class ClassifyOptions:
    """What to classify and where to write it; the fields are the options of ``sparkxlmr classify``."""

    input: str
    output: str
    text: str = "text"
    model: str = DEFAULT_MODEL
    format: str | None = None
    input_format: str | None = None
    label_column: str = "label"
    score_column: str = "score"
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What a finished job did.

    ``seconds`` runs from the first to the last row, loading the model included; ``labels`` are the ten most
    frequent with their number of documents, None standing for documents without text. Where the finished
    output could not be counted, ``documents`` is None and ``uncounted`` says why.
    """

    output: str
    format: str
    documents: int | None
    seconds: float
    labels: tuple[tuple[str | None, int], ...]
    uncounted: str = ""


def classify(spark: SparkSession, options: ClassifyOptions, frame: DataFrame | None = None) -> Summary:
    """Run the job; see :class:`ClassifyOptions`. A ``frame`` is the input, where it has been read already.

    The output is a folder in Spark's way: the input's columns in their order, then label and score (the
    model's probability of it; both null where the text is null or blank). It appears when it is complete.

    Raises:
        SettingError: the output's format, or the two new columns, cannot be as asked.
        InputError: the input is missing, not permitted, has no readable schema, lacks the text column, or has
            a column of the new ones' names already.
        OutputError: the output exists (without ``overwrite``) or cannot be written.
        PresetNotFoundError, NotAPresetError, DamagedModelError: the model.
        EnvironmentNotReadyError: the session is one of Spark Connect.
        Interrupted: a KeyboardInterrupt that says whether the output is complete.
    """
    placed = Placed()
    try:
        return _classify(spark, options, frame, placed)
    except KeyboardInterrupt as error:
        left = f"{options.output} is complete" if placed.done else "nothing was written"
        raise outcome.Interrupted(left) from error


def _classify(
    spark: SparkSession, options: ClassifyOptions, frame: DataFrame | None, placed: Placed
) -> Summary:
    require_classic(spark)
    chosen = output_format(options.output, options.format)
    check_output(spark, options.output, options.overwrite)
    frame = read_table(spark, options.input, options.input_format) if frame is None else frame
    check_columns(frame, options)
    result = with_labels(frame, options)
    check_writable(result, chosen)
    began = time.perf_counter()
    with replacing(spark, options.output, placed) as unfinished:
        write = functools.partial(write_table, result, unfinished, chosen)
        with_progress(spark, "Classifying", write)
    seconds = time.perf_counter() - began
    try:
        counts = _counted(spark, options, chosen, result)
    except Exception as error:
        # The output is complete, and complete it stays, whatever keeps it from being read again now.
        return Summary(options.output, chosen, None, seconds, (), outcome.readable(error))
    labels = sorted(counts, key=lambda pair: (-pair[1], pair[0] or ""))
    n_documents = sum(count for _, count in labels)
    return Summary(options.output, chosen, n_documents, seconds, tuple(labels[:_MOST_FREQUENT]))


def _counted(
    spark: SparkSession, options: ClassifyOptions, chosen: str, result: DataFrame
) -> list[tuple[str | None, int]]:
    """Each label with its documents, counted in what was written: the result would score every row again."""
    from sparkxlmr.spark.annotation import quoted

    written = read_written(spark, options.output, chosen, result.schema)
    return [(row[0], row[1]) for row in written.groupBy(quoted(options.label_column)).count().collect()]


def require_classic(spark: SparkSession | None = None, master: str | None = None) -> None:
    """Refuse Spark Connect: the job looks at files, and cancels its work, through Spark's own JVM.

    Without a session: where :func:`sparkxlmr.start` would make one of Connect.

    Raises:
        EnvironmentNotReadyError: it is one of Connect.
    """
    if spark is None:
        server = os.environ.get("SPARK_REMOTE") or (master or "")
        remote = "SPARK_REMOTE" in os.environ or server.startswith("sc:")
        came = f"Spark is to be the Connect server {server}"
    else:
        from sparkxlmr.spark.compat import is_connect

        remote, came = is_connect(spark), "The session is one of Spark Connect"
    if remote:
        raise EnvironmentNotReadyError(
            came,
            "a classic session, with Spark's JVM beside it",
            "unset SPARK_REMOTE, and name the cluster by --master or by spark-submit",
        )


def check_columns(frame: DataFrame, options: ClassifyOptions) -> None:
    """Refuse columns that do not fit, before anything is scored.

    Raises:
        SettingError: label and score would be one column.
        InputError: no such text column, one that holds no text, or one with the name of a new column.
    """
    from sparkxlmr.spark.annotation import quoted

    label, score = options.label_column, options.score_column
    if label.lower() == score.lower():
        raise SettingError(
            f"Label and score would both be the column {label!r}",
            "two names",
            "set --label-column or --score-column",
        )
    if options.text not in frame.columns:
        near = difflib.get_close_matches(options.text, frame.columns, 1)
        hint = f"say --text {near[0]}" if near else "name one of them with --text"
        raise InputError(
            f"The input has no column {options.text!r}", f"one of {', '.join(frame.columns)}", hint
        )
    found = frame.select(quoted(options.text)).schema[0].dataType.simpleString()
    if found != "string":
        raise InputError(
            f"The column {options.text!r} is of type {found}",
            "a column of strings",
            "name another with --text",
        )
    taken = [name for name in frame.columns if name.lower() in (label.lower(), score.lower())]
    if taken:
        raise InputError(
            f"The input has a column {' and a column '.join(map(repr, taken))} already",
            "an input without the columns that this adds",
            "choose other names with --label-column and --score-column",
        )


def with_labels(frame: DataFrame, options: ClassifyOptions) -> DataFrame:
    """The frame with the label and its score as two more columns, by a pipeline of this package's stages."""
    from pyspark.ml import Pipeline
    from pyspark.sql import functions as F

    from sparkxlmr.spark.annotation import quoted
    from sparkxlmr.stages.document_assembler import DocumentAssembler
    from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

    text, document, answers, best = free_names(frame.columns, "text", "document", "answers", "best")
    classifier = XlmRoBertaForSequenceClassification.pretrained(options.model)
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
    parser.add_argument(
        "input", metavar="INPUT", help="CSV, TSV, JSON lines, Parquet or plain text; file or folder"
    )
    parser.add_argument(
        "--text", default="text", metavar="COLUMN", help="column of the texts (default: text)"
    )
    parser.add_argument(
        "--output", required=True, metavar="OUT", help="folder to write, as Spark writes tables"
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME_OR_PATH",
        help="a model that ships, or a preset's folder",
    )
    parser.add_argument(
        "--format", choices=OUTPUT_FORMATS, help="of the output (default: OUT's suffix, else parquet)"
    )
    parser.add_argument(
        "--input-format", choices=INPUT_FORMATS, help="of the input (default: INPUT's suffix)"
    )
    parser.add_argument("--label-column", default="label", metavar="NAME", help="new column (default: label)")
    parser.add_argument("--score-column", default="score", metavar="NAME", help="new column (default: score)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT, once the new result is complete"
    )
    parser.add_argument(
        "--master",
        metavar="URL",
        help="where Spark runs, e.g. local[4], yarn (default: what Spark is set to, else local[*])",
    )
    add_debug(parser)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Declare ``--debug``, which every command has."""
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error too")


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print the summary, return the exit code."""
    from sparkxlmr.spark.session import start

    require_classic(master=arguments.master)
    values: dict[str, Any] = {name: getattr(arguments, name) for name in ClassifyOptions.__dataclass_fields__}
    summary = classify(start(arguments.master, app_name="sparkxlmr classify"), ClassifyOptions(**values))
    print_summary(summary)
    print(f"Written to {summary.output} ({summary.format}).")
    return outcome.DONE


def print_summary(summary: Summary) -> None:
    """Print the summary, or on the error stream why there is none."""
    if summary.documents is None:
        print(f"sparkxlmr: no summary: {summary.uncounted}", file=sys.stderr)
    else:
        report.print_summary(summary.documents, summary.seconds, summary.labels)


def main(argv: list[str] | None = None) -> int:
    """The entry point of spark-submit: the options of ``sparkxlmr classify``, the same exit codes."""
    parser = argparse.ArgumentParser(prog="classify.py", description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return outcome.run(lambda: run(arguments), arguments.debug)


if __name__ == "__main__":
    sys.exit(main())
