"""The fill-mask job: the likeliest tokens for every mask of every text of a table, written with the table.

The command ``sparkxlmr fill-mask`` runs this, and so does spark-submit on a cluster::

    spark-submit --properties-file conf/spark-defaults.conf sparkxlmr/jobs/fill_mask.py \\
        hdfs:///sentences.parquet --text sentence --output hdfs:///filled.parquet --top-k 3
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkxlmr.jobs import table_job
from sparkxlmr.jobs.table_job import Counts, Summary, TableOptions, Work
from sparkxlmr.jobs.tables import free_names

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DEFAULT_MODEL = "xlm_roberta_tiny_masked_lm"
#: What is added, each name behind the prefix: the type of the column, and the annotation's metadata it is of.
NEW_COLUMNS = {
    "mask": ("int", "mask"),
    "rank": ("int", "rank"),
    "token": ("string", None),
    "score": ("double", "score"),
    "filled": ("string", "sequence"),
}


@dataclass(frozen=True)
class FillMaskOptions(TableOptions):
    """What to fill and where to write it; the fields are the options of ``sparkxlmr fill-mask``."""

    model: str = DEFAULT_MODEL
    top_k: int = 1
    targets: tuple[str, ...] | list[str] | None = None
    prefix: str = ""


def fill_mask(spark: SparkSession, options: FillMaskOptions, frame: DataFrame | None = None) -> Summary:
    """Run the job; see :class:`FillMaskOptions`. A ``frame`` is the input, where it has been read already.

    The output has a row for each of the ``top_k`` best tokens of each mask of a text, and one for a text
    without a mask. Its columns are the input's in their order, then mask (which of the text, from 0), rank
    (from 1), token, score (its probability) and filled (the text with it in), all null where there is no
    mask. Raises what :func:`table_job.run_job` raises.
    """
    return table_job.run_job(spark, options, work_of(options), frame)


def work_of(options: FillMaskOptions) -> Work:
    """What the job does."""
    return Work(
        title="Filling masks",
        things="masks",
        label="best token",
        new=_new(options),
        remedy="--prefix",
        answer=lambda frame: with_tokens(frame, options),
        count=lambda written: _counted(written, options),
    )


def _new(options: FillMaskOptions) -> list[str]:
    return [options.prefix + name for name in NEW_COLUMNS]


def _counted(written: DataFrame, options: FillMaskOptions) -> tuple[Counts, int]:
    """Each best token with the number of masks that it fills."""
    from sparkxlmr.spark.annotation import quoted

    best = written.where(quoted(f"{options.prefix}rank") == 1)
    rows = best.groupBy(quoted(f"{options.prefix}token")).count().collect()
    return [(row[0], row[1]) for row in rows], 0


def with_tokens(frame: DataFrame, options: FillMaskOptions) -> DataFrame:
    """The frame with a row for each token of each mask, by a pipeline of this package's stages."""
    from pyspark.ml import Pipeline
    from pyspark.sql import functions as F

    from sparkxlmr.spark.annotation import quoted
    from sparkxlmr.stages.albert_for_masked_lm import AlbertForMaskedLM
    from sparkxlmr.stages.document_assembler import DocumentAssembler
    from sparkxlmr.stages.xlm_roberta_for_masked_lm import XlmRoBertaForMaskedLM

    text, document, answers, one = free_names(frame.columns, "text", "document", "answers", "one")
    filler = table_job.stage_for(options.model, (XlmRoBertaForMaskedLM, AlbertForMaskedLM))
    filler.setTopK(options.top_k).setParams(targets=options.targets)
    pipeline = Pipeline(
        stages=[
            DocumentAssembler().setInputCol(text).setOutputCol(document),
            filler.setInputCols([document]).setOutputCol(answers),
        ]
    )
    prepared = frame.withColumn(text, quoted(options.text))
    kept = [quoted(name) for name in frame.columns]
    answered = pipeline.fit(prepared).transform(prepared)
    exploded = answered.select(*kept, F.explode_outer(quoted(answers)).alias(one))
    found = F.col(one)
    new = [
        (found["result"] if key is None else found["metadata"][key]).cast(kind).alias(options.prefix + name)
        for name, (kind, key) in NEW_COLUMNS.items()
    ]
    return exploded.select(*kept, *new)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the job on a parser."""
    table_job.add_arguments(parser, DEFAULT_MODEL)
    parser.add_argument(
        "--top-k", type=int, default=1, metavar="N", help="tokens for each mask, best first (default: 1)"
    )
    parser.add_argument(
        "--targets", nargs="+", metavar="TOKEN", help="tokens to choose from (default: the vocabulary)"
    )
    parser.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help=f"before the new columns' names: {', '.join(NEW_COLUMNS)}",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print the summary, return the exit code."""
    return table_job.run_command(arguments, "fill-mask", FillMaskOptions, work_of)


def main(argv: list[str] | None = None) -> int:
    """The entry point of spark-submit: the options of ``sparkxlmr fill-mask``, the same exit codes."""
    return table_job.main(argv, "fill_mask.py", __doc__, add_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
