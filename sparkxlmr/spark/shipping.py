"""What Spark ships to the executors: functions that hold plain values and import the package on arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from pyspark.sql import Column
from pyspark.sql.types import StructType

from sparkxlmr import __version__
from sparkxlmr.spark.compat import iterator_udf, ready_to_ship

#: From batches of array<string> to batches of structs: pandas Series to frames, or Arrow arrays to arrays.
Batches = Callable[[Iterator[Any]], Iterator[Any]]


def on_executor(name: str, module: str, function: str, *arguments: Any) -> Batches:
    """An iterator UDF's function called `name` (query plans show it): `function(*arguments, batches)`.

    What is shipped is a few hundred bytes and the arguments. It is unpickled without this package, so that a
    worker that lacks it, or has another version of it, raises an error of one line with the remedy.

    >>> on_executor("lengths", "sparkxlmr.spark.nowhere", "lengths", 7).__name__
    'lengths'
    """

    ready_to_ship()
    load = importer(module, function)

    def shipped(batches: Iterator[Any]) -> Iterator[Any]:
        yield from load()(*arguments, batches)

    shipped.__name__ = shipped.__qualname__ = name
    return shipped


def row_on_executor(name: str, module: str, function: str, *arguments: Any) -> Callable[[Any], Any]:
    """As :func:`on_executor`, a plain UDF's function: `function(*arguments, value)` for each row."""
    load = importer(module, function)
    loaded: list[Callable[..., Any]] = []

    def shipped(value: Any) -> Any:
        if not loaded:
            loaded.append(load())
        return loaded[0](*arguments, value)

    shipped.__name__ = shipped.__qualname__ = name
    return shipped


def importer(module: str, function: str) -> Callable[[], Callable[..., Any]]:
    """A function that unpickles without this package and imports `function` of `module`, of this version.

    The versions are compared before anything else is imported: what another version lacks can be any name.
    """
    expected = __version__

    def load() -> Callable[..., Any]:
        from importlib import import_module  # here, so that nothing but plain values hangs at the function

        remedy = (
            "install sparkxlmr on every executor, or ship an environment that has it (--archives "
            "env.tar.gz#env with spark.pyspark.python=./env/bin/python); where only sparkxlmr itself is "
            "missing, call sparkxlmr.attach(spark)."
        )
        installed, lacking = None, ""
        try:
            installed = getattr(import_module("sparkxlmr"), "__version__", "of no version")
            if installed == expected:
                loaded: Callable[..., Any] = getattr(import_module(module), function)
                import_module("sparkxlmr.spark.worker_exit").expect_closed_connection()
                return loaded
        except AttributeError:
            lacking = f" without {module}.{function}"
        except ImportError as error:
            if not str(error.name).startswith("sparkxlmr."):  # the package itself, or what it needs
                raise ImportError(
                    f"This executor's Python cannot import sparkxlmr ({error}). Expected the same package as "
                    f"on the driver. To mend it: {remedy}"
                ) from None
            lacking = f" without {error.name}"
        raise RuntimeError(
            f"This executor's Python has sparkxlmr {installed}{lacking}, the driver {expected}. Expected the "
            f"same version on both. To mend it: {remedy}"
        )

    return load


def settings_of(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass that are not its defaults: what has to travel.

    >>> from sparkxlmr.runtime.row_classifier import RowOptions
    >>> settings_of(RowOptions(128, threshold=0.5, top=3))
    {'max_length': 128, 'top': 3}
    """
    values = {item.name: (getattr(options, item.name), item.default) for item in fields(options)}
    return {name: value for name, (value, default) in values.items() if value != default}


def crossing(
    function: Batches, result_type: StructType | str, texts: Column, arrow: bool = False
) -> Column:
    """What `function` makes of a column, a struct: the one crossing into Python of a stage.

    The UDF is an iterator UDF, so a worker looks its model up once a task, and non-deterministic, so that
    Spark neither repeats it for a filter on its output nor keeps it where nobody reads it. With `arrow` the
    function takes Arrow arrays too, and gets them where this Spark has such UDFs; else pandas Series.
    """
    column: Column = iterator_udf(function, result_type, arrow).asNondeterministic()(texts)
    return column
