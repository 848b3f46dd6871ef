"""What the hardware is said to be, without a framework."""

from __future__ import annotations

import pytest

from sparkxlmr.runtime import devices


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 avx512_vnni\n", True),
        ("processor : 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", True),
        # A name in another line, or as a part of another name, is none.
        ("model name : bf16\nflags : fpu avx2 avx512_bf16x\n", False),
        ("", False),
        (None, False),
    ],
)
def test_bfloat16_of_the_cpu(tmp_path, monkeypatch, said, expected):
    if said is not None:
        (tmp_path / "cpuinfo").write_text(said)
    monkeypatch.setenv(devices.CPUINFO, str(tmp_path / "cpuinfo"))
    assert devices.cpu_has_bfloat16.__wrapped__() is expected
    assert devices.cpu_has_int8.__wrapped__() is ("avx512_vnni" in (said or ""))


@pytest.mark.parametrize(
    ("said", "expected"),
    [("9.0", True), ("8.6\n8.0", True), ("9.0\n7.5", False), ("12.0", True), ("", False), ("[N/A]", False)],
)
def test_bfloat16_of_the_gpus(tmp_path, monkeypatch, said, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{said}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert devices.gpu_has_bfloat16.__wrapped__() is expected


TOOL = """GPU 0: NVIDIA A100 (UUID: GPU-5a11c0de-1111)
  MIG 1g.5gb     Device  0: (UUID: MIG-77aa-01)
GPU 1: NVIDIA A100 (UUID: GPU-8932f937-2222)
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("0", "1")),
        ("", ()),
        ("-1", ()),
        (" -1", ()),
        ("-1,0", ()),
        ("NoDevFiles", ()),
        ("none", ()),
        ("void", ()),
        ("0", ("0",)),
        ("1, 0", ("1", "0")),
        ("0,-1,1", ("0",)),
        ("0,,1", ("0",)),
        ("0,2,1", ("0",)),
        ("7", ()),
        ("GPU-5a11c0de-1111", ("GPU-5a11c0de-1111",)),
        ("GPU-89", ("GPU-89",)),
        ("GPU-0000", ()),
        ("MIG-77aa-01", ("MIG-77aa-01",)),
        ("MIG-GPU-5a11c0de-1111/1/0", ("MIG-GPU-5a11c0de-1111/1/0",)),
        ("GPU-5a,-1,1", ("GPU-5a",)),
    ],
)
@pytest.mark.parametrize("machine", ["gpus", "nodes only", "tool only", "no gpu"])
def test_visible_gpus_of_each_value(tmp_path, monkeypatch, value, expected, machine):
    """Both functions agree, on every kind of machine."""
    if machine in ("gpus", "nodes only"):
        for name in ("nvidia0", "nvidia1", "nvidiactl"):
            (tmp_path / name).touch()
    monkeypatch.setattr(devices, "_DEV", tmp_path)
    monkeypatch.setattr(devices, "_listed_by_tool", lambda: TOOL if machine in ("gpus", "tool only") else "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    found = devices.visible_gpus()
    assert devices.gpu_visible() is bool(found)
    if machine == "nodes only":
        # Nothing tells how many there are, or what they are called: what is well-formed is believed.
        assert found == expected or (value in ("7", "GPU-0000", "0,2,1") and found == tuple(value.split(",")))
    else:
        assert found == (() if machine == "no gpu" else expected)
