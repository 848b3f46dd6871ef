"""`sparkxlmr measure` on a tiny preset, and that auto and doctor go by what it wrote."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from sparkxlmr import doctor
from sparkxlmr.cli import main
from sparkxlmr.presets.measured import MEASURED, Measured, measured_in
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import precision_choice
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.precision_choice import PRECISION, is_computed_here, precision_for

WORDS = ["rain", "market", "goal", "software", "minister", "river", "price", "team", "police", "bank"]
TEXTS = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 3 + i % 7)) for i in range(120)]


@pytest.fixture
def model(tiny_preset, tmp_path):
    return Preset.open(shutil.copytree(tiny_preset, tmp_path / "model"))


@pytest.fixture
def texts(model, tmp_path):
    """A file of texts and labels, and the share of the labels that float32 gives."""
    reader = open_model(bundle_for(model, "openvino"), "float32")
    best = reader.logits(TEXTS, 64).logits.argmax(1)
    labels = [model.labels[0]] * len(TEXTS)
    path = tmp_path / "texts.jsonl"
    rows = [json.dumps({"body": text, "right": label}) for text, label in zip(TEXTS, labels, strict=True)]
    path.write_text("\n".join(rows))
    return path, float(np.mean(best == 0))


def expected(precisions=("float32", "bfloat16", "int8")):
    return [name for name in precisions if is_computed_here(name, "openvino")]


def test_measure_writes_what_auto_goes_by(model, texts, monkeypatch, capsys):
    monkeypatch.delenv(PRECISION)
    path, right = texts
    command = ["measure", str(model.path), str(path), "--text", "body", "--label", "right", "--embeddings"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "int8 stays what has to be asked for" in said
    assert f"Written to {model.path / MEASURED}" in said

    measured = measured_in(model.path, model.content_hash)
    rows = {(row.task, row.precision): row for row in measured.rows}
    assert {name for _, name in rows} >= set(expected())
    assert {task for task, _ in rows} == {"text_classifier", "encoder"}
    for (task, precision), row in rows.items():
        assert (row.answers, row.texts["name"], row.engine) == (len(TEXTS), path.name, "openvino")
        assert "openvino" in row.versions
        assert row.agreement == pytest.approx(1.0) or precision != "float32"
        if task == "text_classifier":
            assert row.reference_accuracy == pytest.approx(right, abs=1e-6)
            assert 0.5 < row.agreement <= 1
        else:
            assert row.accuracy is None
            assert 0.5 < row.least_cosine <= row.agreement <= 1

    # The same again: the rows take each other's place.
    assert main([*command[:-1], "--rows", "50"]) == 0
    again = measured_in(model.path, model.content_hash)
    assert [row.key for row in again.rows] == [row.key for row in measured.rows]
    assert {row.answers for row in again.rows} == {50, len(TEXTS)}

    # On a CPU without bfloat16 int8 is taken once enough was measured, and doctor says why.
    monkeypatch.setattr(precision_choice, "cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(precision_choice, "cpu_has_int8", lambda: True)
    assert precision_for(model, "openvino").precision == "float32"
    if ("text_classifier", "int8") in rows:
        from dataclasses import replace

        row = replace(rows["text_classifier", "int8"], answers=5000, agreement=0.999)
        Measured(model.content_hash).with_rows([row]).write(model.path)
        found = doctor.precision(str(model.path))
        assert found.mark == doctor.GOOD
        assert f"takes int8 for {model.path}: this CPU has no bfloat16 arithmetic, and" in found.said


def test_measures_a_masked_language_model_at_masks_of_its_own(fixtures, tmp_path, capsys):
    folder = shutil.copytree(fixtures / "hugging_face/xlmr_masked_lm", tmp_path / "masked")
    (tmp_path / "texts.txt").write_text("\n".join([*TEXTS[:30], "a <mask> and a <mask> too"]))
    assert main(["measure", str(folder), str(tmp_path / "texts.txt")]) == 0
    model = Preset.open(folder)
    rows = measured_in(folder, model.content_hash).rows
    assert {(row.task, row.answers, row.accuracy) for row in rows} == {("masked_lm", 32, None)}
    assert "masked_lm" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(model, texts, fixtures, capsys):
    path, _ = texts
    assert main(["measure", str(model.path), str(path), "--text", "body", "--label", "body"]) == 2
    assert "labels of the model" in capsys.readouterr().err
    assert main(["measure", str(model.path), str(path)]) == 2
    assert "no column 'text'" in capsys.readouterr().err
    assert not (model.path / MEASURED).exists()
