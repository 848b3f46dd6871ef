"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

# Before Spark's JVM starts, because its Python workers inherit them: nothing is written to the user's own
# folders, and each worker leaves a trace of what it loads and scores.
_SCRATCH = Path(tempfile.mkdtemp(prefix="sparkxlmr-tests-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
for _name, _folder in (
    ("SPARKXLMR_HOME", "home"),
    ("SPARKXLMR_HOST_FOLDER", "host"),
    ("SPARKXLMR_TRACE", "trace"),
):
    (_SCRATCH / _folder).mkdir(mode=0o700)
    os.environ[_name] = str(_SCRATCH / _folder)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return FIXTURES


@pytest.fixture(scope="session")
def spark_nlp():
    """Reads what Spark NLP 5.5.3 answered: ``spark_nlp("tokenizer")`` is that fixture file, parsed."""

    @cache
    def recorded(name: str) -> Any:
        plain = FIXTURES / "spark_nlp" / f"{name}.json"
        if plain.exists():
            return json.loads(plain.read_text(encoding="utf-8"))
        return json.loads(gzip.decompress(plain.with_suffix(".json.gz").read_bytes()))

    return recorded


@pytest.fixture(scope="session")
def tiny_preset(fixtures, tmp_path_factory) -> Path:
    """A preset folder of a tiny XLM-R classifier with four labels; it answers as Hugging Face's."""
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.presets.writer import write_preset

    source = Preset.open(fixtures / "hugging_face" / "xlmr_sequence_classification")
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    return write_preset(folder, source.contents())


@pytest.fixture(scope="session")
def spark():
    """One local[2] session for all tests that need no cluster."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .appName("sparkxlmr-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
