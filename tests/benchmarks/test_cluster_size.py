"""The size of a cluster: the formula, and the page that is written from what was measured."""

from __future__ import annotations

import doctest

import cluster_size
import pytest
from cluster_size import Cluster, Costs
from measuring import read_records

COSTS = Costs(
    documents_per_core=8.0,
    bundle_bytes=1_000_000_000,
    worker_seconds=4.0,
    open_seconds=2.0,
    check_rate=2e9,
    unpack_rate=0.5e9,
)


def test_examples() -> None:
    assert doctest.testmod(cluster_size).failed == 0


@pytest.mark.parametrize(
    ("way", "executors", "seconds"),
    [
        # worker + models through the link + reading or unpacking + opening
        ("path", 10, 4 + 10 / 1.25 + 0.5 + 2),
        ("files", 10, 4 + 10 / 1.25 + 2 + 2),
        ("broadcast", 10, 4 + 1 / 1.25 + 2 + 2),
        ("files", 1000, 4 + 1000 / 1.25 + 2 + 2),
    ],
)
def test_what_a_start_takes(way: str, executors: int, seconds: float) -> None:
    cluster = Cluster(executors)
    assert cluster_size.ready_seconds(COSTS, cluster, way) == pytest.approx(seconds)
    assert cluster_size.rate(COSTS, cluster) == executors * 4 * 8
    whole = cluster_size.job_seconds(COSTS, cluster, way, documents=3200 * executors)
    assert whole == pytest.approx(seconds + 100)
    done = cluster_size.first_hour(COSTS, cluster, way)
    assert cluster_size.job_seconds(COSTS, cluster, way, round(done)) == pytest.approx(3600, abs=0.1)


def test_a_start_longer_than_an_hour_leaves_nothing() -> None:
    assert cluster_size.first_hour(COSTS, Cluster(10_000), "files") == 0


def test_every_way_was_held_against_the_formula() -> None:
    records = read_records(cluster_size.OUTPUT)
    told = {(job["way"], job["executors"]) for job in records if job["what"] == "job"}
    assert told == {(way, n) for way in cluster_size.WAYS for n in (1, 2) if records}
