"""XLM-RoBERTa and ALBERT over DataFrames of any size, in pure Python.

``import sparkxlmr`` costs nothing: the names below are looked up when they are first used, so neither pyspark
nor a framework is imported before it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkxlmr.light import LightPipeline
    from sparkxlmr.spark.attach import attach
    from sparkxlmr.spark.distribution import release_unused_models
    from sparkxlmr.spark.session import start

__version__ = "0.1.0"

__all__ = ["LightPipeline", "__version__", "attach", "release_unused_models", "start"]

_WHERE = {
    "LightPipeline": "sparkxlmr.light",
    "attach": "sparkxlmr.spark.attach",
    "release_unused_models": "sparkxlmr.spark.distribution",
    "start": "sparkxlmr.spark.session",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
