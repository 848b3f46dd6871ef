"""The output function: transformers' rule, from each checkpoint's config.json through presets and back."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pytest

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.output_function import output_function, scores
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset

IDENTITY, SIGMOID, SOFTMAX = (
    "torch.nn.modules.linear.Identity",
    "torch.nn.modules.activation.Sigmoid",
    "torch.nn.modules.activation.Softmax",
)
NAMED = "sbert_ce_default_activation_function"


def section(name):
    return {"sentence_transformers": {"activation_fn": name, "version": "5.7.0"}}


ONE_LOGIT = [
    ({}, "sigmoid"),
    ({"problem_type": "single_label_classification"}, "sigmoid"),
    ({"problem_type": "multi_label_classification"}, "sigmoid"),
    ({"problem_type": "regression"}, "identity"),
    ({NAMED: IDENTITY}, "identity"),
    (section(IDENTITY), "identity"),
    (section(SIGMOID), "sigmoid"),
    ({NAMED: SIGMOID, "problem_type": "regression"}, "sigmoid"),
    ({**section(IDENTITY), NAMED: SIGMOID}, "identity"),
]
FOUR_LOGITS = [
    ({}, "softmax"),
    ({"problem_type": "single_label_classification"}, "softmax"),
    ({"problem_type": "multi_label_classification"}, "sigmoid"),
    ({"problem_type": "regression"}, "identity"),
    (section(IDENTITY), "softmax"),
    (section(SIGMOID), "sigmoid"),
    ({NAMED: SOFTMAX}, "softmax"),
]


def function_of(preset):
    return output_function(preset.task.num_classes, preset.task.stated_function)


@pytest.mark.parametrize(("config", "expected"), ONE_LOGIT)
def test_output_function_of_one_logit(one_logit_checkpoint, config, expected):
    assert function_of(Preset.open(one_logit_checkpoint(**config))) == expected


@pytest.mark.parametrize(("config", "expected"), FOUR_LOGITS)
def test_output_function_of_several_logits(changed_checkpoint, config, expected):
    folder = changed_checkpoint("xlmr_sequence_classification", **config)
    assert function_of(Preset.open(folder)) == expected


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.Tanh", "os.system", SOFTMAX, 7])
def test_unknown_cross_encoder_function_is_refused(one_logit_checkpoint, name):
    with pytest.raises(NotAPresetError, match="names the output function"):
        Preset.open(one_logit_checkpoint(**section(name)))


def test_softmax_over_one_class_is_refused():
    with pytest.raises(SettingError, match="one class: every score would be 1"):
        output_function(1, "softmax")
    with pytest.raises(SettingError, match="activation 'tanh'"):
        output_function(4, "tanh")


def test_scores_of_one_logit():
    logits = np.array([[-0.11], [2.0]], np.float32)
    np.testing.assert_allclose(scores(logits, "sigmoid"), [[0.472528], [0.880797]], atol=1e-6)
    np.testing.assert_array_equal(scores(logits, "identity"), logits)
    np.testing.assert_allclose(scores(np.array([[0, 1]], np.float32), "softmax").sum(), 1, atol=1e-6)


@pytest.mark.parametrize(("config", "expected"), [*ONE_LOGIT[:5], FOUR_LOGITS[2], FOUR_LOGITS[3]])
def test_output_function_survives_presets_and_exports(
    one_logit_checkpoint, changed_checkpoint, tmp_path, config, expected
):
    of_one = (config, expected) in ONE_LOGIT
    make = one_logit_checkpoint if of_one else lambda **c: changed_checkpoint(
        "xlmr_sequence_classification", **c
    )
    source = Preset.open(make(**config))
    saved = Preset.open(write_preset(tmp_path / "preset", source.contents()))
    assert saved.task == source.task
    exported = Preset.open(export_checkpoint(tmp_path / "checkpoint", saved.contents()))
    assert function_of(exported) == expected
    assert exported.task.activation == source.task.activation
    written = json.loads((tmp_path / "checkpoint" / "config.json").read_text(encoding="utf-8"))
    assert (written.get("problem_type") == "regression") == (expected == "identity")


def test_preset_without_output_function_is_as_before(fixtures, tmp_path):
    contents = Preset.open(fixtures / "hugging_face/xlmr_sequence_classification").contents()
    folder = write_preset(tmp_path / "preset", contents)
    assert "output_function" not in json.loads((folder / "task.json").read_text(encoding="utf-8"))


def test_export_of_an_unknown_activation_warns(fixtures, tmp_path):
    contents = Preset.open(fixtures / "hugging_face/xlmr_sequence_classification").contents()
    head = dataclasses.replace(contents.task, activation="tanh")
    with pytest.warns(UserWarning, match="activation is tanh, which transformers does not have"):
        export_checkpoint(tmp_path / "checkpoint", dataclasses.replace(contents, task=head))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_checkpoint(tmp_path / "plain", contents)


def test_stated_function_beside_an_activation_is_refused(fixtures):
    task = Preset.open(fixtures / "hugging_face/xlmr_sequence_classification").task
    with pytest.raises(SettingError, match="activation is 'sigmoid' and output_function is 'identity'"):
        dataclasses.replace(task, activation="sigmoid", output_function="identity")
    with pytest.raises(SettingError, match="output_function is 'tanh'"):
        dataclasses.replace(task, output_function="tanh")
