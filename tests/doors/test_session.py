"""``start`` refuses what it cannot do, before any JVM runs."""

from __future__ import annotations

import subprocess
import sys

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
