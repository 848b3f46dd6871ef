"""Both ends of each way, without a cluster; tests/cluster has the real one."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparkxlmr.errors import (
    DamagedModelError,
    EnvironmentNotReadyError,
    NotAPresetError,
    OutputError,
    SettingError,
)
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import MANIFEST
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.spark import compat, distribution, sent_models
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.sent_models import SentModels


@pytest.fixture(scope="module")
def bundle(tiny_preset):
    return bundle_for(Preset.open(tiny_preset), "openvino")


@pytest.fixture
def own_host(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOST_FOLDER", str(tmp_path / "host"))
    return tmp_path / "host"


@pytest.fixture
def set_conf(spark):
    """Session settings for one test."""
    names = []

    def put(name, value):
        names.append(name)
        spark.conf.set(name, value)

    yield put
    for name in names:
        spark.conf.unset(name)


def session(master, **settings):
    """As much of a classic session as the choice of a way looks at."""
    values = {"spark.master": master, **settings}
    return SimpleNamespace(
        conf=SimpleNamespace(get=lambda name, default=None: values.get(name, default)),
        sparkContext=SimpleNamespace(applicationId=uuid.uuid4().hex),
    )


@pytest.mark.parametrize(
    ("master", "way"),
    [("local", "path"), ("local[2]", "path"), ("local[*,4]", "path"), ("local-cluster[2,1,1024]", "files"),
     ("yarn", "files"), ("spark://host:7077", "files"), ("k8s://https://host", "files")],
)  # fmt: skip
def test_auto_is_a_path_in_local_mode_and_files_elsewhere(master, way):
    assert distribution.resolve_way("auto", session(master)) == way
    for asked in ("path", "files", "broadcast"):
        assert distribution.resolve_way(asked, session(master)) == asked


def test_auto_is_a_path_where_the_user_says_that_the_disk_is_shared(spark, set_conf):
    set_conf("spark.sparkxlmr.sharedDisk", "TRUE")
    assert distribution.resolve_way("auto", spark) == "path"


def test_unknown_ways_and_broadcast_under_connect_are_refused(spark, monkeypatch):
    with pytest.raises(SettingError, match="pigeon"):
        distribution.resolve_way("pigeon", spark)
    monkeypatch.setattr(distribution, "is_connect", lambda spark: True)
    with pytest.raises(SettingError, match="Connect"):
        distribution.resolve_way("broadcast", spark)


class Connect:
    """As much of a Connect session as a model's way looks at."""

    __module__ = "pyspark.sql.connect.session"

    def __init__(self, **settings):
        self.session_id = uuid.uuid4().hex  # no other's, however many came and went
        self.sent = []
        self.conf = SimpleNamespace(get=lambda name, default=None: settings.get(name, default))

    def addArtifacts(self, path, file):
        self.sent.append((path.rsplit("/", 1)[1], file))


@pytest.fixture
def asked(monkeypatch):
    """What executors were asked, in place of a job."""
    questions = []
    monkeypatch.setattr(distribution, "check", lambda spark, ref, engine: questions.append((ref.way, engine)))
    return questions


def test_under_connect_a_model_is_sent_once_a_session_and_looked_for_once(bundle, asked):
    spark, other = Connect(), Connect()
    for session in (spark, spark, other):
        ref = distribution.distribute(bundle, "auto", session, "float32")
        assert (ref.way, ref.place) == ("files", f"sparkxlmr-{bundle.hash}.zip")
    assert spark.sent == other.sent == [(ref.place, True)]
    assert asked == [("files", "openvino")] * 2


def test_under_connect_mounted_or_shared_storage_comes_before_an_artifact(bundle, asked):
    shared = Connect(**{"spark.sparkxlmr.sharedDisk": "true"})
    assert distribution.distribute(bundle, "auto", shared, "float32").way == "path"
    assert shared.sent == []
    assert asked == [("path", "openvino")]
    for folder, way in (("/Volumes/a/b", "path"), ("/dbfs/models/b", "path"), ("/Volumes2/b", "files")):
        assert distribution.resolve_way("auto", Connect(), Path(folder)) == way
    assert distribution.resolve_way("auto", session("yarn"), Path("/Volumes/a/b")) == "files"


def test_a_model_that_executors_do_not_see_is_asked_for_again(bundle, monkeypatch):
    def unseen(spark, ref, engine):
        raise NotAPresetError("unseen")

    monkeypatch.setattr(distribution, "check", unseen)
    spark = Connect()
    for _ in range(2):
        with pytest.raises(NotAPresetError, match="unseen"):
            distribution.distribute(bundle, "files", spark, "float32")
    assert len(spark.sent) == 1


def test_a_stream_under_connect_gets_no_artifacts(bundle, asked):
    spark = Connect()
    with pytest.raises(SettingError, match=r"no artifacts.*setDistribution\('path'\)"):
        distribution.distribute(bundle, "auto", spark, "float32", stream=True)
    assert spark.sent == asked == []
    assert distribution.distribute(bundle, "path", spark, "float32", stream=True).way == "path"


def test_a_path_is_verified_each_time_it_is_opened(spark, bundle, tmp_path):
    """Also where size and time of change are those of the file that was verified."""
    ref = distribution.distribute(bundle, "auto", spark, "float32")
    assert ref == ModelRef(bundle.hash, "path", str(bundle.folder), "float32")
    assert distribution.arrived(ref).hash == bundle.hash
    copy = shutil.copytree(bundle.folder, tmp_path / "copy")
    ref = replace(ref, place=str(copy))
    assert distribution.arrived(ref).folder == copy
    weights = copy / "model.bin"
    status, content = weights.stat(), bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DamagedModelError, match=r"model\.bin has SHA-256"):
        distribution.arrived(ref)


def test_a_path_with_an_edited_manifest_is_not_opened(bundle, tmp_path):
    """The hash that the driver names covers labels, lengths and settings of the tokenizer."""
    copy = shutil.copytree(bundle.folder, tmp_path / "copy")
    manifest = bundle.manifest
    for edited in (
        replace(manifest, labels=(*manifest.labels[1:], manifest.labels[0])),
        replace(manifest, max_length=manifest.max_length - 1),
        replace(manifest, activation="sigmoid"),
        replace(manifest, tokenizer={**manifest.tokenizer, "settings": {"do_lower_case": True}}),
    ):
        (copy / MANIFEST).write_bytes(edited.to_bytes())
        with pytest.raises(DamagedModelError, match="as on the driver"):
            distribution.arrived(ModelRef(bundle.hash, "path", str(copy), "float32"))


def test_only_an_engine_with_gpus_asks_for_the_devices_of_its_task(bundle, own_host, asked):
    """Any other engine leaves the devices that a worker sees as they are."""
    cluster = session("spark://host:7077")
    assert not distribution.distribute(bundle, "path", cluster, "float32").assigned
    other = SimpleNamespace(engine="tensorflow", hash=bundle.hash, folder=bundle.folder)
    assert distribution.distribute(other, "path", cluster, "float32").assigned
    assert not distribution.distribute(other, "path", session("local[2]"), "float32").assigned


def test_visible_gpus_are_shared_in_local_mode_alone(bundle, asked, monkeypatch):
    monkeypatch.setattr(distribution, "gpu_visible", lambda: True)
    on_gpus = SimpleNamespace(engine="tensorflow", hash=bundle.hash, folder=bundle.folder)

    def shared(master, bundle, **settings):
        return distribution.distribute(bundle, "path", session(master, **settings), "float32").shared

    assert shared("local[2]", on_gpus) == 1
    assert shared("local[2]", on_gpus, **{distribution.GPU_PROCESSES: "3"}) == 3
    assert shared("local[2]", bundle) == 0
    assert shared("spark://host:7077", on_gpus) == 0
    with pytest.raises(SettingError, match="at least 1"):
        shared("local[2]", on_gpus, **{distribution.GPU_PROCESSES: "0"})
    monkeypatch.setattr(distribution, "gpu_visible", lambda: False)
    assert shared("local[2]", on_gpus) == 0


def test_a_folder_that_is_missing_another_or_damaged_is_not_opened(bundle, own_host, tmp_path):
    with pytest.raises(NotAPresetError, match="sees no model folder"):
        distribution.arrived(ModelRef(bundle.hash, "path", str(tmp_path / "no"), "float32"))
    with pytest.raises(DamagedModelError, match="as on the driver"):
        distribution.arrived(ModelRef("0" * 64, "path", str(bundle.folder), "float32"))
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    name = max(bundle.manifest.files, key=lambda name: bundle.manifest.files[name].size)
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(DamagedModelError, match=name):
        distribution.arrived(ModelRef(bundle.hash, "path", str(copy), "float32"))


@pytest.mark.parametrize("way", ["files", "broadcast"])
def test_what_travels_is_sent_once_and_unpacked(spark, bundle, own_host, monkeypatch, way):
    monkeypatch.setattr(distribution, "PIECE", 200_000)
    ref = distribution.distribute(bundle, way, spark, "float32")
    again = distribution.distribute(bundle, way, spark, "bfloat16")
    assert (again.precision, again.place) == ("bfloat16", ref.place)
    assert again.pieces == ref.pieces or way == "files"
    assert len(ref.pieces) > 1 or way == "files"
    assert distribution.arrived(ref).folder == own_host / "bundles" / bundle.hash


def test_pieces_of_the_last_models_only_stay_on_the_executors(spark, bundle, own_host, monkeypatch):
    """A DataFrame that was made before its model's pieces were let go still runs: they are sent again."""
    from pyspark.sql import functions as F

    from sparkxlmr.runtime.row_classifier import RowOptions
    from sparkxlmr.spark.scoring import scored

    monkeypatch.setattr(distribution, "_sent", SentModels())
    monkeypatch.setattr(sent_models, "MAX_BROADCAST", 1)
    ref = distribution.distribute(bundle, "broadcast", spark, "float32")
    later = spark.range(3).select(scored(F.array(F.lit("x")), ref, RowOptions(16))["label"])
    distribution.distribute(bundle, "files", spark, "float32")
    assert [sent.way for sent in distribution._sent.refs()] == ["broadcast", "files"]
    released = []
    other = ModelRef("c" * 64, "broadcast", "", "", pieces=(SimpleNamespace(unpersist=released.append),))
    key = (spark.sparkContext.applicationId, "c" * 64, "broadcast")
    distribution._sent.send_once(key, spark.sparkContext, lambda: (other, None))
    assert [sent.hash for sent in distribution._sent.refs()] == [bundle.hash, "c" * 64]
    assert released == []
    assert len(later.collect()) == 3


def test_a_second_home_does_not_collide_with_the_first(spark, bundle, tmp_path, monkeypatch):
    """Spark refuses a file of the same name from another folder; it has the content already."""
    first = distribution.distribute(bundle, "files", spark, "float32")
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    assert distribution.distribute(bundle, "files", spark, "float32").place == first.place


def test_distribute_files_after_cache_deleted(spark, bundle, tmp_path, monkeypatch):
    """Spark serves a model from its own folder, whatever happens to the user's cache."""
    monkeypatch.setattr(distribution, "_sent", SentModels())
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    ref = distribution.distribute(bundle, "files", spark, "float32")
    assert not list(tmp_path.rglob("*.zip"))
    assert (compat.files_root() / ref.place).is_file()


def test_distribute_without_room_in_spark_folder(spark, bundle, monkeypatch):
    def full(bundle, folder):
        raise OutputError(f"The archive {folder} cannot be written: No space left on device", "room", "home")

    monkeypatch.setattr(distribution, "_sent", SentModels())
    monkeypatch.setattr(distribution, "pack", full)
    for way in ("files", "broadcast"):
        with pytest.raises(EnvironmentNotReadyError, match=r"No space left.*spark\.local\.dir"):
            distribution.distribute(bundle, way, spark, "float32")


@pytest.mark.parametrize("way", ["files", "broadcast"])
def test_distribute_from_eight_threads_sends_once(spark, bundle, monkeypatch, way):
    """Each thread gets the reference of the one archive, and nothing is packed twice."""
    packed = []

    def pack(bundle, folder):
        packed.append(bundle.hash)
        return original(bundle, folder)

    original = distribution.pack
    monkeypatch.setattr(distribution, "_sent", SentModels())
    monkeypatch.setattr(distribution, "pack", pack)
    start = threading.Barrier(8)

    def send(_):
        start.wait()
        return distribution.distribute(bundle, way, spark, "float32")

    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(send, range(8)))
    assert packed == [bundle.hash]
    assert len({ref.place for ref in refs}) == 1


def test_check_from_eight_threads_runs_once(bundle, asked):
    cluster = session("spark://host:7077")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: distribution.distribute(bundle, "path", cluster, "float32"), range(8)))
    assert asked == [("path", "openvino")]


def test_check_in_local_mode_is_skipped(bundle, asked):
    distribution.distribute(bundle, "path", session("local[2]"), "float32")
    assert asked == []


class Piece:
    """A broadcast variable as a worker has it."""

    def __init__(self, path, value=None):
        self._path, self._value = path, value

    @property
    def value(self):
        if self._value is None:
            raise AssertionError("the value must not be loaded into memory")
        return self._value


@pytest.mark.parametrize("size", [256, 70_000, 300_000])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_piece_is_copied_from_sparks_own_file(tmp_path, size, protocol):
    content = bytes(range(256)) * (size // 256)
    path = tmp_path / "broadcast_1_python"
    with path.open("wb") as file:
        pickle.dump(content, file, protocol)
    out = io.BytesIO()
    distribution._append(Piece(path), out)
    assert out.getvalue() == content


def test_a_piece_without_a_file_or_in_another_form_comes_by_its_value(tmp_path):
    out = io.BytesIO()
    distribution._append(Piece(None, b"encrypted on disk"), out)
    path = tmp_path / "small"
    path.write_bytes(pickle.dumps(b"tiny"))  # pickled with a one-byte length
    distribution._append(Piece(path, b"tiny"), out)
    assert out.getvalue() == b"encrypted on disktiny"


def test_a_piece_that_was_cut_off_is_found(tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(pickle.dumps(b"x" * 1000, 5)[:-200])
    with pytest.raises(DamagedModelError, match=r"ends 1[0-9][0-9] bytes early"):
        distribution._append(Piece(path), io.BytesIO())


@pytest.mark.parametrize("local", [True, False])
def test_workers_of_a_connect_server_in_this_process_run_this_python(monkeypatch, local):
    import sys

    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_LOCAL_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    if local:
        monkeypatch.setenv("SPARK_LOCAL_REMOTE", "1")
    spark, put = Connect(), []
    spark.conf.set = lambda name, value: put.append((name, value))
    compat.ensure_worker_python(spark)
    assert put == ([("spark.sql.execution.pyspark.python", sys.executable)] if local else [])


def test_workers_run_this_python_only_where_nobody_says_otherwise(spark, set_conf, monkeypatch):
    import sys

    setting = "spark.sql.execution.pyspark.python"
    compat.ensure_worker_python(spark)  # the tests' own environment names a Python
    assert compat.conf(spark, setting, "") == ""
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    monkeypatch.delenv("PYSPARK_DRIVER_PYTHON", raising=False)
    compat.ensure_worker_python(spark)
    assert compat.conf(spark, setting, "") == sys.executable
    set_conf(setting, "/other/python")
    compat.ensure_worker_python(spark)
    assert compat.conf(spark, setting, "") == "/other/python"
