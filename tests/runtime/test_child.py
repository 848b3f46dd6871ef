"""Predicting in a process of its own."""

from __future__ import annotations

import io
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, EngineError, SettingError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import MANIFEST, Bundle
from sparkxlmr.runtime.child import ChildPredictor, serve
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.messages import receive, send
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
    assert child.logits(["x"], 16).logits.shape == (1, 4)
    assert not child.ended


def test_a_child_whose_restart_fails_is_started_again(bundle):
    """A new child that could not open the model does not take the next call for an opening."""
    child = ChildPredictor(bundle, "float32", 1, "0")
    opening = child._opening
    child._process.kill()
    child._process.wait()
    with pytest.raises(EngineError, match="device '0' ended"):
        child.logits(["x"], 16)
    child._opening = (*opening[:2], "float3", *opening[3:])
    for _ in range(2):
        with pytest.raises(SettingError, match="precision"):
            child.logits(["x"], 16)
    child._opening = opening
    assert child.logits(["x"], 16).logits.shape == (1, 4)


@pytest.mark.parametrize(
    "answer", [b"", b"\0" * 5, (99).to_bytes(8, "big") + b"half", (4).to_bytes(8, "big") + b"junk"]
)
def test_a_child_that_dies_in_the_middle_of_an_answer(bundle, answer):
    """An error, and the next call gets an answer of its own from a new child."""
    child = ChildPredictor(bundle, "float32", 1, "0")
    expected = child.logits(["x"], 16).logits
    first = child._process
    first.stdout.close()
    first.stdout = io.BytesIO(answer)
    with pytest.raises(EngineError, match="device '0' ended"):
        child.logits(["another"], 16)
    assert child.ended
    np.testing.assert_allclose(child.logits(["x"], 16).logits, expected, atol=1e-6)
    assert child._process is not first
    child.close()


def test_an_interrupted_call_leaves_no_answer_for_the_next(bundle, monkeypatch):
    child = ChildPredictor(bundle, "float32", 1, "0")
    expected = child.logits(["x"], 16).logits

    def interrupted(source):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sparkxlmr.runtime.child.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            child.logits(["another text"], 16)
    np.testing.assert_allclose(child.logits(["x"], 16).logits, expected, atol=1e-6)
    child.close()


class Unpicklable(RuntimeError):
    """As frameworks have them: the constructor takes what pickle does not store."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")


def test_serve_unpicklable_error(monkeypatch, tmp_path):
    """The child goes on, and the caller gets the text of the error."""

    def fail(*arguments):
        raise Unpicklable(3, "no memory")

    monkeypatch.setattr("sparkxlmr.runtime.child.use_device", fail)
    source, sink = io.BytesIO(), io.BytesIO()
    send(source, (str(tmp_path), "0" * 64, "float32", 1, ""))
    source.seek(0)
    serve(source, sink)
    sink.seek(0)
    answer = receive(sink)
    assert isinstance(answer, EngineError)
    assert "raised Unpicklable: 3: no memory" in str(answer)
