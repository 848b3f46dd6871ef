"""Every engine gives the logits of Hugging Face's own model, and so the same as every other."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.engines import engine_named, engine_names, tensorflow_export
from sparkxlmr.runtime.engines import openvino as openvino_engine
from sparkxlmr.runtime.engines import tensorflow as tensorflow_engine
from sparkxlmr.runtime.predictor import Predictor


@pytest.mark.parametrize("engine", engine_names())
def test_float32_logits_are_hugging_faces(golden_predictor, golden, engine):
    texts, max_length, logits, compared = golden
    found = golden_predictor(engine).logits(texts, max_length).logits
    assert compared.sum() == len(texts) - 1
    np.testing.assert_allclose(found[compared], logits[compared], atol=1e-4)


@pytest.mark.parametrize(
    ("folder", "engine"),
    [
        ("hugging_face/albert_sequence_classification", "openvino"),
        ("hugging_face/albert_sequence_classification", "tensorflow"),
        ("keras_hub/albert_text_classifier", "openvino"),
    ],
)
def test_albert_gives_the_logits_of_its_peers(opened, fixtures, folder, engine):
    """Each folder under its own setting: Hugging Face's texts are normalised, keras-hub's are not."""
    expected = json.loads((fixtures / folder / "expected.json").read_text(encoding="utf-8"))
    # As above: the recorded logits of texts that spell special tokens are of another attention mask.
    texts = [text for text in expected["texts"] if "<pad>" not in text]
    logits = [row for text, row in zip(expected["texts"], expected["logits"], strict=True) if text in texts]
    assert len(texts) >= 40
    found = opened(folder, engine).logits(texts, 128).logits
    np.testing.assert_allclose(found, np.array(logits), atol=1e-4)


def test_segments_of_albert_are_read(opened):
    runner = opened("hugging_face/albert_sequence_classification")._runner
    inputs = {name: np.ones((1, 6), np.int32) for name in ("token_ids", "padding_mask")}
    first, second = (runner.run({**inputs, "segment_ids": np.full((1, 6), i, np.int32)}) for i in (0, 1))
    assert not np.allclose(first, second)


def test_engines_agree_on_every_text(golden_predictor, golden):
    """Also on the one that Hugging Face's record cannot be asked about."""
    texts, max_length, _, _ = golden
    first, *others = (golden_predictor(engine).logits(texts, max_length).logits for engine in engine_names())
    for other in others:
        np.testing.assert_allclose(first, other, atol=1e-4)


def test_bfloat16_nearly_agrees(golden_predictor, golden):
    texts, max_length, logits, compared = golden
    found = golden_predictor("openvino", "bfloat16").logits(texts, max_length).logits
    np.testing.assert_allclose(found[compared], logits[compared], atol=0.03)
    assert (found.argmax(1) == logits.argmax(1))[compared].mean() > 0.98


@pytest.mark.parametrize("engine", engine_names())
def test_a_row_of_padding_alone_gives_numbers(golden_predictor, engine):
    nothing = np.zeros((2, 5), np.int32)
    inputs = {"token_ids": nothing, "padding_mask": nothing}
    assert np.isfinite(golden_predictor(engine)._runner.run(inputs)).all()


def test_the_settings_openvino_is_given(golden_bundles, monkeypatch):
    import openvino as ov

    settings = []

    class Core(ov.Core):
        def compile_model(self, model, device, config):
            settings.append(config)
            return super().compile_model(model, device, config)

        def get_property(self, device, name):
            return ["FP32"] if name == "OPTIMIZATION_CAPABILITIES" else super().get_property(device, name)

    monkeypatch.setattr(ov, "Core", Core)
    bundle = golden_bundles("openvino")
    openvino_engine.ENGINE.load(bundle, "float32", 1)
    # A CPU without bfloat16 computes in float32.
    openvino_engine.ENGINE.load(bundle, "bfloat16", None)
    assert settings[0] == {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_NUM_THREADS": 1,
    }
    assert settings[1]["INFERENCE_PRECISION_HINT"] == "f32"
    assert "INFERENCE_NUM_THREADS" not in settings[1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone tells what a process maps")
def test_openvino_maps_the_weights_and_keeps_them_mapped(golden_predictor, golden):
    """Workers of a host share the pages of one file: they are mapped, after the model has run too."""
    predictor = golden_predictor("openvino")
    predictor.logits(golden[0][:3], 16)
    weights = predictor.bundle.file(openvino_engine.WEIGHTS)
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(f" {weights.resolve()}")]
    mapped = sum(int(stop, 16) - int(start, 16) for start, stop in spans)
    assert mapped >= weights.stat().st_size > 1_000_000


def test_openvino_takes_arrays_of_any_layout(golden_predictor):
    runner = golden_predictor()._runner
    ids = np.arange(4, 24).reshape(5, 4)
    mask = np.ones((5, 4), bool)
    expected = runner.run(
        {"token_ids": np.ascontiguousarray(ids, np.int32), "padding_mask": mask.astype(np.int32)}
    )
    found = runner.run({"token_ids": np.asfortranarray(ids), "padding_mask": mask})
    np.testing.assert_array_equal(found, expected)


def test_a_bundle_needs_no_keras_to_run(golden_bundles):
    """A worker imports the engine's framework and nothing else that is heavy."""
    code = "import sys\nfrom sparkxlmr.runtime.bundle import Bundle\n"
    code += "from sparkxlmr.runtime.predictor import Predictor\n"
    code += "Predictor(Bundle.open(sys.argv[1])).logits(['a'], 16)\n"
    code += "print([name for name in ('tensorflow', 'keras', 'h5py', 'pyspark') if name in sys.modules])"
    command = [sys.executable, "-c", code, str(golden_bundles("openvino").folder)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(("precision", "atol"), [("bfloat16", 0.03), ("float16", 0.003)])
def test_narrow_functions_of_a_saved_model(golden_bundles, golden, precision, atol):
    """Also where the hardware would have the engine take float32 instead: each is in every bundle."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(golden_bundles("tensorflow").file("saved_model/saved_model.pb").parent))
    function = tensorflow_engine._function(tf, loaded, precision, on_gpu=False)
    predictor = Predictor(golden_bundles("tensorflow"))
    predictor._runner = tensorflow_engine.TensorFlowRunner(function, predictor._runner._limits, on_gpu=False)
    texts, max_length, logits, compared = golden
    found = predictor.logits(texts, max_length).logits
    np.testing.assert_allclose(found[compared], logits[compared], atol=atol)
    assert np.abs(found[compared] - logits[compared]).max() > 1e-4  # it is not float32 after all
    assert (found.argmax(1) == logits.argmax(1))[compared].mean() > 0.98


def test_float16_needs_a_gpu_and_says_so(golden_bundles, caplog):
    with caplog.at_level(logging.WARNING, logger=tensorflow_engine.__name__):
        runner = engine_named("tensorflow").load(golden_bundles("tensorflow"), "float16", None)
    assert "computes in float32" in caplog.text
    assert runner.run({name: np.ones((1, 3), np.int32) for name in ("token_ids", "padding_mask")}).shape


@pytest.mark.parametrize("backend", [None, "jax", "tensorflow"])
def test_where_the_saved_model_is_made(golden_preset, tmp_path, monkeypatch, backend):
    """In this process only where Keras is here on the TensorFlow backend already."""
    made = []
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    if backend:
        keras = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: backend))
        monkeypatch.setitem(sys.modules, "keras", keras)
    monkeypatch.setattr(tensorflow_export, "export_saved_model", lambda *_: made.append("here"))
    monkeypatch.setattr(tensorflow_engine, "_run_in_child", lambda *_: made.append("child"))
    tensorflow_engine.ENGINE.compile(golden_preset, tmp_path)
    assert made == ["here" if backend == "tensorflow" else "child"]


def test_an_export_that_fails_says_why(tmp_path):
    with pytest.raises(EngineError, match=r"could not export .*PresetNotFoundError"):
        tensorflow_engine._run_in_child(
            tensorflow_export.__name__, tmp_path / "nowhere", tmp_path / "saved_model", "text_classifier"
        )


def test_files_that_tensorflow_cannot_read(golden_bundles, tmp_path):
    folder = shutil.copytree(golden_bundles("tensorflow").folder, tmp_path / "broken")
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"\x00\xff")
    with pytest.raises(EngineError, match=r"TensorFlow .* cannot open"):
        Predictor(Bundle.open(folder))


def test_threads_that_come_too_late_are_logged(golden_predictor, golden_bundles, caplog):
    golden_predictor("tensorflow").logits(["a"], 16)
    with caplog.at_level(logging.WARNING, logger=tensorflow_engine.__name__):
        engine_named("tensorflow").load(golden_bundles("tensorflow"), "float32", 77)
    assert "other threads than 77" in caplog.text
