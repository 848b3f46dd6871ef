"""Classifiers that Spark NLP itself saved: the recorded metadata and labels around the recorded graphs."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import DamagedModelError, EnvironmentNotReadyError, NotAPresetError
from sparkxlmr.presets.java_labels import labels_of
from sparkxlmr.presets.names import find, open_named
from sparkxlmr.presets.open_model_folder import open_folder
from sparkxlmr.presets.saved_graph import SavedGraph
from sparkxlmr.pretrained import PretrainedPipeline

LABELS = {"xlmr": ("World", "Sports", "Business", "Sci/Tech"), "albert": ("negative", "neutral", "positive")}
FILES = {"xlmr": ("xlm_roberta_classification_onnx", "xlmroberta_spp", "sentencepiece.bpe.model"),
         "albert": ("albert_classification_onnx", "albert_spp", "spiece.model")}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def saved(fixtures, tmp_path):
    """`saved(family)`: the folder as Spark NLP 5.5.3 left it, made of what is recorded."""

    def make(family: str, members=None):
        folder = tmp_path / f"{family}_stage"
        shutil.copytree(fixtures / "spark_nlp/saved" / folder.name, folder)
        model = fixtures / "spark_nlp/models" / f"{family}_onnx"
        graph, vocabulary, called = FILES[family]
        shutil.copyfile(model / "assets" / called, folder / vocabulary)
        with zipfile.ZipFile(folder / graph, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (members or {"model.onnx": (model / "model.onnx").read_bytes()}).items():
                archive.writestr(name, content)
        return folder

    return make


@pytest.mark.parametrize("family", ["xlmr", "albert"])
def test_a_saved_classifier_is_the_model_it_was_loaded_from(saved, fixtures, home, family):
    folder = saved(family)
    opened = open_folder(folder)
    original = SavedGraph.open(fixtures / "spark_nlp/models" / f"{family}_onnx")
    assert (opened.name, opened.labels) == (folder.name, LABELS[family])
    assert opened.path.is_relative_to(home / "spark_nlp")
    parts = [(path.name, path.read_bytes()) for path in opened.files()]
    assert parts[:2] == [(path.name, path.read_bytes()) for path in original.files()[:2]]
    # It is unpacked once, and found by its name like any other model.
    written = opened.graph_path.stat().st_mtime_ns
    assert open_folder(folder).graph_path.stat().st_mtime_ns == written
    shutil.copytree(folder, home / "models" / "its_name")
    assert find("its_name") == home / "models" / "its_name"
    assert open_named("its_name").content_hash == opened.content_hash


@pytest.mark.parametrize(
    ("members", "said"),
    [({"../model.onnx": b"x"}, "side by side"), ({"a/model.onnx": b"x"}, "side by side"),
     ({"model.onnx": bytes(40_000_000)}, "40000000 bytes"),
     ({"a.onnx": b"x", "b.onnx": b"y"}, "side by side"),
     ({f"w{i}": b"" for i in range(17)}, "17 files")],
)  # fmt: skip
def test_an_archive_of_something_else_is_not_unpacked(saved, home, members, said):
    folder = saved("xlmr", members)
    with pytest.raises(DamagedModelError, match=said):
        open_folder(folder)
    assert [path.suffix for path in (home / "spark_nlp").iterdir()] == [".lock"]


def test_a_saved_classifier_runs_in_the_standard_pipeline(saved, fixtures, monkeypatch):
    folder, text = saved("xlmr"), "Oil prices rose."
    original = PretrainedPipeline(fixtures / "spark_nlp/models/xlmr_onnx")
    assert PretrainedPipeline(folder).annotate(text) == original.annotate(text)


def test_what_is_missing_or_of_another_kind_is_said(saved):
    folder = saved("xlmr")
    graph = folder / FILES["xlmr"][0]
    (folder / FILES["xlmr"][1]).unlink()
    with pytest.raises(DamagedModelError, match="has no xlmroberta_spp"):
        open_folder(folder)
    graph.write_bytes(graph.read_bytes()[:-100])
    shutil.copyfile(graph, folder / FILES["xlmr"][1])
    with pytest.raises(DamagedModelError, match="cannot be unpacked"):
        open_folder(folder)
    graph.rename(folder / "xlm_roberta_classification_tensorflow")
    with pytest.raises(NotAPresetError, match="TensorFlow's form for the JVM"):
        open_folder(folder)
    metadata = folder / "metadata/part-00000"
    told = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**told, "class": "com.johnsnowlabs.nlp.NerDLModel"}))
    with pytest.raises(NotAPresetError, match="is a NerDLModel of Spark NLP"):
        open_folder(folder)


@pytest.fixture(scope="module")
def content(fixtures):
    """The labels' file as it was recorded."""
    return (fixtures / "spark_nlp/saved/xlmr_stage/fields/labels/part-00000").read_bytes()


@pytest.fixture(scope="module")
def labels_in(tmp_path_factory):
    """The labels in a file of these bytes."""
    folder = tmp_path_factory.mktemp("labels")

    def read(changed: bytes):
        (folder / "part-00000").write_bytes(changed)
        return labels_of(folder)

    return read


def test_labels_come_in_the_order_of_their_ids(content, labels_in):
    assert labels_in(content) == LABELS["xlmr"]
    # The number of the last label, 3, and that of the first, 0, exchanged.
    first = content.index(b"\x00\x00\x00\x00sq\x00")
    swapped = content[:first] + b"\x00\x00\x00\x03" + content[first + 4 : -1] + b"\x00"
    assert labels_in(swapped) == ("Sci/Tech", "Sports", "Business", "World")
    with pytest.raises(NotAPresetError, match=r"names the classes \[0, 0, 1, 2\]"):
        labels_in(content[:-1] + b"\x00")


def of_value(content: bytes, before: bytes, after: bytes) -> bytes:
    """The file with another value, whose length may be another one."""
    assert before in content
    head, value = content.split(b"\xac\xed", 1)
    value = b"\xac\xed" + value.replace(before, after, 1)
    sizes = (len(value) + 4, 0, len(value))
    return head[:-12] + b"".join(size.to_bytes(4, "big") for size in sizes) + value


def test_labels_are_written_in_javas_own_utf_8(content, labels_in):
    assert of_value(content, b"World", b"World") == content
    # U+1F30D as Java's DataOutput.writeUTF writes it: the two halves of its surrogate pair, three bytes each.
    label = b"\xed\xa0\xbc\xed\xbc\x8d \xc0\x80"
    changed = of_value(content, b"\x00\x05World", len(label).to_bytes(2, "big") + label)
    assert labels_in(changed)[0] == "\U0001f30d \0"


def test_a_class_that_is_its_own_ancestor_ends(content, labels_in):
    number, itself = b"java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00x", b"q\x00\x7e\x00\x07"
    with pytest.raises(NotAPresetError, match="its own ancestor"):
        labels_in(of_value(content, number + b"p", number + itself))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"java.lang.Integer", b"java.lang.Runtime", "an object of java.lang.Runtime"),
        (b"SEQ\x06", b"PK\x03\x04", "no sequence file"),
        (b"BytesWritable", b"OtherWritable", "a sequence file of"),
        (b"\xac\xed", b"\xac\xee", "no Java object"),
        (b"t\x00\x05World", b"t\x00\x05\xff\xff\xff\xff\xff", "holds no labels"),
        (b"q\x00\x7e\x00\x06", b"q\x00\x7e\x00\x7f", "a reference to nothing"),
        (b"\x00\x00\x00\x04sr", b"\x7f\x00\x00\x04sr", "items"),
    ],
)
def test_labels_that_are_something_else_are_refused(content, labels_in, before, after, said):
    assert before in content
    with pytest.raises(NotAPresetError, match=said):
        labels_in(content.replace(before, after, 1))


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(place=st.integers(0, 375), byte=st.integers(0, 255), cut=st.integers(0, 376))
def test_whatever_changes_in_the_labels_only_our_errors_come_out(content, labels_in, place, byte, cut):
    changed = bytearray(content)
    changed[place] = byte
    for spoilt in (bytes(changed), content[:cut]):
        try:
            labels = labels_in(spoilt)
        except (NotAPresetError, DamagedModelError):
            continue
        assert len(labels) == 4


def test_a_full_disk_is_no_fault_of_the_stage(saved, home, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    folder = saved("xlmr")
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(EnvironmentNotReadyError, match=r"spark_nlp cannot be written to: No space"):
        open_folder(folder)
    assert [path.suffix for path in (home / "spark_nlp").iterdir()] == [".lock"]
