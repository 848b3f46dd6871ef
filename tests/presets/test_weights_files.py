"""Weights files that are split, spoilt, made to deceive, or of another age."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError, WeightsError
from sparkxlmr.presets.config import BackboneConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.safetensors_file import stored_tensors
from sparkxlmr.presets.tables import entries
from sparkxlmr.presets.writer import write_preset


@pytest.fixture
def checkpoint(fixtures, tmp_path):
    source = fixtures / "hugging_face" / "xlmr_sequence_classification"
    return shutil.copytree(source, tmp_path / "checkpoint")


def assert_equal(weights, expected) -> None:
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


def test_one_file_goes_before_shards_and_shards_lead_nowhere_else(checkpoint, tmp_path):
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    shutil.copy(checkpoint / "model.safetensors", tmp_path / "elsewhere.safetensors")
    expected = Preset.open(checkpoint).weights()
    (checkpoint / "model.safetensors").rename(checkpoint / "one.safetensors")
    with pytest.raises(NotAPresetError, match=r"index\.json names '\.\./elsewhere"):
        Preset.open(checkpoint)
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))
    assert_equal(Preset.open(checkpoint).weights(), expected)
    shutil.copy(checkpoint / "one.safetensors", checkpoint / "two.safetensors")
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    with pytest.raises(DamagedModelError, match="Two weights files"):
        Preset.open(checkpoint).weights()


def spoil_header(path: Path, change) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**12, 10**12]},
        {"shape": [-4, 48]},
        {"shape": [True, 4]},
        {"data_offsets": [0, 10**15]},
        {"data_offsets": [8, 0]},
        {"data_offsets": None},
        {"dtype": "F4096"},
        {"dtype": []},
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_read(checkpoint, change, monkeypatch):
    spoil_header(checkpoint / "model.safetensors", lambda h: h["classifier.out_proj.weight"].update(change))
    monkeypatch.setattr(np, "fromfile", lambda *a, **k: pytest.fail("read"))
    with pytest.raises(DamagedModelError, match=r"classifier\.out_proj\.weight"):
        Preset.open(checkpoint).weights()


def test_tensors_in_one_place_are_refused(tmp_path):
    told = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    text = json.dumps({"a": told, "b": told, "__metadata__": {"format": "pt"}}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(DamagedModelError, match="lies over another"):
        stored_tensors(tmp_path / "x")


def test_token_types_without_a_row(checkpoint):
    path, key = checkpoint / "model.safetensors", "roberta.embeddings.token_type_embeddings.weight"
    save_file({**load_file(path), key: np.zeros((0, 48), np.float32)}, path)
    with pytest.raises(WeightsError, match=r"token_type_embeddings\.weight.*\(0, 48\)"):
        Preset.open(checkpoint).weights()


def test_weights_that_are_no_floats(checkpoint):
    path = checkpoint / "model.safetensors"
    save_file({**load_file(path), "classifier.dense.bias": np.zeros(48, np.int32)}, path)
    with pytest.raises(DamagedModelError, match="stored as I32"):
        Preset.open(checkpoint).weights()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The smallest model in each kind of weights file, so that most bytes matter."""
    config, task = BackboneConfig(3, 1, 1, 2, 2, max_sequence_length=2), TextClassifierConfig(2, 2)
    weights = {e.name: np.ones(e.shape, np.float32) for e in entries(config, task)}
    contents = Contents(config=config, task=task, weights=weights, sequence_length=2)
    root = tmp_path_factory.mktemp("tiny")
    folders = {
        "model.safetensors": export_checkpoint(root / "hf", contents),
        "task.weights.h5": write_preset(root / "hub", contents),
        "model_00000.weights.h5": write_preset(root / "shards", contents, max_shard_size=64 / 2**30),
    }
    for folder in folders.values():
        (folder / "metadata.json").unlink(missing_ok=True)  # its hashes would show every change at once
    return {name: (folder, (folder / name).read_bytes()) for name, folder in folders.items()}


def test_a_weight_in_two_shards_is_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny["model_00000.weights.h5"][0], tmp_path / "p")
    place = "layers/layer_normalization/vars/0"
    assert Preset.open(folder).weights()["embeddings.norm.gamma"].tolist() == [1, 1]
    first, *_, last = sorted(folder.glob("model_*.weights.h5"))
    for path in (first, last):
        with h5py.File(path, "r+") as file:
            if place not in file:
                file.create_dataset(place, data=np.full(2, 7, np.float32))
    with pytest.raises(WeightsError, match=f"hold {place} twice"):
        Preset.open(folder).weights()


@pytest.mark.parametrize("name", ["model.safetensors", "task.weights.h5", "model_00000.weights.h5"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_mutated_weights_files_give_errors_of_this_package_only(tiny, name, data):
    folder, whole = tiny[name]
    spoilt = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    if data.draw(st.booleans(), "cut off"):
        del spoilt[data.draw(st.integers(0, len(spoilt))) :]
    try:
        (folder / name).write_bytes(spoilt)
        weights = Preset.open(folder).weights()
        assert sum(array.nbytes for array in weights.values()) < 2**20
    except SparkxlmrError:
        pass
    finally:
        (folder / name).write_bytes(whole)


def test_h5_weights_may_not_lie_elsewhere(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "keras_hub" / "xlmr_masked_lm", tmp_path / "p")
    place = "layers/masked_lm_head/vars/0"
    with h5py.File(folder / "task.weights.h5", "r+") as file:
        shape, dtype = file[place].shape, file[place].dtype
        del file[place]
        outside = tmp_path / "outside"
        outside.write_bytes(bytes(shape[0] * 4))
        file.create_dataset(place, shape, dtype, external=[(str(outside), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(DamagedModelError, match="lies in another file"):
        Preset.open(folder).weights()
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(shape, dtype)
    with h5py.File(folder / "task.weights.h5", "r+") as file:
        del file[place]
        file[place] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
    with pytest.raises(WeightsError, match=f"missing: {place}"):
        Preset.open(folder).weights()


def test_h5_weights_that_were_never_stored_are_not_made(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "keras_hub" / "xlmr_masked_lm", tmp_path / "p")
    document = json.loads((folder / "config.json").read_text())
    document["config"]["vocabulary_size"] = rows = 10**9
    (folder / "config.json").write_text(json.dumps(document))
    place = "layers/token_and_position_embedding/token_embedding/vars/0"
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        del file[place]
        file.create_dataset(place, (rows, 48), np.float32, chunks=(1024, 48))
    with pytest.raises(DamagedModelError, match="hardly any are stored"):
        Preset.open(folder).weights()


def test_keras_weights_in_bfloat16_and_under_their_first_names(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "keras_hub" / "xlmr_text_classifier", tmp_path / "p")
    expected = Preset.open(folder).weights()
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
        attention = file["_layer_checkpoint_dependencies/transformer_encoder_1/_self_attention_layer"]
        attention.move("query_dense", "_query_dense")
        variables = attention["value_dense/vars"]
        upper = (variables["0"][()].view(np.uint32) >> 16).astype("<u2")
        del variables["0"]
        variables.create_dataset("0", data=upper.view("V2")).attrs["dtype"] = "bfloat16"
    found = Preset.open(folder).weights()
    name = "layers.1.attention.value.kernel"
    cut = (expected[name].view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert_equal(found, {**expected, name: cut})


def test_pytorchs_own_files_in_shards_with_their_tied_copies(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "torch" / "checkpoint", tmp_path / "p")
    preset = Preset.open(folder)
    assert len(list(folder.glob("*.bin"))) > 1
    found, before = preset.weights(), preset.content_hash
    (folder / "twin.safetensors").rename(folder / "model.safetensors")
    assert Preset.open(folder).content_hash != before
    assert_equal(found, Preset.open(folder).weights())
    index = json.loads((folder / "pytorch_model.bin.index.json").read_text())
    assert "lm_head.decoder.weight" in index["weight_map"]
