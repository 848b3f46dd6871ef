"""Hugging Face checkpoints with ``pytorch_model.bin`` hold the same weights as those with safetensors."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError, WeightsError
from sparkxlmr.presets.config import BackboneConfig
from sparkxlmr.presets.hugging_face import ENCODER_NUMBERS
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries

GOLDENS = [
    "xlmr_sequence_classification",
    "xlmr_masked_lm",
    "albert_sequence_classification",
    "albert_masked_lm",
]
CLASSES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def save_torch(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes what ``torch.save(state_dict)`` writes; one array under two names is one storage, as there.

    (PyTorch, which is not installed beside these tests, loads such a file and finds the same.)
    """
    storages: list[np.ndarray] = []

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", n) for n in values) + b"t"

    def tensor(array: np.ndarray) -> bytes:
        if not any(array is known for known in storages):
            storages.append(array)
        number = next(i for i, known in enumerate(storages) if known is array)
        strides = tuple(n // array.itemsize for n in array.strides)
        kind = CLASSES[array.dtype.name].encode()
        place = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(str(number)) + text("cpu")
        place += b"J" + struct.pack("<i", array.size) + b"tQ"
        hooks = b"\x89ccollections\nOrderedDict\n)R"
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n("
            + place
            + b"K\x00"
            + numbers(array.shape)
            + numbers(strides)
            + hooks
            + b"tR"
        )

    entries = b"".join(text(name) + tensor(np.ascontiguousarray(a)) for name, a in tensors.items())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u.")
        archive.writestr("archive/byteorder", b"little")
        for i, array in enumerate(storages):
            archive.writestr(f"archive/data/{i}", array.tobytes())
        archive.writestr("archive/version", b"3\n")


@pytest.fixture
def converted(fixtures, tmp_path):
    """``converted(name, change)``: a golden checkpoint whose weights are PyTorch's."""

    def convert(name: str, change=lambda tensors: tensors, files: int = 1) -> Path:
        folder = tmp_path / name
        ignored = shutil.ignore_patterns("model.safetensors", "expected*")
        shutil.copytree(fixtures / "hugging_face" / name, folder, ignore=ignored)
        tensors = change(load_file(fixtures / "hugging_face" / name / "model.safetensors"))
        if files == 1:
            save_torch(folder / "pytorch_model.bin", tensors)
            return folder
        names = [f"pytorch_model-{i:05}-of-{files:05}.bin" for i in range(1, files + 1)]
        weight_map = {key: names[i % files] for i, key in enumerate(tensors)}
        for file in names:
            save_torch(folder / file, {k: a for k, a in tensors.items() if weight_map[k] == file})
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
        return folder

    return convert


def assert_same_weights(folder: Path, golden: Path, tolerance: float = 0.0) -> None:
    found, wanted = Preset.open(folder).weights(), Preset.open(golden).weights()
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("name", GOLDENS)
def test_weights_are_those_of_the_safetensors(name, files, converted, fixtures):
    assert_same_weights(converted(name, files=files), fixtures / "hugging_face" / name)


def test_tied_copies_and_positions_as_older_checkpoints_hold_them(converted, fixtures):
    """transformers 3 saved the tied matrix under both names, and the positions as whole numbers."""

    def older(tensors):
        table = np.ascontiguousarray(tensors["roberta.embeddings.word_embeddings.weight"])
        tensors["roberta.embeddings.word_embeddings.weight"] = table
        positions = np.arange(514, dtype=np.int64)[None]
        return tensors | {"lm_head.decoder.weight": table, "roberta.embeddings.position_ids": positions}

    assert_same_weights(converted("xlmr_masked_lm", older), fixtures / "hugging_face" / "xlmr_masked_lm")


def test_half_precision(converted, fixtures):
    folder = converted(
        "albert_sequence_classification",
        lambda tensors: {k: a.astype(np.float16) for k, a in tensors.items()},
    )
    assert_same_weights(folder, fixtures / "hugging_face" / "albert_sequence_classification", 1e-3)
    assert {a.dtype.name for a in Preset.open(folder).weights(dtype=None).values()} == {"float16"}


def test_what_is_missing_is_named(converted):
    def headless(tensors):
        return {key: array for key, array in tensors.items() if not key.startswith("classifier.")}

    with pytest.raises(WeightsError, match="no head"):
        Preset.open(converted("albert_sequence_classification", headless)).weights()


def test_code_in_a_checkpoint_is_refused(converted, fixtures):
    folder = converted("albert_masked_lm")
    shutil.copy(fixtures / "torch" / "module.bin", folder / "pytorch_model.bin")
    with pytest.raises(NotAPresetError, match=r"__main__\.Net"):
        Preset.open(folder).weights()


def test_one_storage_for_all_layers_is_not_read_as_often(tmp_path):
    config = BackboneConfig(400, 100, 1, 400, 400, max_sequence_length=400)
    arrays: dict[tuple[int, ...], np.ndarray] = {}
    tensors = {}
    for entry in entries(config):
        for key, shape in zip(entry.hf_keys, entry.hf_shapes, strict=True):
            shape = tuple(size or 1 for size in shape)
            tensors[key] = arrays.setdefault(shape, np.zeros(shape, np.float32))
    save_torch(tmp_path / "pytorch_model.bin", tensors)
    numbers = {theirs: getattr(config, ours) for ours, theirs in ENCODER_NUMBERS.items()}
    numbers |= {"max_position_embeddings": 402, "attention_probs_dropout_prob": 0.1}
    told = {"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"], **numbers}
    (tmp_path / "config.json").write_text(json.dumps(told), "utf-8")
    preset = Preset.open(tmp_path)
    assert preset.config == config
    with pytest.raises(DamagedModelError, match="hardly any are stored"):
        preset.weights()


@pytest.fixture(scope="module")
def spoilable(fixtures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoilable") / "checkpoint"
    source = fixtures / "hugging_face" / "albert_masked_lm"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors", "expected*"))
    save_torch(folder / "pytorch_model.bin", load_file(source / "model.safetensors"))
    return folder, (folder / "pytorch_model.bin").read_bytes()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(data=st.data())
def test_mutated_checkpoints_raise_only_errors_of_the_package(spoilable, data):
    folder, whole = spoilable
    edges = st.one_of(st.integers(0, 4000), st.integers(len(whole) - 4000, len(whole) - 1))
    at = data.draw(edges)
    new = data.draw(st.binary(max_size=5))
    kept = data.draw(st.sampled_from([whole[at + len(new) :], whole[at + 3 :], b""]))
    try:
        (folder / "pytorch_model.bin").write_bytes(whole[:at] + new + kept)
        Preset.open(folder).weights()
    except SparkxlmrError:
        pass
    finally:
        (folder / "pytorch_model.bin").write_bytes(whole)
