"""What a command refuses before Spark is started."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sparkxlmr.cli import main
from sparkxlmr.jobs import outcome, preflight, table_job
from sparkxlmr.jobs.checked_input import CheckedInput


class StartedError(Exception):
    """Raised in place of starting Spark."""


@pytest.fixture(autouse=True)
def no_spark(monkeypatch):
    def start(*_, **__):
        raise StartedError("Spark was started")

    monkeypatch.setattr("sparkxlmr.spark.session.start", start)
    for name in ("HADOOP_CONF_DIR", "PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path, tiny_preset) -> Path:
    (tmp_path / "model").symlink_to(tiny_preset)
    (tmp_path / "in.csv").write_text("id,text\n1,a\n")
    (tmp_path / "open.csv").write_text('id,text\n1,"a\n')
    (tmp_path / "taken").write_text("mine")
    return tmp_path


def classify(folder: Path, source: str, output: str, *more: str) -> int:
    model = [] if "--model" in more else ["--model", str(folder / "model")]
    return main(["classify", str(folder / source), "--output", str(folder / output), *model, *more])


@pytest.mark.parametrize(
    ("source", "output", "more", "problem"),
    [
        ("missing.csv", "out", [], "no file or folder at"),
        ("in.csv", "out", ["--model", "no_such_model"], "no_such_model"),
        ("in.csv", "out", ["--text", "txt"], "say --text text"),
        ("in.csv", "out", ["--label-column", "ID"], "--label-column and --score-column"),
        ("in.csv", "out", ["--label-column", "x", "--score-column", "x"], "two names"),
        ("in.csv", "taken", ["--format", "csv"], "exists already"),
        ("in.csv", "out.txt", [], "--format"),
        ("open.csv", "out", [], "open.csv, line 2: a quote is opened"),
        ("in.csv", "out", ["--encoding", "nix"], "'nix'"),
    ],
)
def test_wrong_use_is_found_before_spark_starts(folder, capsys, source, output, more, problem):
    assert classify(folder, source, output, *more) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1


def test_a_missing_input_is_found_before_the_model_is_opened(folder, capsys):
    assert classify(folder, "missing.csv", "out", "--model", "hf://nobody/nothing") == 2
    assert "no file or folder" in capsys.readouterr().err


def test_right_use_starts_spark(folder, capsys):
    assert classify(folder, "in.csv", "out") == 1
    assert "Spark was started" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"), [(["--input", "missing.csv"], "no file or folder"), (["--model", "nix"], "nix")]
)
def test_demo_finds_wrong_use_before_spark_starts(folder, capsys, arguments, problem):
    assert main(["demo", "--input", str(folder / "in.csv"), *arguments]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("master", ["yarn", "spark://host:7077"])
def test_paths_without_a_scheme_are_not_looked_at_for_a_cluster(folder, capsys, master):
    assert classify(folder, "missing.csv", "out", "--master", master) == 1
    assert "Spark was started" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["spark.master yarn", "spark.hadoop.fs.defaultFS hdfs://host"])
def test_is_local_goes_by_the_platform_s_settings(monkeypatch, tmp_path, line):
    assert preflight.is_local(None)
    (tmp_path / "spark-defaults.conf").write_text(line + "\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert not preflight.is_local(None)


def test_is_local_leaves_hadoop_s_settings_to_spark(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert preflight.is_local("local[2]")
    (tmp_path / "core-site.xml").touch()
    assert not preflight.is_local("local[2]")


def test_a_model_in_the_platform_s_folders_is_found(monkeypatch, folder):
    (folder / "spark-defaults.conf").write_text(f"spark.sparkxlmr.models {folder}\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(folder))
    found = preflight.check_source(str(folder / "in.csv"), "model", True)
    assert isinstance(found, CheckedInput)


def test_leftovers_of_a_killed_run_are_mended_before_spark_starts(folder, capsys):
    for kind in ("unfinished", "replaced"):
        (folder / f".out.0123abcd.{kind}").mkdir()
        (folder / f".out.0123abcd.{kind}" / "_SUCCESS").touch()
    assert classify(folder, "in.csv", "out", "--overwrite") == 1
    assert "the new result is there now" in capsys.readouterr().err.splitlines()[0]
    assert (folder / "out" / "_SUCCESS").exists()


def test_a_client_of_connect_has_no_local_session(monkeypatch):
    monkeypatch.setattr("sparkxlmr.spark.compat.is_client_only", lambda: True)
    assert not preflight.is_local("local[2]")


def test_stopwatch_of_a_command_counts_from_the_start_of_the_process():
    command, call = (argparse.Namespace(own_process=own) for own in (True, False))
    assert table_job.stopwatch(command) is outcome.process_seconds
    assert table_job.stopwatch(call)() < 1
