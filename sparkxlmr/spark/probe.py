"""Asking an executor, before a job, whether it can run this package and sees a model that was sent there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkxlmr import __version__
from sparkxlmr.errors import EngineError, EnvironmentNotReadyError, NotAPresetError
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.spark.model_ref import ModelRef

#: What makes a package reach executors that lack it.
ATTACH = "call sparkxlmr.attach(spark) once in this session"
#: The same with everything that the package needs, on a cluster.
INSTALL = (
    "install it on every executor, or ship an environment that has it (--archives env.tar.gz#env with "
    "spark.pyspark.python=./env/bin/python)"
)


def question(way: str, place: str) -> Callable[[Any], str]:
    """What runs on the executor: a function that unpickles without this package and answers in JSON."""

    expected = __version__

    def asked(_: Any) -> str:
        import json
        import sys
        from importlib import import_module
        from pathlib import Path

        # Plain values: the package may not be there.
        answer: dict[str, Any] = {"version": None, "error": "", "engines": [], "sees": False}
        answer["python"] = sys.version.split()[0]
        try:
            answer["version"] = getattr(import_module("sparkxlmr"), "__version__", "of no version")
            if answer["version"] == expected:  # another version may lack anything
                import_module("sparkxlmr.spark.worker")
                answer["engines"] = list(import_module("sparkxlmr.runtime.engines").available())
        except (ImportError, AttributeError) as error:
            answer["error"] = str(error)
        if way == "files":
            from pyspark import SparkFiles

            answer["sees"] = Path(SparkFiles.get(place)).is_file()
        else:
            answer["sees"] = way == "broadcast" or Path(place).is_dir()
        return json.dumps(answer)

    return asked


def ask(spark: SparkSession, ref: ModelRef) -> dict[str, Any]:
    """One task's answer: `version` of the package there or None, `error` of its import, the `engines`
    there, whether it `sees` the model, and its `python`.

    Costs one job of one task.
    """
    make: Any = F.udf
    # Pickled, not by Arrow: an executor without pandas is to answer too.
    probe = make(question(ref.way, ref.place), "string", useArrow=False).asNondeterministic()
    row = spark.range(0, 1, 1, 1).select(probe("id").alias("answer")).collect()[0]
    answer: dict[str, Any] = json.loads(row["answer"])
    return answer


def check(spark: SparkSession, ref: ModelRef, engine: str) -> None:
    """Refuse a session whose executors cannot run the model of `ref` with `engine`, before a row is scored.

    Raises EnvironmentNotReadyError where they lack this package, something that it needs, or have another
    version of it; EngineError where they lack the engine; NotAPresetError where they do not see the model.
    """
    found = ask(spark, ref)
    if found["version"] is None:
        raise EnvironmentNotReadyError(
            f"The executors' Python {found['python']} cannot import sparkxlmr ({found['error']})",
            "the package on the executors",
            f"{INSTALL}; where only sparkxlmr itself is missing, {ATTACH}",
        )
    if found["version"] != __version__:
        raise EnvironmentNotReadyError(
            f"The executors have sparkxlmr {found['version']}, the driver {__version__}",
            "one version on both sides",
            f"{ATTACH}: it sends the driver's; or install the same version",
        )
    if found["error"]:
        raise EnvironmentNotReadyError(
            f"The executors' Python {found['python']} cannot run sparkxlmr ({found['error']})",
            "what the package needs on the executors",
            f"for the requirements of sparkxlmr: {INSTALL}",
        )
    if engine not in found["engines"]:
        raise EngineError(
            f"The executors lack the engine {engine!r}",
            f"one of {', '.join(found['engines']) or 'none'}, which they have",
            f"call setEngine(...), or install it there: {engine_named(engine).install}",
        )
    if not found["sees"]:
        raise _unseen(ref)


def _unseen(ref: ModelRef) -> NotAPresetError:
    if ref.way == "files":
        return NotAPresetError(
            f"The executors do not see the file {ref.place}",
            "files that spark.addArtifacts or SparkContext.addFile sends to reach them",
            "put the model on storage that they mount, and call setDistribution('path')",
        )
    return NotAPresetError(
        f"The executors see no folder {ref.place}",
        "the model's folder, which setDistribution('path') promises",
        "put the model on storage that they mount, or call setDistribution('files')",
    )
