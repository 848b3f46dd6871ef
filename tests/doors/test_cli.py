"""The command itself: its parser, `models`, `doctor`, `demo`, the progress bar."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from importlib import resources

import pytest

from sparkxlmr import cli, demo, doctor
from sparkxlmr.cli import main
from sparkxlmr.errors import EnvironmentNotReadyError, InputError
from sparkxlmr.jobs import classify, fill_mask, progress, table_job
from sparkxlmr.presets import builtin
from sparkxlmr.presets.preset import Preset


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["classify"],
        ["classify", "in.csv"],
        ["fill-mask", "a", "--output", "b", "--top-k", "x"],
        ["classify", "a", "--output", "b", "--format", "xls"],
    ],
)
def test_wrong_options_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: sparkxlmr" in capsys.readouterr().err


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "sparkxlmr", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("sparkxlmr ")


def test_the_job_of_spark_submit_has_the_options_of_the_command(capsys):
    def options(run, arguments):
        with pytest.raises(SystemExit):
            run([*arguments, "--help"])
        return (
            capsys.readouterr().out.partition("positional arguments:")[2].partition("Exit codes")[0].split()
        )

    for job, command in ((classify, "classify"), (fill_mask, "fill-mask")):
        assert options(job.main, []) == options(main, [command])


def test_models_lists_what_ships(capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in builtin.names())
    assert said.startswith("model")


def test_a_damaged_model_does_not_end_the_list(monkeypatch, capsys, tmp_path, tiny_preset):
    (tmp_path / "broken").mkdir()
    places = {"broken": tmp_path / "broken", "tiny": tiny_preset}
    monkeypatch.setattr(builtin, "names", lambda: tuple(places))
    monkeypatch.setattr(builtin, "locate", places.__getitem__)
    monkeypatch.setattr(Preset, "weights", lambda *_: pytest.fail("weights were read for a list"))
    assert main(["models"]) == 1
    captured = capsys.readouterr()
    broken, tiny = captured.out.splitlines()[1:]
    assert "cannot be used" in broken
    assert tiny.split()[:2] == ["tiny", "text"]
    assert captured.err.startswith("sparkxlmr: ")
    assert captured.err.count("\n") == 1


def test_numbers_of_a_model_are_counted_by_shapes(tiny_preset):
    preset = Preset.open(tiny_preset)
    n_numbers = sum(weight.size for weight in preset.weights().values())
    assert cli._described(preset)[2] == f"{n_numbers / 1e6:.1f} M"


def test_doctor_finds_this_machine_ready(capsys):
    assert main(["doctor", "--model", "xlm_roberta_tiny_ag_news"]) == 0
    said = capsys.readouterr().out
    for subject in ("Python", "Java", "pyspark", "engines", "GPU", "engine auto", "models", "cache"):
        assert f"  {subject} " in said
    assert "takes float32 for xlm_roberta_tiny_ag_news: SPARKXLMR_PRECISION says so" in said
    assert said.endswith("Ready.\n")


def test_doctor_says_what_is_missing_and_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor, "_version", lambda distribution: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sparkxlmr.spark.java.bundled_java", lambda: None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "file" / "inside"))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    for remedy in ('pip install "sparkxlmr[spark]"', 'pip install "sparkxlmr[java]"', "set SPARKXLMR_HOME"):
        assert remedy in said
    assert "Not ready: pyspark, Java, cache." in said


@pytest.mark.parametrize(
    ("gpu", "system", "keras", "tensorflow"),
    [
        (False, "linux", "pip install jax,", "pip install 'sparkxlmr[cpu]'"),
        (True, "linux", "pip install 'jax[cuda12]',", "pip install 'sparkxlmr[gpu]'"),
        (False, "darwin", "pip install jax,", "pip install 'sparkxlmr[tensorflow]'"),
    ],
)
def test_doctor_names_the_packages_of_this_machine(monkeypatch, gpu, system, keras, tensorflow):
    for name in ("keras", "tensorflow"):
        monkeypatch.setattr(f"sparkxlmr.runtime.engines.{name}.gpu_visible", lambda: gpu)
    monkeypatch.setattr("sparkxlmr.runtime.engines.available", lambda: ("openvino",))
    monkeypatch.setattr(sys, "platform", system)
    said = doctor.engines().said
    assert keras in said
    assert tensorflow in said
    assert ("cuda" in said) is gpu


def test_doctor_offers_no_openvino_where_it_has_no_wheels(monkeypatch):
    monkeypatch.setattr("sparkxlmr.runtime.engines.available", lambda: ("tensorflow",))
    monkeypatch.setattr("platform.machine", lambda: "ppc64le")
    assert "pip install openvino" not in doctor.engines().said


def test_doctor_says_what_training_lacks(monkeypatch):
    monkeypatch.setattr("sparkxlmr.models.keras_backend._is_installed", lambda name: name == "keras")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    found = doctor.keras()
    assert found.mark == doctor.NOTE
    assert 'pip install "sparkxlmr[cpu]"' in found.said


def test_doctor_advises_where_there_is_no_home(monkeypatch, capsys):
    def homeless():
        raise EnvironmentNotReadyError("There is no home folder", "a folder", "set SPARKXLMR_HOME")

    monkeypatch.setattr("sparkxlmr.presets.home.home", homeless)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "There is no home folder" in said
    assert "set SPARKXLMR_HOME" in said
    assert "Not ready: cache." in said


def test_doctor_asks_a_client_of_connect_for_no_java(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_version", {"pyspark-client": "4.2.0"}.get)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert (doctor.java().mark, doctor.spark().mark) == ("--", "ok")
    assert "client of Spark Connect" in doctor.java().said


@pytest.mark.parametrize(("version", "mark"), [("3.4.1", "!!"), ("3.5.9", "ok"), ("4.3.0", "ok")])
def test_doctor_knows_which_spark_is_too_old(monkeypatch, version, mark):
    monkeypatch.setattr(doctor, "_version", lambda distribution: version)
    assert doctor.spark().mark == mark


def test_the_demo_has_texts_of_its_own_in_many_languages_and_scripts():
    texts = resources.files("sparkxlmr").joinpath("demo_texts.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in texts.splitlines()]
    assert len({row["language"] for row in rows}) >= 30
    assert len({row["text"] for row in rows}) == len(rows)


def test_demo_shows_texts_and_summary(spark, tiny_preset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table_job, "read_table", lambda *_: pytest.fail("the table is read twice"))
    given = tmp_path / "mine.csv"
    # Names that the result would give its own columns.
    given.write_text("label,score,words\n1,1,Hello there\n2,2,\n")
    assert main(["demo", "--input", str(given), "--text", "words", "--model", str(tiny_preset)]) == 0
    said = capsys.readouterr().out
    assert "Hello there" in said
    assert "(null)" in said
    assert "2 documents in" in said
    assert list(tmp_path.iterdir()) == [given]


def test_demo_finds_the_column_of_texts(spark):
    def columns(schema):
        return spark.createDataFrame([], schema)

    assert demo.text_column(columns("id int, text string, title string")) == "text"
    assert demo.text_column(columns("id int, body string")) == "body"
    with pytest.raises(InputError, match="TEXT=COLUMN"):
        demo.text_column(columns("title string, body string"))


def test_an_interrupted_demo_speaks_of_no_output(spark, tiny_preset, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(table_job, "write_table", interrupt)
    assert main(["demo", "--model", str(tiny_preset)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "sparkxlmr: Interrupted."


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_drawn_on_a_terminal_and_errors_come_through(spark, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_LOOK_EVERY", 0.01)
    progress.with_progress(spark, "Counting", lambda: spark.range(0, 100, 1, 8).rdd.count())
    assert "Counting" in terminal.getvalue()
    with pytest.raises(ZeroDivisionError):
        progress.with_progress(spark, "Failing", lambda: 1 // 0)


def test_progress_waits_for_the_tasks_of_a_job_that_failed(spark, tmp_path):
    """The second task goes on after the first one has failed."""
    started = tmp_path / "started"

    def work(index, _):
        if index == 0:
            while not started.exists():
                time.sleep(0.01)
            raise ValueError("the first task fails")
        started.touch()
        time.sleep(1)
        return iter([])

    with pytest.raises(Exception, match="the first task fails"):
        progress.with_progress(
            spark,
            "Failing",
            lambda: spark.range(0, 2, 1, 2).rdd.mapPartitionsWithIndex(work).count(),
        )
    group = f"sparkxlmr-{threading.get_ident()}"
    assert progress.active_tasks(spark, group) == 0
