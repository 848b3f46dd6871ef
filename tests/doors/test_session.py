"""``start`` refuses what it cannot do, before any JVM runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import pytest

import sparkxlmr
from sparkxlmr.errors import EnvironmentNotReadyError, SettingError
from sparkxlmr.spark import session

WITHOUT_PYSPARK = """
import importlib.util, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pyspark":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "pyspark" else found(name, package)
try:
    import MODULE
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_setting_has_its_full_name():
    with pytest.raises(SettingError, match=r"driver_memory.*full names"):
        sparkxlmr.start(driver_memory="2g")


def test_an_active_session_is_returned_with_the_settings_asked_for(spark):
    assert sparkxlmr.start() is spark
    before = spark.conf.get("spark.sql.ansi.enabled")
    try:
        assert sparkxlmr.start(**{"spark.sql.ansi.enabled": before != "true"}) is spark
        assert spark.conf.get("spark.sql.ansi.enabled") != before
    finally:
        spark.conf.set("spark.sql.ansi.enabled", before)


@pytest.mark.parametrize(
    ("master", "environ", "settings", "remote"),
    [
        ("sc://host", None, {}, "sc://host"),
        (None, "sc://host:15", {}, "sc://host:15"),
        (None, "sc://host", {"spark.remote": "local[2]"}, "local[2]"),
        ("sc://host", "sc://other", {}, "sc://host"),
        ("local[2]", None, {}, None),
        (None, "", {}, None),
    ],
)
def test_what_names_a_connect_server(monkeypatch, master, environ, settings, remote):
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    if environ is not None:
        monkeypatch.setenv("SPARK_REMOTE", environ)
    assert session._remote(master, settings) == remote


def test_a_running_connect_server_is_told_settings_of_sessions_only(monkeypatch):
    monkeypatch.setattr(session, "_build", lambda builder, settings: (builder._options, settings))
    options, settings = session._start_connect("sc://host", "app", {"spark.sql.ansi.enabled": "true"})
    assert options["spark.remote"] == "sc://host"
    assert settings["spark.sql.ansi.enabled"] == "true"
    assert settings["spark.sql.execution.arrow.maxRecordsPerBatch"] == "4096"
    assert all(name.startswith("spark.sql.") for name in settings)


def test_a_connect_server_in_this_process_runs_this_python(monkeypatch):
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    monkeypatch.setattr(session, "ensure_java", lambda: None)
    monkeypatch.setattr(session, "_build", lambda builder, settings: settings)
    settings = session._start_connect("local[2]", "app", {})
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    assert (settings["spark.app.name"], settings["spark.driver.memory"]) == ("app", "2g")


def test_what_pyspark_lacks_for_connect_is_named(monkeypatch):
    def build(builder, settings):
        raise ImportError("grpcio-status must be installed")

    monkeypatch.setattr(session, "_build", build)
    with pytest.raises(EnvironmentNotReadyError, match=r"grpcio-status.*pyspark\[connect\]"):
        session._start_connect("sc://host", "app", {})


def test_without_pyspark_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(session.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentNotReadyError, match=r"sparkxlmr\[spark\]"):
        sparkxlmr.start()


@pytest.mark.parametrize("module", ["sparkxlmr.base", "sparkxlmr.annotator"])
def test_the_doors_to_the_stages_name_the_extra_too(module):
    program = WITHOUT_PYSPARK.replace("MODULE", module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("EnvironmentNotReadyError")
    assert "sparkxlmr[spark]" in done.stdout


def test_the_quiet_log_is_a_file_of_the_package():
    option = session._quiet_log()["spark.driver.extraJavaOptions"]
    path = option.strip('"').split("file:")[1]
    with open(path, encoding="utf-8") as properties:
        assert "rootLogger.level = error" in properties.read()


def test_the_remark_about_pandas_is_ignored_and_nothing_else(spark):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        sparkxlmr.start()
        warnings.warn("PySpark does not yet fully support pandas >= 3.0.0. Some", FutureWarning, stacklevel=1)
        warnings.warn("PySpark does something else", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["PySpark does something else"]


SETTINGS_OF_START = """
import json, sparkxlmr
from sparkxlmr.spark import session

session._build = lambda builder, settings: print(json.dumps({**builder._options, **settings}))
sparkxlmr.start(*MASTER)
"""


@pytest.mark.parametrize("given", [None, "local[3]"])
@pytest.mark.parametrize("place", ["SPARK_CONF_DIR", "SPARK_HOME"])
def test_the_platform_s_defaults_are_kept_unless_the_user_says_otherwise(tmp_path, place, given):
    folder = tmp_path if place == "SPARK_CONF_DIR" else tmp_path / "conf"
    folder.mkdir(exist_ok=True)
    (folder / "spark-defaults.conf").write_text(
        "# spark.master local[9]\n\n  spark.master   yarn\nspark.driver.memory=5g\nspark.eventLog.dir: s3a://logs\n"
    )
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("SPARK_CONF_DIR", "SPARK_HOME")
    }
    program = SETTINGS_OF_START.replace("*MASTER", repr(given))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, place: str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    assert settings["spark.master"] == ("local[3,4]" if given else "yarn")
    # Left to the file, which Spark reads itself.
    assert "spark.driver.memory" not in settings
    assert settings["spark.ui.showConsoleProgress"] == "false"


def test_the_file_of_defaults_is_read_as_java_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert session.platform_defaults() == {}
    lines = ["spark.a b c", "spark.b=d", "spark.c : e=f", "!spark.d x", "spark.e\ts3a://x", "lonely"]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines))
    expected = {"spark.a": "b c", "spark.b": "d", "spark.c": "e=f", "spark.e": "s3a://x"}
    assert session.platform_defaults() == expected
