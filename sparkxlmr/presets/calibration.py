"""A preset's calibration for int8: between which numbers what comes into each product lies.

`calibration.safetensors` beside the weights, made from texts by ``sparkxlmr quantize``: for each product,
named by the kernels it reads, a float32 tensor (2, channels), the lowest and the highest number seen in each
channel of its input. No text can be read from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.files import known_sha256_of, write_file_whole
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.safetensors_file import stored_tensors

CALIBRATION = "calibration.safetensors"
# Each name begins with the hash of the weights that were run: ranges of others are not taken.
_SEPARATOR = "/"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a calibration file says.

    Attributes:
        source: content hash of the preset whose numbers these are.
        ranges: name of a product to float32 (2, channels): lowest and highest.
        digest: sha256 (hex) of the file; two of the same are the same calibration.
    """

    source: str
    ranges: Mapping[str, NDArray[np.float32]]
    digest: str


def calibration_of(model: object) -> Calibration | None:
    """The calibration beside a preset; None where there is none, or one of other weights.

    Raises:
        DamagedModelError: there is one that cannot be read.
    """
    whole = model.whole if isinstance(model, Encoder) else model
    if not isinstance(whole, Preset) or not (path := whole.path / CALIBRATION).is_file():
        return None
    source = whole.content_hash
    ranges = {}
    for name, tensor in stored_tensors(path).items():
        made_of, _, product = name.partition(_SEPARATOR)
        if made_of != source:
            return None
        ranges[product] = array = tensor.read()
        if array.ndim != 2 or len(array) != 2 or not np.isfinite(array).all() or (array[0] > array[1]).any():
            raise DamagedModelError(
                f"{path} gives {product!r:.100} no range of finite numbers",
                "float32 (2, channels): the lowest and the highest number of each channel",
                "make it again with `sparkxlmr quantize`",
            )
    return Calibration(source, ranges, known_sha256_of(path)) if ranges else None


def write_calibration(preset: Preset, ranges: Mapping[str, NDArray[np.float32]]) -> Path:
    """Writes the ranges (product to float32 (2, channels)) beside the preset; equal ranges, equal bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.numpy import save

    source = preset.content_hash
    named = {
        f"{source}{_SEPARATOR}{product}": np.ascontiguousarray(ranges[product], np.float32)
        for product in sorted(ranges)
    }
    path = preset.path / CALIBRATION
    content = save(named)

    def write(file: Path) -> None:
        file.write_bytes(content)

    write_file_whole(path, write)
    return path


def source_of(content_hash: str, calibration: Calibration | None) -> str:
    """sha256 (hex): what an int8 bundle is compiled from, weights and calibration."""
    said = f"int8\0{content_hash}\0{calibration.digest if calibration else 'dynamic'}"
    return hashlib.sha256(said.encode()).hexdigest()
