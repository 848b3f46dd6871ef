"""TensorFlow's own messages do not reach users, and everything else that is written does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from sparkxlmr.models import tensorflow_log

PROGRAM = """
from sparkxlmr.models import MaskedLM, TextClassifier
MaskedLM.from_preset("xlm_roberta_tiny_masked_lm").fill_mask("a <mask> b")
model = TextClassifier.from_preset("xlm_roberta_tiny_language_id", num_classes=2)
for n in (1, 2, 3, 4, 5, 6, 7):
    model.predict_on_batch(["word " * 9 * n] * n)
model.fit(["a", "b"], [0, 1], verbose=0)
"""


@pytest.fixture
def level(monkeypatch):
    """`level(value)`: what the user has set; None: nothing. Afterwards the logger is as it was."""
    logger = logging.getLogger("tensorflow")
    before = list(logger.filters)
    logger.filters.clear()

    def set_level(value):
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        if value is not None:
            monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", value)

    yield set_level
    logger.filters[:] = before


def test_programs_stderr_is_empty():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_quiet_import_drops_chatter_only(level, monkeypatch, capfd):
    level(None)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with tensorflow_log.quiet_import():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written")
        os.write(2, b" to STDERR\n")
        os.write(2, b"I0000 00:00:1.5 7 port.cc:153] oneDNN custom operations are on. You may see\n")
        os.write(2, b"E0000 00:00:1.5 7 gpu.cc:1] a driver is missing\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "E0000 00:00:1.5 7 gpu.cc:1] a driver is missing\nlater\n"


def test_users_level_stays(level, monkeypatch, capfd, caplog):
    level("0")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    chatter = b"I0000 00:00:1.5 7 port.cc:153] oneDNN custom operations are on. You may see\n"
    with tensorflow_log.quiet_import():
        os.write(2, chatter)
    assert capfd.readouterr().err == chatter.decode()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert not logging.getLogger("tensorflow").filters


def test_retracing_of_keras_functions_is_not_logged(level, caplog):
    level(None)
    assert tensorflow_log.quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    logger = logging.getLogger("tensorflow")
    message = "5 out of the last 5 calls to <function %s at 0x7> triggered tf.function retracing."
    logger.warning(message, "TensorFlowTrainer.make_predict_function.<locals>.one_step_on_data_distributed")
    logger.warning(message, "my_function")
    assert [record.args for record in caplog.records] == [("my_function",)]
