"""Opening presets: what is read from each layout, and the error for each thing that can be wrong."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, WeightsError
from sparkxlmr.presets import builtin, hugging_face
from sparkxlmr.presets.config import BackboneConfig, TaskConfig
from sparkxlmr.presets.home import home
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries

CONFIG = BackboneConfig(6002, 3, 4, 48, 96, 0.1, 128)


@pytest.fixture
def hub(fixtures, tmp_path):
    return shutil.copytree(fixtures / "keras_hub" / "xlmr_text_classifier", tmp_path / "hub")


@pytest.fixture
def checkpoint(fixtures, tmp_path):
    return shutil.copytree(fixtures / "hugging_face" / "xlmr_sequence_classification", tmp_path / "hf")


def edit_json(path, change):
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def test_a_keras_hub_preset(hub):
    preset = Preset.open(hub)
    assert preset.config == CONFIG
    assert preset.task == TaskConfig(num_classes=4, hidden_dim=48)
    assert preset.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    assert (preset.name, preset.sequence_length, preset.truncate) == ("hub", 128, "round_robin")
    assert preset.vocabulary_path.is_file()
    weights = preset.weights()
    assert {n: a.shape for n, a in weights.items()} == {
        e.name: e.shape for e in entries(preset.config, preset.task)
    }
    assert all(a.dtype == np.float32 for a in weights.values())
    with h5py.File(hub / "model.weights.h5") as file:
        kernel = file["layers/transformer_encoder_1/_self_attention_layer/value_dense/vars/0"][()]
    assert (weights["layers.1.attention.value.kernel"] == kernel.reshape(48, 48)).all()


def test_a_hugging_face_checkpoint(checkpoint):
    from safetensors.numpy import load_file

    preset = Preset.open(str(checkpoint))
    assert preset.config == CONFIG
    assert preset.task == TaskConfig(num_classes=4, hidden_dim=48, dropout=0.1)
    assert preset.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert preset.sequence_length == 128
    raw, weights = load_file(checkpoint / "model.safetensors"), preset.weights()
    assert (
        weights["layers.2.feed_forward.up.kernel"]
        == raw["roberta.encoder.layer.2.intermediate.dense.weight"].T
    ).all()
    positions = raw["roberta.embeddings.position_embeddings.weight"][2:]
    assert (
        weights["embeddings.position"]
        == positions + raw["roberta.embeddings.token_type_embeddings.weight"][0]
    ).all()
    read = hugging_face.read_checkpoint(checkpoint)
    assert read.labels == preset.labels
    assert read.weights.keys() == weights.keys()
    assert read.proto_path == preset.vocabulary_path


def test_label_names_and_an_epsilon_stand_beside_config(hub):
    edit_json(hub / "task.json", lambda d: d.update(classes=["a", "b", "c", "d"]))
    edit_json(hub / "config.json", lambda d: d.update(layer_norm_epsilon=1e-6))
    preset = Preset.open(hub)
    assert preset.labels == ("a", "b", "c", "d")
    assert preset.config.layer_norm_epsilon == 1e-6


def test_the_hash_covers_what_answers_depend_on(hub, checkpoint):
    hashes = {Preset.open(hub).content_hash, Preset.open(checkpoint).content_hash}
    (hub / "README.md").write_text("a card")
    (hub / "bundles").mkdir()
    hashes.add(Preset.open(hub).content_hash)
    assert len(hashes) == 2
    edit_json(hub / "task.json", lambda d: d.update(classes=["a", "b", "c", "d"]))
    hashes.add(Preset.open(hub).content_hash)
    edit_json(hub / "preprocessor.json", lambda d: d["config"].update(sequence_length=64))
    hashes.add(Preset.open(hub).content_hash)
    with h5py.File(hub / "task.weights.h5", "r+") as file:
        file["layers/dense_1/vars/1"][0] = 7
    hashes.add(Preset.open(hub).content_hash)
    assert len(hashes) == 5


def test_an_encoder_alone(hub):
    for name in ("task.json", "task.weights.h5"):
        (hub / name).unlink()
    preset = Preset.open(hub)
    assert preset.task is None
    assert preset.labels == ()
    assert not any(name.startswith("classifier") for name in preset.weights())


@pytest.mark.parametrize("handle", ["no_such_model", "hf://org/name", "./nowhere/at/all", "x" * 5000])
def test_no_preset_of_that_name(handle):
    with pytest.raises(PresetNotFoundError, match="built-in name"):
        Preset.open(handle)


def test_a_folder_that_is_no_preset(tmp_path):
    with pytest.raises(NotAPresetError, match=r"config\.json"):
        Preset.open(tmp_path)
    file = tmp_path / "file.txt"
    file.write_text("text")
    with pytest.raises(NotAPresetError, match="is a file"):
        Preset.open(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ("{}", "describes None"),
        ('{"class_name": "BertBackbone", "config": {}}', "BertBackbone"),
        ('{"class_name": "XLMRobertaBackbone", "config": {}}', "vocabulary_size"),
        ('{"class_name": "XLMRobertaBackbone"}', "no `config`"),
        ('{"model_type": "bert", "architectures": ["BertModel"]}', "BertModel"),
        ('{"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"]}', "vocab_size"),
    ],
)
def test_a_config_of_something_else(hub, text, message):
    (hub / "config.json").write_text(text)
    with pytest.raises(NotAPresetError, match=message):
        Preset.open(hub)


def test_numbers_that_no_model_can_have(hub):
    edit_json(hub / "config.json", lambda d: d["config"].update(num_heads=5))
    with pytest.raises(ValueError, match="num_heads is 5"):
        Preset.open(hub)


def test_label_names_that_are_too_few(hub):
    edit_json(hub / "task.json", lambda d: d.update(classes=["a"]))
    with pytest.raises(NotAPresetError, match="4 label names"):
        Preset.open(hub)


@pytest.mark.parametrize("name", ["model.weights.h5", "task.weights.h5", "assets/tokenizer/vocabulary.spm"])
def test_a_missing_file(hub, name):
    (hub / name).unlink()
    with pytest.raises(DamagedModelError, match=name.split("/")[-1]):
        Preset.open(hub)


def test_damaged_h5(hub):
    path = hub / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DamagedModelError, match=r"model\.weights\.h5"):
        Preset.open(hub).weights()
    path.write_bytes(b"no h5 at all")
    with pytest.raises(DamagedModelError, match=r"model\.weights\.h5"):
        Preset.open(hub).weights()


def test_damaged_safetensors(checkpoint):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DamagedModelError, match=r"model\.safetensors"):
        Preset.open(checkpoint).weights()
    path.unlink()
    with pytest.raises(DamagedModelError, match=r"model\.safetensors"):
        Preset.open(checkpoint)


def test_h5_weights_fit_exactly(hub):
    place = "layers/transformer_encoder/_feedforward_output_dense/vars/1"
    with h5py.File(hub / "model.weights.h5", "r+") as file:
        kept = file[place][()]
        del file[place]
    with pytest.raises(WeightsError, match=f"missing: {place}"):
        Preset.open(hub).weights()
    with h5py.File(hub / "model.weights.h5", "r+") as file:
        file[place] = kept[:10]
    with pytest.raises(WeightsError, match=r"\(10,\)"):
        Preset.open(hub).weights()
    with h5py.File(hub / "model.weights.h5", "r+") as file:
        del file[place]
        file[place] = kept
        file["layers/transformer_encoder_3/vars/0"] = kept
    with pytest.raises(WeightsError, match="not used: layers/transformer_encoder_3"):
        Preset.open(hub).weights()


def test_safetensors_weights_fit_exactly(checkpoint):
    from safetensors.numpy import load_file, save_file

    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    head = tensors.pop("classifier.out_proj.weight")
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"missing: classifier\.out_proj\.weight"):
        Preset.open(checkpoint).weights()
    save_file({**tensors, "classifier.out_proj.weight": head, "lm_head.bias": head}, path)
    with pytest.raises(WeightsError, match=r"not used: lm_head\.bias"):
        Preset.open(checkpoint).weights()
    save_file({**tensors, "classifier.out_proj.weight": np.ascontiguousarray(head[:3])}, path)
    with pytest.raises(WeightsError, match=r"\(48, 3\)"):
        Preset.open(checkpoint).weights()


def test_a_bare_checkpoint_without_prefix_and_in_shards(checkpoint):
    from safetensors.numpy import load_file, save_file

    whole = Preset.open(checkpoint).weights()
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    bare = {k.removeprefix("roberta."): v for k, v in tensors.items() if k.startswith("roberta.")}
    bare["pooler.dense.bias"] = np.zeros(48, dtype=np.float32)
    names = sorted(bare)
    shards = {"one.safetensors": names[:20], "two.safetensors": names[20:]}
    for file, keys in shards.items():
        save_file({k: bare[k] for k in keys}, checkpoint / file)
    index = {"weight_map": {k: file for file, keys in shards.items() for k in keys}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    edit_json(checkpoint / "config.json", lambda d: d.update(architectures=["XLMRobertaModel"]))
    preset = Preset.open(checkpoint)
    assert preset.task is None
    weights = preset.weights()
    assert all((weights[name] == whole[name]).all() for name in weights)
    assert len(weights) == len(whole) - 4


def test_variants_of_the_architecture_are_refused(checkpoint):
    edit_json(checkpoint / "config.json", lambda d: d.update(hidden_act="relu"))
    with pytest.raises(NotAPresetError, match="relu"):
        Preset.open(checkpoint)


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("SPARKXLMR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert home() == tmp_path / "sparkxlmr"


def test_built_in_presets_open_by_name(monkeypatch, fixtures, tmp_path):
    monkeypatch.setattr(builtin, "_root", lambda: fixtures / "keras_hub")
    assert builtin.names() == ("xlmr_text_classifier",)
    assert Preset.open("xlmr_text_classifier").name == "xlmr_text_classifier"
    with pytest.raises(PresetNotFoundError, match="xlmr_text_classifier"):
        builtin.locate("another")
    monkeypatch.setattr(builtin, "_root", lambda: None)
    assert builtin.names() == ()
    with pytest.raises(PresetNotFoundError):
        builtin.locate("another")
