"""The hardware, seen without any framework: which GPUs are there, which of them this process may use, and
what GPUs and CPU compute in."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sparkxlmr.errors import EngineError

_ORDER, _VISIBLE = "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"
_PCI = "PCI_BUS_ID"
_PATIENCE = 10.0  # seconds; the tool takes one or two where a driver wakes up
#: environment variable of tests: another file than ``/proc/cpuinfo``, so that all processes see another CPU
CPUINFO = "SPARKXLMR_CPUINFO"
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_AMPERE = 8  # the first generation of NVIDIA's whose tensor cores take bfloat16
_log = logging.getLogger(__name__)


def gpu_visible() -> bool:
    """Whether an NVIDIA GPU is here that this process may use; nothing is imported or initialised."""
    if os.environ.get(_VISIBLE, "all") in ("", "-1"):
        return False
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    # Windows, and Linux below it, show GPUs in no other way.
    return "GPU " in _listed_by_tool()


@functools.cache
def _listed_by_tool() -> str:
    """The GPUs as the driver's tool lists them. Asked once."""
    return _asked_tool("-L")


def _asked_tool(*arguments: str) -> str:
    """What the driver's tool answers; nothing where it is not there or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        done = subprocess.run(
            [tool, *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s does not answer (%s): no GPU is used.", tool, error)
        return ""
    return done.stdout if done.returncode == 0 else ""


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 (AVX512_BF16 or AMX, Arm's BF16); elsewhere float32 is faster.

    Linux alone tells; other systems count as CPUs without. Asked once.
    """
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())


@functools.cache
def warn_no_bfloat16(device: str) -> None:
    """Log that float32 replaces bfloat16 on this kind of device; once a process, whichever module notices."""
    _log.warning("This %s has no bfloat16 arithmetic: it computes in float32.", device)


@functools.cache
def cpu_has_int8() -> bool:
    """Whether this CPU adds products of int8 in int32 at once (VNNI or AMX). Elsewhere they saturate in
    between, and what was measured with it does not hold. Linux alone tells; asked once."""
    return not _INT8_FLAGS.isdisjoint(_cpuinfo("flags").split())


def cpu_name() -> str:
    """What the CPU calls itself, else the machine's architecture.

    >>> cpu_name() != ""
    True
    """
    return _cpuinfo("model name") or platform.machine()


def _cpuinfo(field: str) -> str:
    """What Linux says of the first CPU; "" elsewhere."""
    try:
        path = Path(os.environ.get(CPUINFO) or "/proc/cpuinfo")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    parts = (line.partition(":") for line in lines)
    return next((said.strip() for name, _, said in parts if name.strip() == field), "")


@functools.cache
def gpu_has_bfloat16() -> bool:
    """Whether every GPU that the driver's tool lists multiplies bfloat16 (compute capability 8 or more).

    False where none is listed: which GPUs a cluster's executors have, its driver cannot know. Asked once.
    """
    listed = _asked_tool("--query-gpu=compute_cap", "--format=csv,noheader")
    found = re.findall(r"^\s*(\d+)\.\d+\s*$", listed, re.MULTILINE)
    return bool(found) and min(map(int, found)) >= _AMPERE


def visible_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` or the driver's tool calls them.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES="1,0"):
    ...     visible_gpus()
    ('1', '0')
    """
    said = os.environ.get(_VISIBLE)
    if said is not None:
        named = [part.strip() for part in said.split(",")]
        # As CUDA reads it: what stands behind a name that is none does not count.
        return tuple(itertools.takewhile(lambda name: name not in ("", "-1"), named))
    listed = re.findall(r"^GPU (\d+):", _listed_by_tool(), re.MULTILINE)
    nodes = sorted(int(node.name.removeprefix("nvidia")) for node in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(listed or map(str, nodes))


def device_environment(address: str) -> dict[str, str]:
    """What a process finds in its environment that is to see that GPU of :func:`visible_gpus` alone."""
    # Numbers that a user chose count in the order that he chose with them.
    order = {} if _VISIBLE in os.environ else {_ORDER: _PCI}
    return {**order, _VISIBLE: address}


def _bound_framework() -> str | None:
    """The framework that has its devices in this process, if one has: torch tells, of others it is known once
    they are imported."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "torch"
    return next((name for name in ("tensorflow", "jax") if name in sys.modules), None)


def use_device(address: str | None) -> None:
    """Lets this process see the GPU of that address only (several: `"0,1"`); None hides all.

    The address is what Spark's task resources give, numbered as nvidia-smi numbers them. Frameworks look
    once, so this must come first: raises EngineError where one has looked, with another device.
    """
    wanted = "-1" if address is None else address
    framework, seen = _bound_framework(), os.environ.get(_VISIBLE)
    if framework is not None and seen != wanted:
        raise EngineError(
            f"The task's GPU is {wanted!r}, and {framework} in this process uses {seen!r}",
            f"the device to be named before {framework} is imported",
            "predict in a process started for that device",
        )
    os.environ[_ORDER] = _PCI
    os.environ[_VISIBLE] = wanted
