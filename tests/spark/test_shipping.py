"""What Spark ships to executors that lack this package or have another version of it."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from pyspark import cloudpickle
from pyspark.sql.types import StringType

from sparkxlmr import __version__, functions
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.runtime.row_embedder import EmbedOptions
from sparkxlmr.runtime.row_mask_filler import FillOptions
from sparkxlmr.spark.cutting import cut_function
from sparkxlmr.spark.embedding import embed_function
from sparkxlmr.spark.mask_filling import fill_function
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.scoring import score_function
from sparkxlmr.text.words import WordRules

REF = ModelRef("a" * 64, "files", f"sparkxlmr-{'a' * 64}.zip", "bfloat16")
SHIPPED = {
    "score": lambda: score_function(REF, RowOptions(128)),
    "fill": lambda: fill_function(REF, FillOptions(128)),
    "embed": lambda: embed_function(REF, EmbedOptions(128)),
    "words": lambda: cut_function(WordRules()),
    "map_annotations": lambda: functions.map_annotations(len, StringType()).func,
    "map_annotations_array": lambda: functions.map_annotations_array(len, StringType()).func,
}
# Calls the function as a worker does; prints the error of whatever goes wrong, also while unpickling.
WORKER = """
import pickle, sys
sys.path.insert(0, FOLDER)
try:
    result = pickle.load(sys.stdin.buffer)(iter(()))
    list(result)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def error_on_executor(function, folder) -> list[str]:
    """The lines of the error where `folder` holds the executor's package."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER.replace("FOLDER", repr(str(folder)))],
        input=cloudpickle.dumps(function), capture_output=True, cwd=folder, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.decode().splitlines()


def package(folder, version) -> None:
    """A package of that version in which nothing but the version is where it is in this one."""
    (folder / "sparkxlmr").mkdir()
    (folder / "sparkxlmr" / "__init__.py").write_text(f"__version__ = {version!r}\n")


@pytest.mark.parametrize("kind", SHIPPED)
def test_shipped_function_with_other_version(kind, tmp_path):
    package(tmp_path, "0.0.9")
    (line,) = error_on_executor(SHIPPED[kind](), tmp_path)
    assert f"has sparkxlmr 0.0.9, the driver {__version__}." in line
    assert "install sparkxlmr on every executor" in line


@pytest.mark.parametrize("kind", SHIPPED)
def test_shipped_function_with_missing_module(kind, tmp_path):
    """Two states of the sources may have one version."""
    package(tmp_path, __version__)
    (line,) = error_on_executor(SHIPPED[kind](), tmp_path)
    assert f"has sparkxlmr {__version__} without sparkxlmr." in line
    assert f"the driver {__version__}." in line


def test_shipped_function_with_missing_attribute(tmp_path):
    package(tmp_path, __version__)
    (tmp_path / "sparkxlmr" / "functions.py").touch()
    (line,) = error_on_executor(SHIPPED["map_annotations"](), tmp_path)
    assert f"has sparkxlmr {__version__} without sparkxlmr.functions._mapped, the driver" in line


def test_shipped_function_is_small():
    assert max(len(cloudpickle.dumps(make())) for make in SHIPPED.values()) < 5000
    assert pickle.loads(cloudpickle.dumps(SHIPPED["map_annotations"]())).__name__ == "mapped"
