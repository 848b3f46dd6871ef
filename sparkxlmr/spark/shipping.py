"""What Spark ships to the executors: functions that hold plain values and import the package on arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from pyspark.sql import Column
from pyspark.sql.types import StructType

from sparkxlmr.spark.compat import iterator_udf, ready_to_ship

#: From batches of array<string> to batches of structs: pandas Series to frames, or Arrow arrays to arrays.
Batches = Callable[[Iterator[Any]], Iterator[Any]]


def on_executor(name: str, module: str, function: str, *arguments: Any) -> Batches:
    """An iterator UDF's function called `name` (query plans show it): `function(*arguments, batches)`.

    What is shipped is a few hundred bytes and the arguments. It is unpickled without this package, so that a
    worker that lacks it raises ImportError with one line that says so, and what to do.

    >>> on_executor("lengths", "sparkxlmr.spark.nowhere", "lengths", 7).__name__
    'lengths'
    """

    ready_to_ship()

    def shipped(batches: Iterator[Any]) -> Iterator[Any]:
        from importlib import import_module  # here, so that nothing but plain values hangs at the function

        try:
            run = getattr(import_module(module), function)
        except ImportError as error:
            raise ImportError(
                f"This executor's Python cannot import sparkxlmr ({error}). Expected the same package as "
                "on the driver. To mend it: install sparkxlmr on every executor, or ship an environment "
                "that has it (--archives env.tar.gz#env with spark.pyspark.python=./env/bin/python); where "
                "only sparkxlmr itself is missing, call sparkxlmr.attach(spark)."
            ) from None
        yield from run(*arguments, batches)

    shipped.__name__ = shipped.__qualname__ = name
    return shipped


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
