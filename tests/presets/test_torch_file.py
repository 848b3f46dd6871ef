"""PyTorch files are read as PyTorch would, nothing in them is run, and what is not plain weights is refused.

The files in fixtures/torch were written by PyTorch 2.15.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError
from sparkxlmr.presets.torch_file import read_torch_file

PICKLE, FIRST = "state_dict/data.pkl", "state_dict/data/1"


@pytest.fixture(scope="module")
def torch_files(fixtures) -> Path:
    return fixtures / "torch"


@pytest.fixture
def rewritten(torch_files, tmp_path):
    """The real archive with some entries replaced, or None for left out; ``zipfile``'s own keywords."""

    def rewrite(entries: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / "rewritten.bin"
        with zipfile.ZipFile(torch_files / "state_dict.bin") as old:
            contents = {name: old.read(name) for name in old.namelist()} | entries
        with zipfile.ZipFile(path, "w", compression) as new:
            for name, content in contents.items():
                if content is not None:
                    new.writestr(name, content)
        return path

    return rewrite


def a_pickle(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)


@pytest.mark.parametrize("name", ["state_dict.bin", "older_format.bin"])
def test_all_tensors_are_read(name, torch_files):
    """Tied, transposed, sliced, of every second number, of half precision, empty, without dimensions."""
    found = read_torch_file(torch_files / name)
    with np.load(torch_files / "expected.npz") as wanted:
        assert list(found) == list(wanted)
        for key in wanted:
            assert (found[key].dtype, found[key].shape) == (wanted[key].dtype, wanted[key].shape), key
            np.testing.assert_array_equal(found[key], wanted[key], err_msg=key)
    assert found["bfloat16"].dtype == np.float32
    assert np.shares_memory(found["decoder.weight"], found["embeddings.weight"])
    assert not any(array.flags.writeable for array in found.values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("module.bin", "__main__.Net"),
        ("nested.bin", "'model' it holds a dict"),
        ("sparse.bin", "_rebuild_sparse_tensor"),
        ("numpy.bin", r"numpy\._core\.multiarray\.scalar"),
        ("float8.bin", "_rebuild_tensor_v3"),
        ("complex.bin", "ComplexFloatStorage"),
        ("noted.bin", "_rebuild_parameter_with_state"),
    ],
)
def test_what_is_more_than_plain_weights_is_refused_by_its_name(name, says, torch_files):
    with pytest.raises(NotAPresetError, match=says):
        read_torch_file(torch_files / name)


def test_a_tensor_of_more_numbers_than_are_stored_is_refused(torch_files):
    """A million numbers that are all the same one, in four bytes."""
    with pytest.raises(DamagedModelError, match=r"\(1000, 1000\)"):
        read_torch_file(torch_files / "expanded.bin")


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    "value", [lambda code: code, lambda code: {"w": code}, lambda code: {"w": [(code,)]}]
)
def test_nothing_is_run(older, value, rewritten, tmp_path, torch_files):
    mark = tmp_path / "was_here"
    hostile = a_pickle(value(Touch(mark)))
    if older:
        path = tmp_path / "older.bin"
        whole = (torch_files / "older_format.bin").read_bytes()
        path.write_bytes(whole[: whole.index(b"ccollections")] + hostile[2:])
    else:
        path = rewritten({PICKLE: hostile})
    with pytest.raises(NotAPresetError, match=r"(posix|nt)\.system"):
        read_torch_file(path)
    assert not mark.exists()
    pickle.loads(hostile)
    assert mark.exists(), "the file was no threat"


def _tuples(depth: int) -> bytes:
    return b"\x80\x02)" + b"\x85" * depth + b"."


@pytest.mark.parametrize(
    ("entries", "error", "says"),
    [
        ({PICKLE: None}, DamagedModelError, "0 entries named data.pkl"),
        ({"other/data.pkl": b""}, DamagedModelError, "2 entries named data.pkl"),
        ({"state_dict/byteorder": b"big"}, NotAPresetError, "byte order"),
        ({FIRST: None}, DamagedModelError, "'1' is missing"),
        ({FIRST: b"1234"}, DamagedModelError, "4 bytes, not 60"),
        ({PICKLE: a_pickle([])}, NotAPresetError, "holds a list"),
        ({PICKLE: a_pickle({"epoch": 3})}, NotAPresetError, "'epoch' it holds a int"),
        ({PICKLE: a_pickle({("a",): 1})}, NotAPresetError, "key"),
        ({PICKLE: pickle.dumps({}, protocol=4)}, NotAPresetError, "MEMOIZE"),
        ({PICKLE: _tuples(100_000)}, NotAPresetError, "holds a tuple"),
        ({PICKLE: b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s."}, NotAPresetError, "key"),
        ({PICKLE: b"\x80\x02" + b"]" * (5 << 20) + b"."}, NotAPresetError, "pickle has"),
        ({PICKLE: b""}, DamagedModelError, "broken"),
        ({PICKLE: b"\x80\x02."}, DamagedModelError, "more than there is"),
        ({PICKLE: b"\x80\x02(t0."}, NotAPresetError, "POP"),
    ],
)
def test_an_archive_that_is_wrong_inside_is_refused(entries, error, says, rewritten):
    with pytest.raises(error, match=says):
        read_torch_file(rewritten(entries))


def with_key(pickled: bytes, key: bytes) -> bytes:
    """The real pickle with another name for its storage 1."""
    old = b"X\x01\x00\x00\x001"
    assert pickled.count(old) == 1
    return pickled.replace(old, b"X" + struct.pack("<I", len(key)) + key)


@pytest.mark.parametrize("key", [b"../../../../etc/hostname", b"/etc/hostname", b"..\\x"])
def test_no_path_leads_out_of_the_archive(key, rewritten, torch_files):
    with zipfile.ZipFile(torch_files / "state_dict.bin") as archive:
        pickled = archive.read(PICKLE)
    with pytest.raises(DamagedModelError, match="is missing"):
        read_torch_file(rewritten({PICKLE: with_key(pickled, key)}))
    assert len(read_torch_file(rewritten({PICKLE: with_key(pickled, b"1")}))) == 18


def test_compressed_entries_are_refused_before_they_grow(rewritten):
    bomb = rewritten({FIRST: bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(NotAPresetError, match="compressed"):
            read_torch_file(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_sizes_that_lie_allocate_nothing(torch_files, tmp_path):
    """A storage of 2**40 numbers in a file of a few kilobytes, in either format; a directory of 1 GB."""
    whole = (torch_files / "older_format.bin").read_bytes()
    lying = whole.replace(b"K\x0fNtq", b"\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"Ntq", 1)
    assert lying != whole
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 1_000_000_000, 4, 0)
    (tmp_path / "older.bin").write_bytes(lying)
    with (tmp_path / "directory.bin").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(1_000_000_004)  # a hole: no disk is used
        file.write(end)
    tracemalloc.start()
    try:
        for name in ("older.bin", "directory.bin"):
            with pytest.raises(DamagedModelError):
                read_torch_file(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_entries_that_lie_over_one_another_are_refused(torch_files, tmp_path):
    whole = (torch_files / "state_dict.bin").read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        first, second = archive.getinfo(FIRST), archive.getinfo("state_dict/data/2")
    directory = whole.rindex(b"state_dict/data/2") - 46
    assert whole[directory : directory + 4] == b"PK\x01\x02"
    lying = bytearray(whole)
    lying[directory + 42 : directory + 46] = struct.pack("<I", first.header_offset)
    assert second.header_offset != first.header_offset
    (tmp_path / "over.bin").write_bytes(lying)
    with pytest.raises(DamagedModelError, match="stands where"):
        read_torch_file(tmp_path / "over.bin")


def test_a_changed_number_is_noticed(torch_files, tmp_path):
    whole = bytearray((torch_files / "state_dict.bin").read_bytes())
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        numbers = archive.read(FIRST)
    whole[whole.index(numbers)] ^= 1
    (tmp_path / "changed.bin").write_bytes(whole)
    with pytest.raises(DamagedModelError, match="checksum"):
        read_torch_file(tmp_path / "changed.bin")


@pytest.mark.parametrize(
    "content", [None, b"", b"P", b"PK", b"PK\x03\x04", b"\x80\x02.", b"version https://git-lfs"]
)
def test_what_is_no_pytorch_file_is_refused(content, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DamagedModelError, match="pytorch_model"):
        read_torch_file(path)


def test_an_older_file_of_a_big_endian_machine_is_refused(torch_files, tmp_path):
    whole = (torch_files / "older_format.bin").read_bytes()
    at = whole.index(b"little_endian")
    mark = whole.index(b"\x88", at)  # True
    (tmp_path / "big.bin").write_bytes(whole[:mark] + b"\x89" + whole[mark + 1 :])
    with pytest.raises(NotAPresetError, match="big-endian"):
        read_torch_file(tmp_path / "big.bin")


@settings(deadline=None, derandomize=True, max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["archive", "pickle", "older"]))
def test_mutated_files_raise_only_errors_of_the_package(torch_files, tmp_path_factory, data, kind):
    """Cut short, or with other bytes; in the archive, in its pickle, in the older format."""
    source = torch_files / ("older_format.bin" if kind == "older" else "state_dict.bin")
    with zipfile.ZipFile(torch_files / "state_dict.bin") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    whole = contents[PICKLE] if kind == "pickle" else source.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(max_size=6))
    kept = data.draw(st.sampled_from([whole[at:], whole[at + len(new) :], whole[at + 7 :], b""]))
    mutated = whole[:at] + new + kept
    path = tmp_path_factory.getbasetemp() / "mutated_torch_file.bin"
    if kind == "pickle":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (contents | {PICKLE: mutated}).items():
                archive.writestr(name, content)
    else:
        path.write_bytes(mutated)
    try:
        arrays = read_torch_file(path)
    except SparkxlmrError:
        return
    assert sum(array.nbytes for array in arrays.values()) < 10_000
