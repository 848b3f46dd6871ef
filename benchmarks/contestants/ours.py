"""Contestant: this package, at any engine and precision.

Settings of a run: `what` is ``"pipeline"`` (read Parquet, assemble, classify or fill masks, write Parquet on
``local[cores]``) or ``"engine"`` (the bare engine: the same texts in this process with all cores, tokenising
included); `engine`, `precision` and `quantization` are the stage's; `by_length` sorts the texts, which the
planner does anyway. A process is asked for one engine and precision only, so that its memory is theirs.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serve
import spark_job
from job_files import JobFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Rows of a call to the bare engine: as many as the session's Arrow batches have.
ROWS = 4096


def stage_of(task: str, preset: str, most_tokens: int, engine: str, precision: str, quantization: str) -> Any:
    """The stage; its answers are in the column ``answer``."""
    from sparkxlmr.annotator import XlmRoBertaForMaskedLM, XlmRoBertaForSequenceClassification

    if task == "classify":
        stage = XlmRoBertaForSequenceClassification.pretrained(preset)
    else:
        stage = XlmRoBertaForMaskedLM.pretrained(preset)
    stage = stage.setInputCols(["document"]).setOutputCol("answer").setMaxSentenceLength(most_tokens)
    if quantization != "auto":
        stage = stage.setQuantization(quantization)
    return stage.setEngine(engine).setPrecision(precision)


@functools.cache
def bare_engine(preset: str, engine: str, precision: str, quantization: str, threads: int) -> Any:
    """The open model."""
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.compiler import bundle_for
    from sparkxlmr.runtime.open_model import open_model

    return open_model(bundle_for(Preset.open(preset), engine, precision, quantization), precision, threads)


def on_engine(model: Any, task: str, texts: list[str], most_tokens: int) -> tuple[float, list[str]]:
    """The labels, or the ids of the best tokens, without Spark."""
    began = time.perf_counter()
    labels: list[str] = []
    for start in range(0, len(texts), ROWS):
        some = texts[start : start + ROWS]
        if task == "classify":
            names = model.bundle.labels
            labels += [names[row] for row in model.logits(some, most_tokens).logits.argmax(axis=1)]
        else:
            answers = model.fill(some, most_tokens)
            labels += [str(masks[0].filled[0].token_id) for masks in answers]
    return time.perf_counter() - began, labels


def on_spark(spark: Any, files: JobFiles, task: str, stage: Any, by_length: bool) -> tuple[float, list[str]]:
    """The whole job: Parquet to Parquet."""
    from sparkxlmr.base import DocumentAssembler

    assembler = DocumentAssembler().setInputCol("text").setOutputCol("document")
    found = "answer.result[0]" if task == "classify" else "answer.metadata[0]['token_id']"

    def label(texts: DataFrame) -> DataFrame:
        return stage.transform(assembler.transform(texts)).selectExpr("id", f"{found} AS label")

    return spark_job.timed(spark, files, label, by_length)


def main() -> None:
    arguments = serve.arguments(__doc__, preset="preset")
    task, preset = arguments.task, str(arguments.models / arguments.task / arguments.preset)
    import sparkxlmr

    with tempfile.TemporaryDirectory(prefix="ours-") as folder:
        files = JobFiles(arguments.texts, Path(folder), arguments.cores, arguments.rows)

        @functools.cache
        def session() -> Any:
            os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
            return sparkxlmr.start(master=f"local[{arguments.cores}]")

        stages = functools.cache(functools.partial(stage_of, task, preset, arguments.most_tokens))

        def run(
            what: str = "pipeline",
            engine: str = "auto",
            precision: str = "auto",
            quantization: str = "auto",
            by_length: bool = False,
        ) -> tuple[float, list[str]]:
            if what == "engine":
                model = bare_engine(preset, engine, precision, quantization, arguments.cores)
                return on_engine(model, task, files.texts, arguments.most_tokens)
            spark = session()
            return on_spark(spark, files, task, stages(engine, precision, quantization), by_length)

        serve.serve(run, "sparkxlmr", "pyspark", "openvino", "tensorflow", "keras", "jax")
        if session.cache_info().currsize:
            session().stop()


if __name__ == "__main__":
    main()
