"""The installed package is importable from any working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROGRAM = """
import sparkxlmr
from sparkxlmr.presets import builtin
print(sparkxlmr.start.__module__, *builtin.names())
"""


@pytest.fixture
def environment():
    """The environment of a user: only the installation decides what is importable."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize("where", ["parent", "checkout", "elsewhere"])
def test_import_from_working_directory(where, tmp_path, environment):
    """Python finds a checkout called ``sparkxlmr`` in its parent folder as a namespace package."""
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "sparkxlmr").symlink_to(CHECKOUT, target_is_directory=True)
    folder = {"parent": parent, "checkout": CHECKOUT, "elsewhere": tmp_path}[where]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    module, *models = done.stdout.split()
    assert module == "sparkxlmr.spark.session"
    assert "xlm_roberta_tiny_language_id" in models


@pytest.mark.parametrize("name", ["models", "tests", "benchmarks", "docs", "examples", "notebooks", "conf"])
def test_import_of_users_folder_named_as_one_of_the_checkout(name, tmp_path, environment):
    """The checkout's path is on ``sys.path``: none of its other folders may be a regular package, which would
    take precedence over a user's folder without ``__init__.py``."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}.mine"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
