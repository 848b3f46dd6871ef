"""The registry of sent models: one send per model, released when no stage and no DataFrame uses it."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from sparkxlmr.spark import compat, sent_models
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.sent_models import SentModels


class Mark:
    """A broadcast variable, which is its own object of the JVM."""

    @property
    def _jbroadcast(self):
        return self


class WeakMap(weakref.WeakKeyDictionary):
    """The JVM's WeakHashMap."""

    put = weakref.WeakKeyDictionary.__setitem__

    def isEmpty(self):
        return not len(self)


class Owner:
    """A stage's model."""


class Context:
    """A SparkContext: the files that executors fetch, and whether a job runs."""

    def __init__(self):
        self.files, self.is_busy, self.can_remove = set(), False, True
        self._jvm = SimpleNamespace(System=SimpleNamespace(gc=gc.collect))

    def broadcast(self, value):
        return Mark()


@pytest.fixture
def context(monkeypatch):
    def remove(context, name):
        if context.can_remove:
            context.files.discard(name)
        return context.can_remove

    monkeypatch.setattr(sent_models, "remove_added_file", remove)
    monkeypatch.setattr(sent_models, "has_active_jobs", lambda context: context.is_busy)
    monkeypatch.setattr(sent_models, "weak_broadcasts", lambda context: WeakMap())
    monkeypatch.setattr(sent_models, "PAUSE", 0)
    return Context()


@pytest.fixture
def send(context, tmp_path):
    """Send a model of that name; its reference is what a DataFrame holds."""
    models = SentModels()

    def send_model(name, owner=None):
        def add():
            file = tmp_path / name
            file.touch()
            context.files.add(name)
            return ModelRef(name, "files", name, ""), file

        return models.send_once(("app", name, "files"), context, add, owner)

    send_model.models = models
    return send_model


def test_send_once_from_eight_threads():
    """One send per model, also while other models are sent and used."""
    models, sent, start = SentModels(), [], threading.Barrier(8)
    arrived = threading.Semaphore(0)

    def add(name):
        sent.append(name)
        arrived.release()
        return ModelRef(name, "files", name, ""), None

    def work(thread):
        start.wait()
        for i in range(200):
            name = str((i + thread) % 10)
            ref = models.send_once(("app", name, "files"), None, lambda name=name: add(name))
            assert ref.hash == name

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(sent) == [str(i) for i in range(10)]


def test_send_once_while_other_thread_sends():
    """A second thread waits for the first one's send instead of sending too; another model is not held up."""
    models, began, go_on, sent = SentModels(), threading.Event(), threading.Event(), []

    def slow():
        sent.append("slow")
        began.set()
        assert go_on.wait(60)
        return ModelRef("slow", "files", "slow", ""), None

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(models.send_once, ("app", "slow", "files"), None, slow)
        assert began.wait(60)
        second = pool.submit(models.send_once, ("app", "slow", "files"), None, slow)
        models.send_once(("app", "other", "files"), None, lambda: (ModelRef("other", "files", "", ""), None))
        go_on.set()
        assert first.result(60) == second.result(60)
    assert sent == ["slow"]


def test_send_once_after_failed_send():
    models = SentModels()

    def fail():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        models.send_once(("app", "a", "files"), None, fail)
    assert models.send_once(("app", "a", "files"), None, lambda: (ModelRef("a", "files", "a", ""), None))


def test_unused_models_beyond_last_two_are_released(send, context, tmp_path):
    for name in "abcdefghij":
        send(name)
    assert context.files == {"h", "i", "j"}  # the one in use at that moment, and two more
    assert {file.name for file in tmp_path.iterdir()} <= {"g", "h", "i", "j"}


def test_model_of_living_stage_is_kept(send, context):
    owners = [Owner() for _ in range(5)]
    for name, owner in zip("abcde", owners, strict=True):
        send(name, owner)
    send("f")
    assert context.files == set("abcdef")
    del owners[:3], owner
    gc.collect()
    send.models.release_unused(context)
    assert context.files == {"d", "e"}


def test_model_of_living_dataframe_is_kept(send, context):
    owner = Owner()
    ref = send("a", owner)
    assert send("a", owner).pieces == ref.pieces  # one mark for a stage, however many DataFrames
    del owner
    assert send.models.release_unused(context) == []
    del ref
    assert send.models.release_unused(context) == ["a"]
    assert context.files == set()


def test_released_file_is_deleted_when_no_job_runs(send, context, tmp_path):
    """A job that began before the release lists the file, and its executors may still fetch it."""
    send("a")
    context.is_busy = True
    assert send.models.release_unused(context) == ["a"]
    send("b")
    assert (tmp_path / "a").exists()
    context.is_busy = False
    send("b")
    assert not (tmp_path / "a").exists()


def test_released_model_that_is_sent_again_is_not_deleted(send, context, tmp_path):
    send("a")
    context.is_busy = True
    send.models.release_unused(context)
    owner = Owner()
    send("a", owner)
    context.is_busy = False
    send("b")
    assert (tmp_path / "a").exists()
    assert "a" in context.files


def test_platform_without_removal_keeps_models(send, context):
    context.can_remove = False
    send("a")
    assert send.models.release_unused(context) == []
    assert [ref.hash for ref in send.models.refs()] == ["a"]


def test_models_of_ended_application_are_forgotten(send, monkeypatch):
    send("a")
    other = Context()
    send.models.send_once(
        ("app2", "b", "broadcast"), other, lambda: (ModelRef("b", "broadcast", "b", ""), None)
    )
    assert [ref.hash for ref in send.models.refs()] == ["b"]


def test_release_in_spark(spark, tmp_path):
    """The JVM shows whether a DataFrame still uses a file, and gives up the file."""
    context = spark.sparkContext
    models = SentModels()

    def add():
        file = compat.files_root() / "sparkxlmr-test-of-release.txt"
        file.write_text("there")
        context.addFile(str(file))
        return ModelRef("h", "files", file.name, ""), file

    def read(ref):
        pieces, name = ref.pieces, ref.place

        def content(_):
            from pyspark import SparkFiles

            assert pieces
            with open(SparkFiles.get(name)) as file:
                return file.read()

        return F.udf(content, "string", useArrow=False)

    def is_listed():
        return any(url.endswith("/sparkxlmr-test-of-release.txt") for url in context.listFiles)

    df = spark.range(1).select(read(models.send_once(("app", "h", "files"), context, add))("id").alias("x"))
    assert models.release_unused(context) == []
    assert df.collect()[0]["x"] == "there"
    del df
    assert models.release_unused(context) == ["h"]
    assert not is_listed()
