"""``sparkxlmr demo``, which ``make demo`` runs: the classification job on texts in many languages."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sparkxlmr.errors import InputError
from sparkxlmr.jobs import classify, outcome, report, table_job
from sparkxlmr.jobs.preflight import check_source, is_local
from sparkxlmr.jobs.tables import free_names, read_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the demonstration on a parser."""
    parser.add_argument("--input", metavar="INPUT", help="your own file (default: the project's own texts)")
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        help="column of its texts (default: `text`, or the only column of strings)",
    )
    parser.add_argument("--model", default=classify.DEFAULT_MODEL, metavar="NAME_OR_PATH")
    table_job.add_debug(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify, print the first rows as a table and the summary, keep nothing; returns the exit code."""
    from sparkxlmr.spark.annotation import quoted
    from sparkxlmr.spark.session import require_pyspark, start

    elapsed = table_job.stopwatch(arguments)
    table_job.require_classic()
    require_pyspark()
    checked = None
    if arguments.input:
        checked = check_source(arguments.input, arguments.model, is_local(None))
    spark = start(app_name="sparkxlmr demo")
    texts = resources.as_file(resources.files("sparkxlmr") / "demo_texts.jsonl")
    with texts as own, tempfile.TemporaryDirectory(prefix="sparkxlmr-demo-") as folder:
        source = arguments.input or str(own)
        frame = read_table(spark, source, checked=checked)
        column = arguments.text or text_column(frame)
        label, score = free_names(frame.columns, "label", "score")
        output = Path(folder) / "result.parquet"
        options = classify.ClassifyOptions(
            source, str(output), column, arguments.model, label_column=label, score_column=score
        )
        try:
            summary = classify.classify(spark, options, frame)
        except outcome.Interrupted as error:
            raise KeyboardInterrupt from error  # what it left behind is removed here
        shown = spark.read.parquet(str(output)).select(*map(quoted, (column, label, score))).head(_SHOWN)
    report.print_texts((row[0], row[1], row[2]) for row in shown)
    if summary.documents is not None and summary.documents > len(shown):
        print(f"... and {summary.documents - len(shown):,} more")
    print()
    table_job.print_summary(replace(summary, seconds=elapsed()))
    return outcome.DONE


def text_column(frame: DataFrame) -> str:
    """The column that surely holds the texts.

    Raises:
        InputError: none is called ``text``, and there is not exactly one column of strings.
    """
    if "text" in frame.columns:
        return "text"
    strings = [field.name for field in frame.schema if field.dataType.simpleString() == "string"]
    if len(strings) == 1:
        return strings[0]
    raise InputError(
        f"The columns of strings are {', '.join(strings) or 'none at all'}",
        "a column called text, or only one column of strings",
        "name the column: --text COLUMN (make demo INPUT=file TEXT=COLUMN)",
    )
