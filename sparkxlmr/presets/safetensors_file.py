"""Reading safetensors files: the header first, then only the tensors that are wanted.

The format is eight bytes with the header's length, the header (JSON: of each tensor its dtype, shape and
place), and the tensors' bytes (huggingface/safetensors, README). Nothing is allocated before the header was
held against the file's size. Unlike the safetensors package, bfloat16 is read, as float32.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets.keras_hub_weights import bfloat16_to_float32

_MOST_HEADER = 100_000_000  # as the safetensors package
_SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
_SIZES |= {"I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8}
_FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file, not yet read."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    def read(self) -> np.ndarray:
        """The tensor; bfloat16 as float32.

        Raises:
            DamagedModelError: it is not stored as floating point numbers, or the file cannot be read.
        """
        if self.dtype not in _FLOATS:
            raise _damaged(self.path, f"{self.name} is stored as {self.dtype}")
        n = math.prod(self.shape)
        try:
            array = np.fromfile(self.path, _FLOATS[self.dtype], count=n, offset=self.start)
        except OSError as error:
            raise _damaged(self.path, str(error)) from error
        if len(array) != n:
            raise _damaged(self.path, f"{self.name} ends early")
        if self.dtype == "BF16":
            array = bfloat16_to_float32(array)
        return array.reshape(self.shape)


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """What the header of a safetensors file tells, held against the size of the file.

    Raises:
        DamagedModelError: the file cannot be read, or its header is none or speaks of more than there is.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MOST_HEADER):
                raise _damaged(path, f"its header has {length} bytes and the file {size}")
            header = json.loads(file.read(length).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DamagedModelError):
            raise
        raise _damaged(path, str(error)) from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    header.pop("__metadata__", None)
    tensors = {name: _described(path, name, told, 8 + length) for name, told in header.items()}
    _check_places(path, list(tensors.values()), size)
    return tensors


def _described(path: Path, name: str, told: Any, data: int) -> StoredTensor:
    if isinstance(told, dict):
        dtype: Any = told.get("dtype")
        shape: Any = told.get("shape")
        place: Any = told.get("data_offsets")
        if (
            isinstance(dtype, str)
            and dtype in _SIZES
            and _are_counts(shape)
            and _are_counts(place)
            and len(place) == 2
            and place[1] - place[0] == math.prod(shape) * _SIZES[dtype]
        ):
            return StoredTensor(path, name, dtype, tuple(shape), data + place[0])
    raise _damaged(path, f"its header says of {name!r:.100} {told!r:.100}")


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _check_places(path: Path, tensors: list[StoredTensor], size: int) -> None:
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        if tensor.start < end:
            # Two tensors in one place: a small file could ask for any amount of memory.
            raise _damaged(path, f"{tensor.name!r:.100} lies over another tensor")
        end = tensor.start + math.prod(tensor.shape) * _SIZES[tensor.dtype]
    if end > size:
        raise _damaged(path, f"its tensors end at byte {end} and the file at {size}")


def _damaged(path: Path, what: str) -> DamagedModelError:
    return DamagedModelError(
        f"The weights file {path} cannot be read: {what}",
        "a whole safetensors file of float32, float16 or bfloat16",
        "fetch the checkpoint again",
    )
