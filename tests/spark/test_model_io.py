"""Model bytes through Spark's file systems."""

from __future__ import annotations

import shutil
from unittest.mock import MagicMock

import pyarrow as pa
import pytest
from pyarrow import parquet

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import saved_pipeline
from sparkxlmr.spark import compat, model_io
from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks so small that every file is cut in several and they are written in several groups."""
    monkeypatch.setattr(model_io, "CHUNK", 10_000)
    monkeypatch.setattr(saved_pipeline, "CHUNK", 10_000)
    monkeypatch.setattr(model_io, "GROUP", 40_000)
    monkeypatch.setattr(model_io, "CONNECT_GROUP", 40_000)


@pytest.fixture(params=["classic", "connect"])
def by(request, monkeypatch):
    """Both ways of reading; the one for Connect reads by any session."""
    monkeypatch.setattr(model_io, "is_connect", lambda spark: request.param == "connect")
    return request.param


def test_files_come_back_byte_for_byte_in_pieces(spark, tmp_path, small_chunks, by):
    source = tmp_path / "source"
    (source / "assets").mkdir(parents=True)
    contents = {"a.json": b"", "model.weights.h5": bytes(range(256)) * 200, "assets/v.spm": b"x" * 10_000}
    for name, data in contents.items():
        (source / name).write_bytes(data)
    target = f"{tmp_path}/stored"
    model_io.write_files(spark, ((name, source / name) for name in contents), target)
    assert spark.read.parquet(target).where("length(data) > 10000").count() == 0
    sizes = {name: len(data) for name, data in contents.items()}
    model_io.read_files(spark, target, tmp_path / "back", sizes)
    assert {name: (tmp_path / "back" / name).read_bytes() for name in contents} == contents


def test_a_connect_server_is_sent_less_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(model_io, "CHUNK", 10_000)
    monkeypatch.setattr(model_io, "CONNECT_GROUP", 20_000)
    sent = []

    class Connect:
        __module__ = "pyspark.sql.connect.session"

        def createDataFrame(self, rows, schema):
            sent.append(sum(len(data) for _, _, data in rows))
            return MagicMock()

    (tmp_path / "w").write_bytes(b"y" * 55_000)
    model_io.write_files(Connect(), iter([("w", tmp_path / "w")]), "anywhere")
    assert sent == [20_000, 20_000, 15_000]


def test_a_missing_piece_is_found(spark, tmp_path, small_chunks, by):
    (tmp_path / "w").write_bytes(b"y" * 25_000)
    target = f"{tmp_path}/stored"
    model_io.write_files(spark, iter([("w", tmp_path / "w")]), target)
    spark.read.parquet(target).where("part != 1").write.parquet(f"{tmp_path}/less")
    with pytest.raises(DamagedModelError, match=r"less.* (has 2 parts|15000 bytes in 2 parts)"):
        model_io.read_files(spark, f"{tmp_path}/less", tmp_path / "back", {"w": 25_000})


def write_rows(path, **columns):
    """A Parquet file of rows as Spark would read it, made without Spark."""
    path.mkdir(parents=True)
    schema = pa.schema([("file", pa.string()), ("part", pa.int32()), ("data", pa.binary())])
    parquet.write_table(pa.table(columns, schema), path / "part-0.parquet", compression="zstd")
    return str(path)


def test_read_files_of_size_that_unpacks_to_more(spark, tmp_path):
    """20 KB on disk, 300 MB in memory: refused by the file's own statement, whatever the metadata claim."""
    path = write_rows(tmp_path / "model", file=["w"], part=[0], data=[bytes(300 << 20)])
    assert (tmp_path / "model" / "part-0.parquet").stat().st_size < 100_000
    for size in (1000, 300 << 20, 1 << 40):
        with pytest.raises(DamagedModelError, match=r"unpacks to 3\d+ bytes"):
            model_io.read_files(spark, path, tmp_path / "back", {"w": size})


def test_read_files_of_edited_size(spark, tmp_path, by):
    """A size of 1 TB ends at once and not after 131,072 reads."""
    path = write_rows(tmp_path / "model", file=["w"], part=[0], data=[b"abc"])
    with pytest.raises(DamagedModelError, match=r"part 0 of 'w' with 3 bytes|w in .* 3 bytes in 1 parts"):
        model_io.read_files(spark, path, tmp_path / "back", {"w": 1 << 40})


def test_read_rows_of_repeated_part(spark, tmp_path, monkeypatch):
    """Under Connect rows are collected: no more of them than the model has parts."""
    monkeypatch.setattr(model_io, "is_connect", lambda spark: True)
    path = write_rows(tmp_path / "model", file=["w"] * 3, part=[0] * 3, data=[b"abc"] * 3)
    with pytest.raises(DamagedModelError, match="9 bytes in 3 parts"):
        model_io.read_files(spark, path, tmp_path / "back", {"w": 3})


def test_read_files_of_truncated_part(spark, tmp_path, capfd):
    """One line of the package, no job and no Java."""
    path = write_rows(tmp_path / "model", file=["w"], part=[0], data=[b"abc" * 1000])
    file = tmp_path / "model" / "part-0.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DamagedModelError, match="cannot be read from") as caught:
        model_io.read_files(spark, path, tmp_path / "back", {"w": 3000})
    assert "\n" not in str(caught.value)


def test_read_files_of_too_large_or_missing_folder(spark, tmp_path, monkeypatch):
    path = write_rows(tmp_path / "model", file=["w"], part=[0], data=[b"abc"])
    monkeypatch.setattr(model_io, "LEAST_BYTES", 10)
    with pytest.raises(DamagedModelError, match=r"cannot be read from .*bytes, more than 16"):
        model_io.read_files(spark, path, tmp_path / "back", {"w": 3})
    with pytest.raises(DamagedModelError, match=r"FileNotFoundException"):
        model_io.read_files(spark, str(tmp_path / "nowhere"), tmp_path / "back", {"w": 3})


def test_local_copy_of_other_file_system(spark, tmp_path):
    """A file system that is not this machine's own: its files are copied, bytes and names kept."""
    path = write_rows(tmp_path / "model", file=["w"], part=[0], data=[b"abc"])
    (tmp_path / "model" / "_SUCCESS").touch()
    (tmp_path / "copies").mkdir()
    conf = spark._jsparkSession.sessionState().conf()
    link = "fs.viewfs.mounttable.t.link./x"
    conf.setConfString(link, (tmp_path / "model").as_uri())
    try:
        copied = compat.local_copy(spark, "viewfs://t/x", tmp_path / "copies", 10_000)
    finally:
        conf.unsetConf(link)
    assert [file.name for file in copied.iterdir()] == ["part-0.parquet"]
    assert (copied / "part-0.parquet").read_bytes() == (tmp_path / "model/part-0.parquet").read_bytes()
    assert compat.local_copy(spark, path, tmp_path / "copies", 10_000) == tmp_path / "model"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"class": "x"}'])
def test_load_of_damaged_metadata(spark, tmp_path, content):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "part-00000").write_text(content)
    with pytest.raises(DamagedModelError, match=r"metadata of the stage in .* cannot be read"):
        XlmRoBertaForSequenceClassification.load(str(tmp_path))


@pytest.mark.parametrize("name", ["../w", "/etc/w", ""])
def test_no_file_leaves_its_folder(spark, tmp_path, name):
    with pytest.raises(DamagedModelError, match="inside its folder"):
        model_io.read_files(spark, f"{tmp_path}/any", tmp_path / "back", {name: 1})


def test_a_changed_byte_is_found(spark, tmp_path, tiny_preset, monkeypatch):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    preset = Preset.open(tiny_preset)
    files = dict(model_io.files_of(preset))
    changed = tmp_path / "changed"
    changed.write_bytes(files["config.json"].read_bytes().replace(b"0", b"1", 1))
    model = model_io.describe(preset)
    model_io.write_files(spark, iter({**files, "config.json": changed}.items()), f"{tmp_path}/stage/model")
    with pytest.raises((DamagedModelError, NotAPresetError)):
        model_io.read_model(spark, f"{tmp_path}/stage", {"model": model})
    assert [file.suffix for file in (tmp_path / "home" / "models").iterdir()] == [".lock"]


def test_each_file_of_the_kept_copy_is_held_to_what_was_saved(spark, tmp_path, tiny_preset, monkeypatch):
    """Those too that the content hash does not cover; cards, numbers and scripts are not saved at all."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    source = tmp_path / "tiny"
    shutil.copytree(tiny_preset, source)
    for name in ("metrics.json", "README.md", "train.py", "assets/picture.png"):
        (source / name).write_text("{}")
    preset = Preset.open(source)
    model = model_io.describe(preset)
    assert set(model["files"]) == {
        *("config.json", "metadata.json", "task.json", "preprocessor.json", "tokenizer.json"),
        *("model.weights.h5", "task.weights.h5", "assets/tokenizer/vocabulary.spm"),
    }
    model_io.write_files(spark, model_io.files_of(preset), f"{tmp_path}/stage/model")
    metadata = {"model": model}
    kept = model_io.read_model(spark, f"{tmp_path}/stage", metadata).path
    fetched = []
    fetch = model_io.read_files
    monkeypatch.setattr(model_io, "read_files", lambda *arguments: fetched.append(1) or fetch(*arguments))
    assert model_io.read_model(spark, f"{tmp_path}/stage", metadata).path == kept
    assert fetched == []
    for n, name in enumerate(("metadata.json", "tokenizer.json", "task.json"), start=1):
        (kept / name).write_text("{")
        model_io.read_model(spark, f"{tmp_path}/stage", metadata)
        assert len(fetched) == n
        assert (kept / name).read_bytes() == (source / name).read_bytes()


GOOD = {"format": 1, "name": "x", "hash": "a" * 64, "files": {"w": {"size": 1, "sha256": "b" * 64}}}


@pytest.mark.parametrize(
    "changes",
    [{"hash": "../../elsewhere"}, {"hash": "A" * 64}, {"hash": "a" * 64 + "\n"}, {"hash": 7}, {"hash": None},
     {"files": ["w"]}, {"files": {"w": 1}}, {"files": {"w": {"size": "1", "sha256": "b" * 64}}},
     {"files": {"w": {"size": 1, "sha256": "b"}}}, {"name": None}, {"format": 2}],
)  # fmt: skip
def test_metadata_that_describe_no_model_touch_no_disk(tmp_path, monkeypatch, changes):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    with pytest.raises(NotAPresetError, match="holds no model"):
        model_io.read_model(None, str(tmp_path), {"model": {**GOOD, **changes}})
    assert not (tmp_path / "home" / "models").exists()


def test_a_stage_saved_without_a_model_is_refused(spark, tmp_path):
    with pytest.raises(NotAPresetError, match="holds no model"):
        model_io.read_model(spark, str(tmp_path), {"uid": "x"})
