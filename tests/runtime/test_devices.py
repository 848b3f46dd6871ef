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
