"""Predicting in a process of its own."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, EngineError, SettingError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import MANIFEST, Bundle
from sparkxlmr.runtime.child import ChildPredictor
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.predictor import Predictor


@pytest.fixture(scope="module")
def bundle(tiny_preset):
    return bundle_for(Preset.open(tiny_preset), "openvino")


def test_a_child_answers_as_the_predictor_does(bundle):
    child = ChildPredictor(bundle, "float32", 1, "3")
    texts = ["one", "two words", "one", "ß\x00🙂"]
    expected = Predictor(bundle, "float32", 1).logits(texts, 32)
    for _ in range(2):
        answer = child.logits(texts, 32)
        np.testing.assert_allclose(answer.logits, expected.logits, atol=1e-6)
        assert answer.truncated.tolist() == expected.truncated.tolist()
    child.close()
    assert child._process.returncode == 0


def test_errors_come_back_as_they_are_and_the_child_goes_on(bundle):
    child = ChildPredictor(bundle, "float32", 1, "")
    with pytest.raises(SettingError, match="longest text"):
        child.logits(["x"], 10_000)
    assert child.logits(["x"], 16).logits.shape == (1, 4)
    child.close()


def test_what_fails_at_the_start_is_raised_at_the_start(bundle):
    with pytest.raises(SettingError, match="precision"):
        ChildPredictor(bundle, "float3", 1, "")


def test_a_child_refuses_another_manifest(bundle, tmp_path):
    """Between the parent's verification and the child's start the labels were exchanged."""
    copy = Bundle.open(shutil.copytree(bundle.folder, tmp_path / "copy"))
    edited = replace(copy.manifest, labels=copy.manifest.labels[::-1])
    (copy.folder / MANIFEST).write_bytes(edited.to_bytes())
    with pytest.raises(DamagedModelError, match="which was verified there"):
        ChildPredictor(copy, "float32", 1, "")


def test_a_child_that_died_says_so(bundle):
    child = ChildPredictor(bundle, "float32", 1, "0")
    assert not child.ended
    child._process.send_signal(signal.SIGKILL)
    child._process.wait()
    with pytest.raises(EngineError, match="device '0' ended"):
        child.logits(["x"], 16)
    assert child.ended
