"""Jobs started in the folder that holds a checkout called like the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[1,1,1024]"])
def test_classify_in_parent_of_checkout(master, tmp_path, spark_home):
    """Python workers start in the driver's working directory, where the checkout is a namespace package."""
    (tmp_path / "sparkxlmr").symlink_to(CHECKOUT, target_is_directory=True)
    (tmp_path / "in.txt").write_text("Der Zug nach Leipzig hat heute Verspätung.\n", encoding="utf-8")
    command = [Path(sys.executable).with_name("sparkxlmr"), "classify", "in.txt", "--output", "out"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "--format", "jsonl", "--master", master],
        cwd=tmp_path, env=environment | {"SPARK_HOME": str(spark_home)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    written = "".join(part.read_text(encoding="utf-8") for part in (tmp_path / "out").glob("part-*"))
    assert '"label":"deu_Latn"' in written
