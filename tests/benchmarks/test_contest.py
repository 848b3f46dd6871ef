"""Contestants take turns, and what they say becomes records."""

from __future__ import annotations

import sys
from pathlib import Path

import contest
import pytest

# Speaks as every contestant does, and prints what a library may print.
CONTESTANT = f"""
import sys
sys.path[:0] = [{str(Path(contest.__file__).parent / "contestants")!r}]
import serve
arguments = serve.arguments(None)
count = 0

def run(seconds, fails=False):
    global count
    count += 1
    print("what a library says")
    if fails:
        raise MemoryError("no room")
    return seconds * count, ["a", "b"][:arguments.rows], {{"loading": 0.5}}

serve.serve(run, "numpy")
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> contest.Job:
    (tmp_path / "fake.py").write_text(CONTESTANT)
    monkeypatch.setattr(contest, "HERE", tmp_path)
    monkeypatch.setattr(contest, "BUILD", tmp_path)
    return contest.Job(tmp_path, tmp_path / "texts.jsonl", "made up", [4, 6], cores=1)


def test_ratios_are_of_runs_side_by_side(job: contest.Job) -> None:
    python = Path(sys.executable)
    with contest.started("fake", python, job) as one, contest.started("fake", python, job) as other:
        first, (second,) = contest.alternate((one, {"seconds": 6.0}), [(other, {"seconds": 2.0})], 3)
        assert (first.seconds, second.seconds) == ([6.0, 12.0, 18.0], [2.0, 4.0, 6.0])
        assert second.ratios == [3.0, 3.0, 3.0]
        entry = contest.Entry("fake, bare", "fake", {"seconds": 2.0}, facts={"precision": "int8"})
        found = contest.record(entry, job, second, first.last["labels"], other.versions)
    assert found["ratio"] == 3.0
    assert (found["seconds"], found["spread_seconds"]) == (4.0, [2.0, 6.0])
    assert (found["documents"], found["tokens"], found["documents_per_second"]) == (2, 10, 0.5)
    assert (found["label_agreement"], found["precision"], found["loading_seconds"]) == (1.0, "int8", 0.5)
    assert "numpy" in found["versions"]
    assert found["memory"]["process"][0]["peak"] > 0
    assert found["useful_gflops"] == round(job.operations / 4.0 / 1e9, 1)


def test_a_contestant_that_fails_leaves_its_last_words(job: contest.Job) -> None:
    with (
        contest.started("fake", Path(sys.executable), job) as one,
        pytest.raises(contest.ContestantFailed, match="no room"),
    ):
        one.run({"seconds": 1.0, "fails": True})


def test_a_masked_language_model_projects_its_masks_onto_the_vocabulary(job: contest.Job) -> None:
    filling = contest.Job(job.models, job.texts, job.source, job.tokens, 1, task="fill-mask")
    assert filling.operations - job.operations == 2 * 2 * 768 * (250_002 - 5)
