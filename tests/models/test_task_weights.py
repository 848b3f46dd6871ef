"""A head's weights alone, in keras-hub's file."""

from __future__ import annotations

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, SettingError, WeightsError
from sparkxlmr.models import TextClassifier, weights

GOLDEN = "xlmr_text_classifier"


@pytest.mark.parametrize("kind", ["classifier", "masked_lm"])
def test_a_head_is_saved_and_loaded_alone(family, kind, tmp_path):
    model, other = getattr(family, kind)(), getattr(family, kind)()
    rng = np.random.default_rng(1)
    state = {name: rng.normal(size=array.shape) for name, array in weights.state_of(model).items()}
    weights.assign(model, state)
    assert model.has_task_weights()
    model.save_task_weights(tmp_path / "head.weights.h5")
    before = weights.state_of(other)
    other.load_task_weights(tmp_path / "head.weights.h5")
    found = weights.state_of(other)
    encoder = weights.state_of(other.backbone).keys()
    assert found.keys() - encoder
    for name, array in found.items():
        wanted = before[name] if name in encoder else state[name].astype("float32")
        np.testing.assert_array_equal(array, wanted, err_msg=name)


def test_keras_hub_and_from_preset_know_the_same_file(fixtures):
    folder = fixtures / "keras_hub" / GOLDEN
    whole = TextClassifier.from_preset(folder)
    bare = TextClassifier.from_preset(folder, load_task_weights=False)
    states = weights.state_of(whole), weights.state_of(bare)
    differ = {name for name in states[0] if (states[0][name] != states[1][name]).any()}
    assert {name.split(".")[0] for name in differ} == {"classifier"}
    bare.load_task_weights(folder / "task.weights.h5")
    for name, array in weights.state_of(bare).items():
        np.testing.assert_array_equal(array, states[0][name], err_msg=name)


def test_what_is_no_file_of_this_head_is_refused(families, tmp_path):
    three, four = (families["albert"].classifier(num_classes=n) for n in (3, 4))
    with pytest.raises(SettingError, match=r"weights\.h5"):
        three.save_task_weights(tmp_path / "head.h5")
    with pytest.raises(DamagedModelError):
        three.load_task_weights(tmp_path / "absent.weights.h5")
    four.save_task_weights(tmp_path / "four.weights.h5")
    with pytest.raises(WeightsError, match="4"):
        three.load_task_weights(tmp_path / "four.weights.h5")
