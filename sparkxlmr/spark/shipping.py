"""What Spark ships to the executors: functions that hold plain values and import the package on arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from sparkxlmr.spark.compat import ready_to_ship

Batches = Callable[[Iterator[pd.Series]], Iterator[pd.DataFrame]]


def on_executor(name: str, module: str, function: str, *arguments: Any) -> Batches:
    """An iterator UDF's function called `name` (query plans show it): `function(*arguments, batches)`.

    What is shipped is a few hundred bytes and the arguments. It is unpickled without this package, so that a
    worker that lacks it raises ImportError with one line that says so, and what to do.

    >>> on_executor("lengths", "sparkxlmr.spark.nowhere", "lengths", 7).__name__
    'lengths'
    """

    ready_to_ship()

    def shipped(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
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
