"""Models with one logit without Spark: the score in each path, agreement of scores."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs.local_texts import LocalTexts
from sparkxlmr.jobs.measure import measure
from sparkxlmr.light import LightPipeline
from sparkxlmr.presets.measured import Measured, Measurement
from sparkxlmr.presets.preset import Preset
from sparkxlmr.pretrained import PretrainedPipeline
from sparkxlmr.runtime import precision_choice
from sparkxlmr.runtime.agreement import Answers, agreement
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import bundle_for, compile_bundle, own_folder
from sparkxlmr.runtime.quantization import form_of
from sparkxlmr.runtime.row_classifier import RowOptions, classify_rows
from sparkxlmr.runtime.stage_options import Chosen, row_options
from sparkxlmr.runtime.standard_pipeline import standard_pipeline

CONFIGS = {"sigmoid": {}, "identity": {"problem_type": "regression"}}


def expected_scores(golden, function):
    texts, _, logits, compared = golden
    chosen = [i for i in np.flatnonzero(compared) if texts[i].strip()][:12]
    found = logits[chosen, 0]
    return [texts[i] for i in chosen], found if function == "identity" else 1 / (1 + np.exp(-found))


def light(folder, **settings):
    records = standard_pipeline(Preset.open(folder))
    chosen = records[-1].chosen
    values, explicit = {**chosen.values, **settings}, chosen.explicit | settings.keys()
    records[-1] = dataclasses.replace(
        records[-1], chosen=dataclasses.replace(chosen, values=values, explicit=explicit)
    )
    return LightPipeline._of(records, False)


@pytest.mark.parametrize("function", CONFIGS)
def test_pretrained_pipeline_gives_the_value(one_logit_checkpoint, golden, function):
    texts, expected = expected_scores(golden, function)
    rows = PretrainedPipeline(str(one_logit_checkpoint(**CONFIGS[function]))).fullAnnotate(texts)
    assert [len(row["class"]) for row in rows] == [1] * len(texts)
    assert {row["class"][0].result for row in rows} == {"LABEL_0"}
    found = [float(row["class"][0].metadata["LABEL_0"]) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_activation_overrides_the_models_own(one_logit_checkpoint, golden):
    folder = one_logit_checkpoint()
    texts, expected = expected_scores(golden, "identity")
    found = light(folder, activation="identity").fullAnnotate(texts)
    values = [float(row["class"][0].metadata["LABEL_0"]) for row in found]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    with pytest.raises(SettingError, match=r"XlmRoBerta.*one class"):
        light(folder, activation="softmax")


def test_threshold_drops_a_single_score_only_where_it_was_set(one_logit_checkpoint, golden):
    texts, expected = expected_scores(golden, "sigmoid")
    folder, bound = one_logit_checkpoint(), float(np.median(expected))
    assert min(expected) < 0.5
    assert all(light(folder).annotate(text)["class"] for text in texts)
    found = [bool(row["class"]) for row in light(folder, threshold=bound).annotate(texts)]
    assert found == [score > bound for score in expected.astype(np.float32)]


def test_row_options_of_one_label(plain_bundle):
    manifest = dataclasses.replace(plain_bundle.manifest, labels=("a",))
    bundle = dataclasses.replace(plain_bundle, manifest=manifest)

    def options(**explicit):
        values = {"maxSentenceLength": 128, "activation": "softmax", "threshold": 0.5}
        return row_options(Chosen({**values, **explicit}, frozenset(explicit)), bundle)

    assert (options().activation, options().threshold) == ("sigmoid", None)
    assert options(multilabel=False).activation == "sigmoid"
    assert options(threshold=0.5).by_threshold
    assert not options().by_threshold
    assert options(activation="identity").activation == "identity"
    with pytest.raises(SettingError, match="one class"):
        options(activation="softmax")


def test_head_with_another_activation_is_refused(plain_bundle):
    """The engines compute logits: a softmax of them would differ from what the Keras model outputs."""
    manifest = dataclasses.replace(plain_bundle.manifest, activation="tanh")
    bundle = dataclasses.replace(plain_bundle, manifest=manifest)
    with pytest.raises(SettingError, match="the stage: The classification head has the activation 'tanh'"):
        row_options(Chosen({"maxSentenceLength": 9}, frozenset()), bundle)
    chosen = Chosen({"maxSentenceLength": 9, "activation": "softmax"}, frozenset({"activation"}))
    assert row_options(chosen, bundle).activation == "softmax"


def test_windows_and_sentences_average_values():
    class Predicted:
        logits = np.array([[1.0], [3.0], [-4.0]], np.float32)
        truncated, windows = np.zeros(2, bool), np.array([2, 1])

    options = RowOptions(8, activation="identity", threshold=None, stride=1, row_scores=True)
    found = classify_rows([["a", "b"]], lambda *_: Predicted(), options)
    assert found.scores[0].tolist() == [2.0, -4.0]
    assert found.label.lists() == [[0, 0]]
    assert found.row_scores[0].tolist() == [-1.0]


def test_bundle_of_an_earlier_release_is_compiled_anew(one_logit_checkpoint):
    """Earlier releases wrote no output function into a regression model's bundle."""
    preset = Preset.open(one_logit_checkpoint(problem_type="regression"))
    folder = own_folder(preset, "openvino")
    compile_bundle(preset, "openvino", folder)
    old = dataclasses.replace(Bundle.open(folder).manifest, activation=None)
    (folder / "manifest.json").write_bytes(old.to_bytes())
    assert bundle_for(preset, "openvino").manifest.activation == "identity"
    assert bundle_for(preset, "openvino").folder != folder


def test_agreement_of_values():
    reference = Answers(values=np.array([0.1, 0.5, 0.9], np.float32))
    assert agreement(Answers(values=np.array([0.105, 0.5, 0.7], np.float32)), reference).share == 2 / 3
    logits = Answers(values=np.array([-3.0, 1.0, 7.0], np.float32), bounded=False)
    assert agreement(Answers(values=np.array([-3.05, 1.05, 7.2], np.float32)), logits).share == 2 / 3


def test_measure_compares_scores(one_logit_checkpoint):
    model = Preset.open(one_logit_checkpoint())
    texts = LocalTexts(["rain and wind", "the market"], None, "texts.txt", "0" * 64)
    row, _ = next(measure(model, texts, "openvino"))
    assert (row.compared, row.agreement, row.precision) == ("scores", 1.0, "float32")
    with pytest.raises(InputError, match="one class: it gives each text a score and no label"):
        next(measure(model, dataclasses.replace(texts, labels=["LABEL_0", "LABEL_0"]), "openvino"))


def test_old_measurement_of_one_label_counts_for_nothing(one_logit_checkpoint, monkeypatch):
    """Earlier releases compared the only label there is, so every precision agreed."""
    model = Preset.open(one_logit_checkpoint())
    row = Measurement(
        task="text_classifier", engine="openvino", precision="bfloat16", answers=5000, agreement=0.5,
        source=form_of(model, "openvino", "bfloat16").source(model),
        revision=bundle_for(model, "openvino").manifest.revision,
    )  # fmt: skip
    monkeypatch.delenv(precision_choice.PRECISION)
    monkeypatch.setattr(precision_choice, "is_computed_here", lambda *_: True)
    Measured(model.content_hash).with_rows([row]).write(model.path)
    assert "was not measured" in precision_choice.precision_for(model, "openvino").why
    Measured(model.content_hash).with_rows([dataclasses.replace(row, compared="scores")]).write(model.path)
    assert "agreement 0.5000 is below" in precision_choice.precision_for(model, "openvino").why
    assert json.loads((model.path / "measured.json").read_text())["rows"][0]["compared"] == "scores"
