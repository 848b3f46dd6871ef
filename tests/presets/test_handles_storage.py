"""URLs that fsspec opens, ``file:`` ones, and what every handle has in common."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from sparkxlmr.errors import DamagedModelError, EnvironmentNotReadyError, PresetNotFoundError
from sparkxlmr.presets import builtin, hub_download
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.hub_fsspec import StoredModel
from sparkxlmr.presets.preset import Preset

SECRET = "averysecretpassword"
MODEL = ["config.json", "model.safetensors", "sentencepiece.bpe.model"]


class Vault(MemoryFileSystem):
    """A storage reached as ``vault://user:password@place/...`` that counts, breaks off and goes away."""

    protocol = "vault"
    store: dict = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012
    failure: Exception | None = None
    cuts: list[int] = []  # noqa: RUF012
    read: list[tuple[str, int, int]] = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        if "://" in path:
            path = "memory://" + path.partition("://")[2].rpartition("@")[2].partition("?")[0]
        return MemoryFileSystem._strip_protocol(path)

    def ls(self, path, detail=True, **kwargs):
        if self.failure is not None:
            raise self.failure
        return super().ls(path, detail, **kwargs)

    def _open(self, path, mode="rb", **kwargs):
        file = super()._open(path, mode, **kwargs)
        return _Breaking(file, path) if mode == "rb" else file


class _Breaking:
    """A file that is read as a storage's: from an offset, a block at a time, until the connection breaks."""

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.left = Vault.cuts.pop(0) if path.endswith(".safetensors") and Vault.cuts else None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def seek(self, at):
        self.at = at
        return self.file.seek(at)

    def read(self, size):
        if self.left == 0:
            raise RuntimeError(f"https://me:{SECRET}@vault broke")  # storages raise what they like
        size = size if self.left is None else min(size, self.left)
        self.left = None if self.left is None else self.left - size
        data = self.file.read(size)
        Vault.read.append((self.path, self.at, len(data)))
        return data


@pytest.fixture
def checkpoint(fixtures):
    return fixtures / "hugging_face" / "xlmr_sequence_classification"


@pytest.fixture
def vault(checkpoint, cache, monkeypatch):
    fsspec.register_implementation("vault", Vault, clobber=True)
    for name, value in {"store": {}, "pseudo_dirs": [""], "failure": None, "cuts": [], "read": []}.items():
        monkeypatch.setattr(Vault, name, value)
    storage = Vault()
    put(storage, checkpoint)
    return storage


def put(storage, folder):
    for name in [*MODEL, "expected.json"]:
        storage.pipe(f"/bucket/tiny/{name}", (folder / name).read_bytes())


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_model_in_memory_is_opened(checkpoint, cache):
    storage = fsspec.filesystem("memory")
    put(storage, checkpoint)
    try:
        preset = Preset.open("memory://bucket/tiny")
        expected = Preset.open(checkpoint)
        assert (preset.name, preset.config, preset.labels) == ("tiny", expected.config, expected.labels)
        for name, weight in expected.weights().items():
            np.testing.assert_array_equal(preset.weights()[name], weight)
        assert cache in preset.path.parents
        assert names(preset.path) == MODEL
        with pytest.raises(PresetNotFoundError, match="no such folder"):
            Preset.open("memory://bucket/none")
    finally:
        storage.rm("/bucket", recursive=True)


def test_a_keras_hub_preset_in_a_storage_brings_its_assets(vault, fixtures):
    source = fixtures / "keras_hub" / "xlmr_text_classifier"
    vault.put(str(source), "/presets/tiny", recursive=True)
    folder = resolve("vault://presets/tiny/")
    assert "assets/tokenizer/vocabulary.spm" in names(folder)
    assert Preset.open(folder).content_hash == Preset.open(source).content_hash


def test_it_is_fetched_once_until_it_changes(vault, checkpoint):
    folder = resolve("vault://bucket/tiny")
    n_reads = len(vault.read)
    vault.pipe("/bucket/tiny/README.md", b"a card is no part of it")
    assert resolve("vault://bucket/tiny") == folder
    assert len(vault.read) == n_reads
    vault.pipe("/bucket/tiny/config.json", (checkpoint / "config.json").read_bytes() + b"\n")
    assert resolve("vault://bucket/tiny").parent.name != folder.parent.name


def test_a_broken_download_goes_on_where_it_stopped(vault, checkpoint, monkeypatch):
    monkeypatch.setattr(hub_download, "_PAUSES", ())
    size = (checkpoint / "model.safetensors").stat().st_size
    vault.cuts[:] = [1000, 0]
    with pytest.raises(EnvironmentNotReadyError, match="cannot be fetched") as caught:
        resolve("vault://bucket/tiny")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    folder = resolve("vault://bucket/tiny")
    assert (folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    read = [(at, length) for path, at, length in vault.read if path.endswith("model.safetensors") and length]
    assert read == [(0, 1000), (1000, size - 1000)]


def test_a_file_that_grows_while_it_is_read_is_refused(vault, monkeypatch):
    def ls(self, path, detail=True):
        listed = super(Vault, self).ls(path, detail)
        return [{**file, "size": file["size"] - 1} for file in listed]

    monkeypatch.setattr(Vault, "ls", ls)
    with pytest.raises(DamagedModelError, match="longer than"):
        resolve("vault://bucket/tiny")


def test_without_network_the_copy_serves_and_a_line_says_so(vault, caplog):
    url = f"vault://me:{SECRET}@bucket/tiny?signature={SECRET}"
    Vault.failure = ConnectionError(f"{url} is away")
    with pytest.raises(EnvironmentNotReadyError, match="cannot be fetched"):
        resolve(url)
    Vault.failure = None
    folder = resolve(url)
    Vault.failure = ConnectionError(f"{url} is away")
    with caplog.at_level(logging.WARNING, "sparkxlmr"):
        assert resolve(url) == folder
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "vault://bucket/tiny" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in str(list(folder.parents[2].rglob("*")))


@pytest.mark.parametrize(
    ("failure", "error", "says"),
    [
        (PermissionError(f"403: signature={SECRET}?key={SECRET}"), EnvironmentNotReadyError, "credentials"),
        (FileNotFoundError("bucket"), PresetNotFoundError, "no such folder"),
        (RuntimeError(f"https://me:{SECRET}@host says no"), EnvironmentNotReadyError, "https://host says no"),
    ],
)
def test_each_refusal_is_told_apart_without_a_secret(vault, failure, error, says):
    Vault.failure = failure
    with pytest.raises(error, match=says) as caught:
        resolve(f"vault://me:{SECRET}@bucket/tiny")
    assert "vault://bucket/tiny" in str(caught.value)
    if not isinstance(failure, PermissionError):
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_models_share_no_folder_of_the_cache_and_a_password_makes_no_other_one():
    place = {
        url: StoredModel(url).place for url in ("abfss://a@b/x", "abfss://c@b/x", "s3://b/x", "gs://b/x")
    }
    assert len(set(place.values())) == len(place)
    assert StoredModel("ftp://me:one@host/x").place == StoredModel("ftp://me:two@host/x").place
    assert StoredModel("abfss://a@b/x").handle == "abfss://a@b/x"
    named = {"s3://b/my.model/": "my.model", "s3://b/..": "model", "memory://": "memory"}
    assert {url: StoredModel(url).name for url in named} == named


def test_storages_that_nobody_opens(cache, monkeypatch):
    with pytest.raises(PresetNotFoundError, match="Protocol not known"):
        resolve("nothing://bucket/tiny")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.delitem(sys.modules, "fsspec.core")
    with pytest.raises(EnvironmentNotReadyError, match=r'pip install "sparkxlmr\[hub\]"'):
        resolve("s3://bucket/tiny")


def test_a_file_url_is_the_folder_itself(tmp_path, cache):
    folder = tmp_path / "my model"
    folder.mkdir()
    for url in (f"file://{folder}", f"file:{folder}", folder.as_uri(), f"file://localhost{folder}"):
        assert resolve(url) == folder
    assert not cache.exists()
    with pytest.raises(PresetNotFoundError):
        resolve(f"file://{tmp_path}/none")


def test_names_come_first_and_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = builtin.names()[0]
    Path(name).mkdir()
    Path("mine").mkdir()
    assert resolve(name) == builtin.locate(name)
    assert resolve(Path(name)) == resolve(f"./{name}") == tmp_path / name
    assert resolve("mine") == tmp_path / "mine"


def test_an_unknown_handle_is_told_all_forms(tmp_path):
    with pytest.raises(PresetNotFoundError) as caught:
        resolve("no_such_model")
    told = str(caught.value)
    forms = ["hf://org/name", "kaggle://owner", "s3://", "albert_base_en_uncased", builtin.names()[0], "path"]
    assert [form for form in forms if form not in told] == []


def test_a_stage_takes_handles_and_what_it_saves_holds_no_password(vault):
    from sparkxlmr.presets.stored_model import describe
    from sparkxlmr.stages.xlm_roberta_for_sequence_classification import XlmRoBertaForSequenceClassification

    stage = XlmRoBertaForSequenceClassification.pretrained(f"vault://me:{SECRET}@bucket/tiny?key={SECRET}")
    saved = describe(stage.model)
    assert (saved["name"], sorted(saved["files"])) == ("tiny", MODEL)
    assert SECRET not in json.dumps(saved) + str({p.name: v for p, v in stage.extractParamMap().items()})
