"""A Spark home for each run, because local-cluster's executors work in folders below it."""

from __future__ import annotations

from pathlib import Path

import pyspark
import pytest


@pytest.fixture(scope="session")
def spark_home(tmp_path_factory) -> Path:
    """The installed Spark under another path: what its executors leave there is this run's own."""
    folder = tmp_path_factory.mktemp("spark")
    for place in Path(pyspark.__file__).parent.iterdir():
        if place.name != "work":
            (folder / place.name).symlink_to(place)
    return folder
