"""Which engine is taken, and what is said where there is none."""

from __future__ import annotations

import logging
import subprocess
import sys
import types

import pytest

from sparkxlmr.errors import EngineError, SettingError
from sparkxlmr.runtime import devices, engine_choice, engines
from sparkxlmr.runtime.engine_choice import require_installed, resolve_engine


@pytest.fixture
def installed(monkeypatch):
    """Sets which engines seem to be installed."""

    def only(*names):
        for name in engines.engine_names():
            monkeypatch.setattr(engines.engine_named(name), "installed", lambda name=name: name in names)

    return only


@pytest.mark.parametrize(
    ("there", "gpu", "expected"),
    [
        (("openvino", "tensorflow"), False, "openvino"),
        (("openvino", "tensorflow"), True, "tensorflow"),
        (("tensorflow",), False, "tensorflow"),
        (("openvino",), True, "openvino"),
        (("keras", "openvino"), False, "openvino"),
        (("keras", "openvino"), True, "keras"),
        (("keras", "tensorflow"), False, "tensorflow"),
        (("keras", "tensorflow"), True, "tensorflow"),
        (("keras",), False, "keras"),
    ],
)
def test_auto(installed, monkeypatch, there, gpu, expected):
    monkeypatch.setattr(engine_choice, "available", lambda: there)
    installed(*there)
    assert resolve_engine("auto", gpu) == expected


def test_a_gpu_that_stays_idle_is_said(installed, caplog):
    installed("openvino")
    with caplog.at_level(logging.WARNING, logger=engine_choice.__name__):
        resolve_engine("auto", gpu=True)
    assert "sparkxlmr[gpu]" in caplog.text


def test_no_engine_at_all(installed):
    installed()
    with pytest.raises(EngineError, match="pip install openvino"):
        resolve_engine("auto")


def test_a_named_engine_is_taken_or_refused(installed):
    installed("openvino")
    assert resolve_engine("openvino", gpu=True) == "openvino"
    with pytest.raises(EngineError, match=r"one that is \(openvino\).*sparkxlmr\[cpu\]"):
        resolve_engine("tensorflow")
    with pytest.raises(SettingError, match=r"'auto' or one of \(.*'openvino', 'tensorflow'"):
        require_installed("torch")


def test_names_and_choice_import_no_framework():
    code = "import sys\nfrom sparkxlmr.runtime.engine_choice import resolve_engine\nresolve_engine('auto')\n"
    code += "import sparkxlmr.runtime.predictor, sparkxlmr.runtime.compiler\n"
    code += "print([name for name in ('tensorflow', 'openvino', 'keras', 'pyspark') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_hidden_gpu_is_not_visible(monkeypatch):
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert devices.gpu_visible() is False


@pytest.mark.parametrize(
    ("said", "visible"),
    [
        (subprocess.CompletedProcess([], 0, "GPU 0: one\n"), True),
        (subprocess.CompletedProcess([], 9, ""), False),
        (subprocess.TimeoutExpired("nvidia-smi", 10), False),
        (PermissionError("nvidia-smi"), False),
    ],
)
def test_the_drivers_tool_is_asked_once_and_not_waited_for(monkeypatch, said, visible):
    asked = []

    def run(command, **options):
        asked.append(options["timeout"])
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(devices.subprocess, "run", run)
    devices._listed_by_tool.cache_clear()
    assert [bool(devices._listed_by_tool()) for _ in range(3)] == [visible] * 3
    assert asked == [10]
    devices._listed_by_tool.cache_clear()


@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
def test_the_device_is_named_before_the_framework_comes(monkeypatch, framework):
    for name in ("tensorflow", "jax", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "unset")
    devices.use_device("3")
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert devices.os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    looked = [framework != "torch"]  # the others look when they are imported
    module = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: looked[0]))
    monkeypatch.setitem(sys.modules, framework, module)
    if not looked[0]:
        devices.use_device("2")
        looked[0] = True
        devices.use_device("2")
    else:
        devices.use_device("3")
    with pytest.raises(EngineError, match="started for that device"):
        devices.use_device("1")
    monkeypatch.delitem(sys.modules, framework)
    devices.use_device(None)
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
