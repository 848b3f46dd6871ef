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
from collections.abc import Sequence
from pathlib import Path

from sparkxlmr.errors import EngineError

_ORDER, _VISIBLE = "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"
_PCI = "PCI_BUS_ID"
_PATIENCE = 10.0  # seconds; the tool takes one or two where a driver wakes up
_DEV = Path("/dev")
#: environment variable of tests: another file than ``/proc/cpuinfo``, so that all processes see another CPU
CPUINFO = "SPARKXLMR_CPUINFO"
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_AMPERE = 8  # the first generation of NVIDIA's whose tensor cores take bfloat16
_log = logging.getLogger(__name__)


def gpu_visible() -> bool:
    """Whether an NVIDIA GPU is here that this process may use; nothing is imported or initialised."""
    return bool(visible_gpus())


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

    Empty on a machine without a GPU, whatever the variable names.
    """
    nodes = sorted(int(node.name.removeprefix("nvidia")) for node in _DEV.glob("nvidia[0-9]*"))
    named = os.environ.get(_VISIBLE)
    if named is not None and not named_gpus(named):
        return ()
    # Windows, and Linux below it, show GPUs by the tool alone.
    listed = re.findall(r"^GPU (\d+):", _listed_by_tool(), re.MULTILINE)
    if named is None or not (listed or nodes):
        return tuple(listed or map(str, nodes))
    uuids = re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", _listed_by_tool())
    return named_gpus(named, len(listed) or None, uuids or None)


def named_gpus(value: str, n_gpus: int | None = None, uuids: Sequence[str] | None = None) -> tuple[str, ...]:
    """The GPUs that a value of `CUDA_VISIBLE_DEVICES` names, as CUDA reads it.

    CUDA takes indices, and UUIDs of GPUs and of MIG instances (or how they begin), and ignores everything
    from the first entry on that is none of them.

    Args:
        value: the variable's value.
        n_gpus: how many GPUs the machine has; None where that is not known.
        uuids: UUIDs of the machine's GPUs and MIG instances; None where they are not known.

    >>> named_gpus("1, 0"), named_gpus("0,GPU-5a1,-1,2"), named_gpus("NoDevFiles"), named_gpus("0,7", 2)
    (('1', '0'), ('0', 'GPU-5a1'), (), ('0',))
    """

    def is_gpu(entry: str) -> bool:
        if re.fullmatch(r"[0-9]+", entry):
            return n_gpus is None or int(entry) < n_gpus
        # Names of MIG instances of older drivers hold the GPU's UUID and two numbers.
        is_uuid = re.fullmatch(r"(GPU|MIG)-[0-9A-Za-z/-]+", entry) is not None
        is_known = uuids is None or "/" in entry or any(uuid.startswith(entry) for uuid in uuids)
        return is_uuid and is_known

    return tuple(itertools.takewhile(is_gpu, (entry.strip() for entry in value.split(","))))


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
