"""Hugging Face checkpoints as they come: other dtypes, names and parts, and what is refused."""

from __future__ import annotations

import json
import shutil
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sparkxlmr.errors import NotAPresetError, SettingError, WeightsError
from sparkxlmr.presets.config import BackboneConfig, MaskedLMConfig, TextClassifierConfig
from sparkxlmr.presets.preset import Preset

XLMR, ALBERT = "xlmr_sequence_classification", "albert_sequence_classification"
XLMR_MLM, ALBERT_MLM = "xlmr_masked_lm", "albert_masked_lm"


@pytest.fixture
def copy(fixtures, tmp_path):
    """``copy(name)``: a golden checkpoint in a folder of its own, to be changed."""
    return lambda name: shutil.copytree(fixtures / "hugging_face" / name, tmp_path / name)


def edit(path: Path, **change) -> None:
    document = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**document, **change}), "utf-8")


def rewrite(folder: Path, change) -> dict[str, np.ndarray]:
    """The tensors of the checkpoint, changed in place by ``change`` and saved again."""
    tensors = load_file(folder / "model.safetensors")
    tensors = change(tensors) or tensors
    whole = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
    save_file(whole, folder / "model.safetensors")
    return tensors


def assert_equal(weights, expected) -> None:
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "task", "labels"),
    [
        (ALBERT, TextClassifierConfig(3, None, None, 0.1), ("negative", "neutral", "positive")),
        (ALBERT_MLM, MaskedLMConfig("gelu_tanh", 1e-12), ()),
        (XLMR_MLM, MaskedLMConfig("gelu", 1e-5), ()),
    ],
)
def test_what_a_checkpoint_says(fixtures, name, task, labels):
    preset = Preset.open(fixtures / "hugging_face" / name)
    assert (preset.task, preset.labels) == (task, labels)
    if name == XLMR_MLM:
        assert preset.config == BackboneConfig(6002, 3, 4, 48, 96, 0.1, 128)
        return
    config = preset.config
    assert (config.num_groups, config.num_inner_repetitions, config.embedding_dim) == (2, 2, 24)
    assert (config.max_sequence_length, config.layer_norm_epsilon) == (130, 1e-12)
    assert (config.activation, config.attention_dropout, config.dropout) == ("gelu_tanh", None, 0)
    assert preset.tokenizer_settings == {"do_lower_case": True, "keep_accents": False, "remove_space": True}


def test_kernels_of_albert_stand_as_keras_multiplies_them(fixtures):
    folder = fixtures / "hugging_face" / ALBERT
    raw, weights = load_file(folder / "model.safetensors"), Preset.open(folder).weights()
    group = "albert.encoder.albert_layer_groups.1.albert_layers.0"
    for name, key in (
        ("groups.1.layers.0.feed_forward.up.kernel", f"{group}.ffn.weight"),
        ("groups.1.layers.0.attention.output.kernel", f"{group}.attention.dense.weight"),
        ("embeddings.projection.kernel", "albert.encoder.embedding_hidden_mapping_in.weight"),
        ("pooler.kernel", "albert.pooler.weight"),
        ("classifier.logits.kernel", "classifier.weight"),
    ):
        np.testing.assert_array_equal(weights[name], raw[key].T)


def test_settings_of_the_tokenizer(copy):
    folder = copy(ALBERT)
    edit(folder / "tokenizer_config.json", do_lower_case=False, keep_accents=True, model_max_length=64)
    preset = Preset.open(folder)
    assert preset.tokenizer_settings == {"do_lower_case": False, "keep_accents": True, "remove_space": True}
    assert preset.sequence_length == 64
    before = preset.content_hash
    edit(folder / "tokenizer_config.json", model_max_length=1e30, do_lower_case=True)
    assert Preset.open(folder).sequence_length == 130
    assert Preset.open(folder).content_hash != before
    edit(folder / "tokenizer_config.json", do_lower_case="yes")
    with pytest.raises(NotAPresetError, match="do_lower_case"):
        Preset.open(folder)


@pytest.mark.parametrize("name", [XLMR, ALBERT])
def test_numbers_of_the_config_are_honoured(copy, name):
    folder = copy(name)
    numbers = {"hidden_act": "relu", "attention_probs_dropout_prob": 0.3, "layer_norm_eps": 1e-6}
    edit(folder / "config.json", **numbers, classifier_dropout=0.4, classifier_dropout_prob=0.4)
    preset = Preset.open(folder)
    assert preset.config.activation == "relu"
    assert preset.config.attention_dropout == 0.3
    assert preset.config.layer_norm_epsilon == 1e-6
    assert preset.task.dropout == 0.4
    edit(folder / "config.json", problem_type="multi_label_classification")
    assert Preset.open(folder).task.activation == "sigmoid"
    for problem in ("regression", "single_label_classification", None):
        edit(folder / "config.json", problem_type=problem)
        assert Preset.open(folder).task.activation is None
    edit(folder / "config.json", problem_type="ranking")
    with pytest.raises(NotAPresetError, match="ranking"):
        Preset.open(folder)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pad_token_id": 3}, NotAPresetError),
        ({"num_hidden_groups": 3}, SettingError),
        ({"embedding_size": None}, NotAPresetError),
        ({"pruned_heads": {"0": [1]}}, NotAPresetError),
        ({"architectures": ["AlbertForTokenClassification"]}, NotAPresetError),
        ({"model_type": "xlm-roberta"}, NotAPresetError),
        ({"classifier_dropout_prob": "much"}, NotAPresetError),
    ],
)
def test_variants_of_albert_are_refused(copy, change, error):
    folder = copy(ALBERT)
    edit(folder / "config.json", **change)
    with pytest.raises(error):
        Preset.open(folder)


@pytest.mark.parametrize(("name", "made"), [(XLMR, "xlmr_tokenizer"), (ALBERT, "albert_tokenizer")])
def test_added_tokens_without_embedding_are_refused(copy, fixtures, name, made):
    folder = copy(name)
    for model in (fixtures / "hugging_face" / made).glob("*.model"):
        shutil.copy(model, folder)
    tokenizer = Preset.open(folder).text_tokenizer()
    size = tokenizer.vocabulary_size
    known = {str(i): {"content": tokenizer.id_to_token(i)} for i in (tokenizer.mask_id, size - 2)}
    added = {str(size + i): {"content": f"<e{i}>"} for i in range(2)}
    edit(folder / "tokenizer_config.json", added_tokens_decoder={**known, **added})
    assert Preset.open(folder).text_tokenizer().vocabulary_size == size + 2
    edit(folder / "config.json", vocab_size=size + 1)
    with pytest.raises(NotAPresetError, match=rf"{size + 2} ids, and its encoder embeddings for {size + 1}"):
        Preset.open(folder).text_tokenizer()


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        ({"405": "<e1>"}, "without a gap"),
        ({"9": "<e1>"}, "an id behind the vocabulary's"),
        ({"0": "<mask>"}, "its id in the vocabulary"),
        ({"1": "<s>"}, "its id in the vocabulary"),
    ],
)
def test_added_tokens_with_ids_of_others_are_refused(copy, fixtures, decoder, says):
    folder = copy(XLMR)
    shutil.copy(fixtures / "hugging_face/xlmr_tokenizer/sentencepiece.bpe.model", folder)
    decoder = {token_id: {"content": text, "special": True} for token_id, text in decoder.items()}
    edit(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    with pytest.raises(NotAPresetError, match=says):
        Preset.open(folder)


# --- weights: names and parts ---


@pytest.mark.parametrize("name", [XLMR, ALBERT, XLMR_MLM, ALBERT_MLM])
def test_old_names_of_normalisations(copy, name):
    folder = copy(name)
    expected = Preset.open(folder).weights()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def rename(tensors):
        for new, former in old.items():
            tensors = {key.replace(new, former): array for key, array in tensors.items()}
        return tensors

    assert any("gamma" in key for key in rewrite(folder, rename))
    assert_equal(Preset.open(folder).weights(), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_widths(copy, dtype):
    folder = copy(ALBERT)
    rewrite(folder, lambda tensors: {key: array.astype(dtype) for key, array in tensors.items()})
    stored, weights = Preset.open(folder).weights(None), Preset.open(folder).weights()
    assert {array.dtype for array in stored.values()} == {np.dtype(dtype)}
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_bfloat16(copy):
    folder = copy(XLMR)
    expected = Preset.open(folder).weights()
    tensors = load_file(folder / "model.safetensors")
    header, data = {}, b""
    for key, array in tensors.items():
        upper = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype("<u2").tobytes()
        places = [len(data), len(data) + len(upper)]
        header[key] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": places}
        data += upper
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    found = Preset.open(folder).weights()
    for name, array in expected.items():
        # Cut off behind eight bits; positions are the sum of two.
        np.testing.assert_allclose(found[name], array, rtol=2**-6 if "position" in name else 2**-7, atol=1e-3)
    cut = (expected["classifier.dense.kernel"].view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(found["classifier.dense.kernel"], cut)


@pytest.mark.parametrize(
    ("name", "embedding", "decoder"),
    [
        (XLMR_MLM, "roberta.embeddings.word_embeddings.weight", "lm_head"),
        (ALBERT_MLM, "albert.embeddings.word_embeddings.weight", "predictions"),
    ],
)
def test_tied_copies_must_be_copies(copy, name, embedding, decoder):
    folder = copy(name)
    expected = Preset.open(folder).weights()

    def tie(tensors):
        tensors[f"{decoder}.decoder.weight"] = tensors[embedding].copy()
        tensors[f"{decoder}.decoder.bias"] = tensors[f"{decoder}.bias"].copy()

    rewrite(folder, tie)
    assert_equal(Preset.open(folder).weights(), expected)
    # A copy may stand in for the weight itself.
    rewrite(folder, lambda tensors: {k: v for k, v in tensors.items() if k != f"{decoder}.bias"})
    assert_equal(Preset.open(folder).weights(), expected)
    rewrite(folder, lambda tensors: tensors.update({f"{decoder}.decoder.weight": tensors[embedding] + 1}))
    with pytest.raises(WeightsError, match=rf"{decoder}\.decoder\.weight of .* is not the same"):
        Preset.open(folder).weights()


@pytest.mark.parametrize("name", [XLMR, ALBERT])
def test_a_missing_head_names_the_remedy(copy, name):
    folder = copy(name)
    rewrite(folder, lambda tensors: {k: v for k, v in tensors.items() if not k.startswith("classifier")})
    preset = Preset.open(folder)
    with pytest.raises(WeightsError, match=r"has no head: classifier.* pass num_classes=\.\.\. for a new"):
        preset.weights()
    encoder = preset.weights(head=False)
    assert not any(key.startswith("classifier") for key in encoder)
    assert "embeddings.token" in encoder


def without_pooler(tensors):
    return {key: array for key, array in tensors.items() if "pooler" not in key}


def test_an_albert_classifier_needs_its_pooler(copy):
    folder = copy(ALBERT)
    rewrite(folder, without_pooler)
    with pytest.raises(WeightsError, match="has no pooler"):
        Preset.open(folder).weights()
    with pytest.warns(UserWarning, match="tanh of the first token's vector"):
        assert (Preset.open(folder).weights(head=False)["pooler.kernel"] == np.eye(48)).all()


def test_an_encoder_of_albert_without_pooler_hands_the_first_vector_on(copy):
    folder = copy(ALBERT)
    bare = lambda t: {k.removeprefix("albert."): v for k, v in t.items() if k.startswith("albert.")}  # noqa: E731
    rewrite(folder, bare)
    edit(folder / "config.json", architectures=["AlbertModel"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not (Preset.open(folder).weights()["pooler.kernel"] == np.eye(48)).all()
    rewrite(folder, lambda tensors: {k: v for k, v in tensors.items() if k != "pooler.bias"})
    with pytest.raises(WeightsError, match=r"pooler\.bias"):
        Preset.open(folder).weights()
    rewrite(folder, without_pooler)
    with pytest.warns(UserWarning, match="has no pooler"):
        weights = Preset.open(folder).weights()
    assert (weights["pooler.kernel"] == np.eye(48)).all()
    assert not weights["pooler.bias"].any()


def test_a_masked_language_model_of_albert_may_have_what_its_pretraining_left(copy):
    folder = copy(ALBERT_MLM)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no head here reads the pooler that is missing
        expected = Preset.open(folder).weights()

    def more(tensors):
        tensors["sop_classifier.classifier.weight"] = np.zeros((2, 48), np.float32)
        tensors["albert.embeddings.position_ids"] = np.arange(130)[None]

    rewrite(folder, more)
    edit(folder / "config.json", architectures=["AlbertForPreTraining"])
    assert_equal(Preset.open(folder).weights(), expected)
    rewrite(folder, lambda tensors: tensors.update({"albert.adapter.weight": np.zeros(3, np.float32)}))
    with pytest.raises(WeightsError, match=r"not used: albert\.adapter\.weight"):
        Preset.open(folder).weights()


@pytest.mark.parametrize(("name", "made"), [(XLMR, "xlmr_tokenizer"), (ALBERT, "albert_tokenizer")])
def test_a_checkpoint_with_nothing_but_a_tokenizer_json(copy, fixtures, name, made):
    folder, source = copy(name), fixtures / "hugging_face" / made
    model = next(source.glob("*.model"))
    shutil.copy(model, folder / model.name)
    texts = ["The  déjà vu", "x 5, 6 ``y''", "<unk>"]
    expected = Preset.open(folder).text_tokenizer().encode(texts, 16)
    (folder / model.name).unlink()
    shutil.copy(source / "tokenizer.json", folder)
    preset = Preset.open(folder)
    assert preset.has_tokenizer
    assert preset.text_tokenizer().encode(texts, 16) == expected
    assert preset.contents().proto == preset.proto()
    with pytest.raises(NotAPresetError, match=r"only inside tokenizer\.json"):
        preset.vocabulary()
    before = preset.content_hash
    edit(folder / "tokenizer.json", truncation=None, version="2")
    assert Preset.open(folder).content_hash != before
