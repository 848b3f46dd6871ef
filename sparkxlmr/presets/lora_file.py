"""What LoRA (Hu et al. 2021) adds to an encoder, kept apart from it: two small matrices a layer, in h5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets.config import check_count
from sparkxlmr.presets.files import write_file_whole
from sparkxlmr.presets.keras_hub_weights import read_arrays
from sparkxlmr.presets.tables import Entry

PARTS = ("lora_kernel_a", "lora_kernel_b")
_RANK = "rank"


def write_lora(path: Path, rank: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the matrices under their names, ``<canonical layer>/lora_kernel_a`` and ``.../lora_kernel_b``.

    Raises:
        OutputError: the file cannot be written.
    """
    import h5py

    def write(fresh: Path) -> None:
        with h5py.File(fresh, "w") as file:
            file.attrs[_RANK] = rank
            for name, array in arrays.items():
                file.create_dataset(name, data=array)

    write_file_whole(path, write)


def lora_layers(path: Path) -> tuple[int, list[str]]:
    """The rank, and the canonical names of the layers that the file adds to.

    Raises:
        DamagedModelError: the file is not one that :func:`write_lora` wrote.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            rank, layers = int(file.attrs[_RANK]), sorted(file)
            check_count(_RANK, rank)
            for name in layers:
                # A matrix that speaks of numbers never stored would let a small file ask for any memory.
                narrow = file[name][PARTS[0]]
                if narrow.shape[1:] != (rank,) or narrow.id.get_storage_size() < narrow.nbytes:
                    raise ValueError(f"{name} does not hold matrices of rank {rank}")
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise DamagedModelError(
            f"{path} is no file of LoRA weights: {error}",
            "one that save_lora_weights wrote",
            "save the weights again",
        ) from error
    return rank, layers


def read_lora(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The matrices, float32, under the names that they were written under.

    Raises:
        DamagedModelError: the file cannot be read.
        WeightsError: a matrix is missing, unused or of another shape.
    """
    wanted = [Entry(name, shape, "model", name, shape, ()) for name, shape in shapes.items()]
    return {name: array.astype(np.float32) for name, array in read_arrays([path], wanted).items()}
