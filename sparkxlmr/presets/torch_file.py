"""Reading the tensors of a PyTorch file (``pytorch_model.bin``) without PyTorch, and without running it.

Since PyTorch 1.6 such a file is a zip archive of entries that are not compressed: ``data.pkl`` describes the
tensors (:mod:`sparkxlmr.presets.torch_pickle`), ``data/0``, ``data/1``, ... hold the numbers. Before, it was
five pickles with the numbers behind them. Both are read (``torch/serialization.py`` writes them). Numbers are
not copied: the arrays lie over the mapped file.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.presets.keras_hub_weights import bfloat16_to_float32
from sparkxlmr.presets.torch_pickle import STORAGES, Storage, TensorPlace, damaged, read_pickle, refused

# XLM-R large's pickle and directory have 60 KB; each byte of either may cost some hundred bytes of memory.
_MOST_DESCRIBED = 4 << 20
_LOCAL_HEADER = struct.Struct(
    "<4s22xHH"
)  # in a zip archive before each entry: ..., lengths of name and extra
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format

# from a storage to its bytes in the file
_Finder = Callable[[Storage], memoryview]


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict that ``torch.save`` wrote.

    Returns:
        The tensors by their names, in the file's order: read-only arrays of the stored dtype (bfloat16 as
        float32) that lie over the file, which must not change while they are used; shared storages stay
        shared.

    Raises:
        NotAPresetError: the file holds more than a flat dict of plain tensors (code, a whole model, sparse or
            quantised tensors, numpy objects, ...), is compressed, or was written on a big-endian machine.
        DamagedModelError: it cannot be read, is incomplete, or contradicts itself.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # a file of no bytes cannot be mapped
        raise damaged(path, str(error)) from error
    if mapped[:2] == b"PK":
        described, find = _open_archive(path, mapped)
    elif mapped[:1] == b"\x80":
        described, find = _open_older(path, mapped)
    else:
        raise damaged(path, f"it begins with {mapped[:4]!r}")
    return _arrays(path, described, find)


def _arrays(path: Path, described: Any, find: _Finder) -> dict[str, np.ndarray]:
    if type(described) is not dict:
        raise refused(path, f"it holds a {type(described).__name__}")
    storages: dict[str, tuple[Storage, np.ndarray]] = {}
    arrays = {}
    for name, place in described.items():
        if not isinstance(place, TensorPlace):
            raise refused(path, f"under {name!r:.100} it holds a {type(place).__name__}")
        key = place.storage.key
        if key not in storages:
            storages[key] = place.storage, _numbers(place.storage, find)
        storage, numbers = storages[key]
        if storage != place.storage:
            raise damaged(path, f"the storage {key!r:.100} is described in two ways")
        arrays[name] = _view(place, numbers, path)
    return arrays


def _numbers(storage: Storage, find: _Finder) -> np.ndarray:
    """All numbers of a storage, in a row."""
    dtype = np.dtype(STORAGES[storage.kind])
    numbers = np.frombuffer(find(storage), dtype) if storage.length else np.zeros(0, dtype)
    return bfloat16_to_float32(numbers) if storage.kind == "torch BFloat16Storage" else numbers


def _view(place: TensorPlace, numbers: np.ndarray, path: Path) -> np.ndarray:
    size = numbers.itemsize
    strides = [stride * size for stride in place.strides]
    try:
        if math.prod(place.shape):
            view: np.ndarray = np.ndarray(place.shape, numbers.dtype, numbers, place.offset * size, strides)
        else:
            view = np.zeros(place.shape, numbers.dtype)
    except ValueError as error:
        raise damaged(path, f"a tensor of shape {place.shape} makes no sense: {error}") from error
    view.flags.writeable = False
    return view


# --- the zip archive ---


def _open_archive(path: Path, mapped: mmap.mmap) -> tuple[Any, _Finder]:
    entries = _entries(path, mapped)
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise damaged(path, f"it has {len(pickles)} entries named data.pkl")
    prefix = pickles[0].removesuffix("data.pkl")
    order = entries.get(prefix + "byteorder", memoryview(b"little"))
    if order != b"little":
        raise refused(path, f"its byte order is {bytes(order[:20])!r}")
    if len(entries[pickles[0]]) > _MOST_DESCRIBED:
        raise refused(path, f"its pickle has {len(entries[pickles[0]])} bytes")

    def find(storage: Storage) -> memoryview:
        found = entries.get(f"{prefix}data/{storage.key}")
        wanted = storage.length * np.dtype(STORAGES[storage.kind]).itemsize
        if found is None or len(found) != wanted:
            what = "is missing" if found is None else f"has {len(found)} bytes, not {wanted}"
            raise damaged(path, f"the storage {storage.key!r:.100} {what}")
        return found

    return read_pickle(io.BytesIO(entries[pickles[0]]), path), find


def _entries(path: Path, mapped: mmap.mmap) -> dict[str, memoryview]:
    """The bytes of each entry of the archive, once they agree with their checksum."""
    try:
        with zipfile.ZipFile(_Window(mapped)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, EOFError, struct.error) as error:
        raise damaged(path, f"its archive is broken: {error}") from error
    whole, end = memoryview(mapped), 0
    entries: dict[str, memoryview] = {}
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise refused(path, f"its entry {info.filename!r:.100} is compressed")
        header = whole[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        # Entries that lie over one another would let a small file ask for any amount of memory.
        if info.header_offset < end or len(header) < _LOCAL_HEADER.size or info.filename in entries:
            raise damaged(path, f"its entry {info.filename!r:.100} stands where or as another one does")
        signature, *lengths = _LOCAL_HEADER.unpack(header)
        start = info.header_offset + _LOCAL_HEADER.size + sum(lengths)
        end = start + info.file_size
        content = whole[start:end]
        if signature != b"PK\3\4" or len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise damaged(path, f"its entry {info.filename!r:.100} does not agree with its checksum")
        entries[info.filename] = content
    return entries


class _Window:
    """What zipfile reads the archive's directory through: never much at once."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self.mapped = mapped

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.mapped.seek(offset, whence)  # type: ignore[arg-type]
        return self.tell()

    def tell(self) -> int:
        return self.mapped.tell()

    def read(self, n: int | None = -1, /) -> bytes:
        if n is None or n < 0:
            n = len(self.mapped) - self.tell()
        if n > _MOST_DESCRIBED:
            raise ValueError(f"its directory has {n} bytes")
        return self.mapped.read(n)


# --- the format before PyTorch 1.6 ---


def _open_older(path: Path, mapped: mmap.mmap) -> tuple[Any, _Finder]:
    """A pickle each: magic number, protocol, the writing machine, the state dict, the storages' names. Then
    of each storage its length, eight bytes, and its numbers."""
    stream = io.BytesIO(mapped[:_MOST_DESCRIBED])
    magic, protocol = read_pickle(stream, path), None
    if magic == _MAGIC:
        protocol = read_pickle(stream, path)
    if protocol != _PROTOCOL:
        raise refused(path, "it is a pickle, but not one of PyTorch's")
    machine, described, keys = (read_pickle(stream, path) for _ in range(3))
    if not isinstance(machine, Mapping) or machine.get("little_endian") is not True:
        raise refused(path, "it was written on a big-endian machine")
    if type(keys) is not list or not all(type(key) is str for key in keys) or len({*keys}) < len(keys):
        raise damaged(path, "its list of storages is none")
    used = described.values() if isinstance(described, dict) else ()
    storages = {place.storage.key: place.storage for place in used if isinstance(place, TensorPlace)}
    whole, at = memoryview(mapped), stream.tell()
    contents: dict[str, memoryview] = {}
    for key in keys:
        if key not in storages:
            raise damaged(path, f"its storage {key!r:.100} belongs to no tensor")
        storage = storages[key]
        end = at + 8 + storage.length * np.dtype(STORAGES[storage.kind]).itemsize
        if whole[at : at + 8] != storage.length.to_bytes(8, "little") or end > len(whole):
            raise damaged(path, f"its storage {key!r:.100} ends early")
        contents[key], at = whole[at + 8 : end], end

    def find(storage: Storage) -> memoryview:
        if storage.key not in contents:
            raise damaged(path, f"its storage {storage.key!r:.100} is missing")
        return contents[storage.key]

    return described, find
