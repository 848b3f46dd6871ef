"""GPUs, seen without any framework: which are there, and which of them this process may use."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sparkxlmr.errors import EngineError

_ORDER, _VISIBLE = "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"
_PATIENCE = 10.0  # seconds; the tool takes one or two where a driver wakes up
_log = logging.getLogger(__name__)


def gpu_visible() -> bool:
    """Whether an NVIDIA GPU is here that this process may use; nothing is imported or initialised."""
    if os.environ.get(_VISIBLE, "all") in ("", "-1"):
        return False
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    return _listed_by_tool()


@functools.cache
def _listed_by_tool() -> bool:
    """What the driver's tool says: Windows, and Linux below it, show GPUs in no other way. Asked once."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s does not answer (%s): no GPU is used.", tool, error)
        return False
    return listed.returncode == 0 and "GPU " in listed.stdout


def use_device(address: str | None) -> None:
    """Lets this process see the GPU of that address only (several: `"0,1"`); None hides all.

    The address is what Spark's task resources give, numbered as nvidia-smi numbers them. Frameworks look
    once, when they are imported, so this must come first: raises EngineError where TensorFlow has been
    imported with another device.
    """
    wanted = "-1" if address is None else address
    if "tensorflow" in sys.modules and os.environ.get(_VISIBLE) != wanted:
        raise EngineError(
            f"The task's GPU is {wanted!r}, and TensorFlow in this process uses {os.environ.get(_VISIBLE)!r}",
            "the device to be named before TensorFlow is imported",
            "predict in a process started for that device",
        )
    os.environ[_ORDER] = "PCI_BUS_ID"
    os.environ[_VISIBLE] = wanted
