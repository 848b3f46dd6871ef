"""The statements of ``coming_from_keras_hub.md`` about this package, and its table of names."""

from __future__ import annotations

import json
import shutil

import keras
import keras_hub_names
import numpy as np
import pages
import pytest

from sparkxlmr import models
from sparkxlmr.errors import SettingError

PAGE = pages.FOLDER / "coming_from_keras_hub.md"
HUB = pages.FOLDER.parent / "tests" / "fixtures" / "keras_hub"


def test_table_of_names_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert pages.with_tables(text) == text
    assert keras_hub_names.BEGIN in text


def test_table_refuses_an_unexplained_difference(monkeypatch):
    """keras-hub has a name, argument, default, layer, preset or alias that this package lacks."""
    monkeypatch.setattr(keras_hub_names, "EXPLANATIONS", dict(keras_hub_names.EXPLANATIONS))
    record = json.loads(keras_hub_names.RECORD.read_text(encoding="utf-8"))
    tokenizer = record["classes"]["XLMRobertaTokenizer"]
    tokenizer["members"]["wordmark"] = None
    tokenizer["members"]["tokenize"]["fast"] = "False"
    tokenizer["arguments"]["color"] = "required"
    tokenizer["arguments"]["add_bos"] = "True"
    record["classes"]["XLMRobertaBackbone"]["layers"].append("extra_layer")
    record["presets"]["AlbertBackbone"].append("albert_new")
    record["aliases"]["OldName"] = "TextClassifier"
    monkeypatch.setattr(keras_hub_names, "record", lambda: record)
    found = keras_hub_names.differences().keys() - keras_hub_names.EXPLANATIONS.keys()
    assert found == {
        "name `wordmark`", "argument `tokenize(fast)`", "argument `color`", "default of `add_bos`",
        "layer `extra_layer`", "preset `albert_new`", "class `OldName`",
    }  # fmt: skip
    with pytest.raises(ValueError, match="not explained"):
        keras_hub_names.table()


def test_table_refuses_a_needless_explanation(monkeypatch):
    monkeypatch.setitem(keras_hub_names.EXPLANATIONS, "name `tokenize`", "Not there.")
    with pytest.raises(ValueError, match=r"without a difference: .*tokenize"):
        keras_hub_names.table()


@pytest.mark.parametrize(
    ("name", "tokens", "ordinary"),
    [
        ("xlmr", ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), ()),
        ("albert", ("[CLS]", "[SEP]", "<pad>", "[MASK]"), ("<unk>",)),
    ],
)
def test_special_tokens_of_a_text_are_read(name, tokens, ordinary):
    tokenizer = models.Tokenizer.from_preset(HUB / f"{name}_text_classifier")
    for token in tokens:
        assert tokenizer.token_to_id(token) in tokenizer(f"a {token} b"), token
        assert tokenizer.token_to_id(token) in tokenizer.special_token_ids
    for token in ordinary:
        assert len(tokenizer(f"a {token} b")) > len(tokenizer("a b")) + 2, token


def test_preprocessors_return_numpy_arrays_and_take_tuples_as_pairs():
    preprocessor = models.TextClassifierPreprocessor.from_preset(HUB / "xlmr_text_classifier")
    features = preprocessor(["a"])
    assert set(features) == {"token_ids", "padding_mask"}
    assert all(type(array) is np.ndarray and array.dtype == np.int32 for array in features.values())
    assert type(preprocessor.tokenizer("a")) is list
    pair, named = preprocessor((["a"], ["b"])), preprocessor(x=(["a"], ["b"]))
    assert pair["token_ids"].tolist() == named["token_ids"].tolist()


def test_position_embedding_of_albert_adds():
    backbone = models.Backbone.from_preset(HUB / "albert_text_classifier")
    x = np.ones((1, 3, backbone.embedding_dim), "float32")
    table = keras.ops.convert_to_numpy(backbone.position_embedding.embeddings)
    np.testing.assert_allclose(backbone.position_embedding(x), x + table[None, :3])


def test_preset_names_are_keras_hubs():
    found = models.Backbone.presets
    for names in keras_hub_names.record()["presets"].values():
        assert set(names) <= set(found)
    assert found["bge_m3"]["kaggle_handle"] == "kaggle://keras/bge/keras/bge_m3/1"
    assert found["multilingual_e5_base"]["metadata"]["path"] == "xlm_roberta"
    assert "bge_m3" not in models.AlbertBackbone.presets


def test_an_embedders_preset_loads_as_an_encoder(tmp_path):
    backbone = models.Backbone.from_preset(HUB / "xlmr_text_classifier")
    backbone.save_to_preset(tmp_path)
    document = {"class_name": "XLMRobertaTextEmbedder", "config": {"pooling_mode": "cls"}}
    (tmp_path / "task.json").write_text(json.dumps(document), encoding="utf-8")
    again = models.Backbone.from_preset(tmp_path)
    assert all((a == b).all() for a, b in zip(again.get_weights(), backbone.get_weights(), strict=True))
    assert models.TextClassifier.from_preset(tmp_path, num_classes=2).num_classes == 2


def test_default_learning_rates_are_keras_hubs():
    rates = {
        name: float(
            models.TextClassifier.from_preset(HUB / f"{name}_text_classifier").optimizer.learning_rate
        )
        for name in ("xlmr", "albert")
    }
    assert rates == {"xlmr": pytest.approx(5e-5), "albert": pytest.approx(1e-5)}
    masked_lm = models.MaskedLM.from_preset("xlm_roberta_tiny_masked_lm")
    assert float(masked_lm.optimizer.learning_rate) == pytest.approx(5e-5)


def test_hugging_face_page_states_the_sequence_length(tmp_path):
    """``model_max_length``, 512 where it is unset, and at most the model's positions."""
    source = pages.FOLDER.parent / "tests" / "fixtures" / "hugging_face" / "xlmr_sequence_classification"
    folder = tmp_path / "checkpoint"
    shutil.copytree(source, folder)
    positions = models.Backbone.from_preset(folder).max_sequence_length
    for given, expected in ((20, 20), (10**30, min(512, positions)), (positions + 9, positions)):
        settings = {"model_max_length": given}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        preprocessor = models.TextClassifierPreprocessor.from_preset(folder)
        assert preprocessor.sequence_length == expected, given


def test_hugging_face_page_states_the_missing_heads():
    fixtures = pages.FOLDER.parent / "tests" / "fixtures" / "hugging_face"
    with pytest.raises(SettingError, match="num_classes"):
        models.TextClassifier.from_preset(fixtures / "xlmr_masked_lm")
    with pytest.raises(SettingError, match=r"XLMRobertaBackbone\.from_preset"):
        models.MaskedLM.from_preset(fixtures / "xlmr_sequence_classification")
