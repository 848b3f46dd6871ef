"""Which backend Keras is going to import, and an error in one line where that is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from sparkxlmr.errors import EnvironmentNotReadyError

#: The backends that Keras trains on; each is a package of the same name.
BACKENDS = ("tensorflow", "jax", "torch")
_DEFAULT = "tensorflow"
_EXTRA = 'pip install "sparkxlmr[cpu]" (with a GPU "sparkxlmr[gpu]", on macOS "sparkxlmr[tensorflow]")'


def keras_backend() -> tuple[str, str]:
    """The backend that Keras imports, and what chose it; Keras itself is not imported.

    It is ``KERAS_BACKEND``, else ``"backend"`` in ``keras.json`` of ``KERAS_HOME`` or ``~/.keras``, else
    TensorFlow.

    Returns:
        The name, and ``"KERAS_BACKEND"``, the path of the file, or ``"Keras' default"``.
    """
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    try:
        folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
        file = Path(folder).expanduser() / "keras.json"
        chosen = json.loads(file.read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError, RuntimeError):  # RuntimeError: there is no home
        chosen = None
    return (chosen, str(file)) if isinstance(chosen, str) else (_DEFAULT, "Keras' default")


def require_backend() -> None:
    """Raise EnvironmentNotReadyError where Keras, or the backend that it would import, is not installed.

    Costs microseconds; nothing is imported. Keras that is imported already has its backend.
    """
    if "keras" in sys.modules:
        return
    if not _is_installed("keras"):
        raise EnvironmentNotReadyError(
            "Keras is not installed", "keras 3 and a backend of it", f"pip install keras, and {_EXTRA}"
        )
    name, source = keras_backend()
    if name not in BACKENDS or _is_installed(name):
        return  # numpy and openvino, which cannot train, are Keras' own affair
    others = [other for other in BACKENDS if _is_installed(other)]
    remedy = _EXTRA if name == "tensorflow" else f"pip install {name}"
    if others:
        remedy = f"set KERAS_BACKEND={others[0]}, which is installed, or {remedy}"
    raise EnvironmentNotReadyError(
        f"Keras is to run on {name} ({source}), which is not installed",
        "one of tensorflow, jax and torch",
        remedy,
    )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # a stand-in without a specification, as tests put into sys.modules
        return name in sys.modules
