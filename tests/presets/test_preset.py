"""Opening presets: what is read from each layout, and the error for each thing that can be wrong."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import (
    DamagedModelError,
    NotAPresetError,
    PresetNotFoundError,
    SettingError,
    SparkxlmrError,
    WeightsError,
)
from sparkxlmr.presets import builtin
from sparkxlmr.presets.config import BackboneConfig, TextClassifierConfig
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
    assert preset.task == TextClassifierConfig(num_classes=4, hidden_dim=48)
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
    assert preset.task == TextClassifierConfig(num_classes=4, hidden_dim=48, dropout=0.1)
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


@pytest.mark.parametrize("handle", ["no_such_model", "hf:org/name", "./nowhere/at/all", "x" * 5000])
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


def test_a_checkpoint_without_vocabulary(checkpoint):
    (checkpoint / "sentencepiece.bpe.model").unlink()
    preset = Preset.open(checkpoint)
    assert not preset.has_tokenizer
    with pytest.raises(NotAPresetError, match=r"no tokenizer \(sentencepiece\.bpe\.model\)"):
        preset.proto()
    (checkpoint / "tokenizer_config.json").write_text("{}")
    with pytest.raises(DamagedModelError, match=r"sentencepiece\.bpe\.model"):
        Preset.open(checkpoint)


def test_a_preset_saved_without_tokenizer_opens_and_says_what_it_lacks(hub):
    for name in ("tokenizer.json", "preprocessor.json", "assets/tokenizer/vocabulary.spm"):
        (hub / name).unlink()
    preset = Preset.open(hub)
    assert not preset.has_tokenizer
    assert preset.weights()
    with pytest.raises(NotAPresetError, match="no tokenizer"):
        preset.vocabulary()


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("preprocessor.json", {"config": {"sequence_length": "long"}}, SettingError),
        ("preprocessor.json", {"config": {"sequence_length": -5}}, SettingError),
        ("task.json", {"config": {"num_classes": 10**12}}, SettingError),
        ("task.json", {"config": {"num_classes": 4, "activation": ["softmax"]}}, NotAPresetError),
        ("task.json", {"config": {"num_classes": 4, "activation": "banana"}}, NotAPresetError),
        ("config.json", {"activation": "banana"}, NotAPresetError),
        ("preprocessor.json", {"config": {"truncate": "banana"}}, NotAPresetError),
        ("preprocessor.json", {"config": {"truncate": ["waterfall"]}}, NotAPresetError),
        ("config.json", {"config": {"vocabulary_size": 10, "num_layers": [[]]}}, NotAPresetError),
        ("metadata.json", {"weights_sha256": {"model.weights.h5": 7}}, DamagedModelError),
    ],
)
def test_spoilt_values_of_a_keras_hub_preset(hub, file, change, error):
    edit_json(hub / file, lambda d: d.update(change))
    with pytest.raises(error):
        Preset.open(hub).weights()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id2label": {"a": "x"}}, NotAPresetError),
        ({"id2label": ["x"]}, NotAPresetError),
        ({"architectures": {}}, NotAPresetError),
        ({"architectures": {"a": 1}}, NotAPresetError),
        ({"layer_norm_eps": "small"}, NotAPresetError),
        ({"id2label": None, "num_labels": 10**12}, SettingError),
    ],
)
def test_spoilt_values_of_a_checkpoint(checkpoint, change, error):
    edit_json(checkpoint / "config.json", lambda d: d.update(change))
    with pytest.raises(error):
        Preset.open(checkpoint)


def test_a_folder_that_may_not_be_read(hub, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(PresetNotFoundError, match="Permission denied"):
        Preset.open(hub)


def test_json_that_is_too_deep(hub):
    (hub / "config.json").write_text('{"config":' * 100_000)
    with pytest.raises(NotAPresetError, match="cannot be read"):
        Preset.open(hub)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SOURCES = {
    "keras_hub/xlmr_text_classifier": ("config.json", "task.json", "preprocessor.json", "metadata.json"),
    "hugging_face/xlmr_sequence_classification": ("config.json", "model.safetensors.index.json"),
}


def spoil(document, data):
    """One value somewhere in the document is another, missing, or of another kind."""
    document = target = copy.deepcopy(document)
    while True:
        key = data.draw(st.sampled_from(sorted(target)))
        if not (isinstance(target[key], dict) and target[key]) or data.draw(st.booleans()):
            if data.draw(st.integers(0, 4)):
                target[key] = data.draw(JSON)
            else:
                del target[key]
            return document
        target = target[key]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([(source, file) for source, files in SOURCES.items() for file in files]), st.data())
def test_spoilt_json_is_an_error_of_this_package(fixtures, place, data):
    source, file = fixtures / place[0], place[1]
    with tempfile.TemporaryDirectory() as folder:
        for path in source.rglob("*"):
            if path.is_file():
                link = Path(folder) / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        spoilt = Path(folder) / file
        document = {"weight_map": {"a": "model.safetensors"}}
        if spoilt.exists():
            document = json.loads(spoilt.read_text("utf-8"))
            spoilt.unlink()
        text = json.dumps(spoil(document, data)).encode()
        if data.draw(st.booleans(), "bytes too"):
            at = data.draw(st.integers(0, len(text)))
            text = text[:at] + data.draw(st.binary(max_size=8)) + text[at + data.draw(st.integers(0, 9)) :]
        spoilt.write_bytes(text)
        try:
            preset = Preset.open(folder)
            assert preset.content_hash
            preset.weights()
        except SparkxlmrError:
            pass


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
    with pytest.raises(WeightsError, match=r"\(3, 48\)"):
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
    for change in ({"hidden_act": "silu"}, {"position_embedding_type": "relative_key"}, {"is_decoder": True}):
        edit_json(checkpoint / "config.json", lambda d, change=change: d.update(change))
        with pytest.raises(NotAPresetError, match=next(iter(change))):
            Preset.open(checkpoint)
        edit_json(checkpoint / "config.json", lambda d, change=change: d.pop(next(iter(change))))


def test_built_in_presets_open_by_name(monkeypatch, fixtures, tmp_path):
    monkeypatch.setattr(builtin, "_root", lambda: fixtures / "keras_hub")
    assert builtin.names() == ("albert_text_classifier", "xlmr_masked_lm", "xlmr_text_classifier")
    assert Preset.open("xlmr_text_classifier").name == "xlmr_text_classifier"
    with pytest.raises(PresetNotFoundError, match="xlmr_text_classifier"):
        builtin.locate("another")
    monkeypatch.setattr(builtin, "_root", lambda: None)
    assert builtin.names() == ()
    with pytest.raises(PresetNotFoundError):
        builtin.locate("another")
