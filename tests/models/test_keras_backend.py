"""Keras without its backend: one error that names what to install, before Keras is imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sparkxlmr.errors import EnvironmentNotReadyError
from sparkxlmr.models import keras_backend as module


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """``installed("keras", "jax")``: those are installed and no other backend, in a process without Keras."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def only(*names: str) -> None:
        monkeypatch.setattr(module, "_is_installed", lambda name: name in names)

    return only


def test_require_backend_names_the_extra(installed):
    installed("keras")
    with pytest.raises(EnvironmentNotReadyError, match=r'pip install "sparkxlmr\[cpu\]"') as raised:
        module.require_backend()
    assert "\n" not in str(raised.value)


def test_require_backend_names_another_backend_that_is_installed(installed):
    installed("keras", "torch")
    with pytest.raises(EnvironmentNotReadyError, match="set KERAS_BACKEND=torch, which is installed"):
        module.require_backend()


def test_require_backend_names_keras(installed):
    installed()
    with pytest.raises(EnvironmentNotReadyError, match="Keras is not installed"):
        module.require_backend()


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch", "numpy"])
def test_require_backend_accepts_what_is_installed(installed, monkeypatch, name):
    installed("keras", name)
    monkeypatch.setenv("KERAS_BACKEND", name)
    module.require_backend()


def test_keras_backend_resolves_as_keras_does(installed, monkeypatch, tmp_path):
    installed("keras")
    assert module.keras_backend() == ("tensorflow", "Keras' default")
    file = tmp_path / "keras.json"
    file.write_text(json.dumps({"backend": "jax"}))
    assert module.keras_backend() == ("jax", str(file))
    with pytest.raises(EnvironmentNotReadyError, match=r"jax \(.*keras.json\).*pip install jax"):
        module.require_backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert module.keras_backend() == ("torch", "KERAS_BACKEND")
    file.write_text("damaged")
    monkeypatch.delenv("KERAS_BACKEND")
    assert module.keras_backend() == ("tensorflow", "Keras' default")


def test_models_raise_the_error_before_keras_is_imported():
    """In a process of its own, where TensorFlow cannot be found, as in the environment of ``make demo``."""
    program = (
        "import sys, importlib.util as util; real = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name in ('tensorflow', 'jax', 'torch')"
        " else real(name, *rest)\n"
        "try:\n    from sparkxlmr.models import TextClassifier\n"
        "except Exception as error:\n    print(type(error).__name__, 'keras' in sys.modules, error)\n"
    )
    environment = {"PATH": "", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("EnvironmentNotReadyError False Keras is to run on tensorflow (KERAS")
    assert done.stderr == ""
