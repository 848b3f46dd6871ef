"""Which precision "auto" takes, and that a worker without the arithmetic computes in float32."""

from __future__ import annotations

import logging
import re
import shutil

import numpy as np
import pytest

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.measured import MEASURED, Measured, Measurement, measured_in
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import devices, engines, precision_choice
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.precision_choice import PRECISION, precision_for, precision_here
from sparkxlmr.runtime.quantization import form_of


@pytest.fixture
def hardware(monkeypatch):
    """`hardware(bfloat16, int8, gpu)`: what CPU and GPU seem to have; `gpu` None: none is seen from here."""
    monkeypatch.delenv(PRECISION)
    devices.warn_no_bfloat16.cache_clear()

    def seems(bfloat16=False, int8=False, gpu=None):
        monkeypatch.setattr(precision_choice, "cpu_has_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(precision_choice, "cpu_has_int8", lambda: int8)
        monkeypatch.setattr(precision_choice, "gpu_has_bfloat16", lambda: bool(gpu))
        monkeypatch.setattr(precision_choice, "gpu_visible", lambda: gpu is not None)
        monkeypatch.setattr(precision_choice.platform, "machine", lambda: "x86_64")

    seems()
    return seems


@pytest.fixture
def copied(tiny_preset, tmp_path):
    """`copied(row, ...)`: the tiny preset with these measurements, each the fields that matter."""

    def preset(*rows, engine="openvino"):
        folder = tmp_path / "measured"
        shutil.copytree(tiny_preset, folder, dirs_exist_ok=True)
        model = Preset.open(folder)
        made = []
        for row in rows:
            of = Encoder.of(model) if row.get("task") == "encoder" else model
            source = form_of(of, engine, row["precision"]).source(of)
            fields = {"task": "text_classifier", "engine": engine, "source": source, "answers": 5000}
            fields["revision"] = engines.engine_named(row.get("engine", engine)).revision
            made.append(Measurement(**{**fields, **row}))
        Measured(model.content_hash).with_rows(made).write(folder)
        return model

    return preset


GOOD_BFLOAT16 = {"precision": "bfloat16", "agreement": 0.9991}
BAD_BFLOAT16 = {"precision": "bfloat16", "agreement": 0.9989}
GOOD_INT8 = {"precision": "int8", "agreement": 0.9951, "quantization": "dynamic"}


@pytest.fixture
def has_int8(monkeypatch):
    monkeypatch.setattr(type(engines.engine_named("openvino")), "precisions", ("float32", "bfloat16", "int8"))


@pytest.mark.parametrize(
    ("there", "rows", "expected", "why"),
    [
        ({"bfloat16": True, "int8": True}, [], "bfloat16", "not measured"),
        ({"bfloat16": True, "int8": True}, [GOOD_BFLOAT16, GOOD_INT8], "bfloat16", "0.9991"),
        ({"bfloat16": True, "int8": True}, [BAD_BFLOAT16, GOOD_INT8], "int8", r"0\.9989 is below .* 0\.9951"),
        ({"bfloat16": True}, [BAD_BFLOAT16], "float32", "int8 was not measured"),
        ({"int8": True}, [], "float32", "no bfloat16 arithmetic, and int8 was not measured"),
        ({"int8": True}, [GOOD_INT8], "int8", "no bfloat16 arithmetic"),
        ({}, [GOOD_INT8], "float32", "no int8 arithmetic"),
        ({"int8": True}, [{**GOOD_INT8, "answers": 999}], "float32", "fewer than 1,000"),
        ({"int8": True}, [{**GOOD_INT8, "agreement": 0.9949}], "float32", "below 0.995"),
        # Accuracy counts too, where labels were given; equal or better is fine.
        (
            {"bfloat16": True},
            [{**GOOD_BFLOAT16, "accuracy": 0.9, "reference_accuracy": 0.9021}],
            "float32",
            "lower by 0.0021",
        ),
        (
            {"bfloat16": True},
            [{**GOOD_BFLOAT16, "accuracy": 0.9, "reference_accuracy": 0.9019}],
            "bfloat16",
            "0.9991",
        ),
        # What was measured of another engine counts where this one was not; of other files never.
        ({"bfloat16": True}, [{**BAD_BFLOAT16, "engine": "tensorflow"}], "float32", "below"),
        (
            {"bfloat16": True},
            [{**BAD_BFLOAT16, "engine": "tensorflow"}, GOOD_BFLOAT16],
            "bfloat16",
            "0.9991",
        ),
        ({"int8": True}, [{**GOOD_INT8, "source": "0" * 64}], "float32", "not measured"),
        # Nor what an older compiler made of them.
        ({"int8": True}, [{**GOOD_INT8, "revision": 1}], "float32", "not measured"),
    ],
)
def test_auto(hardware, has_int8, copied, there, rows, expected, why):
    hardware(**there)
    choice = precision_for(copied(*rows), "openvino")
    assert choice.precision == expected
    assert re.search(why, choice.why), choice.why


def test_a_gpu_decides_for_engines_that_use_one(hardware, monkeypatch):
    tensorflow = type(engines.engine_named("tensorflow"))
    monkeypatch.setattr(tensorflow, "precisions", ("float32", "bfloat16", "float16"))
    hardware(gpu=True)
    assert precision_for(None, "tensorflow", gpu=True).precision == "bfloat16"
    assert precision_for(None, "tensorflow").precision == "float32"
    assert precision_for(None, "openvino", gpu=True).precision == "float32"
    hardware(bfloat16=True, gpu=False)
    assert precision_for(None, "tensorflow", gpu=True).precision == "float32"
    # Those of a cluster's executors are not seen from the driver.
    hardware(gpu=None)
    assert precision_for(None, "tensorflow", gpu=True).precision == "bfloat16"
    monkeypatch.setattr(tensorflow, "precisions", ("float32",))
    assert precision_for(None, "tensorflow", gpu=True).why == "the engine tensorflow has no bfloat16"


def test_vectors_are_measured_apart(hardware, has_int8, copied):
    hardware(bfloat16=True, int8=True)
    model = copied(BAD_BFLOAT16, {**GOOD_BFLOAT16, "task": "encoder", "agreement": 0.99999})
    assert precision_for(model, "openvino").precision == "float32"
    choice = precision_for(Encoder.of(model), "openvino")
    assert choice.precision == "bfloat16"
    assert "mean cosine of 1.0000" in choice.why


def test_what_is_set_is_taken_or_refused(hardware, monkeypatch, copied):
    hardware(bfloat16=True)
    model = copied(BAD_BFLOAT16)
    assert precision_for(model, "openvino", "bfloat16").precision == "bfloat16"
    with pytest.raises(SettingError, match=r"The precision is 'int2'.*'auto' or one of \('float32'"):
        precision_for(model, "openvino", "int2")
    monkeypatch.setenv(PRECISION, "bfloat16")
    assert precision_for(model, "openvino").precision == "bfloat16"
    assert precision_for(model, "openvino", "float32").precision == "float32"
    monkeypatch.setenv(PRECISION, "int2")
    with pytest.raises(SettingError, match="SPARKXLMR_PRECISION is 'int2'"):
        precision_for(model, "openvino")
    monkeypatch.setenv(PRECISION, " auto ")
    assert precision_for(model, "openvino").precision == "float32"


def test_a_worker_without_the_arithmetic_computes_in_float32(hardware, caplog, bundle_of):
    bundle = bundle_of("hugging_face/xlmr_sequence_classification", "openvino")
    texts, answers = ["a text", "and another one"], {}
    for there in (False, True):
        hardware(bfloat16=there)
        with caplog.at_level(logging.WARNING, logger=devices.__name__):
            for precision in ("bfloat16", "auto", "bfloat16"):
                assert precision_here(bundle, precision) == ("bfloat16" if there else "float32")
        answers[there] = open_model(bundle, "bfloat16", threads=1).logits(texts, 16).logits
    assert len(caplog.records) == 1
    assert "computes in float32" in caplog.text
    exact = open_model(bundle, "float32", threads=1).logits(texts, 16).logits
    np.testing.assert_array_equal(answers[False], exact)
    with pytest.raises(SettingError, match="precision is 'int8'"):
        precision_here(bundle, "int8")


@pytest.mark.parametrize(
    "spoilt",
    [
        '{"format": 1, "model": "%s", "rows": {}}',
        '{"format": 1, "model": "%s", "rows": [{"precision": "int8"}]}',
        '{"format": 1, "model": "%s", "rows": [{"agreement": "high"}]}',
        '{"format": 1, "model": "%s", "rows": [{"else": 1}]}',
        "[1]",
    ],
)
def test_spoilt_measurements_are_said(copied, spoilt):
    model = copied(GOOD_BFLOAT16)
    (model.path / MEASURED).write_text(spoilt.replace("%s", model.content_hash))
    with pytest.raises(NotAPresetError):
        precision_for(model, "openvino", "auto") and measured_in(model.path, model.content_hash)


def test_measurements_of_other_weights_or_a_later_format_count_for_nothing(copied):
    model = copied(GOOD_BFLOAT16)
    assert len(measured_in(model.path, model.content_hash).rows) == 1
    assert measured_in(model.path, "0" * 64).rows == ()
    path = model.path / MEASURED
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    assert measured_in(model.path, model.content_hash).rows == ()
    assert model.content_hash == Preset.open(model.path).content_hash
