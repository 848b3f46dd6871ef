"""Files of LoRA weights: whole or not there, and none that asks for more than it holds."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, OutputError
from sparkxlmr.presets.lora_file import PARTS, lora_layers, read_lora, write_lora

LAYER = "layers.0.attention.query"
KERNEL_A, KERNEL_B = (f"{LAYER}/{part}" for part in PARTS)
ARRAYS = {KERNEL_A: np.arange(8, dtype=np.float32).reshape(4, 2), KERNEL_B: np.ones((2, 4), np.float32)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.lora.h5"
    write_lora(path, 2, ARRAYS)
    return path


def test_what_is_written_is_read(path):
    assert lora_layers(path) == (2, [LAYER])
    found = read_lora(path, {name: array.shape for name, array in ARRAYS.items()})
    assert all((found[name] == array).all() for name, array in ARRAYS.items())
    assert [left.name for left in path.parent.iterdir()] == [path.name]


def test_a_write_that_fails_leaves_the_former_file(path):
    before = path.read_bytes()
    with pytest.raises(OutputError, match="cannot be written"):
        write_lora(path.parent / "none" / path.name, 2, ARRAYS)
    with pytest.raises(TypeError):
        write_lora(path, 2, {KERNEL_A: np.array([object()])})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def rank(file):
    file.attrs["rank"] = 10**9


def never_stored(file):
    rank(file)
    del file[KERNEL_A]
    file.create_dataset(KERNEL_A, (4, 10**9), np.float32, chunks=(4, 1024))


def no_layer(file):
    file["x"] = np.ones(3)


def no_matrix(file):
    file.create_group(f"x/{PARTS[0]}")


@pytest.mark.parametrize("spoil", [rank, never_stored, no_layer, no_matrix])
def test_spoilt_files_are_refused_before_a_matrix_is_made(path, spoil):
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(DamagedModelError, match="no file of LoRA weights"):
        lora_layers(path)
