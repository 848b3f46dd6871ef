"""The package on its way to executors that lack it; tests/environments has the real server."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError
from sparkxlmr.spark import attach as module
from sparkxlmr.spark import compat
from sparkxlmr.spark.attach import attach, package_archive

# What an executor does with it: no folder of the package anywhere on the path, only the archive.
ON_EXECUTOR = """
import sys
sys.path = [path for path in sys.path if path != CHECKOUT]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
sys.path.insert(0, ARCHIVE)
import sparkxlmr.spark.worker
from sparkxlmr.runtime.engines import available
from sparkxlmr.presets import builtin
print(sparkxlmr.__file__.startswith(ARCHIVE), "openvino" in available(), builtin.names())
"""


def test_the_archive_is_the_package_without_models_and_is_made_once(tmp_path):
    archive = package_archive(tmp_path)
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert "sparkxlmr/spark/worker.py" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("sparkxlmr/builtin")]
    assert archive.stat().st_size < 1 << 20
    before = archive.stat().st_mtime_ns
    assert package_archive(tmp_path) == archive
    assert archive.stat().st_mtime_ns == before
    content = archive.read_bytes()
    archive.unlink()
    assert package_archive(tmp_path).read_bytes() == content


def test_workers_import_the_package_from_the_archive(tmp_path):
    archive = package_archive(tmp_path)
    checkout = str(module.Path(module.__file__).parents[2])
    program = ON_EXECUTOR.replace("ARCHIVE", repr(str(archive))).replace("CHECKOUT", repr(checkout))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "True True ()", done.stderr


def test_a_package_that_came_in_an_archive_says_how_to_send_it(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", "/x/sparkxlmr.zip/sparkxlmr/spark/attach.py")
    with pytest.raises(EnvironmentNotReadyError, match=r"sparkxlmr\.zip.*--py-files"):
        package_archive(tmp_path)


class Remote:
    """As much of a Connect session as attach uses."""

    __module__ = "pyspark.sql.connect.session"

    def __init__(self, session_id):
        self.session_id, self.sent = session_id, []

    def addArtifacts(self, *paths, **kinds):
        self.sent.append((paths, kinds))


def test_each_session_gets_the_package_once(monkeypatch):
    monkeypatch.setattr(module, "_attached", set())
    one, other = Remote("one"), Remote("other")
    for spark in (one, one, other):
        attach(spark)
    assert len(one.sent) == len(other.sent) == 1
    ((path,), kinds) = one.sent[0]
    assert path.endswith(".zip")
    assert kinds == {"pyfile": True}


def test_a_classic_cluster_gets_it_as_a_file_of_python(monkeypatch, tmp_path):
    """From Spark's own folder: executors that start later read it too."""
    monkeypatch.setattr(module, "_attached", set())
    monkeypatch.setattr(compat, "files_root", lambda: tmp_path)
    sent = []
    context = SimpleNamespace(applicationId="app", addPyFile=sent.append)
    attach(SimpleNamespace(sparkContext=context))
    assert [Path(path).parent for path in sent] == [tmp_path]
