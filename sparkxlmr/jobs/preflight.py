"""What a job can refuse before Spark starts, which takes half a minute: input, columns, model and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sparkxlmr.jobs.checked_input import CheckedInput
from sparkxlmr.jobs.exchange import Store, check_output, recover
from sparkxlmr.jobs.formats import output_format
from sparkxlmr.jobs.local_files import STDIN, find_files, local_path
from sparkxlmr.jobs.local_input import check_local
from sparkxlmr.jobs.stores import LocalStore

if TYPE_CHECKING:
    from sparkxlmr.jobs.table_job import TableOptions

_DEFAULT_FS = ("spark.hadoop.fs.defaultFS", "spark.hadoop.fs.default.name")


def before_spark(
    options: TableOptions, master: str | None, check_names: Callable[[Sequence[str]], None]
) -> CheckedInput | None:
    """Check what can be checked without a session; the input as it was found, where it is on this machine.

    Args:
        options: of the job.
        master: where Spark is to run; None: as the platform says.
        check_names: refuses the names of the input's columns.

    Raises:
        SettingError, InputError, OutputError, PresetNotFoundError, NotAPresetError, DamagedModelError: as
            the job itself.
    """
    output_format(options.output, options.format)
    local = is_local(master)
    output = local_path(options.output) if local else None
    if output is not None:
        store, path = LocalStore(), os.path.abspath(output)
        say_recovered(recover_claimed(store, path))
        check_output(store, path, options.overwrite)
    checked = check_source(options.input, options.model, local, options.input_format, options.encoding)
    if checked is not None:
        check_names(checked.columns)
    return checked


def check_source(
    path: str,
    model: str,
    local: bool,
    input_format: str | None = None,
    encoding: str | None = None,
) -> CheckedInput | None:
    """Check the model, and the input where it is on this machine; what is cheap to check comes first.

    Args:
        path: of the input, as the user wrote it.
        model: its name or handle.
        local: whether Spark will run on this machine.
        input_format: one of ``INPUT_FORMATS``.
        encoding: of text.
    """
    source = local_path(path) if local else None
    if source is not None and source != STDIN:
        find_files(source)
    _check_model(model)
    return None if source is None else check_local(source, input_format, encoding, path)


def recover_claimed(store: Store, path: str) -> list[str]:
    """What :func:`recover` did; nothing where the output's folder is missing or cannot be looked at.

    Raises:
        OutputError: another process writes there.
    """
    parent, _ = store.split(path)
    try:
        if not store.exists(parent) or (store.exclusive and not os.access(parent, os.W_OK)):
            return []
        with store.claim(path):
            return recover(store, path)
    except store.errors:
        return []  # what is wrong with the path is found again where it is checked


def say_recovered(lines: Sequence[str]) -> None:
    """Print what was done about the leftovers of a killed run."""
    for line in lines:
        print(f"sparkxlmr: {line}", file=sys.stderr)


def is_local(master: str | None) -> bool:
    """Whether a session that is yet to be started will run on this machine, with its file system for paths
    without a scheme. False where it is not known."""
    if "PYSPARK_GATEWAY_PORT" in os.environ or _has_hadoop_settings():
        return False
    from sparkxlmr.spark.session import platform_defaults, require_pyspark

    require_pyspark()
    from sparkxlmr.spark.compat import is_client_only

    if is_client_only():
        return False
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        return False
    platform = platform_defaults()
    if any(name in platform for name in _DEFAULT_FS):
        return False
    return (master or platform.get("spark.master") or "local").startswith("local")


def _has_hadoop_settings() -> bool:
    """Whether Hadoop's own settings, which may name another file system, are on the JVM's class path."""
    spark_conf = os.environ.get("SPARK_CONF_DIR") or os.path.join(os.environ.get("SPARK_HOME", ""), "conf")
    return "HADOOP_CONF_DIR" in os.environ or os.path.isfile(os.path.join(spark_conf, "core-site.xml"))


def _check_model(model: str) -> None:
    """Open the model, which is downloaded here where it is a handle; raises what that raises."""
    from sparkxlmr.presets.names import open_named
    from sparkxlmr.spark.model_places import MODELS
    from sparkxlmr.spark.session import platform_defaults

    places = [place.strip() for place in platform_defaults().get(MODELS, "").split(",") if place.strip()]
    open_named(model, places)
