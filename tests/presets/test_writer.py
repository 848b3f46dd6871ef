"""Writing presets: keras-hub's layout to the letter, and what is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib import metadata

import h5py
import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, OutputError, SettingError, WeightsError
from sparkxlmr.presets.config import BackboneConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries
from sparkxlmr.presets.writer import write_preset


@pytest.fixture
def golden(fixtures):
    return Preset.open(fixtures / "keras_hub" / "xlmr_text_classifier")


def written(folder, preset, weights_dtype="float32", **changes):
    return write_preset(folder, replace(preset.contents(), **changes), weights_dtype)


def layout(path):
    """Every group and dataset of an h5 file with its attributes, shape and type."""
    found = {}

    def visit(name, item):
        data = (item.shape, item.dtype.str) if isinstance(item, h5py.Dataset) else None
        found[name] = (dict(item.attrs), data)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_files_are_those_of_keras_hub(golden, tmp_path):
    folder = written(tmp_path / "new" / "preset", golden)
    for name in ("config.json", "task.json", "preprocessor.json", "tokenizer.json"):
        ours, theirs = ((path / name).read_text("utf-8") for path in (folder, golden.path))
        assert json.loads(ours) == json.loads(theirs)
    for name in ("model.weights.h5", "task.weights.h5"):
        assert layout(folder / name) == layout(golden.path / name)
    vocabulary = "assets/tokenizer/vocabulary.spm"
    assert (folder / vocabulary).read_bytes() == (golden.path / vocabulary).read_bytes()
    ours, theirs = (json.loads((p / "metadata.json").read_text()) for p in (folder, golden.path))
    assert theirs.keys() <= ours.keys()
    assert all(ours[key] == theirs[key] for key in ("parameter_count", "tasks", "keras_hub_version"))
    names = {path.relative_to(folder) for path in folder.rglob("*")}
    assert names == {p.relative_to(golden.path) for p in golden.path.rglob("*") if "expected" not in p.name}


def test_what_is_written_is_read(golden, tmp_path):
    again = Preset.open(written(tmp_path, golden, labels=["one", "two", "drei", "四"]))
    assert (again.config, again.task) == (golden.config, golden.task)
    assert again.labels == ("one", "two", "drei", "四")
    weights = golden.weights()
    assert all((array == weights[name]).all() for name, array in again.weights().items())
    assert again.weights().keys() == weights.keys()


def test_numbers_unknown_to_keras_hub_stand_outside_its_config(tmp_path):
    config = BackboneConfig(10, 1, 1, 4, 8, max_sequence_length=6, layer_norm_epsilon=1e-3)
    weights = {e.name: np.ones(e.shape, np.float32) for e in entries(config)}
    with pytest.warns(UserWarning, match="keras-hub reads this preset, but computes with 1e-05"):
        write_preset(tmp_path, Contents(config=config, weights=weights, sequence_length=6))
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["layer_norm_epsilon"] == 1e-3
    assert "layer_norm_epsilon" not in document["config"]
    assert Preset.open(tmp_path).config == config


def test_keras_need_not_be_installed(golden, tmp_path, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    folder = written(tmp_path, golden)
    assert json.loads((folder / "metadata.json").read_text())["keras_version"].count(".") == 2


def test_half_precision(golden, tmp_path):
    again = Preset.open(written(tmp_path, golden, weights_dtype="float16"))
    weights = golden.weights()
    stored = again.weights(None)
    assert all(array.dtype == np.float16 for array in stored.values())
    for name, array in again.weights().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, weights[name].astype(np.float16).astype(np.float32))
    assert (tmp_path / "model.weights.h5").stat().st_size < 0.6 * (
        golden.path / "model.weights.h5"
    ).stat().st_size


def test_too_large_for_half_precision(golden, tmp_path):
    weights = golden.weights()
    weights["embeddings.norm.gamma"] = weights["embeddings.norm.gamma"] + 1e5
    with pytest.raises(WeightsError, match=r"embeddings\.norm\.gamma reaches 1e\+05"):
        written(tmp_path, golden, weights=weights, weights_dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_writing_over_a_preset_leaves_its_neighbours_and_no_old_head(golden, tmp_path):
    written(tmp_path, golden)
    (tmp_path / "README.md").write_text("card")
    weights = {n: a for n, a in golden.weights().items() if not n.startswith("classifier")}
    written(tmp_path, golden, task=None, weights=weights, proto=None)
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {
        "README.md",
        "config.json",
        "metadata.json",
        "model.weights.h5",
    }
    assert Preset.open(tmp_path).task is None


def test_two_writings_are_equal(golden, tmp_path):
    one, two = (Preset.open(written(tmp_path / name, golden)) for name in "ab")
    assert one.content_hash == two.content_hash


def test_a_flipped_bit_shows(golden, tmp_path):
    path = written(tmp_path, golden) / "model.weights.h5"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedModelError, match="sha256"):
        Preset.open(tmp_path).weights()


def test_refused(golden, tmp_path):
    weights = golden.weights()
    with pytest.raises(WeightsError, match=r"missing: embeddings\.token"):
        written(tmp_path, golden, weights={n: a for n, a in weights.items() if n != "embeddings.token"})
    with pytest.raises(WeightsError, match="not used: more"):
        written(tmp_path, golden, weights={**weights, "more": weights["embeddings.token"]})
    with pytest.raises(WeightsError, match=r"\(48,\)"):
        written(tmp_path, golden, weights={**weights, "embeddings.token": np.zeros(48)})
    with pytest.raises(SettingError, match="3 label names for 4 classes"):
        written(tmp_path, golden, labels=["a", "b", "c"])
    with pytest.raises(SettingError, match=r"'\\ud800' cannot be written to task\.json"):
        written(tmp_path, golden, labels=["a", "b", "c", "\ud800"])
    with pytest.raises(SettingError, match="int8"):
        written(tmp_path, golden, weights_dtype="int8")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        written(tmp_path / "file", golden)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are POSIX's")
@pytest.mark.parametrize("write", [write_preset, export_checkpoint])
def test_a_full_disk_leaves_the_former_model_whole(golden, tmp_path, write):
    import resource

    contents = golden.contents()
    folder = write(tmp_path, contents)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path, contents)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0"),
        ({"hidden_dim": 4.0}, "hidden_dim is 4.0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon is 0.0"),
        ({"num_heads": 3}, "num_heads is 3"),
    ],
)
def test_configs_check_themselves(change, message):
    good = {
        "vocabulary_size": 10,
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 4,
        "intermediate_dim": 8,
    }
    BackboneConfig(**good)
    with pytest.raises(SettingError, match=message):
        BackboneConfig(**{**good, **change})


def test_task_config_checks_itself():
    with pytest.raises(SettingError, match="num_classes is -1"):
        TextClassifierConfig(num_classes=-1, hidden_dim=4)
