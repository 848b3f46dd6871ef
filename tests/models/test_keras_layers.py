"""Tokenizers, preprocessors and packers as Keras layers, and what custom keras-hub code reads from models."""

from __future__ import annotations

import copy
import json
import pickle

import keras
import numpy as np
import pytest

from sparkxlmr import models
from sparkxlmr.errors import InputError, SettingError, WrongTypeError

from .conftest import SENTENCES

tf = pytest.importorskip("tensorflow")
SPECIAL = ("start", "end", "pad", "unk", "mask", "cls", "sep")


def sensitive(model):
    """The model with larger logits, so that other texts change them by far more than rounding does."""
    model.output_dense.kernel.assign(model.output_dense.kernel * 1000)
    return model


def plain(value):
    """A tensor, ragged tensor or array as lists."""
    return value.to_list() if hasattr(value, "to_list") else np.asarray(value).tolist()


@pytest.mark.parametrize("length", [None, 4])
@pytest.mark.parametrize("dtype", ["int32", "string"])
def test_tokenizer_maps_a_dataset(families, length, dtype):
    family = families["xlm_roberta"]
    tokenizer = family.named("Tokenizer")(family.proto, sequence_length=length, dtype=dtype, add_eos=True)
    texts = [*SENTENCES, ""]
    expected = plain(tokenizer(texts)) if length else tokenizer(texts)
    data = tf.data.Dataset.from_tensor_slices(texts)
    batched, single = data.batch(5).map(tokenizer), data.map(tokenizer)
    assert batched.element_spec.shape.as_list() == [None, length]
    assert single.element_spec.shape.as_list() == [length]
    assert batched.element_spec.dtype == dtype
    assert isinstance(batched.element_spec, tf.RaggedTensorSpec) == (length is None)
    (found,) = batched
    if dtype == "string":
        expected = [[piece.encode() for piece in row] for row in expected]
    assert plain(found) == expected
    assert [row.numpy().tolist() for row in single] == expected


def test_detokenize_maps_a_dataset(families):
    tokenizer = families["albert"].tokenizer()
    data = tf.data.Dataset.from_tensor_slices(SENTENCES)
    (texts,) = data.batch(4).map(tokenizer).map(tokenizer.detokenize)
    assert [text.decode() for text in texts.numpy()] == SENTENCES
    (ids,) = data.batch(4).map(tokenizer)
    assert tokenizer.detokenize(ids) == tokenizer.detokenize(tokenizer(SENTENCES)) == SENTENCES
    assert [text.numpy().decode() for text in data.map(tokenizer).map(tokenizer.detokenize)] == SENTENCES


def test_layers_compose_in_a_dataset(family):
    """Tokenizer, packer and masker one after the other, as custom keras-hub pipelines have them."""
    preprocessor = family.preprocessor("MaskedLM", sequence_length=12, mask_selection_length=3)
    tokenizer, packer, masker = preprocessor.tokenizer, preprocessor.packer, preprocessor.masker

    def prepare(first, second):
        token_ids, segment_ids = packer((tokenizer(first), tokenizer(second)))
        return masker(token_ids), segment_ids

    data = tf.data.Dataset.from_tensor_slices((SENTENCES, SENTENCES[::-1]))
    encoded = preprocessor.encode((SENTENCES, SENTENCES[::-1]))
    for mapped in (data.batch(4).map(prepare), data.map(prepare).batch(4)):
        ((masked, segment_ids),) = mapped
        assert mapped.element_spec[0]["token_ids"].shape.as_list() == [None, 12]
        assert mapped.element_spec[0]["mask_weights"].shape.as_list() == [None, 3]
        restored = masked["token_ids"].numpy()
        weights = masked["mask_weights"].numpy() > 0
        for row, (places, ids) in enumerate(
            zip(masked["mask_positions"].numpy(), masked["mask_ids"].numpy(), strict=True)
        ):
            restored[row, places[weights[row]]] = ids[weights[row]]
        for row, ids in zip(restored.tolist(), encoded.ids, strict=True):
            assert row == ids + [tokenizer.pad_token_id] * (12 - len(ids))
        if encoded.segment_ids is not None:
            for row, ids in zip(segment_ids.numpy().tolist(), encoded.segment_ids, strict=True):
                assert row == ids + [0] * (12 - len(ids))


def test_masker_keeps_ragged_ids_ragged(families):
    preprocessor = families["xlm_roberta"].preprocessor("MaskedLM", mask_selection_length=2)
    tokenizer, masker = preprocessor.tokenizer, preprocessor.masker
    (found,) = tf.data.Dataset.from_tensor_slices(SENTENCES).batch(4).map(tokenizer).map(masker)
    assert [len(row) for row in plain(found["token_ids"])] == [len(row) for row in tokenizer(SENTENCES)]
    assert found["mask_ids"].shape == (4, 2)
    unbounded = models.MaskedLMMaskGenerator(24, 0.5, 23)
    (found,) = tf.data.Dataset.from_tensor_slices(SENTENCES).batch(4).map(tokenizer).map(unbounded)
    assert [len(row) for row in plain(found["mask_positions"])] == [
        len(row) for row in unbounded(tokenizer(SENTENCES))["mask_positions"]
    ]


def test_sequential_and_functional_models_hold_layers(families, tmp_path):
    family = families["albert"]
    preprocessor = family.preprocessor("TextClassifier", sequence_length=12)
    backbone = family.backbone()
    text = keras.Input(shape=(), dtype="string")
    model = keras.Model(text, backbone(preprocessor(text))["pooled_output"])
    expected = backbone.predict(preprocessor(SENTENCES), verbose=0)["pooled_output"]
    np.testing.assert_allclose(model.predict(tf.constant(SENTENCES), verbose=0), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(tf.constant(SENTENCES), verbose=0), expected, atol=1e-5)
    tokenizer = family.named("Tokenizer")(family.proto, name="words")
    stack = keras.Sequential([keras.Input(shape=(), dtype="string"), tokenizer, preprocessor.packer])
    token_ids, _ = stack.predict(tf.constant(SENTENCES), verbose=0)
    assert token_ids.tolist() == preprocessor(SENTENCES)["token_ids"].tolist()
    assert stack.get_layer("words") is tokenizer


def test_layers_survive_pickle_copy_and_config(family):
    parts = [
        family.tokenizer(),
        family.preprocessor("TextClassifier", name="mine", dtype="float16"),
        family.preprocessor("MaskedLM", mask_selection_rate=0.5),
        family.preprocessor("MaskedLM").packer,
    ]
    for part in parts:
        assert isinstance(part, keras.layers.Layer)
        config = part.get_config()
        serialized = keras.saving.serialize_keras_object(part)
        for again in (
            pickle.loads(pickle.dumps(part)),
            copy.deepcopy(part),
            type(part).from_config(part.get_config()),
            keras.saving.deserialize_keras_object(serialized),
        ):
            assert type(again) is type(part)
            assert again.get_config() == config
    assert (parts[1].name, parts[1].compute_dtype) == ("mine", "float16")


def test_layers_refuse_unknown_arguments(families):
    family = families["xlm_roberta"]
    with pytest.raises(WrongTypeError, match=r"'sequence_lenght'.*did you mean sequence_length"):
        family.named("Tokenizer")(family.proto, sequence_lenght=4)
    with pytest.raises(WrongTypeError, match="'truncat'"):
        family.preprocessor("TextClassifier", truncat="waterfall")
    for proto in (None, 3):
        with pytest.raises(SettingError, match="proto is"):
            family.named("Tokenizer")(proto)
        with pytest.raises(SettingError, match="proto is"):
            family.tokenizer().set_proto(proto)
    with pytest.raises(SettingError, match="tokenizer is"):
        family.named("TextClassifierPreprocessor")("a path")
    with pytest.raises(SettingError, match="sequence_length"):
        family.preprocessor("TextClassifier", sequence_length=None)


def test_tokenizer_names_its_special_tokens(family):
    tokenizer = family.tokenizer()
    for name in SPECIAL:
        token, token_id = getattr(tokenizer, f"{name}_token"), getattr(tokenizer, f"{name}_token_id")
        assert tokenizer.id_to_token(token_id) == token
        assert tokenizer.token_to_id(token) == token_id
    assert tokenizer.cls_token_id == tokenizer.start_token_id
    assert tokenizer.sep_token == tokenizer.end_token
    assert tokenizer.mask_token == family.mask


def test_set_proto_reaches_the_preprocessor(families, fixtures):
    preprocessor = families["albert"].preprocessor("MaskedLM", sequence_length=9, truncate="waterfall")
    other = models.AlbertTokenizer.from_preset(fixtures / "keras_hub" / "albert_text_classifier")
    preprocessor.tokenizer.set_proto(other.proto)
    expected = models.AlbertTextClassifierPreprocessor(other, 9)("a text")["token_ids"].tolist()
    assert preprocessor.packer(other("a text"))[0].tolist() == expected
    assert (preprocessor.packer.sequence_length, preprocessor.packer.truncate) == (9, "waterfall")
    assert preprocessor.masker.vocabulary_size == other.vocabulary_size()


def test_packer_and_masker_share_their_settings(family):
    preprocessor = family.preprocessor("TextClassifier", sequence_length=12)
    preprocessor.packer.sequence_length = 6
    assert preprocessor.sequence_length == 6
    assert preprocessor(SENTENCES)["token_ids"].shape == (4, 6)
    preprocessor.truncate = "waterfall"
    assert preprocessor.packer.truncate == "waterfall"
    hiding = family.preprocessor("MaskedLM", mask_selection_rate=0.0)
    assert hiding(SENTENCES)[2].sum() == 0
    hiding.masker.mask_selection_rate = 1.0
    hiding.mask_selection_length = 2
    assert (hiding.mask_selection_rate, hiding.masker.mask_selection_length) == (1.0, 2)
    assert hiding(SENTENCES)[2].tolist() == [[1.0, 1.0]] * 4


# What keras-hub 0.32 returned for the segments, the length and the truncation.
THREE = {
    "xlmr": (["a b", "c", "d e"], 12, "round_robin", [0, 12, 153, 2, 2, 246, 2, 2, 168, 29, 2, 1]),
    "albert": (["a b", "c", "d e"], 12, "round_robin", [2, 17, 13, 40, 3, 13, 47, 3, 13, 24, 13, 3]),
}


@pytest.mark.parametrize("name", THREE)
def test_three_segments_have_keras_hubs_ids(fixtures, name):
    columns, length, truncate, expected = THREE[name]
    preprocessor = models.TextClassifierPreprocessor.from_preset(
        fixtures / "keras_hub" / f"{name}_text_classifier", sequence_length=length, truncate=truncate
    )
    assert preprocessor(tuple(columns))["token_ids"].tolist() == expected
    batch = preprocessor(tuple([column] * 2 for column in columns))
    assert batch["token_ids"].tolist() == [expected] * 2
    if name == "albert":
        assert batch["segment_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]] * 2


def test_models_read_three_segments(families):
    model = families["xlm_roberta"].classifier()
    columns = (SENTENCES, SENTENCES[::-1], SENTENCES)
    found = model.predict(columns, verbose=0)
    np.testing.assert_allclose(found, model.predict_on_batch(model.preprocessor(columns)), atol=1e-5)
    with pytest.raises(InputError, match="tuple of 3 texts"):
        model.predict(("one", "two", "three"), verbose=0)
    for albert in (families["albert"].classifier(), families["albert"].masked_lm()):
        with pytest.raises(InputError, match=r"3 segments.*at most 2"):
            albert.predict(columns, verbose=0)
        with pytest.raises(InputError, match=r"3 segments.*at most 2"):
            albert.fit(columns, *([[0, 1, 2, 0]] if albert.kind == "text_classifier" else []), verbose=0)


def test_a_function_is_a_preprocessor(family, tmp_path):
    own = family.preprocessor("TextClassifier", sequence_length=12)
    seen = []

    def lower(texts):
        seen.append(texts)
        return own([text.lower() for text in texts])

    model = sensitive(family.classifier(preprocessor=lower))
    plain_model = sensitive(family.classifier(preprocessor=own))
    upper = [text.upper() for text in SENTENCES]
    expected = plain_model.predict(SENTENCES, verbose=0)
    assert np.abs(plain_model.predict(upper, verbose=0) - expected).max() > 5e-3
    np.testing.assert_allclose(model.predict(upper, verbose=0), expected, atol=1e-3)
    assert isinstance(seen[0], np.ndarray)
    labels = [0, 1, 2, 1]
    data = tf.data.Dataset.from_tensor_slices((upper, labels)).batch(4)
    loss = plain_model.evaluate(SENTENCES, labels, verbose=0)[0]
    assert model.evaluate(data, verbose=0)[0] == pytest.approx(loss, rel=1e-3)
    assert np.isfinite(model.fit(upper, labels, verbose=0).history["loss"][0])
    with pytest.warns(UserWarning, match="a preset cannot hold"):
        model.save_to_preset(tmp_path, 5)
    assert models.TextClassifier.from_preset(tmp_path).preprocessor is None
    with pytest.raises(SettingError, match="preprocessor is 3"):
        family.classifier(preprocessor=3)


def test_overridden_methods_are_used_by_models(families):
    """A subclass' own ``call`` or ``tokenize`` must not be passed over by ``fit`` and ``predict``."""
    family = families["xlm_roberta"]

    class Lower(family.named("TextClassifierPreprocessor")):
        def call(self, x, y=None, sample_weight=None):
            return super().call([text.lower() for text in x], y, sample_weight)

    class LowerTokenizer(family.named("Tokenizer")):
        def tokenize(self, inputs):
            return super().tokenize([text.lower() for text in inputs])

    model = sensitive(family.classifier())
    expected = model.predict(SENTENCES, verbose=0)
    upper = [text.upper() for text in SENTENCES]
    assert np.abs(model.predict(upper, verbose=0) - expected).max() > 5e-3
    for preprocessor in (
        Lower(family.tokenizer(), 40),
        family.named("TextClassifierPreprocessor")(LowerTokenizer(family.proto), 40),
    ):
        model.preprocessor = preprocessor
        np.testing.assert_allclose(model.predict(upper, verbose=0), expected, atol=1e-3)


def test_masked_lm_takes_a_function(families):
    family = families["xlm_roberta"]
    own = family.preprocessor("MaskedLM", sequence_length=12, mask_selection_length=3)
    model = family.masked_lm(preprocessor=lambda texts: own(list(texts)))
    assert np.isfinite(model.fit(SENTENCES, verbose=0).history["loss"][0])
    with pytest.raises(SettingError, match="to read texts with masks"):
        model.fill_mask("the <mask>")


def test_models_have_keras_hubs_attributes(families):
    backbone = families["xlm_roberta"].backbone()
    ids = np.array([[2, 3, 4]], "int32")
    expected = backbone.position_embedding(backbone.token_embedding(ids))
    np.testing.assert_array_equal(backbone.embeddings(ids), expected)
    assert backbone.embeddings.token_embedding is backbone.token_embedding
    assert backbone.embeddings_layer_norm is backbone.get_layer("embeddings_layer_norm")
    assert backbone.start_token_index == 0
    albert = families["albert"].backbone()
    assert albert.cls_token_index == 0
    assert albert.embeddings_add is albert.get_layer("embeddings_add")
    model = families["xlm_roberta"].classifier(dropout=0.25)
    assert (model.pooled_dropout.rate, model.output_dropout.rate) == (0.25, 0.25)
    model = families["albert"].classifier(dropout=0.25)
    assert model.output_dropout is model.get_layer("output_dropout")
    assert model.preprocessor not in model.layers


def test_former_names_are_the_same_classes():
    assert models.XLMRobertaClassifier is models.XLMRobertaTextClassifier
    assert models.XLMRobertaPreprocessor is models.XLMRobertaTextClassifierPreprocessor
    assert models.AlbertClassifier is models.AlbertTextClassifier
    assert models.AlbertPreprocessor is models.AlbertTextClassifierPreprocessor
    assert models.Classifier is models.TextClassifier


def test_save_to_preset_takes_the_shard_size_second(family, tmp_path):
    model = family.classifier()
    model.save_to_preset(tmp_path / "shards", 5_000 / 2**30)
    assert len(list((tmp_path / "shards").glob("model_*.weights.h5"))) > 1
    model.save_to_preset(tmp_path / "names", ["a", "b", "c"])  # where label names were
    assert models.TextClassifier.from_preset(tmp_path / "names").classes == ("a", "b", "c")
    model.save_to_preset(tmp_path / "both", None, classes=["a", "b", "c"])
    assert models.TextClassifier.from_preset(tmp_path / "both").classes == ("a", "b", "c")


@pytest.mark.parametrize("name", ["xlm_roberta_classifier", "albert_masked_lm"])
def test_keras_files_of_earlier_releases_load(fixtures, name):
    """Saved when tokenizers and preprocessors were no layers, and without the attributes that models got."""
    folder = fixtures / "keras_files"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))[name]
    model = keras.saving.load_model(folder / f"{name}.keras")
    found = model.predict(expected["texts"], verbose=0)
    np.testing.assert_allclose(found, np.array(expected["outputs"]), atol=1e-4)


def test_lora_takes_keras_hubs_layer_names(family):
    pairs = {"attention_output": "output", "feedforward_output_dense": "down", "query_dense": "query"}
    theirs, ours = family.backbone(), family.backbone()
    theirs.enable_lora(2, list(pairs))
    ours.enable_lora(2, list(pairs.values()))

    def paths(model):
        return [v.path for v in model.trainable_variables]

    assert paths(theirs) == paths(ours)
    assert not any("bias" in path for path in paths(ours))
    for name in ("vlaue", "token_embedding"):
        with pytest.raises(SettingError, match=f"called '{name}'"):
            family.backbone().enable_lora(2, ["query", name])
