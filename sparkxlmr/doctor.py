"""``sparkxlmr doctor``: what is there on this machine, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from sparkxlmr import __version__
from sparkxlmr.errors import SparkxlmrError
from sparkxlmr.jobs import outcome

GOOD, NOTE, BAD = "ok", "--", "!!"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: a mark (``ok``, ``--`` not needed here, ``!!`` missing) and what is so."""

    mark: str
    subject: str
    said: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--model",
        metavar="NAME_OR_PATH",
        help="say which precision auto takes for this model (default: for those that ship)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; returns 0, or 1 where something is missing without which nothing runs."""
    found = findings(arguments.model)
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        print(f"{finding.mark}  {finding.subject:<{width}}  {finding.said}")
    missing = [finding.subject for finding in found if finding.mark == BAD]
    if missing:
        print(f"\nNot ready: {', '.join(missing)}. What to do stands in the lines marked {BAD}.")
        return outcome.FAILED
    print("\nReady.")
    return outcome.DONE


def findings(model: str | None = None) -> list[Finding]:
    """All findings, in the order in which they matter; starts no JVM and imports no framework."""
    checks: tuple[Callable[[], Finding], ...] = (python, spark, java, engines, keras, cpu, gpu, auto)
    found = [Finding(GOOD, "sparkxlmr", __version__), *(check() for check in checks)]
    return [*found, *precisions(model), models(), cache()]


def python() -> Finding:
    """The Python that runs, and that local workers run."""
    said = f"{platform.python_version()} at {sys.executable}"
    worker = os.environ.get("PYSPARK_PYTHON")
    if worker and worker != sys.executable:
        said += f"; Spark's workers run {worker} (PYSPARK_PYTHON), which needs this package too"
    return Finding(GOOD, "Python", said)


def spark() -> Finding:
    """pyspark, which is no dependency of the package: a cluster has its own."""
    version = _version("pyspark") or _version("pyspark-client")
    if version is None:
        return Finding(BAD, "pyspark", 'is not installed: pip install "sparkxlmr[spark]"')
    if int(version.split(".")[0]) < 3 or version.startswith(("3.0", "3.1", "3.2", "3.3", "3.4")):
        return Finding(BAD, "pyspark", f"{version} is too old: 3.5 and 4.x are supported")
    return Finding(GOOD, "pyspark", version)


def java() -> Finding:
    """The Java that Spark would be started with."""
    from sparkxlmr.spark.java import find_java

    if _version("pyspark") is None and _version("pyspark-client") is not None:
        return Finding(NOTE, "Java", "is not needed: this pyspark is a client of Spark Connect")
    try:
        return Finding(GOOD, "Java", str(find_java()).removeprefix("Java "))
    except SparkxlmrError as error:
        return Finding(BAD, "Java", str(error))


def engines() -> Finding:
    """The engines that are installed, and how to get the others."""
    from sparkxlmr.runtime.engines import available, engine_named, engine_names

    installed = available()
    absent = [f"{name}: {engine_named(name).install}" for name in engine_names() if name not in installed]
    hint = f" (not installed: {'; '.join(absent)})" if absent else ""
    if not installed:
        return Finding(BAD, "engines", f"none is installed{hint}")
    known = [f"{name} {_version(name) or _version(name + '-cpu') or ''}".strip() for name in installed]
    return Finding(GOOD, "engines", ", ".join(known) + hint)


def keras() -> Finding:
    """The backend that Keras would train on; running saved models needs none."""
    from sparkxlmr.models.keras_backend import keras_backend, require_backend

    try:
        require_backend()
    except SparkxlmrError as error:
        return Finding(NOTE, "Keras", f"trains nothing here: {error}")
    name, source = keras_backend()
    return Finding(GOOD, "Keras", f"{_version('keras')} on {name} ({source})")


def gpu() -> Finding:
    """Whether an NVIDIA GPU can be used; none is needed."""
    from sparkxlmr.runtime.devices import gpu_has_bfloat16, gpu_visible
    from sparkxlmr.runtime.engines import available, engine_named

    if not gpu_visible():
        return Finding(NOTE, "GPU", "none is visible: models run on the CPU")
    if not any(engine_named(name).uses_gpu for name in available()):
        remedy = engine_named("tensorflow").install
        return Finding(NOTE, "GPU", f"one is visible, but unused: {remedy}")
    return Finding(GOOD, "GPU", f"NVIDIA, {'with' if gpu_has_bfloat16() else 'without'} bfloat16 arithmetic")


def cpu() -> Finding:
    """The CPU, and which narrow numbers it computes with."""
    from sparkxlmr.runtime.devices import cpu_has_bfloat16, cpu_has_int8, cpu_name

    there = {"bfloat16": cpu_has_bfloat16(), "int8": cpu_has_int8()}
    has = " and ".join(name for name, found in there.items() if found) or "neither bfloat16 nor int8"
    return Finding(GOOD, "CPU", f"{cpu_name()}, {os.cpu_count()} cores, has arithmetic for {has}")


def auto() -> Finding:
    """What the setting engine = "auto" takes here, in local mode, and why."""
    from sparkxlmr.runtime.devices import gpu_visible
    from sparkxlmr.runtime.engine_choice import ON_CPU, ON_GPU, resolve_engine

    gpu = gpu_visible()
    order = ", ".join(ON_GPU if gpu else ON_CPU)
    why = f"the first of {order} that is installed, {'with' if gpu else 'without'} a GPU"
    try:
        return Finding(GOOD, "engine auto", f"takes {resolve_engine('auto', gpu)} here: {why}")
    except SparkxlmrError as error:
        return Finding(BAD, "engine auto", str(error))


def precision(name: str | None = None) -> Finding:
    """What precision = "auto" takes here, and why: for the model of that name, else for one not measured."""
    from sparkxlmr.presets.open_model_folder import open_model
    from sparkxlmr.runtime.devices import gpu_visible
    from sparkxlmr.runtime.engine_choice import engine_for, resolve_engine
    from sparkxlmr.runtime.precision_choice import precision_for

    subject, gpu = "precision auto", gpu_visible()
    try:
        model = None if name is None else open_model(name)
        engine = resolve_engine("auto", gpu) if model is None else engine_for(model, "auto", gpu)
        choice = precision_for(model, engine, gpu=gpu)
    except SparkxlmrError as error:
        return Finding(BAD, subject, str(error))
    return Finding(GOOD, subject, f"takes {choice.precision} for {name or 'any other model'}: {choice.why}")


def precisions(name: str | None = None) -> list[Finding]:
    """:func:`precision` of the named model; else of each one that came with the package, and of others."""
    from sparkxlmr.presets import builtin

    return [precision(name)] if name else [*map(precision, builtin.names()), precision()]


def models() -> Finding:
    """The models that came with the package."""
    from sparkxlmr.presets import builtin

    names = builtin.names()
    return Finding(GOOD if names else NOTE, "models", ", ".join(names) or "this installation ships none")


def cache() -> Finding:
    """The folder where compiled models are kept."""
    from sparkxlmr.presets.home import home

    try:
        folder = home()
    except SparkxlmrError as error:
        return Finding(BAD, "cache", str(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(BAD, "cache", f"{folder} cannot be written to ({error.strerror}): set SPARKXLMR_HOME")
    return Finding(GOOD, "cache", f"{folder} (SPARKXLMR_HOME)")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
