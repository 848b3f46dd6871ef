"""What a run compares, on this machine and on others."""

from __future__ import annotations

import argparse
from pathlib import Path

import prepare
import pytest
import run


@pytest.mark.parametrize(("flags", "narrow"), [(["avx2", "avx512_bf16"], True), (["avx2"], False)])
def test_bfloat16_is_measured_where_the_processor_has_it(
    flags: list[str], narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "arithmetic", lambda: flags)
    entries = run.own_entries()
    asked = {(entry.facts["engine"], entry.facts["precision"]) for entry in entries}
    assert {engine for engine, _ in asked} == {"openvino", "tensorflow", "keras"}
    assert (("openvino", "bfloat16") in asked) == narrow
    assert len({entry.what for entry in entries}) == len(entries), "each has a name of its own"
    static = [entry for entry in entries if entry.facts["quantization"] == "static"]
    assert [entry.options for entry in static] == [("--preset", prepare.QUANTIZED)]


def test_a_peer_that_cannot_be_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def python_of(program: str) -> Path:
        if program == "spark_nlp":
            raise SystemExit("needs Maven")
        return tmp_path

    monkeypatch.setattr(prepare, "python_of", python_of)
    monkeypatch.setattr(prepare.random_models, "make", lambda models: models)
    missing = prepare.everything(tmp_path, ["hugging_face", *run.PEERS], static=False)
    assert missing == ["spark_nlp"]
    assert "needs Maven" in capsys.readouterr().err
    monkeypatch.setattr(run.attempt, "failed", missing)
    asked = run.asked_peers(argparse.Namespace(sections=["peers"], only=None))
    assert asked == [program for program in run.PEERS if program != "spark_nlp"]


def test_every_peer_has_its_program_and_its_requirements() -> None:
    folder = Path(run.__file__).parent / "contestants"
    for program in (run.REFERENCE.program, *run.PEERS):
        assert (folder / f"{program}.py").is_file()
        assert (folder / f"{program}.txt").is_file()


def test_lengths_are_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "BUILD", tmp_path)
    fixtures = Path(__file__).parents[1] / "fixtures" / "hugging_face"
    preset = tmp_path / "classify" / "preset"
    preset.parent.mkdir()
    preset.symlink_to(fixtures / "xlmr_sequence_classification")
    job = prepare.job_of_length(tmp_path, 2, 64, tokens=1024)
    assert job.rows == 16
    assert set(job.tokens) == {64}, "cut off there, and none is shorter"
