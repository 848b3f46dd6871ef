"""Frozen layers and names of models stay what they were in configs, ``.keras`` files and presets."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from sparkxlmr.errors import NotAPresetError, SettingError, WrongTypeError
from sparkxlmr.models import Backbone, Task, TextClassifier, weights
from sparkxlmr.models.layers import FeedForward, SelfAttention

from .conftest import SENTENCES

CHOICES = {
    "model": lambda model: [model],
    "backbone": lambda model: [model.backbone],
    "embeddings": lambda model: [model.backbone.token_embedding, model.backbone.position_embedding],
    "layer": lambda model: [np.ravel(np.array(model.backbone.transformer_layers, dtype=object))[0]],
    "part of a layer": lambda model: [
        np.ravel(np.array(model.backbone.transformer_layers, dtype=object))[-1].attention.key_dense
    ],
    "head": lambda model: [next(iter(model.head_layers().values()))],
}


def trained(model):
    """The canonical names of the weights that training changes."""
    return {name for name, variable in weights.variables_of(model).items() if variable.trainable}


@pytest.mark.parametrize(("name", "kind"), [("xlm_roberta", "classifier"), ("albert", "masked_lm")])
@pytest.mark.parametrize("choice", CHOICES)
def test_frozen_layers_stay_frozen(families, name, kind, choice, tmp_path):
    """In a clone, in a ``.keras`` file and in a preset: the layers' flags, and what is trained."""
    model = getattr(families[name], kind)()
    chosen = CHOICES[choice]
    for layer in chosen(model):
        layer.trainable = False
    expected = trained(model)
    assert expected < set(weights.variables_of(model))
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    clone = type(model).from_config(model.get_config())
    for other in (
        clone,
        keras.saving.load_model(tmp_path / "model.keras"),
        Task.from_preset(tmp_path / "preset"),
    ):
        assert trained(other) == expected
        assert len(other.trainable_variables) == len(model.trainable_variables)
        assert [layer.trainable for layer in chosen(other)] == [False] * len(chosen(model))


def test_layers_of_a_frozen_backbone_can_be_trained(families, tmp_path):
    model = families["albert"].classifier()
    model.backbone.trainable = False
    model.backbone.transformer_layers[1][0].trainable = True
    expected = trained(model)
    assert any(name.startswith("groups.1.") for name in expected)
    model.save_to_preset(tmp_path)
    assert trained(Task.from_preset(tmp_path)) == expected
    encoder = Backbone.from_preset(tmp_path)
    assert not encoder.trainable
    assert trained(encoder) == {name for name in expected if name.startswith("groups.")}
    other = TextClassifier.from_preset(tmp_path, num_classes=5)  # a new head is trained
    assert {name for name in expected if name.startswith("groups.")} < trained(other)


def test_constructor_trainable_false_freezes_the_weights(family):
    """The layers too: a task on a frozen backbone trains its head alone."""
    model = family.named("TextClassifier")(
        family.backbone(trainable=False), 3, family.preprocessor("TextClassifier")
    )
    head = {name for name in weights.variables_of(model) if name.startswith("classifier.")}
    assert trained(model) == head
    model.compile(optimizer=keras.optimizers.SGD(1.0), run_eagerly=True)
    before = weights.state_of(model)
    model.train_on_batch(SENTENCES, [0, 1, 2, 1])
    assert {name for name, array in weights.state_of(model).items() if (array != before[name]).any()} == head
    assert trained(family.classifier(trainable=False)) == set()


def test_frozen_layer_config_freezes_its_sublayers():
    for layer in (SelfAttention(2, trainable=False), FeedForward(8, trainable=False)):
        again = type(layer).from_config(layer.get_config())
        again.build((None, None, 4))
        assert again.weights
        assert not any(variable.trainable for variable in again.weights)


def test_lora_layers_are_frozen_after_loading(families, tmp_path):
    model = families["xlm_roberta"].classifier()
    model.backbone.enable_lora(2)
    model.save_to_preset(tmp_path)
    assert {name.split(".")[0] for name in trained(Task.from_preset(tmp_path))} == {"classifier"}


def test_from_preset_restores_names(family, tmp_path):
    """Every model of a process, as keras-hub does; names that Keras numbered are not kept."""
    prefix = family.name
    for _ in range(2):
        model = family.classifier()
    assert model.backbone.name != f"{prefix}_backbone"
    model.save_to_preset(tmp_path / "numbered")
    again = Task.from_preset(tmp_path / "numbered")
    assert again.name == f"{prefix}_text_classifier"
    assert again.get_layer(f"{prefix}_backbone") is again.backbone
    named = family.named("TextClassifier")(family.backbone(name="encoder"), 3, name="mine")
    named.save_to_preset(tmp_path / "named")
    again = Task.from_preset(tmp_path / "named")
    assert (again.name, again.backbone.name) == ("mine", "encoder")
    assert Backbone.from_preset(tmp_path / "named", name="other").name == "other"
    assert TextClassifier.from_preset(tmp_path / "named", num_classes=2).name == f"{prefix}_text_classifier"


def test_preset_flags_that_do_not_fit_are_refused(families, tmp_path):
    families["xlm_roberta"].classifier().save_to_preset(tmp_path)
    path = tmp_path / "config.json"
    document = json.loads(path.read_text())
    assert "layer_trainable" not in document
    path.write_text(json.dumps({**document, "layer_trainable": {"transformer_layer_7": False}}))
    with pytest.raises(SettingError, match="no layer 'transformer_layer_7'"):
        Task.from_preset(tmp_path)
    for wrong in ({"layer_trainable": ["a"]}, {"config": {**document["config"], "trainable": "no"}}):
        path.write_text(json.dumps({**document, **wrong}))
        with pytest.raises(NotAPresetError, match="layer_trainable"):
            Task.from_preset(tmp_path)
    path.write_text(json.dumps({**document, "config": {**document["config"], "name": "a/b"}}))
    with pytest.raises(NotAPresetError, match="has the name 'a/b'"):
        Task.from_preset(tmp_path)


def test_unknown_arguments_are_refused(family, tmp_path):
    """With the argument that was likely meant, wherever keyword arguments are passed on."""
    classifier, masked_lm = family.named("TextClassifier"), family.named("MaskedLM")
    backbone = family.backbone()
    with pytest.raises(WrongTypeError, match=r"'activaton'.*did you mean activation\?"):
        classifier(backbone, 2, activaton="softmax")
    with pytest.raises(WrongTypeError, match=r"'num_class'.*did you mean num_classes\?"):
        classifier(backbone, 2, num_class=2)
    with pytest.raises(WrongTypeError, match="pass dtype to the backbone"):
        classifier(backbone, 2, dtype="bfloat16")
    with pytest.raises(WrongTypeError, match=r"did you mean layer_norm_epsilon\?"):
        masked_lm(backbone, layer_norm_eps=1e-6)
    with pytest.raises(WrongTypeError, match=r"'drop_out'.*did you mean dropout\?"):
        family.backbone(drop_out=0.1)
    backbone.save_to_preset(tmp_path)
    with pytest.raises(WrongTypeError, match=r"'num_class'.*did you mean num_classes\?"):
        TextClassifier.from_preset(tmp_path, num_class=2)
    with pytest.raises(WrongTypeError, match=r"did you mean dropout\?"):
        Backbone.from_preset(tmp_path, dropouts=0.1)


def test_albert_classifier_has_no_hidden_dim(families):
    """It could not be saved: the pooler is the dense layer before the logits."""
    albert = families["albert"]
    with pytest.raises(WrongTypeError, match="leave hidden_dim out"):
        albert.classifier(hidden_dim=6)
    config = albert.classifier().get_config()
    assert config["hidden_dim"] is None
    assert albert.named("TextClassifier").from_config(config).hidden_dim is None


def test_numpy_numbers_are_taken(family, tmp_path):
    """As Python's own, also in the JSON files of presets."""
    backbone = family.backbone(num_heads=np.int64(2), hidden_dim=np.int32(16), dropout=np.float32(0.5))
    preprocessor = family.preprocessor("TextClassifier", sequence_length=np.int64(40))
    model = family.named("TextClassifier")(backbone, np.int64(3), preprocessor, dropout=np.float32(0.25))
    assert type(model.num_classes) is int
    model.save_to_preset(tmp_path)
    again = Task.from_preset(tmp_path)
    assert (again.num_classes, again.dropout, again.backbone.dropout) == (3, 0.25, 0.5)
    assert again.preprocessor.sequence_length == 40
    assert len(again.predict_labels(SENTENCES, top_k=np.int64(2), batch_size=np.int64(2))) == 4
    with pytest.raises(SettingError, match=r"num_classes is 2\.0"):
        family.named("TextClassifier")(backbone, 2.0)


@pytest.mark.parametrize("length", [None, 8.5, "8", 3, True])
def test_sequence_length_that_is_no_count_is_refused(family, length):
    with pytest.raises(SettingError, match="sequence_length is"):
        family.preprocessor("TextClassifier", sequence_length=length)


def test_config_without_dtype_is_read(family):
    config = family.backbone().get_config()
    del config["dtype"]
    assert family.named("Backbone").from_config(config).dtype_policy.name == "float32"
    config = family.classifier(preprocessor=None).get_config()
    del config["preprocessor"]
    assert family.named("TextClassifier").from_config(config).preprocessor is None


@pytest.mark.parametrize(
    "classes", [{"b", "a", "c"}, {"a": 0, "b": 1, "c": 2}, "abc", dict.fromkeys("abc").keys()]
)
def test_label_names_without_an_order_are_refused(families, classes, tmp_path):
    """The names of a set would be given to classes in an arbitrary order."""
    with pytest.raises(SettingError, match="a list of names in the order of the classes"):
        families["xlm_roberta"].classifier(classes=classes)
    with pytest.raises(SettingError, match="a list of names in the order of the classes"):
        families["xlm_roberta"].classifier().save_to_preset(tmp_path, classes=classes)
