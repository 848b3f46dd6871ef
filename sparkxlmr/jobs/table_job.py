"""A job over a table of texts: read, checked, answered, written whole or not at all, counted.

What the commands share: each brings its own options, checks, columns and count.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import EnvironmentNotReadyError, InputError
from sparkxlmr.jobs import outcome, report
from sparkxlmr.jobs.checked_input import CheckedInput
from sparkxlmr.jobs.exchange import Placed, check_output, replacing
from sparkxlmr.jobs.local_texts import add_input_arguments
from sparkxlmr.jobs.preflight import before_spark, recover_claimed, say_recovered
from sparkxlmr.jobs.progress import with_progress
from sparkxlmr.jobs.stores import openable, store_of
from sparkxlmr.jobs.tables import (
    OUTPUT_FORMATS,
    check_writable,
    output_format,
    read_table,
    read_written,
    write_table,
)
from sparkxlmr.jobs.temporary import folders_removed, remove_folders

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MOST_FREQUENT = 10

Counts = list[tuple[str | None, int]]


@dataclass(frozen=True)
class TableOptions:
    """What to read, what to run on it and where to write; the fields are options of every such command."""

    input: str
    output: str
    text: str = "text"
    model: str = ""
    format: str | None = None
    input_format: str | None = None
    overwrite: bool = False
    encoding: str | None = None


@dataclass(frozen=True)
class Work:
    """What one job does with a table.

    - `title`: of the progress bar; `things`: what is counted (``"documents"``); `label`: of what.
    - `new`: names of the new columns; `remedy`: the options for other ones.
    - `answer`: the table with the new columns.
    - `count`: of the written table, each label with its number of things, where None stands for no label, and
      how many of these have no text.
    """

    title: str
    things: str
    label: str
    new: Sequence[str]
    remedy: str
    answer: Callable[[DataFrame], DataFrame]
    count: Callable[[DataFrame], tuple[Counts, int]]


@dataclass(frozen=True)
class Summary:
    """What a finished job did.

    ``seconds`` are those of the job, loading the model included; ``labels`` are the ten most frequent with
    their number of documents (or of other ``things``), None standing for documents without a label, of which
    ``without_text`` have no text. Where the finished output could not be counted, ``documents`` is None and
    ``uncounted`` says why.
    """

    output: str
    format: str
    documents: int | None
    seconds: float
    labels: tuple[tuple[str | None, int], ...]
    uncounted: str = ""
    things: str = "documents"
    label: str = "label"
    without_text: int = 0


def run_job(
    spark: SparkSession,
    options: TableOptions,
    work: Work,
    frame: DataFrame | None = None,
    checked: CheckedInput | None = None,
) -> Summary:
    """Run the job. A ``frame`` is the input, where it was read already; ``checked``, where it was checked:
    the copies that were made of it are removed.

    The output is a folder in Spark's way, and appears when it is complete.

    Raises:
        SettingError: the output's format, or the new columns, cannot be as asked.
        InputError: the input is missing, not permitted, has no readable schema, lacks the text column, or has
            a column of the new ones' names already.
        OutputError: the output exists (without ``overwrite``) or cannot be written.
        PresetNotFoundError, NotAPresetError, DamagedModelError: the model.
        EnvironmentNotReadyError: the session is one of Spark Connect.
        Interrupted: a KeyboardInterrupt that says whether the output is complete.
    """
    placed = Placed()
    try:
        return _run(spark, options, work, frame, checked, placed)
    except KeyboardInterrupt as error:
        left = f"{options.output} is complete" if placed.done else "nothing was written"
        raise outcome.Interrupted(left) from error
    finally:
        if checked is not None:
            remove_folders((*checked.files, *checked.sources))


@folders_removed()
def _run(
    spark: SparkSession,
    options: TableOptions,
    work: Work,
    frame: DataFrame | None,
    checked: CheckedInput | None,
    placed: Placed,
) -> Summary:
    require_classic(spark)
    began = time.perf_counter()
    chosen = output_format(options.output, options.format)
    store, output = store_of(spark, options.output)
    say_recovered(recover_claimed(store, output))
    check_output(store, output, options.overwrite)
    if frame is None:
        frame = read_table(spark, options.input, options.input_format, options.encoding, checked)
    check_columns(frame, options.text, work.new, work.remedy)
    result = work.answer(frame)
    check_writable(result, chosen)
    with replacing(store, output, options.overwrite, placed) as unfinished:
        write = functools.partial(write_table, result, unfinished, chosen)
        with_progress(spark, work.title, write)
    seconds = time.perf_counter() - began
    summary = functools.partial(
        Summary, options.output, chosen, seconds=seconds, things=work.things, label=work.label
    )
    try:
        # In what was written: the result would score every row again.
        counts, without_text = work.count(read_written(spark, openable(output), chosen, result.schema))
    except Exception as error:
        # The output is complete, and complete it stays, whatever keeps it from being read again now.
        return summary(documents=None, labels=(), uncounted=outcome.readable(error))
    labels = sorted(counts, key=lambda pair: (-pair[1], pair[0] or ""))
    return summary(
        documents=sum(count for _, count in labels),
        labels=tuple(labels[:_MOST_FREQUENT]),
        without_text=without_text,
    )


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


def check_columns(frame: DataFrame, text: str, new: Sequence[str], remedy: str) -> None:
    """Refuse columns that do not fit, before anything is scored; ``remedy`` names the options for others.

    Raises:
        InputError: no such text column, one that holds no text, or one with the name of a new column.
    """
    from sparkxlmr.spark.annotation import quoted

    check_names(frame.columns, text, new, remedy)
    found = frame.select(quoted(text)).schema[0].dataType.simpleString()
    if found != "string":
        raise InputError(
            f"The column {text!r} is of type {found}", "a column of strings", "name another with --text"
        )


def check_names(columns: Sequence[str], text: str, new: Sequence[str], remedy: str) -> None:
    """Refuse names of columns that do not fit.

    Raises:
        InputError: the text column is missing, or a new column's name is taken.
    """
    if text not in columns:
        near = difflib.get_close_matches(text, columns, 1)
        hint = f"say --text {near[0]}" if near else "name one of them with --text"
        raise InputError(f"The input has no column {text!r}", f"one of {', '.join(columns)}", hint)
    folded = {name.lower() for name in new}
    taken = [name for name in columns if name.lower() in folded]
    if taken:
        raise InputError(
            f"The input has a column {' and a column '.join(map(repr, taken))} already",
            "an input without the columns that this adds",
            f"choose other names with {remedy}",
        )


def stage_for(model: str, kinds: Sequence[type[Any]]) -> Any:
    """The stage among ``kinds`` that runs the model's family, with the model.

    Raises:
        PresetNotFoundError, NotAPresetError, DamagedModelError: no model that one of them runs.
    """
    from sparkxlmr.presets.names import open_named
    from sparkxlmr.spark.model_places import model_places

    opened = open_named(model, model_places())
    kind = next((kind for kind in kinds if kind.family == opened.family), kinds[0])
    return kind().withModel(opened)


# --- the command ---


def add_arguments(parser: argparse.ArgumentParser, default_model: str) -> None:
    """Declare the options that every such command has."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="CSV, TSV, JSON lines, Parquet or plain text; file, folder, or - for the standard input",
    )
    parser.add_argument(
        "--text", default="text", metavar="COLUMN", help="column of the texts (default: text)"
    )
    parser.add_argument(
        "--output", required=True, metavar="OUT", help="folder to write, as Spark writes tables"
    )
    parser.add_argument(
        "--model",
        default=default_model,
        metavar="NAME_OR_PATH",
        help="a model that ships, a preset's folder, or a handle (hf://org/name)",
    )
    parser.add_argument(
        "--format", choices=OUTPUT_FORMATS, help="of the output (default: OUT's suffix, else parquet)"
    )
    add_input_arguments(parser)
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


def run_command(
    arguments: argparse.Namespace,
    name: str,
    kind: type[Any],
    work_of: Callable[[Any], Work],
) -> int:
    """Do what the parsed arguments say, print the summary, return the exit code.

    ``kind``: the class of the job's options, whose fields are the arguments; ``name``: the command's;
    ``work_of``: what the job does, of the options.
    """
    from sparkxlmr.spark.session import require_pyspark, start

    elapsed = stopwatch(arguments)
    require_classic(master=arguments.master)
    require_pyspark()
    options = kind(**{part.name: getattr(arguments, part.name) for part in fields(kind)})
    work = work_of(options)
    checked = before_spark(
        options,
        arguments.master,
        functools.partial(check_names, text=options.text, new=work.new, remedy=work.remedy),
    )
    summary = run_job(start(arguments.master, app_name=f"sparkxlmr {name}"), options, work, checked=checked)
    print_summary(replace(summary, seconds=elapsed()))
    print(f"Written to {summary.output} ({summary.format}).")
    return outcome.DONE


def stopwatch(arguments: argparse.Namespace) -> Callable[[], float]:
    """A function that returns the seconds since the command was started.

    Those are the process' own, unless a program called ``main`` with arguments: it may run for hours.
    """
    if getattr(arguments, "own_process", False):
        return outcome.process_seconds
    began = time.perf_counter()
    return lambda: time.perf_counter() - began


def print_summary(summary: Summary) -> None:
    """Print the summary, or on the error stream why there is none."""
    if summary.documents is None:
        print(f"sparkxlmr: no summary: {summary.uncounted}", file=sys.stderr)
    else:
        report.print_summary(
            summary.documents,
            summary.seconds,
            summary.labels,
            summary.things,
            summary.label,
            summary.without_text,
        )


def main(
    argv: list[str] | None,
    script: str,
    description: str | None,
    add: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
) -> int:
    """The entry point of spark-submit: the options of the command, the same exit codes."""
    parser = argparse.ArgumentParser(prog=script, description=(description or "").splitlines()[0])
    add(parser)
    arguments = parser.parse_args(argv, argparse.Namespace(own_process=argv is None))
    return outcome.run(lambda: run(arguments), arguments.debug)
